"""Pictures of complete and partial solutions."""

from __future__ import annotations

from typing import Any


def frame(instance: Any, solution: Any) -> Any:
    raise NotImplementedError


def route_text(instance: Any, solution: Any, width: int = 80) -> str:
    raise NotImplementedError
