"""The engine on Ray: clear errors without a cluster; with ray installed, heads and actors that are killed."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from typing import Any

import pytest

from optgap.agents.asynchronous.agents import APTSAC
from optgap.agents.asynchronous.config import APTSACConfig
from optgap.agents.asynchronous.engine import ActorsLostError
from optgap.agents.asynchronous.ray_engine import require_answer
from optgap.agents.common.training import resume_run, train_run
from optgap.co.core import InputError, MissingExtraError
from optgap.envs.gym_config import PendulumConfig

RAY = pytest.mark.skipif(find_spec("ray") is None, reason="needs ray: pip install 'optgap[distributed]'")
SMALL = {"engine": "ray", "actors": 2, "warmup_steps": 64, "hidden_sizes": [16], "batch_size": 128}


def agent_for(**changes) -> APTSAC:
    return APTSAC(PendulumConfig(), APTSACConfig(**(SMALL | changes)))


def descendants(pid: int) -> dict[int, str]:
    """Process ids below ``pid`` and their names."""
    rows = subprocess.run(["ps", "-eo", "pid,ppid,comm"], capture_output=True, text=True, check=True).stdout.split("\n")
    children: dict[int, list[tuple[int, str]]] = {}
    for row in rows[1:]:
        if row:
            process, parent, name = row.split(None, 2)
            children.setdefault(int(parent), []).append((int(process), name))
    found: dict[int, str] = {}
    left = [pid]
    while left:
        for number, name in children.get(left.pop(), []):
            found[number] = name
            left.append(number)
    return found


def test_an_address_where_nothing_answers_is_one_line():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
        with pytest.raises(InputError, match=f"no Ray cluster answers at {address}: Connection refused"):
            require_answer(address)
    for address in ("nowhere", "host:port", "ray://host", ""):
        with pytest.raises(InputError, match="expected host:port, ray://host:port or auto"):
            require_answer(address)


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("optgap.agents.asynchronous.ray_engine.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"ray is not installed; run: pip install 'optgap\[distributed\]'"):
        agent_for().learn(100)


@RAY
@pytest.mark.slow
def test_what_listens_and_is_no_head_is_one_line():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(InputError, match=r"engine=ray: address 127.0.0.1:\d+ cannot be joined"):
            agent_for(address=f"127.0.0.1:{other.getsockname()[1]}").learn(100)


@RAY
@pytest.mark.slow
@pytest.mark.parametrize("victim", ["ray::RemoteActor", "raylet", "gcs_server"])
def test_training_outlives_the_kill_of_an_actor_and_of_the_head(victim):
    killed: list[int] = []
    agent, begun = agent_for(), time.monotonic()

    def hurt(agent, metrics):
        if not killed and agent.updates >= 20:
            killed.extend(pid for pid, name in descendants(os.getpid()).items() if name.startswith(victim[:15]))
            os.kill(killed[0], signal.SIGKILL)
        return metrics["actors/restarts"] == 0 or agent.updates % 20 != 0

    agent.learn(10**9, hurt)
    assert killed
    assert len(agent.replay) == min(agent.steps, agent.config.capacity)
    assert time.monotonic() - begun < 500
    assert not any(name.startswith(("ray", "gcs_server")) for name in descendants(os.getpid()).values())


@RAY
@pytest.mark.slow
def test_a_run_whose_cluster_is_gone_ends_with_what_it_learned(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(24))  # of this head alone
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=2"]
    command += ["--node-ip-address=127.0.0.1", f"--port={port}", "--include-dashboard=false"]
    head = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    agent: Any = agent_for(address=f"127.0.0.1:{port}")

    def hurt(agent, metrics):
        if agent.updates == 30:
            os.kill(next(pid for pid, name in descendants(head.pid).items() if name == "gcs_server"), signal.SIGKILL)

    try:
        until = time.monotonic() + 120
        while "raylet" not in descendants(head.pid).values():
            assert time.monotonic() < until
            time.sleep(0.5)
        time.sleep(5.0)  # until its raylet has joined
        with pytest.raises(ActorsLostError, match="the Ray cluster is gone: no Ray cluster answers"):
            train_run(agent, tmp_path, 10**9, hurt)
    finally:
        head.terminate()
        head.wait(60)
    resumed: Any = resume_run(tmp_path)
    assert resumed.updates == agent.updates >= 30
    assert len(resumed.replay) == len(agent.replay)
