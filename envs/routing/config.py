"""Arguments of the routing environments, which are their training configurations too: ``env=tsp``, ``env=atsp``, ..."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from numbers import Integral
from pathlib import Path
from typing import Any, ClassVar

from optgap.co.core import PROBLEMS, InputError
from optgap.envs.batched import MadeById
from optgap.envs.routing.batch import InstanceSource, RoutingBatch
from optgap.envs.routing.selection import KnapsackBatch, OrienteeringBatch
from optgap.envs.routing.tours import ATSPBatch, TSPBatch
from optgap.envs.routing.vehicles import CVRPBatch

SIZE_LIMIT = 100_000  # nodes or items


def span(what: str, value: Any, least: int) -> tuple[int, int]:
    """(least, most) of a size given as one number or as a pair."""
    pair = (value, value) if isinstance(value, Integral) else tuple(value) if isinstance(value, Sequence) else ()
    whole = len(pair) == 2 and all(isinstance(x, Integral) for x in pair)
    if not whole or not least <= pair[0] <= pair[1] <= SIZE_LIMIT:
        raise InputError(f"{what} is {value!r}; expected a number from {least} to {SIZE_LIMIT}, or two: [least, most]")
    return int(pair[0]), int(pair[1])


@dataclass
class RoutingConfig(MadeById):
    """What the configurations of all routing and selection problems share; documented with the environments."""

    instances: Any = None
    padding: Any = None

    problem: ClassVar[str]
    id: ClassVar[str]
    size_name: ClassVar[str] = "nodes"
    least: ClassVar[int] = 2  # of what size_name counts
    extra: ClassVar[int] = 0  # nodes besides those that size_name counts
    loader: ClassVar[str]  # function of routing_instances that reads a name or a path
    batch_class: ClassVar[type[RoutingBatch]]

    def __post_init__(self) -> None:
        span(self.size_name, getattr(self, self.size_name), self.least)
        if self.instances is not None:
            single = isinstance(self.instances, str | Path) or not isinstance(self.instances, Iterable)
            given = [self.instances] if single else list(self.instances)
            self.instances = [str(i) if isinstance(i, Path) else i for i in given]
            if not self.instances:
                raise InputError("instances is empty; expected at least one instance, name or path")
        if self.padding is not None:
            if not isinstance(self.padding, Integral) or not 1 <= int(self.padding) <= SIZE_LIMIT:
                raise InputError(f"padding is {self.padding!r}; expected a number of nodes or items up to {SIZE_LIMIT}")
            self.padding = int(self.padding)

    def loaded(self) -> list[Any] | None:
        """The given instances, names and paths read."""
        if self.instances is None:
            return None
        found = [self._read(i) if isinstance(i, str) else i for i in self.instances]
        for instance in found:
            self.batch_class.require(instance)
        return found

    def _read(self, name: str) -> Any:
        return getattr(import_module("optgap.co.problems.routing_instances"), self.loader)(name)

    def generator_arguments(self) -> dict[str, Any]:
        """What ``Problem.draw`` takes besides the size."""
        names = [f.name for f in dataclasses.fields(self)]
        return {n: getattr(self, n) for n in names if n not in ("instances", "padding", self.size_name)}

    def source(self) -> InstanceSource:
        """What draws the instance of an episode."""
        sizes = span(self.size_name, getattr(self, self.size_name), self.least)
        problem = PROBLEMS.load(self.problem)
        return InstanceSource(problem, self.size_name, sizes, self.generator_arguments(), self.loaded())

    def size(self) -> int:
        """Most nodes (items) of an episode, a depot included: the shape of the observation."""
        if self.padding is not None:
            return int(self.padding)
        given = self.loaded()
        if given is not None:
            return max(self.batch_class.size_of(instance) for instance in given)
        return span(self.size_name, getattr(self, self.size_name), self.least)[1] + self.extra

    def batch(self, copies: int) -> RoutingBatch:
        """``copies`` episodes over one kernel: what the environments face, and what fast rollouts use directly."""
        return self.batch_class(copies, self.size(), self.source())


@dataclass
class TSPConfig(RoutingConfig):
    """``env=tsp``; the arguments of ``optgap/TSP-v0``."""

    nodes: Any = 100
    distribution: str = "uniform"

    problem: ClassVar[str] = "tsp"
    id: ClassVar[str] = "optgap/TSP-v0"
    loader: ClassVar[str] = "load_tsp"
    batch_class: ClassVar[type[RoutingBatch]] = TSPBatch


@dataclass
class ATSPConfig(RoutingConfig):
    """``env=atsp``; the arguments of ``optgap/ATSP-v0``."""

    nodes: Any = 100

    problem: ClassVar[str] = "atsp"
    id: ClassVar[str] = "optgap/ATSP-v0"
    loader: ClassVar[str] = "load_atsp"
    batch_class: ClassVar[type[RoutingBatch]] = ATSPBatch


@dataclass
class CVRPConfig(RoutingConfig):
    """``env=cvrp``; the arguments of ``optgap/CVRP-v0``."""

    customers: Any = 100
    capacity: float | None = None
    distribution: str = "uniform"

    problem: ClassVar[str] = "cvrp"
    id: ClassVar[str] = "optgap/CVRP-v0"
    size_name: ClassVar[str] = "customers"
    least: ClassVar[int] = 1
    extra: ClassVar[int] = 1
    loader: ClassVar[str] = "load_cvrp"
    batch_class: ClassVar[type[RoutingBatch]] = CVRPBatch


@dataclass
class OrienteeringConfig(RoutingConfig):
    """``env=op``; the arguments of ``optgap/OP-v0``."""

    nodes: Any = 100
    prize: str = "distance"
    limit: float | None = None
    distribution: str = "uniform"

    problem: ClassVar[str] = "op"
    id: ClassVar[str] = "optgap/OP-v0"
    loader: ClassVar[str] = "load_op"
    batch_class: ClassVar[type[RoutingBatch]] = OrienteeringBatch


@dataclass
class KnapsackConfig(RoutingConfig):
    """``env=kp``; the arguments of ``optgap/KP-v0``."""

    items: Any = 200
    capacity: float | None = None

    problem: ClassVar[str] = "kp"
    id: ClassVar[str] = "optgap/KP-v0"
    size_name: ClassVar[str] = "items"
    least: ClassVar[int] = 1
    loader: ClassVar[str] = "load_kp"
    batch_class: ClassVar[type[RoutingBatch]] = KnapsackBatch
