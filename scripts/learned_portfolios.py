"""Methods of a backtest by name: classical strategies, and agents that are trained for each window, cost and seed."""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf

from naming import find_agent, weights_digest
from optgap.agents.common.contracts import AGENTS, Agent
from optgap.co.benchmark.cells import instance_digest
from optgap.co.core import InputError, InvalidActionError
from optgap.co.formats.archives import DAMAGED
from optgap.co.formats.files import write_whole
from optgap.co.problems.portfolio import TradingPeriod
from optgap.envs.portfolio.backtest import Player, strategy_player
from optgap.envs.portfolio.config import PortfolioConfig
from optgap.envs.portfolio.prices import Prices
from optgap.envs.portfolio.results import RULES
from optgap.envs.portfolio.strategy import STRATEGIES, Strategy, told
from optgap.envs.portfolio.walk_forward import Fold
from training_cells import Cell, split_settings

F64 = NDArray[np.float64]
Check = Callable[[], None]
LONGEST = 120  # characters of a folder's name
FIXED = ("prices", "assets", "begin", "end", "cash", *RULES)  # fields of the environment that the backtest decides


@dataclass(frozen=True)
class Method:
    """``name:field=value+field=value`` as typed: a strategy with its arguments, or an agent with its settings."""

    name: str
    base: str
    settings: tuple[str, ...]

    @property
    def learned(self) -> bool:
        return self.base not in STRATEGIES

    def strategy(self, window: int) -> Strategy:
        """A new strategy that looks ``window`` days back, unless its settings say otherwise.

        Raises:
            InputError: it has no such setting, or refuses the value.
        """
        make = STRATEGIES.load(self.base)
        parameters = inspect.signature(make).parameters
        known = list(parameters)
        given = {str(key): value for key, value in OmegaConf.from_dotlist(list(self.settings)).items()}
        for key in given:
            if key not in known:
                raise InputError(f"{self.name}: unknown setting {key}; known: {', '.join(known) or 'none'}")
            default = parameters[key].default
            if isinstance(default, int | float) and not isinstance(given[key], int | float):
                raise InputError(f"{self.name}: {key} is {given[key]!r}; expected a number as {default!r}")
        defaults = {"window": window} if "window" in known else {}
        try:
            made: Strategy = make(**defaults | given)
        except (TypeError, ValueError) as error:
            raise InputError(f"{self.name}: {error}") from None
        if missing := [part for part in ("name", "fit", "weights") if not hasattr(made, part)]:
            raise InputError(f"{self.name}: the strategy has no {missing[0]}; expected name, fit and weights")
        return made

    def days_seen(self, more: Sequence[str]) -> int:
        """Of an agent: window and lag of its environment, with the settings ``more`` of all agents."""
        given = dict(item.split("=", 1) for item in (*more, *self.settings))
        seen = [given.get(f"env.{name}", str(getattr(PortfolioConfig, name))) for name in ("window", "lag")]
        return sum(int(value) for value in seen if value.isdecimal())  # others are refused by the training

    def cell(self, fold: Fold, cost: float, seed: int, root: Path) -> Cell:
        """The training run for one window: prices of the fold's training days alone, the backtest's cost."""
        env = [f"begin={fold.train_begin}", f"end={fold.train_end}", f"proportional_cost={cost!r}"]
        env += [item.removeprefix("env.") for item in self.settings if item.startswith("env.")]
        agent = [item.removeprefix("agent.") for item in self.settings if not item.startswith("env.")]
        return Cell(f"portfolio:{'+'.join(env)}", ":".join([self.base, *(["+".join(agent)] * bool(agent))]), seed, root)


