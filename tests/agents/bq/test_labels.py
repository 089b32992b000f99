"""Labels: the same for the same seeds, whoever makes them; shards that can be repaired; a pool that loses nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optgap.agents.bq import labels as module
from optgap.agents.bq.labels import TASKS, LabelStore, Pool, make_shard, task_of
from optgap.co.core import PROBLEMS, InputError
from optgap.co.problems.tsp import TSPInstance
from optgap.envs.registry import ENVIRONMENTS
from optgap.envs.routing.config import KnapsackConfig, TSPConfig

SMALL = {"tsp": {"nodes": 7}, "atsp": {"nodes": 7}, "cvrp": {"customers": 7}, "op": {"nodes": 8}, "kp": {"items": 8}}


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARD", 6)


def held(pool: Pool, rng: np.random.Generator) -> dict[str, Any]:
    labels, count = pool.draw(rng)
    return {name: array[:count] for name, array in labels.items()}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("problem", TASKS)
def test_labels_are_solutions(problem: str, small_shards: None) -> None:
    """Those of the heuristics are feasible (in the order of the label) and better than a random policy's would be."""
    config = ENVIRONMENTS.load(problem)(**SMALL[problem])
    draw, task, definition = config.source(), task_of(problem), PROBLEMS.load(problem)
    seeds = [5, 6, 7]
    instances = [draw(np.random.default_rng(seed)) for seed in seeds]
    labels = task.label(draw, seeds, 1.0)
    again = task.label(draw, seeds, 1.0)
    assert same(dict(labels), dict(again))
    for row, instance in enumerate(instances):
        if problem == "tsp":
            where = (labels["xy"][row][:, None] == instance.positions.astype(np.float32)).all(2)
            solution = where.argmax(1)
        elif problem == "atsp":
            solution = None  # the matrix in the order of the tour: its length is what the label says
            ring = labels["matrix"][row]
            length = ring[np.arange(7), (np.arange(7) + 1) % 7].sum()
            assert length <= definition.cost(instance, np.arange(7)) + 1e-6
        elif problem == "cvrp":
            order, route = labels["order"][row], labels["route"][row]
            solution = np.concatenate([[0, *order[route == r]] for r in range(route.max() + 1)])
        elif problem == "op":
            solution = labels["path"][row][labels["path"][row] >= 0]
        else:
            solution = np.flatnonzero(labels["chosen"][row])
        if solution is not None:
            definition.check(instance, solution)


def test_the_same_seeds_give_the_same_labels_in_any_process(tmp_path: Path) -> None:
    config = KnapsackConfig(items=5)
    here = LabelStore(config, tmp_path / "here", 1.0, 0).require(1)
    store = LabelStore(config, tmp_path / "there", 1.0, 1)
    try:
        there = store.require(1)
    finally:
        store.close()
    assert same(held(here, np.random.default_rng(0)), held(there, np.random.default_rng(0)))
    name = LabelStore(config, tmp_path, 1.0, 0).folder.name
    assert (tmp_path / "here" / name / "000000.npz").exists()
    assert (tmp_path / "there" / name / "000000.npz").exists()


def test_a_killed_process_gives_one_clear_line(tmp_path: Path) -> None:
    store = LabelStore(KnapsackConfig(items=5), tmp_path, 1.0, 1)
    try:
        store._begin(0)
        for process in list(store._executor._processes.values()):
            process.kill()
        with pytest.raises(InputError, match=r"was killed .*label_processes=0"):
            store.require(1)
        assert len(held(store.require(1), np.random.default_rng(0))["chosen"]) == module.SHARD  # a new one makes them
    finally:
        store.close()


