"""Environments without a problem: recipes that typed values overrule, a table of returns, a curve, and evaluation."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

CARTPOLE = ["env=cartpole", "agent=gbt-ppo", "agent.num_envs=2", "agent.checkpoint_interval=2"]


@pytest.fixture
def run(call, tmp_path) -> Path:
    answer = call("train", *CARTPOLE, "total_steps=600", "final_episodes=6")
    assert answer.code == 0, answer.err
    table = answer.out.partition("Returns of 6 episodes; solved at 475")[2]
    for name in ("this run, greedy", "this run, sampled", "random actions"):
        assert re.search(rf"{name} +\d", table)
    (folder,) = tmp_path.glob("runs/cartpole/gbt-ppo/*")
    return folder.relative_to(tmp_path)


def test_a_recipe_gives_the_defaults_and_the_command_line_wins(run, tmp_path):
    config = json.loads((tmp_path / run / "config.json").read_text())
    agent = config["resolved"]["agent"]
    assert (agent["learning_rate"], agent["value_rate"], agent["gae_lambda"]) == (0.029, 0.015, 0.8)
    assert agent["num_envs"] == 2
    assert (tmp_path / run / "curve.png").read_bytes()[:4] == b"\x89PNG"


def test_a_run_is_evaluated_and_resumed(run, call, refuses):
    answer = call("evaluate", f"run={run}", "episodes=3")
    assert answer.code == 0, answer.err
    assert "Returns of 3 episodes; solved at 475" in answer.out
    assert "which has no instances; expected episodes=" in refuses("evaluate", f"run={run}", "instances=ft06")
    assert "episodes is 0" in refuses("evaluate", f"run={run}", "episodes=0")
    answer = call("train", f"resume={run}", "total_steps=700", "final_episodes=0")
    assert answer.code == 0, answer.err
    assert "Returns of" not in answer.out


def test_the_grid_of_the_readme_trains(call):
    pytest.importorskip("minigrid")
    small = ["agent.rollout_length=16", "agent.epochs=2", "final_episodes=1"]
    answer = call("train", "env=minigrid-doorkey", "agent=gbt-ppo", *small, "total_steps=200")
    assert answer.code == 0, answer.err
    assert "Returns of 1 episodes" in answer.out


def test_costs_stand_beside_their_limits_and_baselines_beside_the_run(call, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    small = ["agent.num_envs=2", "agent.rollout_length=210", "agent.checkpoint_interval=2"]
    answer = call("train", "env=tiny-slicing", "agent=clara", *small, "total_steps=900", "final_episodes=8")
    assert answer.code == 0, answer.err
    table = answer.out.partition("Returns of 8 episodes")[2]
    assert "[1] latency/urllc <= 1.55, [2] drop/video <= 0.115" in table
    for name in ("this run, greedy", "this run, sampled", "optimum", "random actions"):
        (figures,) = re.findall(rf"{name} +([\d.]+) +([\d.]+) +([\d.]+)[ !] *([\d.]+)[ !]\s*\n", table)
        assert 0 < float(figures[0]) < 700
    (folder,) = tmp_path.glob("runs/tiny-slicing/clara/*")
    assert (folder / "curve.png").read_bytes()[:4] == b"\x89PNG"
    answer = call("evaluate", f"run={folder}", "episodes=4")
    assert "optimum" in answer.out
    assert "[2] drop/video <= 0.115" in answer.out


def test_rules_of_the_environment_are_drawn(call, refuses, tmp_path):
    small = ["env=slicing", "env.decisions=2", "env.users=6"]
    answer = call("render", *small, "policy=latency-greedy", "out=shares.gif")
    assert answer.code == 0, answer.err
    assert (tmp_path / "shares.gif").read_bytes()[:3] == b"GIF"
    assert "3 frames" in answer.out
    assert "expected random, equal-share, proportional" in refuses("render", *small, "policy=nothing", "out=a.gif")


def test_a_long_episode_is_thinned_out_as_it_is_drawn(call, monkeypatch):
    from optgap.envs.batched import BatchedEnv

    drawn, render = [], BatchedEnv.render

    def count(env):
        drawn.append(1)
        return render(env)

    monkeypatch.setattr(BatchedEnv, "render", count)
    answer = call("render", "env=deepsea", "env.size=40", "frames=4", "out=sea.gif")
    assert "(4 frames)" in answer.out
    # steps 0 to 8; to 16 every 2nd; to 32 every 4th; the last, 40: of 41, and never more than 9 at a time
    assert len(drawn) == 9 + 4 + 4 + 1