def methods_of(names: Sequence[str]) -> list[Method]:
    """Strategies and agents by name.

    Raises:
        InputError: none, an unknown one, or one named twice; an agent's setting of what the backtest decides.
    """
    found = []
    for name in names:
        base, settings = split_settings(name)
        if base not in STRATEGIES and base not in AGENTS:
            known = [*STRATEGIES.names(), *AGENTS.names()]
            near = get_close_matches(base, known, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise InputError(
                f"unknown method {base!r}{hint}; strategies: {', '.join(STRATEGIES.names())}; agents: {', '.join(AGENTS)}"
            )
        require_free(name, settings)
        found.append(Method(name, base, tuple(settings)))
    if not found or len(set(names)) < len(names):
        raise InputError(f"methods={','.join(names)}: expected at least one, none twice")
    return found


def require_free(where: str, settings: Sequence[str]) -> None:
    """Refuse settings of the environment that would give an agent other prices, days or rules than the other methods."""
    for item in settings:
        key = item.partition("=")[0]
        if key.removeprefix("env.") in FIXED and key.startswith("env."):
            raise InputError(
                f"{where}: {key} is the backtest's, the same for all methods (prices=, costs=, begin=, ...)"
            )


class Watched:
    """A strategy that asks ``check`` before every decision, where Ctrl-C ends it."""

    def __init__(self, strategy: Strategy, check: Check) -> None:
        self.name, self.fit, self.strategy, self.check = strategy.name, strategy.fit, strategy, check

    def weights(self, past: Prices, holdings: F64) -> F64:
        self.check()
        chosen = self.strategy.weights(past, holdings)
        self.check()  # a solver answers Ctrl-C with what it has found so far
        return chosen


class Kept:
    """A player whose weights are kept in files, one a window: what was played once is read in the next call.

    Args:
        player: what plays.
        folder: of the files.
        says: all that the weights depend on besides the window's own prices, costs and first holdings.
    """

    def __init__(self, player: Player, folder: Path, says: str) -> None:
        self.player, self.folder, self.says = player, folder, says
        self.seconds = 0.0  # of CPU time, when it was played

    def __call__(self, train: Prices, period: TradingPeriod) -> F64:
        file = self.folder / f"{period.dates[period.history]}.npz"
        told = f"{self.says} {train.dates[0]} {train.dates[-1]} {period.dates[-1]} {instance_digest(period)}"
        key = sha256(told.encode()).hexdigest()
        if file.exists():
            try:
                with file.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
                    if str(kept["key"]) == key:
                        self.seconds += float(kept["seconds"])
                        return np.array(kept["weights"])
            except (*DAMAGED, OSError):  # played again
                pass
        cpu = time.process_time()
        weights = np.asarray(self.player(train, period), np.float64)
        cpu = time.process_time() - cpu
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.folder}: cannot be made: {error.strerror or error}") from None
        write_whole(file, lambda stream: np.savez_compressed(stream, weights=weights, key=key, seconds=cpu))
        self.seconds += cpu
        return weights


def classical_player(method: Method, window: int, every: int, check: Check, folder: Path) -> Kept:
    """A strategy that trades every ``every`` trading days."""
    strategy = method.strategy(window)
    player = strategy_player(Watched(strategy, check), every)
    return Kept(player, folder / file_name(method.name), f"{method.name} {window} {every} {source_digest(strategy)}")


def source_digest(strategy: Strategy) -> str:
    """Of the module that the strategy is written in: what another version of it played is not its."""
    try:
        return sha256(Path(inspect.getfile(type(strategy))).read_bytes()).hexdigest()
    except (TypeError, OSError):  # built in, or typed into an interpreter
        return ""


def learned_player(name: str, folders: dict[np.datetime64, Path], check: Check, folder: Path) -> Kept:
    """The greedy policies of one seed, of the run folder that belongs to the last day of training of each window."""

    def player(train: Prices, period: TradingPeriod) -> F64:
        return greedy_weights(find_agent(str(folders[train.dates[-1]])), period, check, name)

    digests = [weights_digest(str(run)) for run in folders.values()]
    return Kept(player, folder / file_name(name), f"{name} {digests}")


def file_name(method: str) -> str:
    name = re.sub(r"[^\w.=+-]", "-", method)
    return name if len(name) <= LONGEST else f"{name[:LONGEST]}-{sha256(method.encode()).hexdigest()[:16]}"


def greedy_weights(agent: Agent, period: TradingPeriod, check: Check = lambda: None, name: str = "the policy") -> F64:
    """Weights (T, N + 1) of the agent's most probable actions in the environment, day by day through ``period``.

    Raises:
        InputError: the agent sees more days than the period's history has, or fails.
        InvalidActionError: its action is none; names the agent and the date.
    """
    env: Any = agent.env_config.make()
    try:
        observation, info = env.reset(options={"instance": period})
        for date in period.dates[period.history :]:
            check()
            where = f"{name} on {date}"
            with told(where):
                action, _ = agent.predict(observation, deterministic=True)
            try:
                observation, _, terminated, truncated, info = env.step(action)
            except InvalidActionError as error:
                raise InvalidActionError(f"{where}: {error}") from None
            if terminated or truncated:
                break
        return np.array(info["solution"], np.float64)
    finally:
        env.close()
