"""Solutions of the problems but scheduling as files, checked before they are written.

JSON for all of them, nodes and items counted from 0::

    {"format": "optgap-solution", "version": 1, "problem": "cvrp", "instance": "uniform-20-s0", "cost": 6.5, ...,
     "routes": [[3, 1], [2]]}

``tour`` for the TSP and the ATSP, ``routes`` for the CVRP, ``path`` for orienteering, ``items`` for the knapsack, ``shares``
for slicing, ``weights`` for portfolios, ``paths`` for multi-agent path finding, ``path`` (points in m) for path planning. Tours
are also written as ``.tour`` (TSPLIB), routes as ``.sol`` (VRPLIB).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from optgap.co.core import PROBLEMS
from optgap.co.formats.files import write_text
from optgap.co.formats.tsplib import write_tour
from optgap.co.formats.vrplib import write_routes
from optgap.co.problems.cvrp import split_routes

SOLUTION_FORMAT = "optgap-solution"
VERSION = 1
KEYS = {
    "tsp": "tour",
    "atsp": "tour",
    "cvrp": "routes",
    "op": "path",
    "kp": "items",
    "slicing": "shares",
    "portfolio": "weights",
    "mean-variance": "weights",
    "mapf": "paths",
    "path-planning": "path",
}
WRITERS = {".tour": write_tour, ".sol": write_routes}


def write_solution(
    problem: str, path: str | Path, instance: Any, solution: Any, facts: Mapping[str, Any] | None = None
) -> None:
    """Check a solution and write it, whole or not at all, in the form of the path's suffix.

    Args:
        problem: its registered name, one of ``KEYS``.
        facts: what else to record in JSON beside the cost (solver, bound, status, ...), JSON values.

    Raises:
        InfeasibleError: the solution breaks a constraint.
        InputError: the file cannot be written.
    """
    path = Path(path)
    if path.suffix in WRITERS:
        WRITERS[path.suffix](path, instance, solution)
        return
    definition = PROBLEMS.load(problem)
    definition.check(instance, solution)
    data = {"format": SOLUTION_FORMAT, "version": VERSION, "problem": problem, "instance": instance.name}
    data |= {"cost": definition.cost(instance, solution), **(facts or {})}
    parts = split_routes(solution) if problem == "cvrp" else None
    data[KEYS[problem]] = np.asarray(solution).tolist() if parts is None else [part.tolist() for part in parts]
    write_text(path, json.dumps(data, indent=1) + "\n")
