"""benchmark_agents.py: returns over seeds, read from runs that end only once."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

SHORT = ("agent.num_envs=2", "agent.rollout_length=32", "agent.checkpoint_interval=2")
CELLS = ("envs=cartpole", "agents=gbt-ppo,ppo", "seeds=1,2", "episodes=5", "out=agents")


def test_returns_over_seeds_and_a_second_call_that_only_goes_on(call, tmp_path):
    answer = call("benchmark_agents", *CELLS, *SHORT, "total_steps=1200", "jobs=2")
    assert answer.code == 0, answer.out
    first = json.loads((tmp_path / "agents" / "agents.json").read_text())
    assert [(row["agent"], row["seeds"]) for row in first["rows"]] == [("gbt-ppo", [1, 2]), ("ppo", [1, 2])]
    for row in first["rows"]:
        assert row["mean"] == pytest.approx(np.mean(row["returns"]))
        assert row["std"] == pytest.approx(np.std(row["returns"], ddof=1))
    assert (tmp_path / "agents" / "cartpole.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "agents" / "agents.md").read_text().count("\n") == 4

    runs = sorted(tmp_path.glob("agents/seed-*/cartpole/*/*"))
    assert len(runs) == 4
    answer = call("benchmark_agents", *CELLS, *SHORT, "total_steps=1400")
    assert answer.code == 0, answer.out
    assert sorted(tmp_path.glob("agents/seed-*/cartpole/*/*")) == runs  # the runs of the first call went on
    more = json.loads((tmp_path / "agents" / "agents.json").read_text())
    assert all(row["steps"] >= 1400 for row in more["rows"])


def test_the_last_episodes_count_by_their_number(call, tmp_path, monkeypatch):
    import training_cells
    from training_cells import Cell

    monkeypatch.setattr(training_cells, "settled", lambda folder: 0)
    folder = tmp_path / "seed-0" / "e" / "a" / "now"
    folder.mkdir(parents=True)
    counts, returns = (4, 0, 1, 2), (9.0, None, 5.0, 2.0)
    lines = [
        {"update": i + 1, "steps": i + 1, "episode/count": count, "episode/return": value}
        for i, (count, value) in enumerate(zip(counts, returns, strict=True))
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    cell = Cell("e", "a", 0, tmp_path)
    assert cell.last(2) == 2.0
    assert cell.last(3) == pytest.approx((2 * 2 + 5) / 3)
    assert cell.last(4) == pytest.approx((2 * 2 + 5 + 4 * 9) / 7)  # whole updates
    assert cell.steps() == 4
    # means over the last three or more episodes: 9 after the first update, (4 x 9 + 5) / 5 after the third, 3 after the last
    assert cell.reached(9.0, 3) == 1
    assert cell.reached(9.5, 3) == np.inf
    assert cell.reached(9.0, 5) == np.inf  # there were four episodes then


def test_episodes_count_when_each_copy_has_had_time_for_the_longest_one(tmp_path, monkeypatch):
    """At first none but successes have ended: here half of the copies fail, after 50 steps, where others need 10."""
    import training_cells
    from optgap.agents.common.training import train_run
    from optgap.agents.ppo.agent import PPO
    from optgap.agents.ppo.config import PPOConfig
    from optgap.envs.agv.config import AGVConfig
    from optgap.envs.gym_config import GymConfig
    from training_cells import Cell, settled

    for number, (config, limit) in enumerate([(AGVConfig(max_steps=50), 50), (GymConfig(id="CartPole-v1"), 500)]):
        folder = tmp_path / str(number)
        train_run(PPO(config, PPOConfig(num_envs=4, rollout_length=8, hidden_sizes=[4], epochs=1)), folder, 32)
        assert settled(folder) == 4 * limit

    folder = tmp_path / "seed-0" / "e" / "a" / "now"
    folder.mkdir(parents=True)
    copies, lines = 4, []
    for update in range(1, 21):  # 10 steps of each copy: one succeeds in each update, three fail in every tenth
        ends = [1.0] + [0.0] * (3 * (update % 10 == 0))
        figures = {"episode/count": len(ends), "episode/success": float(np.mean(ends))}
        lines.append({"update": update, "steps": 10 * copies * update, **figures})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    cell = Cell("e", "a", 0, tmp_path)
    monkeypatch.setattr(training_cells, "settled", lambda folder: 0)
    assert cell.reached(0.65, 8, "success") == 320  # eight of eight, while three copies are about to fail
    monkeypatch.setattr(training_cells, "settled", lambda folder: 100 * copies)
    assert cell.curve("success")[0].min() == 400
    assert cell.reached(0.65, 8, "success") == 600  # six of nine
    monkeypatch.setattr(training_cells, "settled", lambda folder: 10**6)
    assert np.isnan(cell.last(6, "success"))
    assert cell.reached(0.0, 1, "success") == np.inf


def test_a_figure_that_nobody_has_is_null_in_json(call, tmp_path):
    answer = call("benchmark_agents", "envs=cartpole", "agents=ppo", "seeds=0", "total_steps=64", *SHORT, "out=agents")
    assert answer.code == 0, answer.out
    assert "no episode counts before 1,000 steps" in answer.out

    def refuse(text):
        raise AssertionError(text)

    found = json.loads((tmp_path / "agents" / "agents.json").read_text(), parse_constant=refuse)
    assert (found["rows"][0]["mean"], found["rows"][0]["returns"]) == (None, [None])


@pytest.mark.parametrize("width", [80, 200])
def test_the_table_of_final_policies_can_be_read(width):
    from rich.console import Console

    from final_policies import policies_table

    limits = {f"latency/slice{i}": 1.55 for i in range(6)}
    row = {"policy": "sofe-ppo, sampled", "returns": [-120.123, -119.0], "steps": [200.0, 187.5], "held": 1}
    row |= {"figures": {"success": [0.9, 0.95], "path_gap": [0.1234, 0.2]}, "training_excess": [0.1, 0.25]}
    row |= {"costs": {name: [1.4, 1.75] for name in limits}}
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(policies_table([row], limits, "slicing: 8 episodes"))
    text = console.export_text()
    assert "…" not in text
    words = text.split()
    for word in ("return", "success", "path", "gap", "held", "excess", "training", "[6]", "1.575", "+-0.25", "-119.6"):
        assert word in words, word
    assert text.count("latency/slice") == 6


def test_names_with_settings_are_runs_of_their_own(tmp_path, refuses):
    from training_cells import Cell, split_settings

    assert split_settings("sofe-ppo:bonus=e3b+sofe=false") == ("sofe-ppo", ["bonus=e3b", "sofe=false"])
    plain, other = Cell("cartpole", "ppo", 3, tmp_path), Cell("cartpole", "ppo:epochs=4", 3, tmp_path)
    assert plain.out == tmp_path / "seed-3"
    assert other.out == tmp_path / "seed-3" / "epochs=4"
    assert "'epochs' is no setting" in refuses("benchmark_agents", "envs=cartpole", "agents=ppo:epochs")


def test_the_interval_is_students(tmp_path):
    from benchmark_agents import half_interval

    assert half_interval(np.array([1.0, 2.0, 3.0])) == pytest.approx(4.303 / np.sqrt(3))
    assert half_interval(np.array([1.0])) is None
    values = np.arange(21.0)  # t(20) = 2.086
    assert half_interval(values) == pytest.approx(2.086 * values.std(ddof=1) / np.sqrt(21), rel=1e-3)


def test_curves_of_an_environment_with_a_path_lie_in_the_folder(tmp_path):
    from benchmark_agents import picture

    assert picture(tmp_path, "agv:scene=map+map=maps/a.map") == tmp_path / "agv:scene=map+map=maps-a.map.png"


def test_a_run_that_fails_is_named_and_the_others_end(call):
    answer = call("benchmark_agents", "envs=cartpole", "agents=ppo", "seeds=0", "total_steps=50", "agent.epochs=0")
    assert answer.code == 1
    assert "failed   cartpole ppo seed 0: error:" in answer.out
    assert "epochs is 0" in answer.out


def test_wrong_names_are_refused(refuses):
    assert "cartpolee" in refuses("benchmark_agents", "envs=cartpolee")
    assert "expected integers" in refuses("benchmark_agents", "envs=cartpole", "seeds=a")
    assert "jobs is 0" in refuses("benchmark_agents", "jobs=0")
    said = refuses("benchmark_agents", "envs=deepsea,gridmaze", "figure=success")
    assert "figure is 'success'; expected of gridmaze's: return, length, coverage" in said


def test_constraints_have_a_table_of_final_policies_and_baselines(call, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    small = ("agent.num_envs=2", "agent.rollout_length=210", "agent.minibatch_size=105", "agent.checkpoint_interval=2")
    cells = ("envs=tiny-slicing", "agents=clara", "seeds=0,1", "evaluation=8", "out=agents")
    answer = call("benchmark_agents", *cells, *small, "total_steps=500")
    assert answer.code == 0, answer.out
    found = json.loads((tmp_path / "agents" / "agents.json").read_text())["policies"]["tiny-slicing"]
    assert [row["policy"] for row in found] == ["clara, greedy", "clara, sampled", "optimum"]
    assert [len(row["returns"]) for row in found] == [2, 2, 1]
    for row in found:
        costs = np.array([row["costs"][name] for name in ("latency/urllc", "drop/video")])
        worst = (costs / np.array([[1.55], [0.115]]) - 1).max(axis=0)
        np.testing.assert_allclose(row["worst"], worst)
        assert row["held"] == (worst <= 0.01).sum()
    assert "drop/video <=0.115" in answer.out


def test_the_excess_of_a_run_is_the_sum_over_violated_limits(tmp_path):
    from final_policies import training_excess

    lines = [
        {"update": 1, "steps": 1, "cost/a": 3.0, "cost/b": 0.1},
        {"update": 2, "steps": 2, "cost/a": 1.0, "cost/b": 0.6},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert training_excess(tmp_path, {"a": 2.0, "b": 0.5}) == pytest.approx((0.5 + 0.2) / 2)


def test_limits_that_the_runs_were_told_are_those_of_the_table(call, tmp_path):
    small = ("agent.num_envs=2", "agent.rollout_length=210", "agent.minibatch_size=105", "agent.checkpoint_interval=2")
    cells = ("envs=tiny-slicing", "agents=clara", "seeds=0", "evaluation=4", "total_steps=400")
    for told, bounds in (("env.limits=[2,0.3]", (2.0, 0.3)), ("agent.limits=[1.2,0.03]", (1.2, 0.03))):
        out = tmp_path / told.partition(".")[0]
        answer = call("benchmark_agents", *cells, *small, told, f"out={out}")
        assert answer.code == 0, answer.out
        found = json.loads((out / "agents.json").read_text())["policies"]["tiny-slicing"]
        names = [row["policy"] for row in found]
        assert names == ["clara, greedy", "clara, sampled", "optimum"][: 3 if told.startswith("env") else 2]
        costs = np.array([row["costs"][name][0] for row in found for name in ("latency/urllc", "drop/video")])
        worst = (costs.reshape(-1, 2) / bounds - 1).max(axis=1)
        np.testing.assert_allclose([row["worst"][0] for row in found], worst)


def test_a_folder_that_cannot_be_made_is_refused(refuses, tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot be made" in refuses("benchmark_agents", "envs=cartpole", "out=file")
