"""Path-planning instances by name and from MovingAI files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from optgap.co.core import InputError
from optgap.co.formats.movingai import centre_of, read_map, read_scenarios
from optgap.co.problems.path_planning import PATH_PLANNING, PathPlanningInstance

RANDOM = re.compile(r"((?:simple|complex)-(?:static|dynamic)|warehouse)-s(\d{1,18})")
MAP = ".map"


def load_path_planning(name_or_path: str | Path) -> PathPlanningInstance:
    """An instance by name or from a file.

    Args:
        name_or_path: ``"warehouse-s0"`` (scene, seed), or a path that ends in ``.map``: start and target are then drawn
            with seed 0, cells being 1 m.

    Raises:
        InputError: neither, or no path; the message says what is expected.
    """
    name, path = str(name_or_path), Path(name_or_path)
    if match := RANDOM.fullmatch(name):
        return PATH_PLANNING.generate(np.random.default_rng(int(match[2])), scene=match[1], name=name)
    if path.suffix == MAP:
        return PATH_PLANNING.generate(np.random.default_rng(0), scene="map", path=path)
    raise InputError(
        f"unknown path-planning instance {name!r}; expected <scene>-s<seed>, the scene of simple-static, simple-dynamic, "
        f"complex-static, complex-dynamic, warehouse, or a {MAP} file"
    )


def load_path_planning_folder(path: str | Path) -> list[PathPlanningInstance]:
    """Every instance of a folder (``.map`` files, by name), or the one of a file."""
    path = Path(path)
    files = sorted(path.glob(f"*{MAP}")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: no path-planning instance in this folder; expected {MAP} files")
    return [load_path_planning(file) for file in files]


def load_scenarios(path: str | Path) -> list[PathPlanningInstance]:
    """The problems of a MovingAI ``.scen`` file, whose map lies beside it; cells are 1 m, names are ``<file>-<number>``.

    Raises:
        InputError: a file is missing or malformed, or a problem cannot be played.
    """
    path, found = Path(path), []
    for number, problem in enumerate(read_scenarios(path)):
        size = read_map(path.parent / problem.map).shape
        if size != (problem.height, problem.width):
            raise InputError(
                f"{path}: problem {number} is on a map of {problem.width} x {problem.height} cells; "
                f"{problem.map} has {size[1]} x {size[0]}"
            )
        ends = [centre_of(place, problem.height) for place in (problem.start, problem.goal)]
        found.append(
            PATH_PLANNING.generate(
                np.random.default_rng(number),
                scene="map",
                path=path.parent / problem.map,
                start=ends[0],
                target=ends[1],
                name=f"{path.stem}-{number}",
            )
        )
    return found
