"""Fixtures of the tests of the BQ agents."""

from __future__ import annotations

import pytest
import torch

from optgap.agents.bq import agent, decoding, policy


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Single precision, so that scores of an instance do not depend on the batch that it stands in."""
    for module in (agent, decoding, policy):
        monkeypatch.setattr(module, "mixed_precision", lambda device: torch.autocast("cpu", enabled=False))
