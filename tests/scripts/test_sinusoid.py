"""The reference of the fin ray: found, kept, gone on with."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from optgap.envs.finray.batch import Start
from optgap.envs.finray.config import FinRayConfig
from optgap.envs.finray.sinusoid import SHIPPED, Sinusoid

SMALL = ["env.steps=40", "amplitudes=2", "frequencies=3", "phases=2", "biases=1", "rounds=2", "seeds=5"]


def test_it_is_found_kept_and_gone_on_with(call, tmp_path):
    answer = call("sinusoid", *SMALL, "objective=thrust")
    assert answer.code == 0, answer.err
    assert "thrust" in answer.out
    kept = json.loads((tmp_path / "sinusoids.json").read_text())
    points = {tuple(point): found for point, found in kept["points"]}
    best = kept["best"]["thrust"]
    values = [np.mean(found[0]) / 2 for found in points.values()]  # an episode takes 40 x 0.05 = 2
    assert best["value"] == pytest.approx(max(values))
    assert len(points) > 12
    assert list(kept["best"]) == ["thrust"]

    # its value is the return of an agent that does the same
    env = FinRayConfig(steps=40).make()
    seen, _ = env.reset(seed=5)
    wave = Sinusoid(best["amplitude"], best["frequency"], best["phase"], best["bias"], 40, 0.05)
    total, over = 0.0, False
    while not over:
        seen, reward, terminated, truncated, _ = env.step(wave(seen[None])[0])
        total, over = total + reward, terminated or truncated
    assert total == pytest.approx(best["value"], abs=1e-5)  # float32 actions

    answer = call("sinusoid", *SMALL)
    assert f"resumed  {len(points)} points" in answer.out
    again = json.loads((tmp_path / "sinusoids.json").read_text())
    assert list(again["best"]) == ["thrust", "efficiency", "limited-thrust"]
    assert again["best"]["thrust"]["value"] >= best["value"]
    assert again["points"][: len(points)] == kept["points"]


def test_an_interrupted_search_goes_on(call, tmp_path, monkeypatch):
    import sinusoid

    whole = call("sinusoid", *SMALL, "objective=efficiency", "out=whole.json")
    assert whole.code == 0, whole.err
    monkeypatch.setattr(sinusoid, "COPIES", 4)
    played, rollouts = [], sinusoid._rollouts

    def stopping(points, *rest):
        played.append(points)
        if len(played) == 3:
            raise KeyboardInterrupt
        return rollouts(points, *rest)

    monkeypatch.setattr(sinusoid, "_rollouts", stopping)
    answer = call("sinusoid", *SMALL, "objective=efficiency", "out=parts.json")
    assert answer.code == 130
    assert "stopped  8 points are in parts.json; the same command goes on" in answer.out
    answer = call("sinusoid", *SMALL, "objective=efficiency", "out=parts.json")
    assert answer.code == 0, answer.err
    one, two = (json.loads((tmp_path / name).read_text()) for name in ("whole.json", "parts.json"))
    assert one["points"] == two["points"]
    assert one["best"] == two["best"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["env=jssp"], "env=jssp; expected finray"),
        (["objective=speed"], "objective=speed; expected one of thrust, efficiency, limited-thrust"),
        (["amplitudes=0"], "amplitudes=0; expected at least 1"),
        (["max_bias=2"], "max_bias=2"),
        (["out=nowhere/found.json"], "nowhere/found.json"),
        (["env.mass=-1"], "mass is -1"),
        (["amplitudes=100000000"], "a grid of 76000000000 points; expected at most 1000000"),
        (["seeds=0,-1"], "seeds=[0, -1]: expected integers of at least 0"),
        (["env.fidelity=high"], "env.fidelity=high: expected surrogate"),
        (["confirm=true", "env.mass=0.01"], "expected at least MASS_LIMIT"),
        (["ship=true", "env.steps=10"], "ship=true: the package holds the best ones of the default environment"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(refuses, arguments, said):
    assert said in refuses("sinusoid", *arguments)


def test_another_environment_needs_another_file(call, refuses):
    tiny = ["amplitudes=1", "frequencies=1", "phases=1", "biases=1", "rounds=0", "seeds=0"]
    assert call("sinusoid", *tiny, "env.steps=3").code == 0
    assert "holds another environment, coefficients or seeds" in refuses("sinusoid", *tiny, "env.steps=4")


@pytest.mark.parametrize(
    "damage",
    [
        lambda found: [],
        lambda found: found | {"points": [[[1, 2, 3], [[1], [2], [3]]]]},
        lambda found: found | {"points": [[["a", 1, 0, 0], [[0], [0], [0]]]]},
        lambda found: found | {"points": [[[0.5, 1, 0, 0], "x"]]},
        lambda found: found | {"best": [3]},
    ],
)
def test_a_damaged_file_is_one_line_and_stays_as_it_is(call, refuses, tmp_path, damage):
    tiny = ["amplitudes=1", "frequencies=1", "phases=1", "biases=1", "rounds=0", "seeds=0", "env.steps=3"]
    assert call("sinusoid", *tiny, "out=found.json").code == 0
    file = tmp_path / "found.json"
    file.write_text(json.dumps(damage(json.loads(file.read_text()))))
    before = file.read_bytes()
    assert "is no file of this script" in refuses("sinusoid", *tiny, "out=found.json")
    assert file.read_bytes() == before


def test_a_sinusoid_tells_the_time_from_what_is_seen():
    wave = Sinusoid(0.5, 1.25, 0.3, 0.2, 40, 0.05)
    env = FinRayConfig(steps=40, max_rate=1000.0).make()
    seen, _ = env.reset(options={"instance": Start("straight", np.zeros(2))})
    for step in range(40):
        action = wave(seen[None])[0]
        expected = 0.5 * math.sin(2 * math.pi * 1.25 * 0.05 * (step + 1) + 0.3) + 0.2
        assert action[0] == pytest.approx(expected, abs=1e-6)
        seen, *_ = env.step(action)
        assert seen[10] == pytest.approx(expected, abs=1e-6)  # the moment is there at the step's end


def test_the_shipped_ones_are_of_the_default_environment_and_its_coefficients():
    import sinusoid

    shipped = json.loads(SHIPPED.read_text())
    assert shipped["setting"] == sinusoid._setting(FinRayConfig(), shipped["setting"]["seeds"])
    for objective, best in shipped["best"].items():
        config = FinRayConfig(objective=objective)
        policy = config.baselines()["sinusoid"]
        returns: list[float] = []
        for seed in shipped["setting"]["seeds"]:
            env = config.make()
            seen, _ = env.reset(seed=seed)
            total, over = 0.0, False
            while not over:
                seen, reward, terminated, truncated, _ = env.step(policy(seen[None], None)[0])
                total, over = total + float(reward), terminated or truncated
            returns.append(total)
        assert np.mean(returns) == pytest.approx(best["value"], abs=1e-4)


def test_the_baselines_of_the_environment():
    for objective in ("thrust", "efficiency", "limited-thrust"):
        policies = FinRayConfig(objective=objective).baselines()
        assert "still" in policies
        for policy in policies.values():
            found = policy(np.zeros((3, 22), np.float32), None)
            assert found.shape == (3, 1)
            assert np.abs(found).max() <= 1
