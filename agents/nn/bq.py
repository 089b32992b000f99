"""The network of the BQ-MDP agents: attention over the remaining sub-instance, aware of distance and direction.

As in BQ-NCO (arXiv 2301.03313, section 4): one token a node of the reduced instance, no positional encoding of an
order, markers for origin and destination, a linear score an action, and a new run at every step. Added:

- *Distance bias*: head h subtracts ``slope_h * d(i, j) / unit`` from its attention logits, ``unit`` being the mean
  distance to the nearest node, so that locality need not be learned, and an asymmetric matrix enters by the same door
  (one half of the heads sees it transposed).
- *Rotary positions in the plane* (Su et al. 2021, in two dimensions): queries, keys and values are turned by the node's
  coordinates and the result is turned back (as in Miyato et al. 2024), so that attention sees relative positions.
- *Edge scores*: a bilinear head scores every pair of nodes as neighbours on the solution. Its row of the origin is part
  of the action's score; its other rows are what imitation supervises besides the next action: n labels a sub-instance
  instead of one.
- RMS normalisation before each block instead of ReZero: it learned faster here.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPES = (0.0, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # of the heads' distance biases, repeated where there are more
FASTEST, SLOWEST = 1.0, -3.5  # logarithms, base 2, of the angles that a node turns in a unit of distance
ORIGIN, DESTINATION, OTHER = 0, 1, 2  # roles; in a path problem those of the first token, the second, the others
FAR = -1e9  # bias towards padding: finite, so that a row without a single node gives no NaN
LONGEST = 50.0  # units: distances beyond are all alike


class Reduced(NamedTuple):
    """A batch of B reduced instances of n tokens, F features and A actions a token."""

    features: Tensor  # (B, n, F) float32; where there are positions, the first two are those, in the distances' unit
    role: Tensor  # (B, n) int64: ORIGIN, DESTINATION or OTHER
    distances: Tensor | None  # (B, n, n) float32 from row to column; None where there are none
    allowed: Tensor  # (B, n, A) bool: the action mask
    present: Tensor | None  # (B, n) bool: False for padding; None where nothing is padded


class Scores(NamedTuple):
    """What the network says of a batch of reduced instances."""

    actions: Tensor  # (B, n, A) float32 logits, -inf where not allowed
    edges: Tensor | None  # (B, n, n) float32 logits that the column follows or precedes the row; None without distances
    chosen: Tensor  # (B, n) float32 logits of being part of the solution at all


class Turn(NamedTuple):
    """Angles by which pairs of numbers are turned, for the halves (i, i + W) of 2 W numbers a token."""

    cos: Tensor  # (B, n, W)
    sin: Tensor  # (B, n, W)

    def back(self) -> Turn:
        """The opposite turn."""
        return Turn(self.cos, -self.sin)

    def times(self, count: int) -> Turn:
        """The angles repeated ``count`` times."""
        return Turn(self.cos.repeat(1, 1, count), self.sin.repeat(1, 1, count))


def turned(x: Tensor, turn: Turn) -> Tensor:
    """(B, n, 2 W) with the pair (i, i + W) turned by the i-th angle."""
    a, b = x.chunk(2, -1)
    return torch.cat([a * turn.cos - b * turn.sin, a * turn.sin + b * turn.cos], -1)


def attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    """Softmax attention with an additive bias; q, k and v are (B, heads, n, d).

    On the CPU it is written out: the fused kernel's backward pass in bfloat16 is 10 times slower there (torch 2.13).
    """
    if q.device.type != "cpu":
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=None if bias is None else bias.to(q.dtype))
    q, shape = q * q.shape[-1] ** -0.5, q.shape
    q, k, v = q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1)
    if bias is None:
        weights = q @ k.transpose(1, 2)
    else:
        bias = bias.to(q.dtype).expand(*shape[:3], shape[2]).flatten(0, 1)
        weights = torch.baddbmm(bias, q, k.transpose(1, 2))
    return (weights.softmax(-1) @ v).view(shape)


class Normalization(nn.RMSNorm):
    """RMS normalisation in the arithmetic of its input: in mixed precision torch's own leaves the fused kernel."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to the same."""
        assert self.weight is not None
        return functional.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


