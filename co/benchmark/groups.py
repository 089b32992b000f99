"""Instances in groups, and every solver's mean gap in each: how figures change with size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from optgap.co.benchmark.results import Record, Summary, summarize
from optgap.co.core import InputError

EDGES = (100, 200, 500, 1000)


@dataclass(frozen=True)
class Groups:
    """Every solver in every group of instances.

    Args:
        sizes: group -> how many instances it has, in order; groups without instances are left out.
        total: the rows over all instances, best solver first.
        rows: solver -> group -> its summary there.
    """

    sizes: dict[str, int]
    total: list[Summary]
    rows: dict[str, dict[str, Summary]]


def size_groups(sizes: Mapping[str, int], edges: Sequence[int] = EDGES) -> dict[str, str]:
    """Instance -> the range that its size falls into: ``<100``, ``100-199``, ..., ``>=1000``; by rising size.

    Args:
        sizes: instance -> nodes, items or operations.
        edges: where a new range begins; rising.

    Raises:
        InputError: the edges do not rise.
    """
    if not edges or edges[0] < 1 or any(later <= edge for edge, later in pairwise(edges)):
        raise InputError(f"edges {', '.join(map(str, edges))}: expected rising numbers above 0")
    names = [f"<{edges[0]}", *(f"{edge}-{later - 1}" for edge, later in pairwise(edges)), f">={edges[-1]}"]
    ranked = sorted(sizes, key=sizes.__getitem__)
    return {name: names[sum(sizes[name] >= edge for edge in edges)] for name in ranked}


def summarize_groups(records: Sequence[Record], groups: Mapping[str, str]) -> Groups:
    """Summaries of ``records`` a solver and group (instance -> its group, in the order of the columns)."""
    order = list(dict.fromkeys(groups.values()))
    parts = {name: [record for record in records if groups[record["instance"]] == name] for name in order}
    rows: dict[str, dict[str, Summary]] = {}
    for name, part in parts.items():
        for row in summarize(part):
            rows.setdefault(row.solver, {})[name] = row
    sizes = {name: len({record["instance"] for record in part}) for name, part in parts.items() if part}
    return Groups(sizes, summarize(records), rows)