@pytest.mark.parametrize("damage", ["truncated", "empty", "garbage"])
def test_a_damaged_shard_is_made_again(tmp_path: Path, damage: str, small_shards: None) -> None:
    config = KnapsackConfig(items=5)
    before = held(LabelStore(config, tmp_path, 1.0, 0).require(2), np.random.default_rng(0))
    (file,) = tmp_path.glob("*/000001.npz")
    whole = file.read_bytes()
    file.write_bytes({"truncated": whole[: len(whole) // 2], "empty": b"", "garbage": b"\x80\x04\x95" * 99}[damage])
    after = held(LabelStore(config, tmp_path, 1.0, 0).require(2), np.random.default_rng(0))
    assert same(before, after)
    assert len(before["chosen"]) == 12
    assert file.read_bytes() == whole
    assert not list(tmp_path.glob("*/*.partial"))


def test_shards_are_kept_and_their_folder_names_what_they_are_of(tmp_path: Path, small_shards: None) -> None:
    config = KnapsackConfig(items=5)
    store = LabelStore(config, tmp_path, 1.0, 0)
    assert len(held(store.require(2), np.random.default_rng(0))["chosen"]) == 12
    stamps = {file: file.stat().st_mtime_ns for file in tmp_path.glob("*/*.npz")}
    assert len(stamps) == 2
    told: list[str] = []
    LabelStore(config, tmp_path, 1.0, 0).require(3, told.append)
    assert len(told) == 3
    assert {file: file.stat().st_mtime_ns for file in stamps} == stamps
    folders = {LabelStore(config, tmp_path, 1.0, 0).folder for config in (config, KnapsackConfig(items=5, padding=9))}
    assert len(folders) == 1  # padding changes no instance
    for other in (KnapsackConfig(items=6), KnapsackConfig(items=5, capacity=2.0)):
        assert LabelStore(other, tmp_path, 1.0, 0).folder not in folders
    assert LabelStore(config, tmp_path, 2.0, 0).folder not in folders


def test_a_shard_has_one_size_and_the_sizes_are_drawn(tmp_path: Path, small_shards: None) -> None:
    config = KnapsackConfig(items=(3, 5))
    store = LabelStore(config, tmp_path, 1.0, 0)
    pool = store.require(12)
    rng, seen = np.random.default_rng(0), {}
    for _ in range(60):
        labels = held(pool, rng)
        seen[labels["chosen"].shape[1]] = len(labels["chosen"])
    assert set(seen) == {3, 4, 5}
    assert sum(seen.values()) == 12 * 6


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, small_shards: None) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="labels cannot be written") as error:
        make_shard(KnapsackConfig(items=5), 1.0, 0, tmp_path / "file" / "000000.npz")
    assert "\n" not in str(error.value)


def test_given_instances_have_one_size(tmp_path: Path) -> None:
    given = [TSPInstance(coordinates=np.random.default_rng(n).random((n, 2))) for n in (5, 6)]
    with pytest.raises(InputError, match="5 to 6 nodes; expected one size"):
        LabelStore(TSPConfig(instances=given), tmp_path, 1.0, 0)
    assert LabelStore(TSPConfig(instances=given[:1]), tmp_path, 1.0, 0).task is not None


def test_a_pool_groups_by_shape_and_loses_no_row() -> None:
    pool, rng = Pool(), np.random.default_rng(0)
    expected: dict[int, list[Any]] = {2: [], 3: []}
    for size, rows in ((2, 1), (3, 2), (2, 5), (2, 1), (3, 1), (2, 9), (3, 40)):  # a small part may come first
        part = rng.random((rows, size))
        pool.add({"a": part, "b": (10 * part[:, 0]).astype(np.int64)})
        expected[size].append(part)
    draws = {2: 0, 3: 0}
    for _ in range(2000):
        labels, count = pool.draw(rng)
        size = labels["a"].shape[1]
        draws[size] += 1
        if draws[size] == 1:
            whole = np.concatenate(expected[size])
            np.testing.assert_array_equal(labels["a"][:count], whole)
            np.testing.assert_array_equal(labels["b"][:count], (10 * whole[:, 0]).astype(np.int64))
    assert draws[3] / 2000 == pytest.approx(43 / 59, abs=0.04)


@pytest.mark.parametrize("problem", ["jssp", None])
def test_other_problems_are_refused(problem: str | None) -> None:
    with pytest.raises(InputError, match="tsp, atsp, cvrp, op, kp"):
        task_of(problem)
