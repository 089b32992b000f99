"""The figures of a run: ``metrics.jsonl``, one json object an update, and TensorBoard events beside it."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from optgap.co.core import InputError


class MetricsLog:
    """Appends to ``<folder>/metrics.jsonl`` and to TensorBoard events in the same folder.

    Every line holds ``update``, ``steps`` and the metrics (a figure that is not finite is null). Opening the log of a
    run that resumes after ``updates`` updates removes the lines after it, and a last line that a kill cut short.

    Raises:
        InputError: the folder or the file cannot be used, or a line is not json.
    """

    def __init__(self, folder: str | Path, updates: int = 0, steps: int = 0) -> None:
        self.folder = Path(folder)
        self.file = self.folder / "metrics.jsonl"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self.file.exists():
                self._truncate(updates)
            self._stream = self.file.open("a", encoding="utf-8")
        except OSError as error:
            raise InputError(f"{self.file}: cannot be written: {error.strerror or error}") from error
        from torch.utils.tensorboard import SummaryWriter

        self._events = SummaryWriter(str(self.folder), purge_step=steps + 1)

    def write(self, update: int, steps: int, metrics: Mapping[str, float]) -> None:
        """One line, on the disk when this returns (flushed to the system, not synced)."""
        figures = {key: float(value) if math.isfinite(value) else None for key, value in metrics.items()}
        try:
            self._stream.write(json.dumps({"update": update, "steps": steps, **figures}) + "\n")
            self._stream.flush()
        except OSError as error:
            raise InputError(f"{self.file}: cannot be written: {error.strerror or error}") from error
        for key, value in figures.items():
            if value is not None:
                self._events.add_scalar(key, value, steps)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # what a full disk did not take was said by write
            self._stream.close()
        self._events.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _truncate(self, updates: int) -> None:
        kept = [line for line in read_metrics(self.folder) if line["update"] <= updates]
        partial = self.file.with_suffix(".partial")
        partial.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        partial.replace(self.file)


def read_metrics(folder: str | Path) -> list[dict[str, Any]]:
    """The lines of ``<folder>/metrics.jsonl``; a last line without its newline (a kill while writing) is left out.

    Raises:
        InputError: the file is missing, or a complete line is not a json object with an ``update``.
    """
    file = Path(folder) / "metrics.jsonl"
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: unreadable ({error})") from error
    lines = []
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        try:
            entry = json.loads(line)
            if not isinstance(entry["update"], int):
                raise TypeError
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{file}:{number}: expected a json object with an integer 'update'") from None
        lines.append(entry)
    return lines
