"""Instances of the routing and selection problems by name: classics, seeded random ones, files, arrays.

Carried: burma14 and ulysses16 (TSP) and br17 (ATSP) of TSPLIB, p01 and p07 (knapsack), with their optima. Files are
found by name in the data folder: ``$OPTGAP_DATA``, or ``shared/data`` beside the checkout.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import numpy as np

from optgap.co.core import PROBLEMS, Bounds, InputError, Instance
from optgap.co.formats.archives import DAMAGED
from optgap.co.formats.knapsack import read_knapsack
from optgap.co.formats.oplib import read_oplib
from optgap.co.formats.tsplib import read_tsplib
from optgap.co.formats.vrplib import read_vrplib
from optgap.co.problems.cvrp import CVRPInstance
from optgap.co.problems.knapsack import KnapsackInstance
from optgap.co.problems.orienteering import OrienteeringInstance
from optgap.co.problems.tsp import ATSPInstance, TSPInstance

RANDOM = re.compile(r"(uniform|clustered)-(\d{1,8})-s(\d{1,18})")


@dataclass(frozen=True)
class _Kind:
    """Where the instances of one problem come from."""

    type: type[Instance]
    read: Callable[[str | Path], Instance]  # a file
    suffix: str  # of its files
    size: str  # what a random one's size counts: an argument of Problem.generate
    largest: int  # size of a random one
    clustered: bool = True  # whether Problem.generate knows the distribution "clustered"


KINDS = {
    "tsp": _Kind(TSPInstance, read_tsplib, ".tsp", "nodes", 1_000_000),
    "atsp": _Kind(ATSPInstance, read_tsplib, ".atsp", "nodes", 5_000, clustered=False),
    "cvrp": _Kind(CVRPInstance, read_vrplib, ".vrp", "customers", 1_000_000),
    "op": _Kind(OrienteeringInstance, read_oplib, ".oplib", "nodes", 1_000_000),
    "kp": _Kind(KnapsackInstance, read_knapsack, ".kp", "items", 1_000_000, clustered=False),
}


def load_tsp(name_or_path: str | Path) -> TSPInstance:
    """A TSP instance by name or from a file.

    Args:
        name_or_path: ``"burma14"``, ``"ulysses16"``; ``"uniform-100-s3"``, ``"clustered-100-s3"`` (nodes, seed); the
            name of a file in the data folder (``"berlin52"``); a path that ends in ``.tsp``.

    Published bounds are attached where the instance has some.

    Raises:
        InputError: neither a known name nor a readable file; the message says what is known and where it looked.
    """
    return cast(TSPInstance, _load("tsp", name_or_path))


def load_atsp(name_or_path: str | Path) -> ATSPInstance:
    """An ATSP instance: ``"br17"``, ``"uniform-100-s3"``, a name in the data folder, or a ``.atsp`` path.

    As :func:`load_tsp`.
    """
    return cast(ATSPInstance, _load("atsp", name_or_path))


def load_cvrp(name_or_path: str | Path) -> CVRPInstance:
    """A CVRP instance: ``"uniform-100-s3"``, ``"clustered-100-s3"`` (customers, seed), a name in the data folder, a ``.vrp`` path.

    As :func:`load_tsp`.
    """
    return cast(CVRPInstance, _load("cvrp", name_or_path))


def load_op(name_or_path: str | Path) -> OrienteeringInstance:
    """An OP instance: ``"uniform-100-s3"``, ``"clustered-100-s3"`` (nodes, seed), a name in the data folder, a ``.oplib`` path.

    As :func:`load_tsp`.
    """
    return cast(OrienteeringInstance, _load("op", name_or_path))


def load_kp(name_or_path: str | Path) -> KnapsackInstance:
    """A knapsack instance: ``"p01"``, ``"p07"``, ``"uniform-200-s3"`` (items, seed), a name in the data folder, a ``.kp`` path.

    As :func:`load_tsp`.
    """
    return cast(KnapsackInstance, _load("kp", name_or_path))


def load_folder(problem: str, path: str | Path) -> list[Instance]:
    """Every instance of a folder (files with the problem's suffix, by name) or of an ``.npz`` file (:func:`load_arrays`).

    Raises:
        InputError: a malformed file, or no instance.
    """
    path, kind = Path(path), KINDS[problem]
    if path.suffix == ".npz":
        return list(load_arrays(problem, path))
    found = [_read(problem, file) for file in sorted(path.glob(f"*{kind.suffix}")) if not file.name.startswith(".")]
    if not found:
        raise InputError(f"{path}: no {problem} instance in this folder; expected {kind.suffix} files")
    return found


def load_arrays(problem: str, path: str | Path) -> Sequence[TSPInstance] | Sequence[CVRPInstance]:
    """Instances from arrays, one a row, named after the file: ``<stem>-0``, ``<stem>-1``, ...

    ``coords`` (B, N, 2); for the CVRP also ``demands`` (B, N) and ``capacity`` (B,), the depot first; Euclidean
    distances. Best-known lengths, where there are some: ``lengths`` (B,), for the TSP taken as the optima.

    Raises:
        InputError: another problem, an array missing or of a wrong shape, numbers that are no instance.
    """
    path = Path(path)
    if problem not in ("tsp", "cvrp"):
        raise InputError(f"{path}: instances of {problem} are not read from arrays; expected problem=tsp or cvrp")
    arrays = _arrays(path)
    needed = ("coords", "demands", "capacity") if problem == "cvrp" else ("coords",)
    if missing := [name for name in needed if name not in arrays]:
        raise InputError(f"{path}: no array {missing[0]}; expected {', '.join(needed)}")
    shape = arrays["coords"].shape
    if len(shape) != 3 or shape[2] != 2:
        raise InputError(f"{path}: coords of shape {shape}; expected (instances, nodes, 2)")
    for name, expected in (("demands", shape[:2]), ("capacity", shape[:1]), ("lengths", shape[:1])):
        if name in arrays and arrays[name].shape != expected:
            raise InputError(f"{path}: {name} of shape {arrays[name].shape}; expected {expected}")
    count = len(arrays["coords"])
    if count < 1:
        raise InputError(f"{path}: coords holds no instance; expected one or more")
    lengths = arrays.get("lengths", np.full(count, np.nan))
    found: list[Any] = []
    for i, best in enumerate(lengths.tolist()):
        facts: dict[str, Any] = {"name": f"{path.stem}-{i}", "coordinates": arrays["coords"][i]}
        if np.isfinite(best):
            facts["best_known"] = Bounds(best if problem == "tsp" else 0.0, best, path.name)
        if problem == "cvrp":
            facts |= {"demand": arrays["demands"][i], "capacity": arrays["capacity"][i]}
        try:
            found.append(KINDS[problem].type(**facts))
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
    return found


def _arrays(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
            arrays = {name: data[name] for name in ("coords", "demands", "capacity", "lengths") if name in data}
        return {name: np.asarray(value, np.float64) for name, value in arrays.items()}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (*DAMAGED, OSError, MemoryError) as error:
        raise InputError(f"{path}: cannot be read as arrays: {' '.join(str(error).split())}") from None


def data_folder() -> Path | None:
    """Where instance files are looked up by name: ``$OPTGAP_DATA``, or ``shared/data`` beside the checkout, or nowhere."""
    if named := os.environ.get("OPTGAP_DATA"):
        return Path(named)
    checkout = Path(__file__).resolve().parents[2]
    beside = checkout.parent / "shared" / "data"
    return beside if (checkout / "pyproject.toml").is_file() and beside.is_dir() else None


def classic_names(problem: str) -> list[str]:
    """Instances with known optima that :func:`load_tsp` and its kind know without a file."""
    return list(_classics().get(problem, {}))


@cache
def _classics() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((files("optgap.co.problems") / "data" / "routing.json").read_text("utf-8"))
    return loaded


def _load(problem: str, name_or_path: str | Path) -> Instance:
    name, path, kind = str(name_or_path), Path(name_or_path), KINDS[problem]
    if name in classic_names(problem):
        facts = dict(_classics()[problem][name])
        optimum = float(facts.pop("optimum"))
        return kind.type(**facts, name=name, best_known=Bounds(optimum, optimum, _classics()["date"]))
    if match := RANDOM.fullmatch(name):
        distribution, size, seed = match[1], int(match[2]), int(match[3])
        if distribution == "clustered" and not kind.clustered:
            raise InputError(f"instance {name}: instances of {problem} have no places to cluster; expected uniform-...")
        if size > kind.largest:
            raise InputError(f"instance {name}: {size} {kind.size}; expected at most {kind.largest}")
        more = {"distribution": distribution} if kind.clustered else {}
        rng = np.random.default_rng(seed)
        drawn: Instance = PROBLEMS.load(problem).generate(rng, **{kind.size: size}, **more, name=name)
        return drawn
    if path.suffix or len(path.parts) > 1 or path.exists():
        return _read(problem, path)
    folder = data_folder()
    if folder is not None and (file := folder / problem / f"{name}{kind.suffix}").is_file():
        return _read(problem, file)
    raise InputError(_unknown(problem, name, folder))


def _read(problem: str, path: Path) -> Instance:
    instance = KINDS[problem].read(path)
    if type(instance) is not KINDS[problem].type:
        raise InputError(f"{path}: is no {problem} instance; expected one, or problem=<its own>")
    return instance


def _unknown(problem: str, name: str, folder: Path | None) -> str:
    kind = KINDS[problem]
    where = "$OPTGAP_DATA, which is not set"
    known = classic_names(problem)
    if folder is not None:
        where = str(folder / problem)
        known = [*known, *(file.stem for file in (folder / problem).glob(f"*{kind.suffix}"))]
    near = get_close_matches(name, known, n=3)
    hint = f" (did you mean {', '.join(near)}?)" if near else ""
    random = [f"uniform-<{kind.size}>-s<seed>", *([f"clustered-<{kind.size}>-s<seed>"] if kind.clustered else [])]
    expected = ", ".join([*classic_names(problem), *random, f"a {kind.suffix} file"])
    return f"unknown {problem} instance {name!r}{hint}; expected {expected}, or the name of one in {where}"
