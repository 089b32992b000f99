"""Real processes: killed at random, stopped, left alone by their learner, and none of them left over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optgap.agents.asynchronous.agents import APTSAC
from optgap.agents.asynchronous.config import APTSACConfig
from optgap.agents.common.metrics import read_metrics
from optgap.agents.common.training import resume_run, train_run
from optgap.co.core import InputError
from optgap.envs.gym_config import GymConfig, PendulumConfig

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
SMALL = {"actors": 2, "warmup_steps": 64, "hidden_sizes": [16], "batch_size": 128, "queue": 4}


def agent_for(**changes) -> APTSAC:
    return APTSAC(PendulumConfig(), APTSACConfig(**(SMALL | changes)))


def actors_of(pid: int) -> list[int]:
    """Processes of an actor's kind that are children of ``pid``."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                command = (folder / "cmdline").read_text()
            except OSError:
                continue
            if int(fields[1]) == pid and fields[0] != "Z" and "spawn_main" in command:
                found.append(int(folder.name))
    return sorted(found)


def gone(pids: list[int], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


@LINUX
@pytest.mark.slow
def test_killed_and_hung_actors_are_replaced_and_all_end_with_the_run():
    rng, seen, shared = np.random.default_rng(0), set(), set(Path("/dev/shm").iterdir())
    agent, figures = agent_for(heartbeat_seconds=3.0), []

    def hurt(agent, metrics):
        figures.append(dict(metrics))
        present = actors_of(os.getpid())
        seen.update(present)
        if len(present) == 2 and metrics["actors/restarts"] < 4 and agent.updates % 15 == 0:
            number = signal.SIGSTOP if agent.updates % 45 == 0 else signal.SIGKILL
            os.kill(int(rng.choice(present)), number)
        return metrics["actors/restarts"] < 4 or agent.updates < 120

    agent.learn(100_000, hurt)
    assert figures[-1]["actors/restarts"] >= 4
    assert agent.steps == len(agent.replay)  # all that arrived was remembered
    assert np.isfinite([one["train/value_loss"] for one in figures if "train/value_loss" in one]).all()
    assert gone(sorted(seen), 5.0)
    assert set(Path("/dev/shm").iterdir()) <= shared  # nothing was left in shared memory


@LINUX
@pytest.mark.slow
def test_a_killed_learner_takes_its_actors_along_and_is_resumed(tmp_path, repository):
    command = [sys.executable, str(repository / "scripts" / "train.py"), "env=pendulum", "agent=apt-sac", "threads=1"]
    command += [
        f"out={tmp_path}",
        "total_steps=1000000",
        "device=cpu",
        "agent.actors=2",
        "agent.checkpoint_interval=10",
    ]
    command += ["agent.hidden_sizes=[16]", "agent.warmup_steps=64", "agent.batch_size=128"]
    learner = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 240
        while time.monotonic() < until:
            states = [json.loads(file.read_text()) for file in tmp_path.glob("*/*/*/checkpoint/state.json")]
            if states and states[0]["updates"] >= 20:
                break
            time.sleep(0.2)
        actors = actors_of(learner.pid)
        assert len(actors) == 2
    finally:
        learner.send_signal(signal.SIGKILL)
        learner.wait()
    assert gone(actors, 10.0)
    folder = next(tmp_path.glob("*/*/*"))
    agent: Any = resume_run(folder)
    assert agent.updates >= 20
    assert len(agent.replay) == agent.steps
    before = agent.updates
    assert train_run(agent, folder, agent.steps + 200)
    lines = [line["update"] for line in read_metrics(folder)]
    assert lines == list(range(1, agent.updates + 1))
    assert agent.updates > before


@LINUX
@pytest.mark.slow
def test_ctrl_c_ends_all_processes(tmp_path, repository):
    command = [sys.executable, str(repository / "scripts" / "train.py"), "env=pendulum", "agent=apt-td3", "threads=1"]
    command += [f"out={tmp_path}", "total_steps=1000000", "device=cpu", "agent.actors=2", "final_episodes=0"]
    learner = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    until = time.monotonic() + 240
    while not any(file.stat().st_size for file in tmp_path.glob("*/*/*/metrics.jsonl")):
        assert time.monotonic() < until
        time.sleep(0.2)
    actors = actors_of(learner.pid)
    os.killpg(learner.pid, signal.SIGINT)  # as a terminal does: to every process
    said = learner.communicate(timeout=120)[0].decode()
    assert "Traceback" not in said
    assert "resume" in said
    assert gone(actors, 5.0)


@pytest.mark.slow
def test_an_environment_that_cannot_be_made_in_an_actor_is_one_line():
    config = GymConfig("Pendulum-v1")
    agent = APTSAC(config, APTSACConfig(**SMALL))
    config.kwargs = {"wind": 3}
    with pytest.raises(InputError, match=r"actor [01]: environment Pendulum-v1 cannot be made with"):
        agent.learn(1000)
