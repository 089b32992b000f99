"""A run killed by SIGKILL at a random moment and resumed ends with the weights of an uninterrupted one, to the bit."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from optgap.agents.common.checkpoint import read_checkpoint
from optgap.agents.common.metrics import read_metrics
from optgap.agents.common.training import resume_run, train_run
from optgap.agents.ppo.agent import PPO
from optgap.agents.ppo.config import PPOConfig
from optgap.envs.gym_config import GymConfig

# Everything that could leave the saved state: running statistics, a learning rate that follows the steps, and
# episodes that cross updates.
PROGRAM = """
import sys
from optgap.agents.common.training import train_run
from optgap.agents.ppo.agent import PPO
from optgap.agents.ppo.config import PPOConfig
from optgap.envs.gym_config import GymConfig

config = PPOConfig(num_envs=2, rollout_length=24, epochs=2, minibatch_size=16, hidden_sizes=[8], checkpoint_interval=4,
                   normalize_reward=True, learning_rate_schedule="linear", learning_rate=1e-2)
train_run(PPO(GymConfig(id="CartPole-v1"), config, seed=3), sys.argv[1], 4000)
"""


def tiny(**changes) -> PPO:
    settings = {"num_envs": 2, "rollout_length": 8, "epochs": 1, "hidden_sizes": [4], "checkpoint_interval": 3}
    return PPO(GymConfig(id="CartPole-v1"), PPOConfig(**(settings | changes)), seed=1)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
def test_killed_and_resumed_equals_uninterrupted(tmp_path):
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen([*command, tmp_path / "whole"]) as whole:
        lines, pause = random.randrange(1, 20), random.random() * 0.03
        moment = f"killed {pause:.4f} s after line {lines}"
        with subprocess.Popen([*command, tmp_path / "killed"]) as process:
            metrics = tmp_path / "killed" / "metrics.jsonl"
            while process.poll() is None and not (metrics.exists() and metrics.read_bytes().count(b"\n") >= lines):
                time.sleep(0.002)
            time.sleep(pause)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL, moment
        assert not (tmp_path / "killed" / "final").exists(), moment
        agent = resume_run(tmp_path / "killed")
        assert agent.updates % 4 == 0, moment
        assert train_run(agent, tmp_path / "killed", 4000)
    assert whole.returncode == 0
    for name in ("weights.safetensors", "optimizer.safetensors", "state.json"):
        for folder in ("checkpoint", "final"):
            ours, theirs = (tmp_path / run / folder / name for run in ("killed", "whole"))
            assert ours.read_bytes() == theirs.read_bytes(), f"{folder}/{name} differs; {moment}"
    ours, theirs = (
        [{key: value for key, value in line.items() if not key.startswith("time/")} for line in read_metrics(run)]
        for run in (tmp_path / "killed", tmp_path / "whole")
    )
    assert ours == theirs, moment


def test_a_run_writes_its_checkpoints_at_counted_updates(tmp_path):
    seen = []
    agent = tiny()

    def watch(agent, metrics):
        seen.append((agent.updates, read_checkpoint(tmp_path / "checkpoint").updates))
        metrics["gap"] = agent.updates / 10  # recorded with the agent's own figures

    assert train_run(agent, tmp_path, 100, watch)
    updates = list(range(1, agent.updates + 1))
    assert len(updates) >= 7
    assert seen == [(update, (update - 1) // 3 * 3) for update in updates]  # the callback comes before the checkpoint
    assert read_checkpoint(tmp_path / "final").updates == agent.updates
    assert [(line["update"], line["gap"]) for line in read_metrics(tmp_path)] == [(u, u / 10) for u in updates]


def test_ctrl_c_ends_the_run_after_its_update_and_saves(tmp_path):
    before = signal.getsignal(signal.SIGINT)

    def interrupt(agent, metrics):
        if agent.updates == 2:
            os.kill(os.getpid(), signal.SIGINT)

    assert not train_run(tiny(), tmp_path, 1000, interrupt)
    assert read_checkpoint(tmp_path / "final").updates in (2, 3)  # Python may deliver the signal an instruction later
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_does_not_wait(tmp_path):
    def impatient(agent, metrics):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)

    with pytest.raises(KeyboardInterrupt):
        train_run(tiny(), tmp_path, 1000, impatient)
    assert read_checkpoint(tmp_path / "checkpoint").updates == 0


def test_a_callback_may_end_the_run(tmp_path):
    assert not train_run(tiny(), tmp_path, 1000, lambda agent, metrics: agent.updates < 2)
    assert read_checkpoint(tmp_path / "final").updates == 2
