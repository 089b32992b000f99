"""TSPLIB: instances of the TSP and the ATSP, and tours.

Read: every edge-weight type of the plane and of the sphere (EUC_2D, CEIL_2D, MAN_2D, MAX_2D, ATT, GEO) and EXPLICIT in
every matrix format; not the three-dimensional and the crystallography ones. Fixed edges are refused: they are another
problem. An instance is named after its file, without the suffix. A best-known cost beside the file (``best_known.json``)
is taken as the optimum: TSPLIB's are proved.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import Bounds
from optgap.co.formats.best_known import BEST_KNOWN, read_best_known
from optgap.co.formats.files import write_text
from optgap.co.formats.tsplib_sections import SectionFile, network_lines, number_text
from optgap.co.problems.distances import NetworkInstance
from optgap.co.problems.tsp import ATSPInstance, TSPInstance, as_tour, tour_length

SECTIONS = ("NODE_COORD_SECTION", "EDGE_WEIGHT_SECTION", "DISPLAY_DATA_SECTION")


def read_tsplib(path: str | Path) -> TSPInstance | ATSPInstance:
    """Read an instance: ``TYPE : TSP`` or ``TYPE : ATSP``.

    Raises:
        InputError: the file cannot be read or is malformed; names the file, the line and what was expected.
    """
    file = SectionFile.read(path, SECTIONS)
    asymmetric = file.expect_type("TSP", "ATSP") == "ATSP"
    network = file.network()
    best = read_best_known(file.path)
    known = None if best is None else Bounds(best, best, BEST_KNOWN)
    facts: dict[str, Any] = {**network, "name": file.path.stem, "best_known": known}
    if not asymmetric:
        file.expect_symmetric(network.get("matrix"))
        return TSPInstance(**facts)
    if network["metric"] != "explicit":
        raise file.error("EDGE_WEIGHT_TYPE", "distances from coordinates in a TYPE : ATSP; expected EXPLICIT")
    return ATSPInstance(**facts)


def write_tsplib(instance: TSPInstance | ATSPInstance, path: str | Path) -> None:
    """Write an instance so that :func:`read_tsplib` gives it back; matrices as FULL_MATRIX.

    Raises:
        InputError: the file cannot be written.
    """
    path = Path(path)
    head, body = network_lines(instance)
    kind = "ATSP" if isinstance(instance, ATSPInstance) else "TSP"
    write_text(path, "\n".join([f"NAME : {path.stem}", f"TYPE : {kind}", *head, *body, "EOF", ""]))


def read_tour(path: str | Path) -> NDArray[np.int64]:
    """The (first) tour of a ``.tour`` file: (N,) node indices, counted from 0.

    Raises:
        InputError: the file cannot be read, is malformed, or its tour is no permutation of the nodes.
    """
    file = SectionFile.read(path, ("TOUR_SECTION",))
    file.expect_type("TOUR")
    section = file.section("TOUR_SECTION")
    size = file.dimension if "DIMENSION" in file.entries else max(1, int(np.sum(section.numbers != -1)))
    tour = section.nodes(size)
    if len(tour) != size:
        raise section.error(f"{len(tour)} nodes; expected {size}")
    order = np.argsort(tour, kind="stable")
    twice = np.flatnonzero(np.diff(tour[order]) == 0)
    if len(twice):
        at = int(order[twice[0] + 1])
        raise section.error(f"node {tour[at] + 1} again; expected each node once", section.line_of(at))
    return tour


def write_tour(path: str | Path, instance: NetworkInstance, tour: Any) -> None:
    """Write a tour, after checking it, so that :func:`read_tour` gives it back.

    Raises:
        InfeasibleError: the tour does not visit every node once.
        InputError: the file cannot be written.
    """
    path, order = Path(path), as_tour(instance, tour)
    length = number_text(tour_length(instance, order))
    lines = [f"NAME : {path.stem}", f"COMMENT : {instance.name}, length {length}", "TYPE : TOUR"]
    lines += [f"DIMENSION : {len(order)}", "TOUR_SECTION", *(str(node + 1) for node in order.tolist()), "-1", "EOF", ""]
    write_text(path, "\n".join(lines))
