"""One training run of a benchmark: which agent on which environment, with which settings and seed, and where it lies."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from optgap.agents.common.metrics import read_metrics
from optgap.co.core import InputError
from returns import longest_episode

TRAIN = Path(__file__).with_name("train.py")

F64 = NDArray[np.float64]
Curve = tuple[F64, F64, F64]


def split_settings(text: str) -> tuple[str, list[str]]:
    """The name and the settings of ``name:field=value+field=value``."""
    name, _, rest = text.partition(":")
    settings = [item for item in rest.split("+") if item]
    for item in settings:
        if not all(item.partition("=")):
            raise InputError(f"{text}: {item!r} is no setting; expected name:field=value+field=value")
    return name, settings


@lru_cache
def settled(folder: Path) -> int:
    """Steps of a run after which each of its copies has had time for an episode of any length; 0 without a limit of them.

    Before, an episode ends the sooner the shorter it is. Where success ends one, nothing but successes can have ended:
    they would be all of the episodes, however many others are still under way.
    """
    from naming import find_agent

    agent = find_agent(str(folder))
    return longest_episode(agent.env_config) * int(getattr(getattr(agent, "config", None), "num_envs", 1))


@dataclass(frozen=True)
class Cell:
    """One run: what it trains (names with their settings), with which seed, and the benchmark's folder."""

    env: str
    agent: str
    seed: int
    root: Path

    @property
    def out(self) -> Path:
        """Where train.py puts the run: a folder a seed, and one for settings, if there are any."""
        settings = [item for text in (self.env, self.agent) for item in split_settings(text)[1]]
        return self.root / f"seed-{self.seed}" / "+".join(settings)

    def folder(self) -> Path | None:
        """The run's folder; None before it began."""
        names = (split_settings(text)[0] for text in (self.env, self.agent))
        found = sorted(self.out.joinpath(*names).glob("*/metrics.jsonl"))
        return found[-1].parent if found else None

    def steps(self) -> int:
        """Environment steps that it has taken."""
        folder = self.folder()
        lines = read_metrics(folder) if folder is not None else []
        return int(lines[-1]["steps"]) if lines else 0

    def train(self, total_steps: int, more: Sequence[str]) -> str | None:
        """Run it to its end; the last line of its errors where it fails."""
        if self.steps() >= total_steps:
            return None
        folder = self.folder()
        end = [f"total_steps={total_steps}", "final_seconds=0", "final_episodes=0"]
        begin = [f"seed={self.seed}", f"out={self.out}", "device=cpu", *more]
        for key, text in (("env", self.env), ("agent", self.agent)):
            name, settings = split_settings(text)
            begin += [f"{key}={name}", *(f"{key}.{item}" for item in settings)]
        arguments = [*begin, *end] if folder is None else [f"resume={folder}", *end]
        limits = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
        done = subprocess.run(
            [sys.executable, str(TRAIN), *arguments],
            env=os.environ | limits,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0 and self.steps() >= total_steps:
            return None
        return (done.stderr.strip().splitlines() or [f"ended early, exit code {done.returncode}"])[-1]

    def curve(self, figure: str = "return") -> Curve:
        """Steps, the figure's mean over, and the number of, the episodes that ended in each update in which any did.

        Updates before :func:`settled` are left out.
        """
        folder, key = self.folder(), f"episode/{figure}"
        lines = [line for line in read_metrics(folder) if line.get(key) is not None] if folder else []
        lines = [line for line in lines if line["steps"] >= settled(folder)] if folder and lines else []
        columns = ([line[name] for line in lines] for name in ("steps", key, "episode/count"))
        steps, values, counts = (np.array(column, np.float64) for column in columns)
        return steps, values, counts

    def last(self, episodes: int, figure: str = "return") -> float:
        """Mean of the last training episodes, in whole updates; NaN where none counts (:meth:`curve`)."""
        _, values, counts = self.curve(figure)
        if not len(values):
            return float("nan")
        behind = np.cumsum(counts[::-1])[::-1] - counts  # episodes that ended after each update
        part = behind < episodes
        return float(np.average(values[part], weights=counts[part]))

    def reached(self, threshold: float, episodes: int, figure: str = "return") -> float:
        """Steps after which the mean over the last ``episodes`` or more episodes was first ``threshold``; inf if never.

        Only episodes of :meth:`curve` count. Those that fail then end as they began, spread over time, so that the
        mean lags behind the policy, and does not run ahead of it.
        """
        steps, values, counts = self.curve(figure)
        first = 0
        total = count = 0.0
        for i in range(len(steps)):
            total, count = total + values[i] * counts[i], count + counts[i]
            while count - counts[first] >= episodes:  # whole updates, as few as hold that many episodes
                total, count, first = total - values[first] * counts[first], count - counts[first], first + 1
            if count >= episodes and total / count >= threshold:
                return float(steps[i])
        return float("inf")
