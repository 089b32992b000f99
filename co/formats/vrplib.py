"""VRPLIB: instances of the CVRP (``.vrp``) and their routes (``.sol``).

The depot becomes node 0 wherever it stands in the file; the customers keep their order and are numbered 1 to C, which is
also how ``.sol`` files number them. Limits of distance, service or fleet are refused: they are other problems. A
best-known cost beside the file (``best_known.json``) is an upper bound; the lower one is then the trivial 0.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import Bounds, InputError
from optgap.co.formats.best_known import BEST_KNOWN, read_best_known
from optgap.co.formats.files import read_text, write_text
from optgap.co.formats.tsplib import SECTIONS as NETWORK_SECTIONS
from optgap.co.formats.tsplib_sections import LARGEST_DIMENSION, SectionFile, network_lines, number_text
from optgap.co.problems.cvrp import CVRP_PROBLEM, CVRPInstance, join_routes, split_routes

SECTIONS = (*NETWORK_SECTIONS, "DEMAND_SECTION", "DEPOT_SECTION")
LIMITS = ("DISTANCE", "SERVICE_TIME", "VEHICLES")
ROUTE = re.compile(r"\s*Route\s*#?\s*\d*\s*:(.*)", re.IGNORECASE)
COST = re.compile(r"\s*Cost\b.*", re.IGNORECASE)


def read_vrplib(path: str | Path) -> CVRPInstance:
    """Read an instance: ``TYPE : CVRP`` with one depot.

    Raises:
        InputError: the file cannot be read or is malformed; names the file, the line and what was expected.
    """
    file = SectionFile.read(path, SECTIONS)
    file.expect_type("CVRP")
    for key in LIMITS:
        if key in file.entries:
            raise file.error(
                key, f"{key} limits the routes, which is not supported; expected a CVRP with capacities alone"
            )
    network, n = file.network(), file.dimension
    file.expect_symmetric(network.get("matrix"))
    if n < 2:
        raise file.error("DIMENSION", "DIMENSION is 1; expected a depot and at least one customer")
    capacity = file.number("CAPACITY")
    if not capacity > 0:
        raise file.error("CAPACITY", f"CAPACITY is {capacity:.12g}; expected a number above 0")
    depots = file.section("DEPOT_SECTION")
    at = depots.nodes(n)
    if len(at) != 1:
        raise depots.error(f"{len(at)} depots; expected one")
    section = file.section("DEMAND_SECTION")
    demand = section.by_node(2, n, "a demand")[:, 0]
    wrong = ~((demand >= 0) & (demand <= capacity))
    wrong[at] = demand[at] != 0
    if wrong.any():
        node = int(np.argmax(wrong))
        line = section.line_of_node(node + 1, 2)
        limit = "0 at the depot" if node == at[0] else f"0 to the capacity {capacity:.12g}"
        raise section.error(f"node {node + 1} demands {demand[node]:.12g}; expected {limit}", line)
    order = np.concatenate([at, np.delete(np.arange(n), at)])
    if network["coordinates"] is not None:
        network["coordinates"] = network["coordinates"][order]
    if "matrix" in network:
        network["matrix"] = network["matrix"][np.ix_(order, order)]
    best = read_best_known(file.path)
    known = None if best is None else Bounds(0.0, best, BEST_KNOWN)
    return CVRPInstance(**network, demand=demand[order], capacity=capacity, name=file.path.stem, best_known=known)


def write_vrplib(instance: CVRPInstance, path: str | Path) -> None:
    """Write an instance so that :func:`read_vrplib` gives it back; the depot is node 1 of the file.

    Raises:
        InputError: the file cannot be written.
    """
    path = Path(path)
    head, body = network_lines(instance)
    demands = [f"{node} {number_text(demand)}" for node, demand in enumerate(instance.demand.tolist(), 1)]
    head = [f"NAME : {path.stem}", "TYPE : CVRP", *head, f"CAPACITY : {number_text(instance.capacity)}"]
    write_text(path, "\n".join([*head, *body, "DEMAND_SECTION", *demands, "DEPOT_SECTION", "1", "-1", "EOF", ""]))


def read_routes(path: str | Path) -> NDArray[np.int64]:
    """The routes of a ``.sol`` file, ``Route #1: 5 3 ...`` and so on, as a solution: customers with zeros between routes.

    Raises:
        InputError: the file cannot be read or is malformed, or holds no route.
    """
    path = Path(path)
    routes = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        match = ROUTE.fullmatch(line)
        if match is None:
            if line.strip() and not COST.fullmatch(line):
                raise InputError(
                    f"{path}: line {number}: {line.strip()[:30]!r}; expected 'Route #1: 5 3 ...' or 'Cost ...'"
                )
            continue
        words = match[1].split()
        for word in words:
            if not (word.isascii() and word.isdigit()) or not 1 <= int(word[:9]) <= LARGEST_DIMENSION or len(word) > 8:
                raise InputError(f"{path}: line {number}: {word[:20]!r}; expected a customer, 1 or more")
        routes.append([int(word) for word in words])
    if not routes:
        raise InputError(f"{path}: line 1: the file holds no route; expected 'Route #1: 5 3 ...'")
    return join_routes(routes)


def write_routes(path: str | Path, instance: CVRPInstance, solution: Any) -> None:
    """Write routes, after checking them, as a ``.sol`` file.

    Raises:
        InfeasibleError: a customer is not served once, or a route exceeds the capacity.
        InputError: the file cannot be written.
    """
    CVRP_PROBLEM.check(instance, solution)
    routes = [" ".join(map(str, route.tolist())) for route in split_routes(solution)]
    lines = [f"Route #{number}: {route}" for number, route in enumerate(routes, 1)]
    write_text(Path(path), "\n".join([*lines, f"Cost {number_text(CVRP_PROBLEM.cost(instance, solution))}", ""]))
