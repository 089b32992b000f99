"""Instances of multi-agent path finding by name and as files of the MovingAI benchmark."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from optgap.co.core import InputError
from optgap.co.formats.movingai import read_map, read_scenarios
from optgap.co.problems.multi_agent_path_finding import MAPF, MAPFInstance

SUFFIX = ".scen"
RANDOM = re.compile(r"mapf-(warehouse-)?(\d{1,3})x(\d{1,3})-v(\d{1,4})-s(\d{1,18})")
FILE = re.compile(r"(.+\.scen)(?::(\d{1,6}))?")


def load_mapf(name_or_path: str | Path) -> MAPFInstance:
    """An instance by name or from a file.

    Args:
        name_or_path: ``"mapf-8x8-v4-s0"`` (rows, columns, vehicles, seed; a fifth of the cells blocked),
            ``"mapf-warehouse-8x11-v4-s0"``, or a path that ends in ``.scen``, a scenario of the MovingAI benchmark whose map
            lies beside it; ``"random-32-32-20-even-1.scen:10"`` is its first ten vehicles.

    Raises:
        InputError: anything else; the message says what is expected.
    """
    name = str(name_or_path)
    if match := FILE.fullmatch(name):
        return _load_scenario(Path(match[1]), None if match[2] is None else int(match[2]))
    match = RANDOM.fullmatch(name)
    if match is None:
        raise InputError(
            f"unknown mapf instance {name!r}; expected mapf-<rows>x<columns>-v<vehicles>-s<seed>, "
            f"mapf-warehouse-<rows>x<columns>-v<vehicles>-s<seed> or a {SUFFIX} file"
        )
    rows, columns, vehicles, seed = (int(part) for part in match.groups()[1:])
    rng = np.random.default_rng(seed)
    layout = "warehouse" if match[1] else "random"
    return MAPF.generate(rng, rows=rows, columns=columns, vehicles=vehicles, layout=layout, name=name)


def _load_scenario(path: Path, vehicles: int | None) -> MAPFInstance:
    """The first ``vehicles`` of a file, or all of them."""
    scenarios = read_scenarios(path)
    if vehicles is not None and not 1 <= vehicles <= len(scenarios):
        raise InputError(
            f"{path}:{vehicles}: the file has {len(scenarios)} vehicles; expected 1..{len(scenarios)} of them"
        )
    scenarios = scenarios[:vehicles]
    blocked = read_map(path.parent / scenarios[0].map)
    rows, columns = blocked.shape
    for v, item in enumerate(scenarios):
        if (item.map, item.height, item.width) != (scenarios[0].map, rows, columns):
            raise InputError(
                f"{path}: vehicle {v} is on {item.map}, {item.width} x {item.height}; "
                f"expected all on {scenarios[0].map}, which is {columns} x {rows}"
            )
    starts, goals = (
        np.array([row * columns + column for column, row in places])
        for places in ([item.start for item in scenarios], [item.goal for item in scenarios])
    )
    return MAPFInstance(name=f"{path.stem}-v{len(scenarios)}", blocked=blocked, starts=starts, goals=goals)


def load_mapf_folder(path: str | Path) -> list[MAPFInstance]:
    """Every instance of a folder (``.scen`` files, by name), each with all of its vehicles."""
    files = sorted(Path(path).glob(f"*{SUFFIX}"))
    if not files:
        raise InputError(f"{path}: no mapf instance in this folder; expected {SUFFIX} files")
    return [load_mapf(file) for file in files]
