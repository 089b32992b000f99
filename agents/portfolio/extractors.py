"""Networks over the observation of a portfolio: the same for every asset, or over the image that all of them make.

All take the assets' windows (B, N, F W) float, already on a scale of about 1, and the weights held (B, N + 1), cash last,
and return B rows of numbers: with ``per_asset`` one for each of the N assets, and after them ``outputs`` of the whole.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from optgap.agents.nn.bq import Block, Turn
from optgap.agents.nn.mlp import mlp
from optgap.co.core import InputError

LEAST_WEIGHT = 1e-3  # weights below look alike

HEADS = 4  # of attention


class Shape(NamedTuple):
    """Of an observation (F, W + 1, N)."""

    features: int
    window: int  # days
    assets: int


class ExtractorSettings(Protocol):
    """The part of a configuration that the networks read."""

    width: int
    layers: int


def log_weights(weights: Tensor) -> Tensor:
    """Logarithms of the weights (B, N + 1) by the equal one, 0 where all are equal."""
    return ((weights + LEAST_WEIGHT) / (1.0 / weights.shape[-1] + LEAST_WEIGHT)).log()


class DeepSetLayer(nn.Module):
    """tanh(A h_i + B mean_j h_j + b) of every asset's encoding h_i (B, N, H) (Zaheer et al. 2017, equation 4)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.own, self.mean = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        for linear in (self.own, self.mean):
            nn.init.orthogonal_(linear.weight)
        nn.init.zeros_(self.own.bias)

    def forward(self, encoded: Tensor) -> Tensor:
        return torch.tanh(self.own(encoded) + self.mean(encoded.mean(dim=1, keepdim=True)))


class AttentionLayer(Block):
    """A block of attention among the assets' encodings (B, N, H)."""

    def __init__(self, width: int) -> None:
        super().__init__(width, HEADS, 2 * width)

    def forward(self, x: Tensor, bias: Tensor | None = None, turns: tuple[Turn, Turn] | None = None) -> Tensor:
        return super().forward(x, bias, turns)


class AssetNetwork(nn.Module):
    """A perceptron for each asset, layers in which assets see each other, a number of each and numbers of their mean.

    All are the same for every asset (Jiang et al. 2017, arXiv 1706.10059: identical independent evaluators), so that
    a permutation of the assets permutes their numbers and changes no other.
    """

    def __init__(
        self, shape: Shape, settings: ExtractorSettings, per_asset: bool, outputs: int, output_gain: float
    ) -> None:
        super().__init__()
        width = settings.width
        # What is seen of an asset: its window, its weight, and the weight of cash.
        self.encoder = mlp([shape.features * shape.window + 2, width, width])
        self.layers = nn.ModuleList(self.layer(width) for _ in range(settings.layers))
        self.of_each = mlp([width, 1], output_gain=output_gain) if per_asset else None
        self.of_all = mlp([width, width, outputs], output_gain=output_gain)

    def layer(self, width: int) -> nn.Module:
        """What lets the assets' encodings (B, N, H) see each other."""
        raise NotImplementedError

    def forward(self, windows: Tensor, weights: Tensor) -> Tensor:
        held = log_weights(weights)
        cash = held[:, -1:, None].expand(-1, windows.shape[1], -1)
        encoded = torch.tanh(self.encoder(torch.cat([windows, held[:, :-1, None], cash], dim=-1)))
        for layer in self.layers:
            encoded = layer(encoded)
        of_all: Tensor = self.of_all(encoded.mean(dim=1))
        return of_all if self.of_each is None else torch.cat([self.of_each(encoded).squeeze(-1), of_all], dim=-1)


class EquivariantNetwork(AssetNetwork):
    """Assets see the means over all."""

    def layer(self, width: int) -> nn.Module:
        return DeepSetLayer(width)


class AttentionNetwork(AssetNetwork):
    """Assets attend to each other (Vaswani et al. 2017)."""

    def layer(self, width: int) -> nn.Module:
        if width % (2 * HEADS):
            raise InputError(f"width is {width}; attention expects a multiple of {2 * HEADS}")
        return AttentionLayer(width)


class ConvolutionNetwork(nn.Module):
    """The window and the weights as an image, days by assets, its features the colours (arXiv 2412.18563).

    Blocks of a 3 x 3 convolution and a maximum over 2 x 2 (the first of VGG-11, Simonyan and Zisserman 2015), each of
    twice as many channels, then a perceptron over all that is left. The order of the assets matters. Depth and widths
    are ours.
    """

    def __init__(
        self, shape: Shape, settings: ExtractorSettings, per_asset: bool, outputs: int, output_gain: float
    ) -> None:
        super().__init__()
        self.shape = shape
        blocks: list[nn.Module] = []
        channels, days, assets = shape.features, shape.window + 1, shape.assets
        for block in range(settings.layers):
            wider = max(4, settings.width // 4) * 2**block
            convolution = nn.Conv2d(channels, wider, 3, padding=1)
            nn.init.orthogonal_(convolution.weight, math.sqrt(2.0))
            blocks += [convolution, nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)]
            channels, days, assets = wider, -(-days // 2), -(-assets // 2)
        self.blocks = nn.Sequential(*blocks, nn.Flatten())
        numbers = (shape.assets if per_asset else 0) + outputs
        self.of_all = mlp([channels * days * assets, 2 * settings.width, numbers], output_gain=output_gain)

    def forward(self, windows: Tensor, weights: Tensor) -> Tensor:
        features, days, assets = self.shape
        image = windows.view(-1, assets, features, days).permute(0, 2, 3, 1)
        held = log_weights(weights)[:, None, None, :-1].expand(-1, features, -1, -1)
        found: Tensor = self.of_all(self.blocks(torch.cat([image, held], dim=2)))
        return found


EXTRACTORS: dict[str, type[AssetNetwork] | type[ConvolutionNetwork]] = {
    "equivariant": EquivariantNetwork,
    "attention": AttentionNetwork,
    "convolution": ConvolutionNetwork,
}
