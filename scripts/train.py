"""Train an agent on an environment.

    python scripts/train.py env=jssp agent=gnn-ppo
    python scripts/train.py env=jssp agent=gnn-slim env.jobs=6 env.machines=6 minutes=2 seed=1
    python scripts/train.py env=tsp agent=bq minutes=60
    python scripts/train.py env=cartpole agent=gbt-ppo
    python scripts/train.py env=gym env.id=CartPole-v1 agent=ppo total_steps=100000
    python scripts/train.py resume=runs/jssp/gnn-ppo/20260101-120000

It ends after total_steps or after minutes (10 where neither is given), whichever is first, in whole updates. Ctrl-C
saves. A resumed run ends at its total_steps; minutes count anew in every call.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

import cli
from naming import find_solver, solver_names
from optgap.agents.common.contracts import AGENTS, Agent
from optgap.agents.common.weights import zoo_names, zoo_names_for
from optgap.co.benchmark.results import Record, summarize
from optgap.co.core import InputError
from optgap.envs.registry import ENVIRONMENTS
from run_folder import new_run_folder, read_best, read_config, write_best, write_config
from tables import failures, gap_table, percent

RESUMABLE = ("resume", "total_steps", "minutes", "device", "threads", "final_seconds", "final_episodes")
ENDLESS = 2**62  # steps
VALIDATE_EVERY, SHARE = 10, 0.1  # least updates between two validations, and their share of the time
LINE_SECONDS = 10.0  # from one line to the next at least, where nothing is validated
SHOWN = 10  # solvers in the last table, besides weights and SCIP
# environment -> what compares its policies with other methods, after the returns: (env_config, agent, folder, console)
COMPARISONS = {"portfolio": "portfolio_validation:compare"}
CALIBRATION = 20.0  # seconds, at most a tenth of the time: after them the steps that fit in ``minutes`` are known


@dataclass
class TrainConfig:
    """What can be said on the command line."""

    env: Any = "jssp"
    agent: Any = "gnn-ppo"
    total_steps: int | None = None
    minutes: float | None = None
    seed: int = 0
    device: str = "auto"
    threads: int = 1  # of torch
    resume: str | None = None  # a run folder
    plugins: Any = field(default_factory=list)  # packages to import first
    out: str = "runs"
    validate_every: int | None = None  # updates between two validations; null: at least 10, for a tenth of the time
    validation_instances: int = 16
    reference_seconds: float = 2.0  # budget of the solver that gives a validation instance's reference
    final_seconds: float = 10.0  # budget a solver and instance of the last table; 0: no table
    final_episodes: int = (
        100  # episodes a policy in the last table, where the environment solves no problem; 0: no table
    )

    def __post_init__(self) -> None:
        if self.total_steps is None and self.minutes is None:
            self.minutes = 10.0
        for name in ("total_steps", "minutes", "reference_seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"{name} is {value}; expected a number above 0")
        for name in ("threads", "validate_every", "validation_instances"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}; expected at least 1")
        for name in ("seed", "final_seconds", "final_episodes"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} is {getattr(self, name)}; expected at least 0")


def main(argv: list[str]) -> int:
    resume = next((value for key, _, value in (item.partition("=") for item in argv) if key == "resume"), None)
    if resume == "":
        raise InputError("resume= is empty; expected a run folder")
    folder = Path(resume) if resume and resume != "null" else None
    command = [item for item in argv if not item.startswith("resume=")]
    if folder is not None:
        for item in command:
            if item.partition("=")[0] not in RESUMABLE:
                raise InputError(f"{item}: a resumed run keeps its configuration; expected {', '.join(RESUMABLE[1:])}")
        command = [*read_config(folder)["command"], *command]
    else:
        command = [*recipe(command), *command]
    groups = {"env": ENVIRONMENTS.load, "agent": lambda name: _import(AGENTS.load(name).config)}
    about = f"{__doc__}\nenv:   {', '.join(ENVIRONMENTS)}\nagent: {', '.join(AGENTS)}"
    config = cli.parse(TrainConfig, command, groups=groups, about=about)
    names = {key: _typed(command, key, getattr(TrainConfig, key)) for key in groups}
    return train(config, names, command, folder)


def recipe(command: Sequence[str]) -> list[str]:
    """What the agent's package recommends for the environment, as arguments that typed ones follow and so overrule."""
    cli.import_plugins(_typed(command, "plugins", "[]"))
    env, agent = (_typed(command, key, getattr(TrainConfig, key)) for key in ("env", "agent"))
    entry = AGENTS.load(agent)
    fields = {} if entry.recipes is None else _import(entry.recipes).get(env, {})
    return [f"agent.{name}={value}" for name, value in fields.items()]


