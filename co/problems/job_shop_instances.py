"""Job-shop instances by name: Taillard's 80 from their published seeds, ft06, ft10, ft20, and seeded random ones.

Sources: Fisher and Thompson 1963; Taillard 1993 (generator and seeds). Bounds are from public tables; each carries the
date on which it was read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from optgap.co.core import Bounds, InputError
from optgap.co.formats.job_shop import SIZE_LIMIT, read_job_shop
from optgap.co.problems.blocking_job_shop import BLOCKING_JOB_SHOP
from optgap.co.problems.job_shop import JOB_SHOP, JobShopInstance

RANDOM = re.compile(r"random-(\d{1,6})x(\d{1,6})-s(\d{1,18})")
BLOCKING = re.compile(r"blocking-(\d{1,6})x(\d{1,6})-p(\d{1,2})-s(\d{1,18})")
PATTERNS = "random-<jobs>x<machines>-s<seed>, blocking-<jobs>x<machines>-p<percent down>-s<seed>"


@cache
def _data(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((files("optgap.co.problems") / "data" / f"{name}.json").read_text("utf-8"))
    return loaded


class _Taillard:
    """Taillard's linear congruential generator: x <- 16807 x mod (2^31 - 1)."""

    def __init__(self, seed: int) -> None:
        self.state = seed

    def uniform(self, low: int, high: int) -> int:
        """An integer of low..high."""
        self.state = 16807 * self.state % (2**31 - 1)
        return low + int(self.state / (2**31 - 1) * (high - low + 1))


def taillard(index: int) -> JobShopInstance:
    """Instance ta<index>, index 1..80: durations U[1, 99], every job visits every machine once in a random order."""
    if not 1 <= index <= 80:
        raise InputError(f"Taillard instance {index}; expected 1..80")
    facts = _data("taillard")["instances"][index - 1]
    jobs, machines = facts["jobs"], facts["machines"]
    times, orders = _Taillard(facts["time_seed"]), _Taillard(facts["machine_seed"])
    duration = [[times.uniform(1, 99) for _ in range(machines)] for _ in range(jobs)]
    machine = [list(range(machines)) for _ in range(jobs)]
    for row in machine:
        for i in range(machines):
            k = orders.uniform(i, machines - 1)
            row[i], row[k] = row[k], row[i]
    known = Bounds(facts["lower"], facts["upper"], _data("taillard")["date"])
    return JobShopInstance.from_matrix(machine, duration, name=facts["name"], n_machines=machines, best_known=known)


def published_bounds(instance: JobShopInstance) -> Bounds | None:
    """Bounds of the classic (ta, ft, la, abz, orb, swv) of this name; None unless its numbers are the classic's."""
    if instance.release.any() or type(instance) is not JobShopInstance:
        return None
    if instance.name.startswith("ta") and instance.name in instance_names():
        classic = taillard(int(instance.name[2:]))
        return classic.best_known if _digest(classic) == _digest(instance) else None
    facts = _data("job_shop_bounds")["instances"].get(instance.name)
    if facts is None or facts["sha256"] != _digest(instance):
        return None
    return Bounds(facts["lower"], facts["upper"], _data("job_shop_bounds")["date"])


def _digest(instance: JobShopInstance) -> str:
    numbers = np.concatenate([[instance.n_machines], instance.job_ptr, instance.machine, instance.duration])
    return hashlib.sha256(numbers.astype("<i8").tobytes()).hexdigest()


def instance_names() -> list[str]:
    """Names that :func:`load_job_shop` knows without a file, random ones aside."""
    return sorted(_data("fisher_thompson")["instances"]) + [facts["name"] for facts in _data("taillard")["instances"]]


def load_job_shop(name_or_path: str | Path) -> JobShopInstance:
    """An instance by name or from a file.

    Args:
        name_or_path: ``"ta01"`` to ``"ta80"``, ``"ft06"``, ``"ft10"``, ``"ft20"``; ``"random-10x10-s3"`` (jobs x
            machines, seed); ``"blocking-10x10-p20-s3"`` (the same with machines down 20% of the time: an instance of
            the blocking job shop); or a path that :func:`optgap.co.formats.job_shop.read_job_shop` reads.

    Published bounds are attached where the instance has some.

    Raises:
        InputError: neither a known name nor a readable file; the message lists the right names.
    """
    name = str(name_or_path)
    if name in instance_names():
        if name.startswith("ta"):
            return taillard(int(name[2:]))
        return _with_bounds(JobShopInstance.from_matrix(**_data("fisher_thompson")["instances"][name], name=name))
    if match := RANDOM.fullmatch(name):
        jobs, machines, seed = map(int, match.groups())
        _require_size(name, jobs, machines)
        return JOB_SHOP.generate(np.random.default_rng(seed), jobs=jobs, machines=machines, name=name)
    if match := BLOCKING.fullmatch(name):
        jobs, machines, percent, seed = map(int, match.groups())
        _require_size(name, jobs, machines)
        rng = np.random.default_rng(seed)
        return BLOCKING_JOB_SHOP.generate(
            rng, jobs=jobs, machines=machines, shutdown_probability=percent / 100, name=name
        )
    path = Path(name_or_path)
    if path.suffix or path.exists() or len(path.parts) > 1:
        return _with_bounds(read_job_shop(path))
    near = get_close_matches(name, instance_names(), n=3)
    hint = f" (did you mean {', '.join(near)}?)" if near else ""
    raise InputError(f"unknown instance {name!r}{hint}; expected ft06, ft10, ft20, ta01 to ta80, {PATTERNS} or a file")


def _require_size(name: str, jobs: int, machines: int) -> None:
    if jobs < 1 or machines < 1 or jobs * machines > SIZE_LIMIT:
        raise InputError(f"instance {name}: {jobs} jobs x {machines} machines; expected 1 to {SIZE_LIMIT} operations")


def _with_bounds(instance: JobShopInstance) -> JobShopInstance:
    return dataclasses.replace(instance, best_known=published_bounds(instance))
