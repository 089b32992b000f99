"""Labelled instances for imitation: made by heuristics in other processes, kept in shards, the same for the same seeds."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import tempfile
import zipfile
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from hashlib import sha256
from importlib import import_module
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.agents.bq.tasks.task import Labels, Task
from optgap.co.core import InputError
from optgap.envs.routing.config import RoutingConfig, span

SHARD = 128  # instances
VERSION = 1  # of what the heuristics give for a seed; another number makes the labels anew
SEED = 71_003  # of the labelled instances: neither validation nor a test draws from it
TASKS = {
    "tsp": "optgap.agents.bq.tasks.tsp:TSPTask",
    "atsp": "optgap.agents.bq.tasks.atsp:ATSPTask",
    "cvrp": "optgap.agents.bq.tasks.cvrp:CVRPTask",
    "op": "optgap.agents.bq.tasks.orienteering:OrienteeringTask",
    "kp": "optgap.agents.bq.tasks.knapsack:KnapsackTask",
}


def task_of(problem: str | None) -> Task:
    """The BQ view of a problem.

    Raises:
        InputError: there is none.
    """
    if problem not in TASKS:
        raise InputError(f"the BQ agents solve {', '.join(TASKS)}; not {problem or 'an environment without a problem'}")
    module, _, name = TASKS[problem].partition(":")
    task: Task = getattr(import_module(module), name)()
    return task


Shape = tuple[tuple[int, ...], ...]  # of the arrays of one labelled instance


class Pool:
    """Labels in memory, grouped by the shapes of their arrays, growing by whole shards."""

    def __init__(self) -> None:
        self._groups: dict[Shape, dict[str, NDArray[Any]]] = {}
        self._count: dict[Shape, int] = {}

    def add(self, labels: Labels) -> None:
        """Append the labels of a shard."""
        key = tuple(labels[name].shape[1:] for name in sorted(labels))
        new, held = len(next(iter(labels.values()))), self._count.get(key, 0)
        group = self._groups.setdefault(key, {})
        for name, array in labels.items():
            if name not in group or len(group[name]) < held + new:  # doubled, so that growing copies little
                room = np.empty((max(2 * held, held + new), *array.shape[1:]), array.dtype)
                if name in group:
                    room[:held] = group[name][:held]
                group[name] = room
            group[name][held : held + new] = array
        self._count[key] = held + new

    def clear(self) -> None:
        """Forget everything."""
        self._groups.clear()
        self._count.clear()

    def draw(self, rng: np.random.Generator) -> tuple[Labels, int]:
        """Labels of instances of one random size and how many there are; a size is as likely as its share of them."""
        keys = list(self._count)
        weights = np.array([self._count[key] for key in keys], float)
        key = keys[int(rng.choice(len(keys), p=weights / weights.sum()))]
        return self._groups[key], self._count[key]


class RenewedPool(Pool):
    """A pool that grows at every ``interval``-th update and is emptied at every ``epoch``-th.

    With ``checkpoint_interval`` a multiple of ``epoch`` no file holds a pool: where a run is resumed, it begins empty, as
    it would have without the break.

    Args:
        first: how many times as much an epoch begins with.
    """

    def __init__(self, interval: int, epoch: int, first: int) -> None:
        super().__init__()
        self.interval, self.epoch, self.first = interval, epoch, first
        self._grown = -1  # updates at which it grew last

    def due(self, updates: int) -> int:
        """How many times the usual number of solutions to add before the update of this number; mostly 0."""
        into = updates % self.epoch
        if self._grown == updates or (into % self.interval and self._grown >= 0):
            return 0
        fresh = into == 0 or self._grown < 0
        if fresh:
            self.clear()
        self._grown = updates
        return self.first if fresh else 1


class LabelStore:
    """Shards of labels of random instances of an environment, made when they are first asked for.

    Args:
        env_config: a routing configuration; its sizes, distribution and generator's arguments are those of the instances.
        folder: where the shards are kept, in a folder a kind of instances; runs share them.
        effort: of the heuristic (1: the usual search).
        processes: that make labels beside the training; 0: in this process.

    Raises:
        InputError: the environment gives instances of several sizes.
    """

    def __init__(self, env_config: RoutingConfig, folder: str | Path, effort: float, processes: int) -> None:
        self.task = task_of(env_config.problem)
        self.env_config, self.effort, self.processes = env_config, effort, processes
        sizes = {env_config.batch_class.size_of(instance) for instance in env_config.loaded() or ()}
        if len(sizes) > 1:
            raise InputError(f"instances of {min(sizes)} to {max(sizes)} {env_config.size_name}; expected one size")
        fields = {name: value for name, value in dataclasses.asdict(env_config).items() if name != "padding"}
        facts = json.dumps([VERSION, SHARD, effort, fields], sort_keys=True, default=str)
        digest = sha256(facts.encode()).hexdigest()[:12]
        self.folder = Path(folder) / f"{env_config.problem}-{digest}"
        self.pool, self.shards = Pool(), 0
        self._executor: ProcessPoolExecutor | None = None
        self._pending: dict[int, Future[None]] = {}

    def require(self, shards: int, tell: Callable[[str], None] | None = None) -> Pool:
        """The pool with exactly the first ``shards`` shards (no fewer than it holds already); waits for missing ones.

        Two more than are asked for are begun, so that a pool that grows rarely waits.

        Raises:
            InputError: the folder cannot be written.
        """
        while self.shards < shards:
            for index in range(self.shards, shards + 2 * self.processes):
                self._begin(index)
            if tell is not None:
                tell(f"labels {self.shards * SHARD:,}/{shards * SHARD:,}")
            self.pool.add(self._read(self.shards))
            self.shards += 1
        return self.pool

    def close(self) -> None:
        """End the processes."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None
        self._pending.clear()

    def _file(self, index: int) -> Path:
        return self.folder / f"{index:06d}.npz"

    def _begin(self, index: int) -> None:
        if index in self._pending or not self.processes or self._file(index).exists():
            return
        if self._executor is None:
            # a forked process would inherit locks of torch's threads
            self._executor = ProcessPoolExecutor(self.processes, get_context("spawn"), serve_parent)
        self._pending[index] = self._executor.submit(make_shard, self.env_config, self.effort, index, self._file(index))

    def _read(self, index: int) -> Labels:
        path = self._file(index)
        if (future := self._pending.pop(index, None)) is not None:
            try:
                future.result()
            except BrokenProcessPool:
                self.close()
                raise InputError(
                    f"{path}: the process that made these labels was killed (out of memory?); expected it to live; "
                    "resume the run, or set label_processes=0"
                ) from None
        for attempt in (0, 1):
            if not path.exists():
                make_shard(self.env_config, self.effort, index, path)
            try:
                with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
                    return {name: stored[name] for name in stored.files}
            except (OSError, ValueError, zipfile.BadZipFile, EOFError):  # cut off by a full disk: make it again
                if attempt:
                    raise InputError(f"{path}: cannot be read; expected the labels just written there") from None
                path.unlink(missing_ok=True)
        raise AssertionError("unreachable")


def serve_parent() -> None:
    """Set a process up to make labels: it leaves Ctrl-C to the training and ends with it, also where that is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a heuristic that it interrupts would answer with a poor label
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


def make_shard(env_config: RoutingConfig, effort: float, index: int, path: Path) -> None:
    """Draw, solve and write the instances of shard ``index``: all of one size, a random one where sizes differ."""
    name = env_config.size_name
    least, most = span(name, getattr(env_config, name), env_config.least)
    size = int(np.random.default_rng([SEED, index]).integers(least, most + 1))
    draw = dataclasses.replace(env_config, **{name: size}).source()
    seeds = [SEED * 10**9 + index * SHARD + item for item in range(SHARD)]
    arrays: dict[str, Any] = dict(task_of(env_config.problem).label(draw, seeds, effort))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".partial", delete=False) as stream:
            np.savez(stream, **arrays)
        Path(stream.name).replace(path)
    except OSError as error:
        raise InputError(f"{path}: the labels cannot be written: {error.strerror or error}") from None