def train(config: TrainConfig, names: dict[str, str], command: Sequence[str], folder: Path | None) -> int:
    """Make or resume the agent, train it, and compare it."""
    from optgap.agents.common.training import CHECKPOINT, resume_run

    console = Console(highlight=False)
    cli.limit_threads(config.threads)
    agent: Agent
    if folder is None:
        agent = _import(AGENTS.load(names["agent"]).agent)(config.env, config.agent, config.seed, config.device)
        folder = new_run_folder(config.out, names["env"], names["agent"])
        write_config(folder, command, config, **names)
        agent.save(folder / CHECKPOINT)  # so that a run stopped during its first compilation resumes too
    else:
        agent = resume_run(folder, config.device)
    console.print(Text(f"run      {folder}  ({names['agent']} on {names['env']}, seed {config.seed})"))
    console.print(Text(f"watch    tensorboard --logdir {config.out}"))
    settings = [item.removeprefix("agent.") for item in command if item.startswith("agent.")]
    if settings:
        console.print(Text(f"settings {' '.join(settings)}"))
    ended = Training(config, agent, folder, console).run()
    console.print(Text(f"saved    {folder}  ({agent.updates} updates, {agent.steps:,} steps)"))
    if not ended:
        console.print(Text(f"resume   python scripts/train.py resume={folder}"))
        return 0
    if config.env.problem is not None and config.final_seconds > 0:
        compare(str(config.env.problem), folder, config.final_seconds, console)
    if config.env.problem is None:
        show_returns(config, agent, folder, console)
        if names["env"] in COMPARISONS and config.final_episodes > 0:
            _import(COMPARISONS[names["env"]])(config.env, agent, folder, console)
    return 0


