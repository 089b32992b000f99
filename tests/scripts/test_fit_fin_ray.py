"""The surrogate's fit: what it is fitted to, what it is held against, and that it finds what is there."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from optgap.envs.finray.batch import Start
from optgap.envs.finray.coefficients import FluidCoefficients
from optgap.envs.finray.config import FinRayConfig
from optgap.envs.finray.surrogate import Surrogate

TRUE = FluidCoefficients(circulation=0.9, suction=0.7, normal_drag=3.0, tangential_drag=0.14, crossflow_drag=0.6)


def recorded(seed=0, coefficients=TRUE, few=True):
    """A recording of the surrogate instead of the high fidelity."""
    import ray_actuations
    import ray_fitting

    actuations = ray_actuations.draw_actuations(seed)
    if few:  # the first of a family, and the last, which is held out
        actuations = [a for a in actuations if a.seed % 100 == 0 or a.held_out]
    demand = np.array([a.demand for a in actuations])
    rows = np.zeros(demand.shape, np.float32)
    blank = ray_actuations.Recording(
        family=np.array([a.family for a in actuations]),
        seed=np.array([a.seed for a in actuations]),
        held_out=np.array([a.held_out for a in actuations]),
        demand=demand,
        thrust=rows,
        lateral=rows,
        work=rows,
        angle=np.zeros((*demand.shape, 5), np.float32),
        tip=np.zeros((*demand.shape, 2), np.float32),
        setting=ray_actuations.setting(),
    )
    found = ray_fitting.simulate(coefficients, ray_fitting.moments(blank))
    values = {name: found[name].astype(np.float32) for name in ("thrust", "lateral", "work", "angle")}
    tip = np.stack([np.ones_like(values["thrust"]), found["tip"].astype(np.float32)], 2)
    return dataclasses.replace(blank, **values, tip=tip)


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """Stands for what the package holds."""
    import fit_fin_ray
    import ray_actuations
    from optgap.envs.finray import coefficients

    path = tmp_path / "package" / "recordings.npz"
    path.parent.mkdir()
    monkeypatch.setattr(fit_fin_ray, "SHIPPED", path)
    monkeypatch.setattr(coefficients, "SHIPPED", path.with_name("surrogate.json"))
    ray_actuations.save(path, recorded())
    return path


def test_actuations_are_of_all_families_and_some_of_each_are_held_out():
    from ray_actuations import COUNTS, draw_actuations

    found, again, other = draw_actuations(0), draw_actuations(0), draw_actuations(1)
    assert len({a.seed for a in (*found, *other)}) == 2 * len(found) == 90
    for family, (fitted, held_out) in COUNTS.items():
        mine = [a.held_out for a in found if a.family == family]
        assert (mine.count(False), mine.count(True)) == (fitted, held_out)
    for one, two, three in zip(found, again, other, strict=True):
        np.testing.assert_array_equal(one.demand, two.demand)
        assert (one.demand != three.demand).any()
        assert one.demand.shape == (200,)
        assert np.abs(one.demand).max() <= 1
        assert np.ptp(one.demand) > 0.2
    for a in found:
        if a.family in ("square", "bang-bang"):
            assert len(np.unique(np.abs(a.demand))) == 1


def test_moments_and_series_are_those_of_the_environment():
    import ray_fitting

    recording, config = recorded(), FinRayConfig()
    copies = len(recording.demand)
    batch = config.batch(copies)
    batch.rays = Surrogate(copies, config.ray, coefficients=TRUE)
    for b in range(copies):
        batch.put(b, Start("straight", np.zeros(2)))
    batch.restart(np.ones(copies, np.bool_))
    wanted = ray_fitting.moments(recording)
    for step in range(60):
        batch.step(recording.demand[:, step, None].astype(np.float64), np.zeros(copies, np.bool_))
        np.testing.assert_allclose(batch.rays.motion.moment, wanted[:, step], atol=1e-12)
        np.testing.assert_allclose(batch.rays.motion.work, recording.work[:, step], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(batch.tips[:, step + 1, 1], recording.tip[:, step, 1], atol=1e-6)


def test_errors_are_what_they_are_said_to_be():
    from ray_fitting import errors

    zero = np.zeros((1, 2))
    wanted = {"thrust": [3.0, -1.0], "lateral": [4.0, 0.0], "work": [2.0, -5.0], "tip": [-1.0, 1.0]}
    found = {"thrust": [3.0, 0.0], "lateral": [7.0, 0.0], "work": [3.0, 0.0], "tip": [-1.0, 0.5]}
    rows = [{name: zero + np.array(row) for name, row in one.items()} for one in (found, wanted)]
    seen = {name: value.item() for name, value in errors(rows[0], rows[1]).items()}
    assert seen == pytest.approx({
        "mean thrust": 0.5 / 2,  # 1.5 instead of 1, of a mean size of 2
        "thrust": 1 / np.sqrt(10),
        "lateral": 3 / 4,
        "force": (3 + 1) / (5 + 1),
        "power": 0.5,
        "tip": 0.25,
    })  # fmt: skip


def test_a_fit_finds_the_coefficients_that_a_recording_was_made_with():
    import ray_fitting

    counts = []
    recording = recorded()
    recording = recording.select(~recording.held_out)
    found = ray_fitting.fit(recording, 400, lambda count, least: counts.append((count, least)))
    assert [count for count, _ in counts] == list(range(1, len(counts) + 1))
    assert counts[-1][1] < 0.01 * counts[0][1]
    for name in ("added_mass", "circulation", "suction", "normal_drag", "tangential_drag", "crossflow_drag"):
        assert getattr(found, name) == pytest.approx(getattr(TRUE, name), rel=0.05)


def test_held_out_actuations_have_no_part_in_it(call, shipped, tmp_path):
    import ray_actuations

    answer = call("fit_fin_ray", "evaluations=30", "out=one")
    assert answer.code == 0, answer.err
    recording = ray_actuations.load(shipped)
    wrong = recording.thrust + 10 * recording.held_out[:, None].astype(np.float32)
    ray_actuations.save(shipped, dataclasses.replace(recording, thrust=wrong))
    answer = call("fit_fin_ray", "evaluations=30", "folds=2", "out=two")
    assert answer.code == 0, answer.err
    one, two = (json.loads((tmp_path / name / "errors.json").read_text()) for name in ("one", "two"))
    assert one["coefficients"] == two["coefficients"]
    assert one["errors"]["fitted"] == two["errors"]["fitted"]
    assert two["errors"]["held out"]["all"]["thrust"] > one["errors"]["held out"]["all"]["thrust"] + 0.5
    assert set(two["errors"]["cross-validated"]) == {
        "sinusoid",
        "two-tone",
        "random",
        "steps",
        "square",
        "bang-bang",
        "all",
    }
    assert (tmp_path / "two" / "errors.png").stat().st_size > 10_000
    assert not shipped.with_name("surrogate.json").exists()


def test_recording_goes_on_where_it_was_interrupted_and_is_shipped(call, shipped, tmp_path, monkeypatch):
    import fit_fin_ray
    import ray_actuations

    whole, asked = recorded(seed=3, few=False), []

    def stopping(actuations):
        for k, actuation in enumerate(actuations):
            asked.append(actuation.seed)
            if k == 20:
                raise KeyboardInterrupt
            yield whole.select(whole.seed == actuation.seed)

    monkeypatch.setattr(fit_fin_ray, "record", stopping)
    arguments = ("fit_fin_ray", "generate=true", "seed=3", "evaluations=1", "ship=true", "out=anew")
    for left in (25, 5):
        assert call(*arguments).code == 130
        assert len(list((tmp_path / "anew" / "recordings").glob("*.npz"))) == 45 - left
    answer = call(*arguments)
    assert answer.code == 0, answer.err
    assert len(asked) == 20 + 1 + 20 + 1 + 5
    kept = ray_actuations.load(shipped)
    for name in ("seed", "demand", "thrust", "angle"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(whole, name))
    written = json.loads((tmp_path / "anew" / "errors.json").read_text())["coefficients"]
    found = FluidCoefficients.load(shipped.with_name("surrogate.json"))
    assert json.loads(json.dumps(dataclasses.asdict(found))) == written


def test_the_high_fidelity_is_recorded_from_rest(monkeypatch):
    import ray_actuations

    monkeypatch.setattr(ray_actuations, "STEPS", 3)
    push = ray_actuations.Actuation("square", 7, True, np.ones(3, np.float32))
    rest = ray_actuations.Actuation("still", 8, False, np.zeros(3, np.float32))
    found = ray_actuations.joined(list(ray_actuations.record([push, rest])))
    assert found.seed.tolist() == [7, 8]
    assert found.held_out.tolist() == [True, False]
    assert (found.thrust < 0).all()
    assert (np.diff(found.angle[0, :, 0], prepend=0) > 0).all()
    assert (found.work[0] > 0).all()
    assert np.abs(found.tip[1, :, 1]).max() < 1e-4 < np.abs(found.tip[0, :, 1]).min()
    assert found.angle.shape == (2, 3, 5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["evaluations=0"], "evaluations=0; expected at least 1"),
        (["folds=-1"], "folds=-1; expected at least 0"),
        (["folds=1"], "folds=1; expected 0, or at least 2"),
        (["folds=1000"], "folds=1000; expected at most 30, the recordings to fit to"),
        (["seed=x"], "seed"),
    ],
)
def test_bad_input_is_one_line(refuses, arguments, said):
    assert said in refuses("fit_fin_ray", *arguments)


def test_a_file_of_something_else_is_one_line(shipped, refuses, monkeypatch):
    import ray_actuations

    recording = ray_actuations.load(shipped)
    ray_actuations.save(shipped, dataclasses.replace(recording, setting="{}"))
    assert "was recorded with {}" in refuses("fit_fin_ray")
    ray_actuations.save(shipped, dataclasses.replace(recording, thrust=recording.thrust * np.float32(np.nan)))
    assert "holds numbers that are not finite" in refuses("fit_fin_ray")
    shipped.write_bytes(b"no archive")
    assert "no recording of the fin ray" in refuses("fit_fin_ray")
    shipped.unlink()
    assert "no recording of the fin ray" in refuses("fit_fin_ray")


def test_the_shipped_coefficients_keep_the_bar_on_the_shipped_recordings():
    import fit_fin_ray
    import ray_actuations
    from optgap.envs.finray.coefficients import SHIPPED

    assert fit_fin_ray.SHIPPED.stat().st_size < 2**20
    recording = ray_actuations.load(fit_fin_ray.SHIPPED)
    demands = [a.demand for a in ray_actuations.draw_actuations(0)]
    np.testing.assert_array_equal(recording.demand, demands)
    held_out = recording.select(recording.held_out)
    seen = fit_fin_ray.rated(FluidCoefficients.load(), held_out)
    said = json.loads(SHIPPED.read_text())["errors"]["held out"]
    for family, row in seen.items():
        assert row == pytest.approx(said[family], rel=1e-6)
    assert max(row["mean thrust"] for row in seen.values()) < 0.15
    assert seen["all"]["power"] < 0.1
    assert (
        seen["all"]["force"] < 0.2
    )  # fast changes of the moment make sound in the flow, which the surrogate has none of
