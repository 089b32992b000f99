"""Mixed precision where the processor multiplies bfloat16 matrices faster than float32 ones."""

from __future__ import annotations

from functools import cache

import torch


def mixed_precision(device: torch.device) -> torch.autocast:
    """A context: bfloat16 arithmetic on CUDA and on processors with AVX512-BF16 or AMX, float32 on others."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda" or _fast_bfloat16())


@cache
def _fast_bfloat16() -> bool:
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # private, and not in every version
    return any(probe() for name in probes if (probe := getattr(torch.cpu, name, None)) is not None)