class Training:
    """One call of this script: progress, validation, the best weights, and the end by steps or by time."""

    def __init__(self, config: TrainConfig, agent: Agent, folder: Path, console: Console) -> None:
        from validation import Validation, can_validate

        self.config, self.agent, self.folder, self.console = config, agent, folder, console
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=console,
            refresh_per_second=4,
        )
        self.task = self.progress.add_task("starting (a first run compiles)", total=1.0)
        self.validation: Validation | None = None
        self.gap: float | None = None
        self.best = read_best(folder)
        self.validated = -1  # updates after which the gap was measured last
        self.validated_at = self.validation_seconds = 0.0  # when that ended, how long it took
        self.returns: list[float] = []
        self.told = False
        if can_validate(config.env):
            with self.progress, cli.interruptible() as check:

                def tell(line: str) -> None:
                    check()
                    self.progress.update(self.task, description=line)

                file = folder / "validation.json"
                arguments = (config.validation_instances, config.reference_seconds, file, tell)
                self.validation = Validation(config.env, *arguments)
            source = f"{config.validation_instances} random instances against {self.validation.solver}"
            console.print(Text(f"gap      mean of the greedy policy on {source}"))

    def run(self) -> bool:
        """Train; False where Ctrl-C ended it."""
        from optgap.agents.common.off_policy import OffPolicyConfig

        config = self.config
        self.begun = time.perf_counter()
        self.first_steps = self.agent.steps
        self.limit = config.minutes * 60 if config.minutes else float("inf")
        if hasattr(self.agent, "tell"):
            self.agent.tell = self._tell
        with self.progress:
            self.progress.reset(self.task, description="starting")
            if self.agent.updates == 0 and self.validation is not None:
                self._validate({})
                self._line({})
            if config.total_steps is not None:
                ended = self._train(config.total_steps, self.limit)
            elif isinstance(config.agent, OffPolicyConfig):  # nothing depends on how many steps fit into the time
                ended = self._train(ENDLESS, self.limit)
            else:
                # A schedule of the learning rate needs the steps that fit into the time. They are measured, from the
                # end of the first update on, because that one compiles.
                ended = self._train(self.first_steps + 1, self.limit, shown=ENDLESS)
                begun, steps = time.perf_counter(), self.agent.steps
                if ended:
                    ended = self._train(ENDLESS, begun - self.begun + min(CALIBRATION, self.limit / 10))
                if ended:
                    now = time.perf_counter()
                    speed = (self.agent.steps - steps) / (now - begun)
                    left = self.limit - (now - self.begun)
                    ended = self._train(self.agent.steps + max(1, int(speed * left)), self.limit)
            if ended:
                self._validate({})
                self.progress.update(self.task, completed=1.0)
        return ended

    def _train(self, total: int, limit: float, shown: int | None = None) -> bool:
        """Until ``total`` steps (``shown`` to the bar) or ``limit`` seconds from the start; False where Ctrl-C ended it."""
        from optgap.agents.common.training import train_run

        self.total, self.until, self.out_of_time = shown or total, limit, False
        return train_run(self.agent, self.folder, total, self._after_update) or self.out_of_time

    def _after_update(self, agent: Agent, metrics: Any) -> bool:
        self.agent = agent
        if "episode/return" in metrics:
            self.returns = [*self.returns[-9:], metrics["episode/return"]]
        if self._due():
            self._validate(metrics)
            self._line(metrics)
        elapsed = time.perf_counter() - self.begun
        by_steps = (agent.steps - self.first_steps) / max(self.total - self.first_steps, 1)
        self.progress.update(
            self.task, completed=min(1.0, max(by_steps, elapsed / self.limit)), description=self._figures(metrics)
        )
        self.out_of_time = elapsed >= self.until
        return not self.out_of_time

    def _tell(self, line: str) -> None:
        """What the agent does before and between its updates; the first of these lines stays on the screen."""
        if not self.told:
            self.progress.console.print(Text(f"prepare  {line}"))
        self.told = True
        self.progress.update(self.task, description=line)

    def _due(self) -> bool:
        """Whether the gap is to be measured after this update."""
        every = self.config.validate_every
        if every is not None:
            return self.agent.updates % every == 0
        rested = time.perf_counter() - self.validated_at >= (1 / SHARE - 1) * self.validation_seconds
        return self.agent.updates >= self.validated + VALIDATE_EVERY and rested

    def _validate(self, metrics: Any) -> None:
        """Measure the gap, note it among the metrics, and keep the weights where it is the smallest so far."""
        if self.agent.updates == self.validated:
            return
        self.validated, begun = self.agent.updates, time.perf_counter()
        if self.validation is None:
            self.validated_at, self.validation_seconds = begun, LINE_SECONDS * SHARE
            return
        self.gap = metrics["validation/gap"] = self.validation.gap(self.agent)
        self.validated_at = time.perf_counter()
        self.validation_seconds = self.validated_at - begun
        if self.gap < self.best:
            self.best = self.gap
            self.agent.save(self.folder / "best")
            write_best(self.folder, self.gap)

    def _figures(self, metrics: Any) -> str:
        """The figure that matters, and the speed."""
        speed = metrics.get("time/steps_per_second")
        parts = [f"{speed:,.0f} steps/s"] if speed else []
        if self.gap is not None:
            parts.insert(0, f"gap {percent(self.gap)} (best {percent(self.best)})")
        elif self.returns:
            mean = fmean(self.returns)
            parts.insert(0, f"return {mean:.{1 if abs(mean) >= 10 else 3}f}")
        if "train/labels" in metrics:
            parts.append(f"{metrics['train/labels']:,.0f} labels")
        return "  ".join(parts)

    def _line(self, metrics: Any) -> None:
        """What stays on the screen, also where the progress bar cannot be drawn."""
        where = f"update {self.agent.updates:<6} {self.agent.steps:>11,} steps"
        self.progress.console.print(Text(f"{where}  {self._figures(metrics)}"))


