"""Instances by size, and every solver's mean gap in each group."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optgap.co.benchmark.groups import size_groups, summarize_groups
from optgap.co.core import InputError


def record(solver, instance, cost, best=10.0, **more):
    budget = {"problem": "tsp", "seconds": 1.0, "threads": 1, "seed": 0}
    known = {"best_known": [best, best, "2026"], "wall_seconds": 2.0, "status": "feasible"}
    return {"solver": solver, "instance": instance, "cost": cost} | budget | known | more


def test_a_size_falls_into_the_range_that_begins_at_or_below_it():
    sizes = {"e": 5000, "a": 99, "b": 100, "c": 199, "d": 200}
    found = size_groups(sizes, [100, 200])
    assert list(found.items()) == [("a", "<100"), ("b", "100-199"), ("c", "100-199"), ("d", ">=200"), ("e", ">=200")]


@given(st.dictionaries(st.text(), st.integers(1, 3000)), st.lists(st.integers(1, 2000), min_size=1, unique=True))
def test_the_ranges_cover_every_size_once(sizes, edges):
    found = size_groups(sizes, sorted(edges))
    assert found.keys() == sizes.keys()
    for name, text in found.items():
        low, _, high = text.partition("-")
        if text[0] == "<":
            assert sizes[name] < int(text[1:])
        elif text[0] == ">":
            assert sizes[name] >= int(text[2:])
        else:
            assert int(low) <= sizes[name] <= int(high)


@pytest.mark.parametrize("edges", [[], [0, 5], [5, 5], [9, 5]])
def test_edges_that_do_not_rise_are_refused(edges):
    with pytest.raises(InputError, match="expected rising numbers above 0"):
        size_groups({"a": 1}, edges)


def test_gaps_are_means_of_the_group_and_of_all():
    records = [record("x", "a", 11.0), record("x", "b", 12.0), record("x", "c", 15.0)]
    records += [record("y", "a", 10.0), record("y", "b", None), record("y", "c", 10.0)]
    found = summarize_groups(records, {"a": "small", "b": "small", "c": "large"})
    assert found.sizes == {"small": 2, "large": 1}
    gaps = {solver: {name: row.mean_gap for name, row in of.items()} for solver, of in found.rows.items()}
    assert gaps["x"] == pytest.approx({"small": 0.15, "large": 0.5})
    assert gaps["y"] == {"small": None, "large": 0.0}  # what it could not solve has no gap
    assert [row.solver for row in found.total] == ["x", "y"]
    assert found.total[0].mean_gap == pytest.approx((0.1 + 0.2 + 0.5) / 3)
