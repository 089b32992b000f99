"""A run with a lifetime statistic that is killed by SIGKILL, and resumed by another process, ends as if it had not been."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from optgap.agents.common.metrics import read_metrics

PROGRAM = """
import sys
from pathlib import Path
from optgap.agents.common.training import resume_run, train_run
from optgap.agents.exploration.agents import ExploringDQN, ExploringPPO
from optgap.agents.exploration.config import SOFEDQNConfig, SOFEPPOConfig
from optgap.envs.exploration.config import DeepSeaConfig, GridMazeConfig

kind, folder, steps = sys.argv[1], Path(sys.argv[2]), 1500
shared = dict(num_envs=3, rollout_length=8, hidden_sizes=[8], checkpoint_interval=4, episodic=False, normalize_bonus=True)
if (folder / "checkpoint").exists():
    agent = resume_run(folder)
elif kind == "ppo":
    agent = ExploringPPO(DeepSeaConfig(size=6), SOFEPPOConfig(epochs=1, normalize_observation=True, **shared), seed=3)
else:
    replay = dict(capacity=256, warmup_steps=50, batch_size=64, minibatch_size=16)
    agent = ExploringDQN(GridMazeConfig(max_steps=50), SOFEDQNConfig(**replay, **shared), seed=3)
train_run(agent, folder, steps)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
@pytest.mark.parametrize("kind", ["ppo", "dqn"])
def test_killed_and_resumed_equals_uninterrupted(kind, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command = [sys.executable, "-c", PROGRAM, kind]
    subprocess.run([*command, whole], check=True)
    for lines in (10, 27):  # neither is a multiple of the interval: updates are lost and played again
        with subprocess.Popen([*command, killed]) as process:
            metrics = killed / "metrics.jsonl"
            while process.poll() is None and not (metrics.exists() and metrics.read_bytes().count(b"\n") >= lines):
                time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL, lines
        assert not (killed / "final").exists(), lines
    subprocess.run([*command, killed], check=True)
    names = {file.name for file in (whole / "final").iterdir()}
    assert {"weights.safetensors", "state.json"} <= names
    for name in names:
        for folder in ("checkpoint", "final"):
            assert (whole / folder / name).read_bytes() == (killed / folder / name).read_bytes(), f"{folder}/{name}"
    ours, theirs = (
        [{key: value for key, value in line.items() if not key.startswith("time/")} for line in read_metrics(run)]
        for run in (killed, whole)
    )
    assert ours == theirs
