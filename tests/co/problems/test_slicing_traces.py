"""Random cells and traces: laws, loads, seeds, files, what is refused."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicing_cases

from optgap.co.core import InputError
from optgap.co.formats.archives import OWN, read_archives, write_archive
from optgap.co.problems.slicing import SLICING, SlicingInstance
from optgap.co.problems.slicing_instances import load_slicing
from optgap.co.problems.slicing_traces import BLOCK_HERTZ, CONSTANT, PERIOD, SLOT_SECONDS, UNIFORM, Cell, draw_packets
from optgap.co.problems.slicing_traffic import TRAFFIC, cost_limits, cost_names

EVERY = ("voip", "video", "urllc", "best-effort")


def drawn(seed: int = 0, **arguments: Any) -> SlicingInstance:
    return SLICING.generate(np.random.default_rng(seed), **arguments)


def assert_same(a: SlicingInstance, b: SlicingInstance) -> None:
    for name in (item.name for item in fields(SlicingInstance) if item.name not in OWN):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), name)


def test_a_seed_is_a_trace() -> None:
    assert_same(drawn(3), drawn(3))
    assert drawn(3).packet_bits.tolist() != drawn(4).packet_bits.tolist()


def test_the_means_of_the_video_laws_are_the_published_ones() -> None:
    assert TRAFFIC["video"].gap.mean() == pytest.approx(6, rel=0.02)
    assert TRAFFIC["video"].size.mean() == pytest.approx(100, rel=0.02)


def test_gaps_and_sizes_follow_their_laws() -> None:
    cell = Cell(slices=EVERY, mix=(1, 1, 1, 1), users=40, load=1, variation="constant", decisions=1000)
    instance = cell.draw(np.random.default_rng(0))
    seconds = instance.n_slots * SLOT_SECONDS
    for s, traffic in enumerate(TRAFFIC[name] for name in EVERY):
        of = instance.user_slice[instance.packet_user] == s
        sizes = instance.packet_bits[of] / 8
        expected = 10 * seconds * 1e3 / traffic.gap.mean()
        assert of.sum() == pytest.approx(expected, abs=5 * np.sqrt(expected))
        assert sizes.mean() == pytest.approx(traffic.size.mean(), rel=0.03)
        assert traffic.bits_per_second() == pytest.approx(cell.offered_load()[s] / 10)
        slots = instance.packet_slot[of & (instance.packet_user == instance.packet_user[of][0])]
        gaps = np.diff(slots) * SLOT_SECONDS * 1e3
        low, high = {"uniform": (0, 160), "pareto": (2.5, 12.5), "exponential": (0, np.inf)}[traffic.gap.kind]
        assert gaps.min() >= low - 1.0  # a slot is half a millisecond
        assert gaps.max() <= high + 1.0
    video, urllc = (instance.packet_bits[instance.user_slice[instance.packet_user] == s] for s in (1, 2))
    assert video.min() == 320
    assert video.max() == 2000
    assert np.mean(video == 2000) == pytest.approx((40 / 250) ** 1.2, rel=0.1)  # what the cap collects
    assert sorted(set((urllc / 8e5).tolist())) == [3, 4, 5, 6, 7]


def test_arrivals_follow_the_load_as_it_varies() -> None:
    quiet, busy = (drawn(7, load=load, variation="constant", decisions=400) for load in (1, 3))
    assert busy.n_packets == pytest.approx(3 * quiet.n_packets, rel=0.05)
    assert drawn(load=0).n_packets == 0
    varied = Cell(slices=("video",), amplitude=1.0, decisions=10 * PERIOD)
    factors = varied.factors(np.random.default_rng(1))[0]
    instance = varied.draw(np.random.default_rng(1))
    arrived = np.bincount(instance.packet_slot // 100, minlength=varied.decisions).reshape(10, PERIOD).sum(0)
    assert factors.mean() == pytest.approx(1)
    assert (factors.min(), factors.max()) == (pytest.approx(0, abs=0.01), pytest.approx(2, abs=0.01))
    assert arrived.min() < 0.02 * arrived.max()


def test_regimes_have_two_levels_and_last() -> None:
    factors = Cell(variation="regime", amplitude=0.5, decisions=20_000).factors(np.random.default_rng(0))
    assert set(factors.ravel().tolist()) == {0.5, 1.5}
    assert factors.mean() == pytest.approx(1, abs=0.05)
    changes = (np.diff(factors) != 0).mean()
    assert changes == pytest.approx(1 / PERIOD, rel=0.1)  # half of the redraws change nothing
    assert (Cell(variation="constant").factors(np.random.default_rng(0)) == 1).all()


def test_the_channel_is_shannons() -> None:
    instance = drawn(users=2000, decisions=50, decision_slots=1)
    efficiency = instance.rate / (BLOCK_HERTZ * SLOT_SECONDS)
    # 46 dBm over 10 MHz at the edge, without shadowing and fading
    edge = np.log2(1 + 10 ** ((46 - 145.4 - 37.5 * np.log10(0.04) + 174 - 70) / 10))
    assert edge == pytest.approx(18.9, abs=0.1)
    # means over the disc of ln(40 m / distance), 1/2, and of the logarithm of the fading, minus Euler's constant
    mean = edge + (3.75 / 2 - np.euler_gamma) / np.log(2)
    assert efficiency.mean() == pytest.approx(mean, abs=0.15)
    fading = np.log2(-np.log(np.random.default_rng(0).random(100_000)))
    assert np.std(efficiency - efficiency.mean(0)) == pytest.approx(fading.std(), rel=0.03)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [47, 47, 6]),
        ({"users": 25}, [12, 12, 1]),
        ({"users": 4, "mix": (1000, 1, 0)}, [2, 1, 1]),
        ({"users": 3}, [1, 1, 1]),
        ({"users": 7, "mix": (1, 1, 1)}, [3, 2, 2]),
        ({"slices": EVERY}, [43, 43, 5, 9]),
    ],
)
def test_users_are_split_in_the_parts_of_the_mix(arguments: dict[str, Any], expected: list[int]) -> None:
    cell = Cell(**arguments)
    assert cell.users_of_slices().tolist() == expected
    assert np.bincount(cell.draw(np.random.default_rng(0)).user_slice).tolist() == expected


def test_the_default_cell_is_loaded_but_not_overloaded() -> None:
    needed = []
    for seed in range(8):
        instance = drawn(seed)
        rate = instance.rate[instance.packet_slot // instance.decision_slots, instance.packet_user]
        needed.append((instance.packet_bits / rate).sum() / instance.blocks / instance.n_slots)
    assert 0.7 < np.mean(needed) < 0.9


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"users": 0}, "users is 0"),
        ({"users": 2}, "at least one for each of 3 slices"),
        ({"users": 1.5}, "users is 1.5"),
        ({"users": 10**6, "decisions": 10**6}, "products up to"),
        ({"bandwidth": 0}, "bandwidth is 0"),
        ({"bandwidth": float("nan")}, "bandwidth is nan"),
        ({"load": -1}, "load is -1; expected numbers from 0 to 10000"),
        ({"load": (1, -1, 1)}, "load is -1"),
        ({"load": (1, 1)}, r"load is \(1, 1\); expected one number, or 3"),
        ({"load": "much"}, "load is 'much'"),
        ({"mix": (0, 0, 0)}, "mix is"),
        ({"amplitude": 2}, "amplitude is 2"),
        ({"slices": ()}, "at least one"),
        ({"slices": ("voip", "voip")}, "each type once"),
        ({"slices": ("fax",)}, "slice type is 'fax'; expected of voip, video"),
        ({"variation": "chaos"}, "variation is 'chaos'; expected of constant, sinusoid, regime"),
        ({"reward": "fame"}, "reward is 'fame'"),
        ({"queue": 0}, "queue is 0"),
    ],
)
def test_a_cell_that_is_none_is_one_line(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        Cell(**arguments)
    assert "\n" not in str(error.value)


def test_costs_have_names_and_limits() -> None:
    assert cost_names(("video", "urllc")) == ("latency/video", "latency/urllc", "drop/video", "drop/urllc")
    assert cost_limits(("video", "urllc")) == (0.2, 0.85, 0.01, 0.02)


def test_traces_are_kept_in_files(tmp_path: Path) -> None:
    instance = drawn(1, users=5, decisions=3, reward="utility", name="mine")
    write_archive(tmp_path / "b.npz", instance)
    write_archive(tmp_path / "a.npz", slicing_cases.by_hand())
    again = load_slicing(tmp_path / "b.npz")
    assert again.name == "b"
    assert_same(again, instance)
    assert [i.name for i in read_archives(SlicingInstance, tmp_path)] == ["a", "b"]
    assert len(read_archives(SlicingInstance, tmp_path / "a.npz")) == 1
    assert_same(load_slicing("slicing-25-s4"), drawn(4, users=25))


def test_what_is_no_trace_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    np.savez(tmp_path / "other.npz", rate=np.zeros(3))
    write_archive(tmp_path / "right.npz", slicing_cases.by_hand())
    with np.load(tmp_path / "right.npz") as right:
        arrays = dict(right)
    np.savez(tmp_path / "wrong.npz", **(arrays | {"blocks": np.array(-1.0)}))
    np.savez(tmp_path / "objects.npz", **(arrays | {"slices": np.array([{}], object)}))
    for name, said in (
        ("text.npz", "is no SlicingInstance"),
        ("other.npz", "is no SlicingInstance"),
        ("wrong.npz", "blocks is -1.0"),
        ("objects.npz", "is no SlicingInstance"),
        ("missing.npz", "no such file"),
        ("slicing-five-s1", "expected slicing-<users>-s<seed>"),
    ):
        with pytest.raises(InputError, match=said) as error:
            load_slicing(tmp_path / name)
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="no SlicingInstance in"):
        read_archives(SlicingInstance, Path(__file__).parent)
    with pytest.raises(InputError, match=r"ends in \.npz"):
        write_archive(tmp_path / "a.txt", slicing_cases.by_hand())
    with pytest.raises(InputError, match="cannot be written"):
        write_archive(tmp_path / "no" / "a.npz", slicing_cases.by_hand())


def test_a_trace_that_is_longer_than_expected_is_whole() -> None:
    clock, of = np.linspace([0.0], [10_000.0], 101).T, np.zeros(3, np.int64)
    kinds, parameters = np.array([[UNIFORM, CONSTANT]]), np.array([[[0.0, 1.0, 0.0], [7.0, 0.0, 0.0]]])
    expected_gap = np.array([30.0])  # the true one is 0.5 ms, so that the arrays are too short at first
    rng = np.random.default_rng(0)
    slot, user, bits = draw_packets(rng, clock, of, kinds, parameters, expected_gap, 100)
    assert len(slot) == pytest.approx(3 * 20_000, rel=0.02)
    assert (np.diff(slot * 3 + user) >= 0).all()
    assert set(bits.tolist()) == {56}
    for u in range(3):  # packets a second, in every tenth of the trace
        assert np.bincount(slot[user == u] // 1000) == pytest.approx(np.full(10, 2000), rel=0.1)
