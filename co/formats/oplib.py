"""OPLib: instances of the orienteering problem (``.oplib``).

``DEPOT_SECTION`` names the start, which is also the end, or the start and the end. An instance is named after its file:
OPLib's three generations share their ``NAME``. A best-known score beside the file (``best_known.json``) is a lower bound;
the upper one is then the sum of all prizes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from optgap.co.core import Bounds, InputError
from optgap.co.formats.best_known import BEST_KNOWN, read_best_known
from optgap.co.formats.files import write_text
from optgap.co.formats.tsplib import SECTIONS as NETWORK_SECTIONS
from optgap.co.formats.tsplib_sections import SectionFile, network_lines, number_text
from optgap.co.problems.orienteering import OrienteeringInstance

SECTIONS = (*NETWORK_SECTIONS, "NODE_SCORE_SECTION", "DEPOT_SECTION")


def read_oplib(path: str | Path) -> OrienteeringInstance:
    """Read an instance: ``TYPE : OP``.

    Raises:
        InputError: the file cannot be read or is malformed; names the file, the line and what was expected.
    """
    file = SectionFile.read(path, SECTIONS)
    file.expect_type("OP")
    network, n = file.network(), file.dimension
    file.expect_symmetric(network.get("matrix"))
    limit = file.number("COST_LIMIT")
    section = file.section("NODE_SCORE_SECTION")
    prize = section.by_node(2, n, "a score")[:, 0]
    if (prize < 0).any():
        node = int(np.argmax(prize < 0))
        line = section.line_of_node(node + 1, 2)
        raise section.error(f"node {node + 1} scores {prize[node]:.12g}; expected at least 0", line)
    depots = file.section("DEPOT_SECTION")
    ends = depots.nodes(n).tolist()
    if len(ends) not in (1, 2):
        raise depots.error(f"{len(ends)} nodes; expected the start, or the start and the end")
    best = read_best_known(file.path)
    known = None if best is None else Bounds(best, max(best, float(prize.sum())), BEST_KNOWN)
    name = file.path.stem
    try:
        return OrienteeringInstance(
            **network, prize=prize, limit=limit, start=ends[0], end=ends[-1], name=name, best_known=known
        )
    except InputError as error:  # everything else was checked above: the limit is too small
        raise file.error("COST_LIMIT", str(error).removeprefix(f"instance {name}: ")) from None


def write_oplib(instance: OrienteeringInstance, path: str | Path) -> None:
    """Write an instance so that :func:`read_oplib` gives it back.

    Raises:
        InputError: the file cannot be written.
    """
    path = Path(path)
    head, body = network_lines(instance)
    scores = [f"{node} {number_text(prize)}" for node, prize in enumerate(instance.prize.tolist(), 1)]
    ends = [instance.start] if instance.start == instance.end else [instance.start, instance.end]
    head = [f"NAME : {path.stem}", "TYPE : OP", *head, f"COST_LIMIT : {number_text(instance.limit)}"]
    depots = ["DEPOT_SECTION", *(str(node + 1) for node in ends), "-1"]
    write_text(path, "\n".join([*head, *body, "NODE_SCORE_SECTION", *scores, *depots, "EOF", ""]))
