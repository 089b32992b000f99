"""LKH through elkai: optima, metrics, sizes, and what is missing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optgap.co.core import PROBLEMS, SOLVERS, Budget, InputError, MissingExtraError, Result, Status, solve
from optgap.co.formats.tsplib import read_tsplib
from optgap.co.heuristics import lkh
from optgap.co.problems.distances import NetworkInstance
from optgap.co.problems.tsp import ATSP_PROBLEM, TSP_PROBLEM, ATSPInstance, TSPInstance


def run(instance: NetworkInstance, seconds: float = 5.0, seed: int = 0) -> Result:
    problem = "atsp" if isinstance(instance, ATSPInstance) else "tsp"
    return solve(SOLVERS.load(f"{problem}/lkh"), PROBLEMS.load(problem), instance, Budget(seconds, seed=seed))


@pytest.mark.parametrize(
    ("file", "optimum"),
    [("tsp/berlin52.tsp", 7542), ("tsp/att48.tsp", 10628), ("tsp/ulysses16.tsp", 6859), ("tsp/gr17.tsp", 2085),
     ("atsp/ftv33.atsp", 1286), ("atsp/br17.atsp", 39)],
)  # fmt: skip
def test_published_optima_of_every_metric(data_folder: Path, file: str, optimum: int) -> None:
    pytest.importorskip("elkai")
    result = run(read_tsplib(data_folder / file))
    assert result.cost == optimum
    assert (result.status, result.bound) == (Status.FEASIBLE, None)  # it proves nothing


@pytest.mark.parametrize("nodes", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("problem", [TSP_PROBLEM, ATSP_PROBLEM])
def test_few_nodes(problem: Any, nodes: int) -> None:
    pytest.importorskip("elkai")
    instance = problem.generate(np.random.default_rng(nodes), nodes=nodes)
    assert run(instance).cost == pytest.approx(
        solve(SOLVERS.load(f"{problem.name}/scip"), problem, instance, Budget(10)).cost
    )


@pytest.mark.parametrize("scale", [1e-7, 1.0, 1e9])
def test_real_distances_of_any_unit(scale: float) -> None:
    pytest.importorskip("elkai")
    points = np.random.default_rng(1).random((40, 2)) - 0.5
    expected = run(TSPInstance(coordinates=points)).cost
    assert expected is not None
    scaled = TSPInstance(coordinates=points * scale)
    assert run(scaled).cost == pytest.approx(scale * expected)
    assert run(TSPInstance(matrix=scaled.distances, metric="explicit")).cost == pytest.approx(scale * expected)


def test_all_in_one_place() -> None:
    pytest.importorskip("elkai")
    assert run(TSPInstance(coordinates=np.ones((7, 2)))).cost == 0
    assert run(ATSPInstance(matrix=np.zeros((7, 7)), metric="explicit")).cost == 0


def test_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("elkai")
    monkeypatch.setattr(lkh, "LARGEST_MATRIX", 9)
    with pytest.raises(InputError, match="10 nodes; LKH takes up to 9 given by a matrix"):
        run(ATSP_PROBLEM.generate(np.random.default_rng(0), nodes=10))
    with pytest.raises(InputError, match="20001 nodes; LKH takes up to 20000 given by coordinates"):
        run(TSPInstance(coordinates=np.zeros((20_001, 2))))


def test_without_elkai_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "elkai", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'optgap\[lkh\]'"):
        run(TSP_PROBLEM.generate(np.random.default_rng(0), nodes=5))
