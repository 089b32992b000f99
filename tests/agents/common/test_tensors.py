"""Torch's threads inside and outside."""

from __future__ import annotations

import pytest
import torch

from optgap.agents.common.tensors import torch_threads


def test_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    with torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    with pytest.raises(KeyboardInterrupt), torch_threads(before + 2):
        raise KeyboardInterrupt
    assert torch.get_num_threads() == before