def compare(problem: str, folder: Path, seconds: float, console: Console) -> None:
    """This run, the shipped weights and every registered solver on well-known instances, each figure re-checked."""
    from naming import find_agent
    from optgap.co.benchmark.cells import Cell, run_cells
    from optgap.co.benchmark.collections import COLLECTIONS, load_instances

    if problem not in COLLECTIONS:
        return
    instances = {instance.name: instance for instance in load_instances(problem, COLLECTIONS.load(problem).showcase)}
    shipped = []
    for name in zoo_names():
        try:
            if find_agent(name).env_config.problem == problem:
                shipped.append(name)
        except InputError as error:  # one unreadable set of weights does not cost the others their table
            console.print(Text(str(error)), style="yellow")
    solvers = [str(folder), *shipped, *solver_names(problem)]
    cells = [Cell(problem, solver, name, seconds, 1, 0) for solver in solvers for name in instances]
    records: list[Record] = []
    names, kept = {str(folder): "this run"}, [str(folder), *shipped, "scip"]
    title = f"Gaps, at most {seconds:g} s a solver and instance, one thread"
    with cli.interruptible() as check, Live(console=console, transient=True, refresh_per_second=4) as live:
        for cell, record in zip(cells, run_cells(cells, instances, find=find_solver, check=check), strict=True):
            records.append(record)
            now = f"{title} ({len(records)}/{len(cells)}: {cell.solver} on {cell.instance})"
            live.update(gap_table(records, now, console.width, names, hidden=_folded(records, kept)))
    for line in failures([record for record in records if record.get("missing_extra")]):
        console.print(Text(f"skipped  {line}"))
    records = [record for record in records if not record.get("missing_extra")]
    folded = _folded(records, kept)
    console.print(gap_table(records, title, console.width, names, hidden=folded))
    if folded:
        every = f"problem={problem} solvers=all instances={','.join(instances)} seconds={seconds:g}"
        console.print(Text(f"and      {len(folded)} solvers with larger gaps: python scripts/benchmark.py {every}"))
    for line in failures(records):
        console.print(Text(line), style="yellow")


def show_returns(config: TrainConfig, agent: Agent, folder: Path, console: Console) -> None:
    """Returns of whole episodes, with what Gymnasium asks for where it says, and the curve."""
    from naming import find_agent
    from returns import constraints_of_env, draw_curve, measure, returns_table, threshold

    own = getattr(config.agent, "limits", None)
    solved, limits = threshold(config.env), constraints_of_env(config.env, own)
    if config.final_episodes > 0:
        agents = {"this run": agent}
        for name in zoo_names_for(config.env):
            try:
                agents[name] = find_agent(name, env_config=config.env)
            except (
                InputError
            ) as error:  # weights that are damaged, or of another size, do not cost the others their table
                console.print(Text(f"left out {name}: {error}"), style="yellow")
        with cli.interruptible() as check:
            found = measure(agents, config.env, config.final_episodes, check, own_limits=own is None)
        asked = "" if solved is None else f"; solved at {solved:g}"
        console.print(returns_table(found, f"Returns of {config.final_episodes} episodes{asked}", limits))
    curve = draw_curve(folder, solved, limits)
    if curve is not None:
        console.print(Text(f"curve    {curve}"))


def _folded(records: Sequence[Record], kept: Sequence[str]) -> list[str]:
    """The solvers that the table leaves out: all but the best :data:`SHOWN` ones and those ``kept``."""
    others = [row.solver for row in summarize(records) if row.solver not in kept]
    return others[SHOWN:]


def _import(target: Any) -> Any:
    """An object, or what ``"module:attribute"`` names."""
    if not isinstance(target, str):
        return target
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


def _typed(command: Sequence[str], key: str, default: str) -> str:
    return next((item.partition("=")[2] for item in reversed(command) if item.startswith(f"{key}=")), default)


if __name__ == "__main__":
    cli.run(main)