class Block(nn.Module):
    """Attention and feed-forward, each behind a normalisation and scaled by a learned number."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_feed_forward = Normalization(width), Normalization(width)
        self.project = nn.Linear(width, 3 * width, bias=False)
        self.merge = nn.Linear(width, width, bias=False)
        self.widen = nn.Linear(width, hidden)
        self.narrow = nn.Linear(hidden, width)
        self.scale = nn.Parameter(torch.full((2,), 0.3))

    def forward(self, x: Tensor, bias: Tensor | None, turns: tuple[Turn, Turn] | None) -> Tensor:
        """(B, n, width) to the same.

        Args:
            bias: (B, heads, n, n), added to the attention logits.
            turns: of queries, keys and values together, and of one of them.
        """
        batch, tokens, width = x.shape
        parts = self.project(self.before_attention(x))
        if turns is not None:
            parts = turned(parts, turns[0])
        # the halves of a pair lie apart, so that turning runs over contiguous memory; a head takes both
        halves = parts.view(batch, tokens, 2, 3, self.heads, -1).permute(3, 0, 4, 1, 2, 5)
        q, k, v = halves.reshape(3, batch, self.heads, tokens, -1)
        seen = attention(q, k, v, bias).view(batch, self.heads, tokens, 2, -1).permute(0, 2, 3, 1, 4)
        seen = seen.reshape(batch, tokens, width)
        if turns is not None:
            seen = turned(seen, turns[1].back())
        # the scales multiply weights and not activations: a pass over memory less
        x = x + functional.linear(seen, self.merge.weight * self.scale[0])
        wide = functional.relu(self.widen(self.before_feed_forward(x)))
        return x + functional.linear(wide, self.narrow.weight * self.scale[1], self.narrow.bias * self.scale[1])


class BQNetwork(nn.Module):
    """Reduced instances to scores.

    Args:
        features: F, numbers a token.
        actions: A, actions a token (2 for the CVRP: directly, or via the depot).
        width, layers, heads, hidden: of the transformer; with ``rotary``, width / heads is a multiple of 4.
        edges: whether there are distances.
        symmetric: whether they are the same both ways.
        rotary: whether the first two features are positions.
    """

    rates: Tensor
    slopes: Tensor

    def __init__(
        self,
        features: int,
        actions: int,
        *,
        width: int,
        layers: int,
        heads: int,
        hidden: int,
        edges: bool,
        symmetric: bool,
        rotary: bool,
    ) -> None:
        super().__init__()
        self.heads, self.symmetric, self.rotary = heads, symmetric, rotary
        self.embed = nn.Linear(features, width)
        self.role = nn.Embedding(3, width)
        self.blocks = nn.ModuleList(Block(width, heads, hidden) for _ in range(layers))
        self.last = Normalization(width)
        self.score = nn.Linear(width, actions)
        self.member = nn.Linear(width, 1)
        if edges:
            self.tail = nn.Linear(width, width)
            self.head = nn.Linear(width, width)
            self.nearness = nn.Parameter(torch.ones(()))
        slopes = torch.tensor([SLOPES[h % len(SLOPES)] for h in range(heads)])
        self.register_buffer("slopes", slopes[:, None, None], persistent=False)
        rates = 2.0 ** torch.linspace(SLOWEST, FASTEST, width // heads // 4)
        self.register_buffer("rates", rates, persistent=False)

    @staticmethod
    def is_hidden(name: str) -> bool:
        """Whether the parameter of this name belongs to a hidden layer, neither an embedding nor a score."""
        return any(part in name for part in ("blocks.", "tail.", "head."))

    def forward(self, reduced: Reduced) -> Scores:
        """Scores of every action, pair of nodes, and node."""
        x = self.embed(reduced.features)
        x = x + self.role(reduced.role).to(x.dtype)
        distance, turns = None, None
        if reduced.distances is not None:
            distance, unit = in_units(reduced.distances, reduced.present)
            if self.rotary:
                turn = self._turn(reduced.features[:, :, :2] / unit[:, None, None], x.dtype)
                turns = turn.times(3 * self.heads), turn.times(self.heads)
        bias = self._bias(distance, reduced.present)
        bias = None if bias is None else bias.to(x.dtype)  # once for all blocks
        for block in self.blocks:
            x = block(x, bias, turns)
        x = self.last(x)
        actions, edges = self.score(x).float(), None
        if distance is not None:
            edges = self._edges(x, distance, None if turns is None else turns[1])
            actions = actions + edges[:, ORIGIN, :, None]
            if reduced.present is not None:
                edges = edges.masked_fill(~reduced.present[:, None, :], FAR)
        actions = actions.masked_fill(~reduced.allowed, -torch.inf)
        return Scores(actions, edges, self.member(x).squeeze(-1).float())

    def _edges(self, x: Tensor, distance: Tensor, turn: Turn | None) -> Tensor:
        """(B, n, n) float32 scores of pairs of nodes."""
        tail, head = self.tail(x), self.head(x)
        if turn is not None:
            tail, head = turned(tail, turn), turned(head, turn)
        alike: Tensor = (tail @ head.transpose(1, 2)).float() * x.shape[-1] ** -0.5
        return alike - self.nearness * distance

    def _turn(self, place: Tensor, kind: torch.dtype) -> Turn:
        """The angles of positions (B, n, 2), for one head."""
        angle = (place[:, :, :, None] * self.rates).flatten(2)
        return Turn(angle.cos().to(kind), angle.sin().to(kind))

    def _bias(self, distance: Tensor | None, present: Tensor | None) -> Tensor | None:
        """(B, heads, n, n) or, without distances, (B, 1, 1, n); None where there is nothing to say. No gradient."""
        bias = None
        if distance is not None:
            if self.symmetric:
                bias = distance[:, None] * -self.slopes
            else:
                both = torch.stack([distance, distance.transpose(1, 2)], 1)
                bias = both.repeat(1, self.heads // 2, 1, 1) * -self.slopes
        if present is not None:
            padding = torch.where(present, 0.0, FAR)[:, None, None, :]
            bias = padding if bias is None else bias + padding
        return bias


def in_units(distances: Tensor, present: Tensor | None) -> tuple[Tensor, Tensor]:
    """Distances in units of the mean distance from a node to its nearest one.

    Returns:
        (B, n, n), at most ``LONGEST``; (B,) the unit.
    """
    own = torch.eye(distances.shape[-1], dtype=torch.bool, device=distances.device)
    if present is not None:
        own = own | ~present[:, None, :] | ~present[:, :, None]
    nearest = distances.masked_fill(own, torch.inf).amin(2)
    known = torch.isfinite(nearest)
    unit = torch.where(known, nearest, 0.0).sum(1) / known.sum(1).clamp(min=1)
    unit = unit.clamp(min=1e-9)
    return (distances / unit[:, None, None]).clamp(max=LONGEST), unit
