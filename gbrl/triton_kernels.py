"""Histograms on a GPU, in integers: exact, and thus the same in every order.

A gradient on its grid is an integer of at most 25 bits and a sign: four digits of eight bits. One program sums the digits
of some rows of one node by bin of one feature, as the product of the rows' bins (one-hot) and their digits. Tensor cores
take such products of 8-bit integers from shared memory and keep the 32-bit sums in registers; each sum is added to the
node's by one atomic addition at the end. Rows that share a bin need not wait for one another, as they would if each row
were added to its bin by an atomic addition.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from optgap.gbrl.gradients import GRID_BITS, SMALLEST_EXPONENT

DIGITS = 4
TILE = 8192  # rows of one program
MOST_ROWS = 1 << 24  # digits of at most 128 in 32 bits


@triton.jit
def _add_digits(  # type: ignore[no-untyped-def]
    codes,
    stride,
    digits,
    order,
    tile_node,
    tile_begin,
    tile_end,
    out,
    features,
    bins: tl.constexpr,
    columns: tl.constexpr,
    step: tl.constexpr,
):
    f, tile = tl.program_id(0), tl.program_id(1)  # in this order the features find a tile's digits in the cache
    node, begin, end = tl.load(tile_node + tile), tl.load(tile_begin + tile), tl.load(tile_end + tile)
    place, column, lane = tl.arange(0, bins), tl.arange(0, columns), tl.arange(0, step)
    sums = tl.zeros((bins, columns), dtype=tl.int32)
    of_feature = codes + f.to(tl.int64) * stride
    for first in range(begin, end, step):
        here = first + lane < end
        row = tl.load(order + first + lane, mask=here, other=0)
        code = tl.load(of_feature + row, mask=here, other=0).to(tl.int32)
        digit = tl.load(digits + row[:, None] * columns + column[None, :], mask=here[:, None], other=0)
        is_bin = (code[None, :] == place[:, None]).to(tl.int8)
        sums = tl.dot(is_bin, digit, acc=sums, out_dtype=tl.int32)
    first_out = out + ((node * features + f) * bins).to(tl.int64) * columns
    tl.atomic_add(first_out + place[:, None] * columns + column[None, :], sums, mask=sums != 0)


def to_digits(gradients: Tensor) -> tuple[Tensor, Tensor]:
    """Digits of gradients on the grid, and the step that the digits count.

    Args:
        gradients: (D, n) float64 from ``gradients.prepare``.

    Returns:
        (n, columns) int8, digit j of output d in column 4 d + j and then a column of ones; (D,) float64.
    """
    D, n = gradients.shape
    exponent = torch.frexp(gradients.abs().amax(dim=1)).exponent
    # Half a step of the grid, or a whole one where the largest gradient was rounded down to a lower power of two.
    step = torch.ldexp(torch.ones_like(gradients[:, 0]), exponent.clamp(min=SMALLEST_EXPONENT + 1) - GRID_BITS - 1)
    rest = (gradients / step[:, None]).to(torch.int64)
    columns = max(16, triton.next_power_of_2(DIGITS * D + 1))
    digits = torch.zeros(n, columns, dtype=torch.int8, device=gradients.device)
    for j in range(DIGITS):
        digit = ((rest + 128) & 255) - 128
        digits[:, j : DIGITS * D : DIGITS] = digit.T
        rest = (rest - digit) >> 8
    digits[:, DIGITS * D] = 1
    return digits, step


def add_by_bin(
    codes: Tensor, digits: Tensor, step: Tensor, rows: Tensor, node: Tensor, nodes: int, bins: int
) -> Tensor:
    """``torch_search.add_by_bin`` of some rows' gradients and a one each.

    Args:
        codes: (F, n) uint8, below ``bins``; its rows contiguous.
        digits: (n, columns) int8 and ``step`` (D,), from :func:`to_digits`.
        rows: (m,) int64, numbers of rows.
        node: (m,) int64 of each of them, rising, below ``nodes``.

    Returns:
        (D + 1, nodes, F, bins) float64.
    """
    D, features, columns, device = len(step), len(codes), digits.shape[1], codes.device
    padded = max(16, triton.next_power_of_2(bins))
    end = torch.bincount(node, minlength=nodes).cumsum(0).tolist()
    tiles = [
        (k, first, min(first + TILE, end[k]))
        for k in range(nodes)
        for first in range(end[k - 1] if k else 0, end[k], TILE)
    ]
    out = torch.zeros(nodes, features, padded, columns, dtype=torch.int32, device=device)
    if tiles:
        table = torch.tensor(tiles, dtype=torch.int32).T.contiguous().to(device)
        grid: Any = (features, len(tiles))
        _add_digits[grid](
            codes, codes.stride(0), digits, rows, *table, out, features, padded, columns, step=64, num_warps=8
        )
    sums = torch.empty(D + 1, nodes, features, bins, dtype=torch.float64, device=device)
    for d in range(D):
        whole = out.new_zeros((nodes, features, bins), dtype=torch.int64)
        for j in range(DIGITS):
            whole += out[:, :, :bins, DIGITS * d + j].to(torch.int64) << (8 * j)
        sums[d] = whole * step[d]
    sums[D] = out[:, :, :bins, DIGITS * D]
    return sums
