"""Gaussian actions squashed into [-1, 1] by tanh."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

LEAST_LOG_STD, MOST_LOG_STD = -5.0, 2.0


def squashed(parameters: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Actions ``tanh(mean + std * noise)`` and their log-densities (Haarnoja et al. 2018, appendix C).

    Args:
        parameters: (..., 2 d) means, then log standard deviations (held within -5 and 2), before tanh.
        noise: (..., d) standard normal.

    Returns:
        (..., d) actions in [-1, 1] and (...,) log-densities.
    """
    mean, log_std = parameters.chunk(2, dim=-1)
    log_std = log_std.clamp(LEAST_LOG_STD, MOST_LOG_STD)
    before = mean + log_std.exp() * noise
    # log(1 - tanh^2 u) = 2 (log 2 - u - softplus(-2 u)), which stays exact where tanh has rounded to 1.
    volume = 2.0 * (math.log(2.0) - before - nn.functional.softplus(-2.0 * before))
    density = -(0.5 * noise**2 + log_std + 0.5 * math.log(2.0 * math.pi)) - volume
    return torch.tanh(before), density.sum(dim=-1)
