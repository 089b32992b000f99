"""The guides say what is true: their commands are understood, their names exist, their code runs."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import cli
import naming
from learned_portfolios import methods_of
from optgap.agents.common.contracts import AGENTS
from optgap.co.benchmark.collections import load_instances
from optgap.envs.registry import ENVIRONMENTS

DOCUMENTS = [*(Path(__file__).parents[2] / "docs" / "guides").glob("*.md"), Path("docs/benchmark-protocol.md")]
DOCUMENTS = [Path(__file__).parents[2] / path for path in DOCUMENTS]
SCHEMAS = {
    "train": "TrainConfig",
    "solve": "SolveConfig",
    "evaluate": "EvaluateConfig",
    "benchmark": "BenchmarkConfig",
    "render": "RenderConfig",
    "benchmark_agents": "AgentsConfig",
    "benchmark_peers": "PeersConfig",
    "sinusoid": "SinusoidConfig",
    "validate_flow": "ValidateConfig",
    "benchmark_asynchronous": "AsynchronousConfig",
    "backtest": "BacktestConfig",
    "shifted_dates": "ShiftConfig",
}
NAMES = ("instance", "instances", "solver", "solvers", "policy", "run", "reference")


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)


COMMANDS = [
    line
    for path in DOCUMENTS
    for language in ("bash", "console")
    for block in blocks(path, language)
    for line in block.removeprefix("$ ").splitlines()
    if line.startswith("python ") and not re.search(r"\bmy[_/]|resume=", line)
]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_understood_and_its_names_exist(line):
    _, script, *arguments = shlex.split(line)
    name = Path(script).stem
    schema = getattr(importlib.import_module(name), SCHEMAS[name])
    groups = {"train": ("env", "agent"), "render": ("env",)}.get(name, ())
    find = {
        "env": ENVIRONMENTS.load,
        "agent": lambda agent: importlib.import_module("train")._import(AGENTS.load(agent).config),
    }
    arguments = [argument for argument in arguments if argument != "--help"]
    config = cli.parse(schema, arguments, groups={group: find[group] for group in groups})
    for key, known in (("envs", ENVIRONMENTS), ("agents", AGENTS)):
        assert [value for value in cli.as_list(getattr(config, key, [])) if value.partition(":")[0] not in known] == []
    if hasattr(config, "methods"):
        methods_of(cli.as_list(config.methods))
        return
    baselines: dict[str, Any] = getattr(getattr(config, "env", None), "baselines", dict)()
    said = {key: cli.as_list(getattr(config, key, None) or []) for key in NAMES}
    solvers = [*said["solver"], *said["solvers"], *said["policy"], *said["run"], *said["reference"]]
    instances = [*said["instance"], *said["instances"]]
    problem = getattr(getattr(config, "env", None), "problem", None) or getattr(config, "problem", None)
    problem = naming.problem_for(problem, instances, solvers)
    if instances:
        load_instances(problem, instances)
    for solver in solvers:
        if solver not in ("all", "random", *baselines):
            naming.find_solver(problem, solver)


def test_every_guide_has_commands():
    assert len(COMMANDS) >= 10


@pytest.mark.parametrize(
    ("guide", "prints"),
    [
        ("bring-your-own", r"^\d\d+\.0$"),  # the cost of a schedule of ft06
        ("portfolio", r"^momentum +-?\d+\.\d+%  Sharpe"),
    ],
)
def test_the_code_of_a_guide_runs(guide, prints, tmp_path):
    (path,) = (path for path in DOCUMENTS if path.stem == guide)
    code = "\n".join(blocks(path, "python"))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(prints, done.stdout, re.MULTILINE)


def test_links_lead_somewhere():
    for path in DOCUMENTS:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
