"""Where the instances of a problem come from by name, and how one of its solutions is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from optgap.co.core import InputError, Instance, Registry
from optgap.co.formats.archives import read_archives
from optgap.co.formats.job_shop import read_job_shops, write_schedule
from optgap.co.formats.solutions import write_solution
from optgap.co.problems import routing_instances as routing
from optgap.co.problems.blocking_job_shop import BlockingJobShopInstance
from optgap.co.problems.job_shop import JobShopInstance
from optgap.co.problems.job_shop_instances import load_job_shop
from optgap.co.problems.mean_variance import MeanVarianceInstance
from optgap.co.problems.multi_agent_path_finding import MAPFInstance
from optgap.co.problems.multi_agent_path_finding_instances import load_mapf, load_mapf_folder
from optgap.co.problems.path_planning import PathPlanningInstance
from optgap.co.problems.path_planning_instances import load_path_planning, load_path_planning_folder
from optgap.co.problems.portfolio import TradingPeriod
from optgap.co.problems.portfolio_instances import load_mean_variance, load_portfolio
from optgap.co.problems.slicing import SlicingInstance
from optgap.co.problems.slicing_instances import load_slicing

RANGE = re.compile(r"((?:.+-)??[A-Za-z]+)(\d+)-([A-Za-z]+)(\d+)")  # ta01-ta80, uniform-100-s0-s999
ARRAYS = ".npz"  # a file of many instances


@dataclass(frozen=True)
class Collection:
    """The instances of one problem.

    Args:
        kind: the type of its instances, exactly (the blocking job shop's type derives from the job shop's).
        load: an instance from a name or a file; :class:`InputError` lists the right names.
        load_folder: every instance of a folder or of a file of arrays.
        write: ``write(path, instance, solution, facts)`` checks a solution and writes it, whole or not at all.
        showcase: names of a few well-known instances, a small one first.
        suffix: of instance files of this problem alone; none where other problems share it.
        solution_suffixes: of the files that ``write`` writes.
        size: the instances' attribute that counts nodes, items or operations; none where they have no such number.
    """

    kind: type[Instance]
    load: Callable[[str], Instance]
    load_folder: Callable[[str | Path], Sequence[Instance]]
    write: Callable[[str | Path, Any, Any, dict[str, Any]], None]
    showcase: tuple[str, ...]
    suffix: str | None = None
    solution_suffixes: tuple[str, ...] = (".json",)
    size: str | None = None

    def size_of(self, instance: Instance) -> int | None:
        """Nodes, items or operations of an instance of this problem; None where ``size`` names nothing."""
        return None if self.size is None else int(getattr(instance, self.size))


COLLECTIONS = Registry("instance collection of problem")  # problem name -> Collection

COLLECTIONS.register(
    "job-shop",
    Collection(
        JobShopInstance,
        load_job_shop,
        read_job_shops,
        write_schedule,
        ("ft06", "ft10", "ft20", "ta01"),
        size="n_operations",
    ),
)
COLLECTIONS.register(
    "blocking-job-shop",
    Collection(
        BlockingJobShopInstance,
        load_job_shop,
        read_job_shops,
        write_schedule,
        ("blocking-6x6-p10-s0", "blocking-10x10-p0-s0", "blocking-10x10-p10-s0", "blocking-15x15-p10-s0"),
        size="n_operations",
    ),
)
COLLECTIONS.register(
    "slicing",
    Collection(
        SlicingInstance,
        load_slicing,
        partial(read_archives, SlicingInstance),
        partial(write_solution, "slicing"),
        ("slicing-25-s0", "slicing-100-s0", "slicing-100-s1", "slicing-100-s2"),
        size="n_users",
    ),
)
COLLECTIONS.register(
    "portfolio",
    Collection(
        TradingPeriod,
        load_portfolio,
        partial(read_archives, TradingPeriod),
        partial(write_solution, "portfolio"),
        ("portfolio-3x20-s0", "portfolio-10x250-s0", "portfolio-20x250-s0", "portfolio-20x1000-s0"),
        size="n_assets",
    ),
)
COLLECTIONS.register(
    "mean-variance",
    Collection(
        MeanVarianceInstance,
        load_mean_variance,
        partial(read_archives, MeanVarianceInstance),
        partial(write_solution, "mean-variance"),
        ("mean-variance-10-k3-s0", "mean-variance-20-k5-s0", "mean-variance-20-k10-s0", "mean-variance-50-k10-s0"),
        size="n_assets",
    ),
)
COLLECTIONS.register(
    "path-planning",
    Collection(
        PathPlanningInstance,
        load_path_planning,
        load_path_planning_folder,
        partial(write_solution, "path-planning"),
        ("simple-static-s0", "simple-dynamic-s0", "complex-static-s0", "complex-dynamic-s0", "warehouse-s0"),
        size="n_boxes",
    ),
)
COLLECTIONS.register(
    "mapf",
    Collection(
        MAPFInstance,
        load_mapf,
        load_mapf_folder,
        partial(write_solution, "mapf"),
        ("mapf-4x4-v3-s0", "mapf-8x8-v4-s0", "mapf-warehouse-8x11-v6-s0", "mapf-16x16-v5-s0"),
        ".scen",
        size="n_vehicles",
    ),
)

for _problem, _load, _more, _showcase in (
    ("tsp", routing.load_tsp, (".tour",), ("burma14", "ulysses16", "uniform-50-s0", "uniform-100-s0")),
    ("atsp", routing.load_atsp, (".tour",), ("br17", "uniform-20-s0", "uniform-50-s0", "uniform-100-s0")),
    ("cvrp", routing.load_cvrp, (".sol",), ("uniform-10-s0", "uniform-20-s0", "uniform-50-s0", "uniform-100-s0")),
    ("op", routing.load_op, (), ("uniform-10-s0", "uniform-20-s0", "uniform-50-s0", "uniform-100-s0")),
    ("kp", routing.load_kp, (), ("p01", "p07", "uniform-50-s0", "uniform-200-s0")),
):
    _kind = routing.KINDS[_problem]
    COLLECTIONS.register(
        _problem,
        Collection(
            _kind.type,
            _load,
            partial(routing.load_folder, _problem),
            partial(write_solution, _problem),
            _showcase,
            _kind.suffix,
            (".json", *_more),
            "n_items" if _problem == "kp" else "n_nodes",
        ),
    )


def problem_of(names: Sequence[str]) -> str:
    """The problem whose instances ``names`` (as for :func:`load_instances`) are; the job shop where nothing tells.

    The suffix of a file (``.tsp``, ``.vrp``, ...), or of the files of a folder, tells it; otherwise a name does that only
    one problem knows.

    Raises:
        InputError: several problems have such instances, as of ``uniform-100-s0``.
    """
    told = list(dict.fromkeys(problem for name in names for problem in _problems_of(name)))
    if len(told) > 1:
        raise InputError(f"{', '.join(names)}: may be of {', '.join(told)}; expected problem=<one of them> beside it")
    return told[0] if told else "job-shop"


def _problems_of(name: str) -> list[str]:
    collections = {problem: COLLECTIONS.load(problem) for problem in COLLECTIONS}
    path = Path(name)
    suffixes = {file.suffix for file in path.iterdir()} if path.is_dir() else {path.suffix}
    found = [problem for problem, collection in collections.items() if collection.suffix in suffixes]
    if found or path.exists():
        return found
    first = _expand(name)[0]
    if routing.RANDOM.fullmatch(first):  # all of these have random instances of this name, and may be slow to draw one
        return list(routing.KINDS)
    return [problem for problem, collection in collections.items() if _knows(collection, first)]


def _knows(collection: Collection, name: str) -> bool:
    try:
        return type(collection.load(name)) is collection.kind
    except InputError:
        return False


def load_instances(problem: str, names: Sequence[str]) -> list[Instance]:
    """Instances of ``problem``, in order, each one once.

    Args:
        names: instance names, ranges of names (``ta01-ta80``, ``uniform-100-s0-s999``), files, folders, and ``.npz``
            files of many instances.

    Raises:
        InputError: an unknown name, a malformed file, an instance of another problem, two instances of one name.
    """
    collection: Collection = COLLECTIONS.load(problem)
    found: dict[str, Instance] = {}
    for name in (single for item in names for single in _expand(item)):
        several = Path(name).is_dir() or Path(name).suffix == ARRAYS
        group = collection.load_folder(name) if several else [collection.load(name)]
        for instance in group:
            if type(instance) is not collection.kind:
                raise InputError(
                    f"{name}: instance {instance.name} is no {problem} instance; expected one, or problem=<its own>"
                )
            if instance.name in found and name != instance.name:
                raise InputError(f"{name}: a second instance named {instance.name}; expected different names")
            found[instance.name] = instance
    if not found:
        some = ",".join(collection.showcase[:2])
        raise InputError(f"no instance is named; expected for instance instances={some}")
    return list(found.values())


def _expand(name: str) -> list[str]:
    """``ta01-ta80`` as its 80 names, ``uniform-100-s0-s999`` as its 1000; any other name as it is."""
    match = RANGE.fullmatch(name)
    if match is None or match[1].rpartition("-")[2] != match[3]:
        return [name]
    first, last = int(match[2]), int(match[4])
    if last < first or last - first >= 10_000:
        raise InputError(f"instances {name}: expected a rising range of at most 10000 names")
    return [f"{match[1]}{index:0{len(match[2])}d}" for index in range(first, last + 1)]
