"""train.py: a run folder that resumes, a gap that is measured, Ctrl-C that saves, and configurations that are refused."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file
from tests.scripts.conftest import start

from optgap.agents.common.metrics import read_metrics

CARTPOLE = ["env=gym", "env.id=CartPole-v1", "agent=ppo", "agent.num_envs=2", "agent.rollout_length=32"]
SHORT = [*CARTPOLE, "agent.epochs=1", "agent.checkpoint_interval=2"]


def only_run(folder: Path) -> Path:
    (run,) = (path.parent for path in folder.glob("runs/*/*/*/config.json"))
    return run


def test_a_gymnasium_environment_trains_and_leaves_its_traces(call, tmp_path):
    answer = call("train", *SHORT, "total_steps=300", "validate_every=2", "seed=3")
    assert answer.code == 0, answer.err
    assert "return" in answer.out
    run = only_run(tmp_path)
    assert run.parent == Path(tmp_path, "runs", "gym", "ppo")
    config = json.loads((run / "config.json").read_text())
    assert config["resolved"]["env"]["id"] == "CartPole-v1"
    assert config["resolved"]["agent"]["rollout_length"] == 32
    assert (config["resolved"]["seed"], config["env"], config["agent"]) == (3, "gym", "ppo")
    lines = read_metrics(run)
    assert [line["update"] for line in lines] == list(range(1, len(lines) + 1))
    assert lines[-1]["steps"] >= 300
    assert list(run.glob("events.out.tfevents.*"))
    assert (run / "final" / "state.json").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]  # no outputs/ of Hydra


def test_a_resumed_run_equals_an_uninterrupted_one(call, tmp_path):
    assert call("train", *SHORT, "total_steps=600", "out=whole").code == 0
    assert call("train", *SHORT, "total_steps=250", "out=runs").code == 0
    run = only_run(tmp_path)
    assert call("train", f"resume={run}", "total_steps=600").code == 0
    (whole,) = tmp_path.glob("whole/*/*/*")
    one, other = (load_file(folder / "final" / "weights.safetensors") for folder in (whole, run))
    assert all(tensor.equal(other[name]) for name, tensor in one.items())
    assert [line["update"] for line in read_metrics(run)] == [line["update"] for line in read_metrics(whole)]


def test_ctrl_c_saves_and_says_how_to_resume(tmp_path, call):
    process = start(tmp_path, "train", *SHORT, "minutes=5", "validate_every=1")
    for line in process.stdout:
        if line.startswith("update 3"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    run = only_run(tmp_path).relative_to(tmp_path)
    assert f"resume   python scripts/train.py resume={run}" in out
    assert (tmp_path / run / "final" / "weights.safetensors").exists()
    steps = json.loads((tmp_path / run / "final" / "state.json").read_text())["steps"]
    assert call("train", f"resume={run}", f"total_steps={steps + 100}").code == 0


def test_the_job_shop_is_validated_and_compared(call, tmp_path, trained):
    lines = read_metrics(trained)
    gaps = [line["validation/gap"] for line in lines]
    assert all(gap >= 0 for gap in gaps)  # the reference is optimal on shops of 3 x 3
    assert json.loads((trained / "best.json").read_text())["validation/gap"] <= min(gaps)
    assert (trained / "best" / "weights.safetensors").exists()
    validation = json.loads((trained / "validation.json").read_text())
    assert validation["solver"] == "cp-sat"
    assert len(validation["references"]) == 2

    run = shutil.copytree(trained, tmp_path / "run")
    answer = call("train", f"resume={run}", "final_seconds=0.05")
    assert answer.code == 0, answer.err
    table = answer.out.partition("Gaps, at most 0.05 s a solver and instance, one thread")[2]
    for name in ("this run", "job-shop-gnn-slim", "scip", "cp-sat", "ft06", "ft10", "ft20", "ta01", "mean gap"):
        assert name in table
    rows, _, rest = table.partition("\nand ")
    assert len(re.findall(r"\d/4", rows)) == 1 + 2 + 1 + 10  # the run, shipped weights, SCIP, and the best others
    assert re.match(
        r" +15 solvers with larger gaps: python scripts/benchmark.py problem=job-shop solvers=all instances=ft06,ft10,ft20,ta01",
        rest,
    )


def test_a_package_joins_with_its_own_environment(call, tmp_path, monkeypatch):
    (tmp_path / "walks.py").write_text(
        "import dataclasses\n"
        "from typing import ClassVar\n"
        "from optgap.envs.gym_config import GymConfig\n"
        "from optgap.envs.registry import ENVIRONMENTS\n"
        "@dataclasses.dataclass\n"
        "class Walk(GymConfig):\n    id: str = 'MountainCar-v0'\n"
        "if 'walk' not in ENVIRONMENTS:\n    ENVIRONMENTS.register('walk', Walk)\n"
    )
    from optgap.envs.registry import ENVIRONMENTS

    monkeypatch.setattr(ENVIRONMENTS, "_targets", dict(ENVIRONMENTS._targets))
    monkeypatch.setattr(sys, "path", list(sys.path))
    small = ["agent.num_envs=1", "agent.rollout_length=8", "agent.epochs=1"]
    answer = call("train", "plugins=[walks]", "env=walk", "agent=ppo", *small, "total_steps=8")
    sys.modules.pop("walks", None)
    assert answer.code == 0, answer.err
    assert only_run(tmp_path).parent.parent.name == "walk"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["env=jsp"],
            "unknown environment 'jsp' (did you mean 'jssp'?); known: acrobot, agv, atsp, burgers, cartpole, cvrp",
        ),
        (["agent=gnn"], "unknown agent 'gnn'"),
        (["env=gym", "env.id=CartPol-v1", "agent=ppo"], "'CartPol-v1' is not registered with Gymnasium"),
        (["agent.learning_rat=1"], "unknown key agent.learning_rat (did you mean agent.learning_rate?)"),
        (["agent.learning_rate=-1"], "learning_rate is -1"),
        (["total_steps=0"], "total_steps is 0; expected a number above 0"),
        (["minutes=nan"], "minutes is nan; expected a number above 0"),
        (["seed=-1"], "seed is -1"),
        (["env=gym", "agent=gnn-slim"], "trains on scheduling environments (jssp, isbjssp), not on GymConfig"),
        (["device=tpu"], "device"),
        (["resume=runs/nowhere"], "runs/nowhere is not a run folder: it holds no config.json"),
    ],
)
def test_bad_input_is_one_line_and_no_run_is_begun(refuses, arguments, said):
    assert said in refuses("train", *arguments)


def test_a_resumed_run_keeps_its_configuration(call, tmp_path, trained):
    answer = call("train", f"resume={trained}", "agent.learning_rate=1")
    assert answer.code == 2
    assert "agent.learning_rate=1: a resumed run keeps its configuration; expected total_steps, minutes" in answer.err
