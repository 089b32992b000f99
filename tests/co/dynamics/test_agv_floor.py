"""Impacts and rays: values by hand, and against sampling and a ray caster over edges."""

from __future__ import annotations

import math

import agv_reference as reference
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.co.dynamics import agv_floor
from optgap.co.dynamics.agv_floor import NEVER, Floors, box_impact, disc_impact, floor_impact, ray, ray_disc

R = 0.3
BOX = (1.0, 1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("start", "move", "time"),
    [
        ((0.0, 2.0), (2.0, 0.0), 0.35),  # head-on: 0.7 of 2 m
        ((4.0, 2.0), (-4.0, 0.0), 1.7 / 4),
        ((1.5, 0.0), (0.0, 1.0), 0.7),
        ((1.5, 0.0), (0.0, 0.69), NEVER),  # 1 cm short
        ((0.0, 0.0), (2.0, 2.0), (math.sqrt(2) - R) / math.sqrt(8)),  # at the corner, along its diagonal
        ((3.0, 4.0), (-1.0, -1.0), (math.sqrt(2) - R) / math.sqrt(2)),
        ((0.0, 0.82), (2.0, 0.0), (1 - math.sqrt(R**2 - 0.18**2)) / 2),  # 0.18 m below the corner: 0.24 m before it
        ((0.0, 0.7 - 1e-8), (4.0, 0.0), NEVER),  # grazing the face
        ((0.0, 0.7 + 1e-8), (4.0, 0.0), (1 - math.sqrt(R**2 - (R - 1e-8) ** 2)) / 4),
        ((1.0, 0.7), (1.0, 0.0), NEVER),  # along the face in contact
        ((1.0, 0.7), (1.0, -0.1), NEVER),  # away from it
        ((1.0, 0.7), (1.0, 0.1), 0.0),  # into it
        ((-50.0, 2.0), (1000.0, 0.0), 0.0507),  # a thin wall is no tunnel for a fast vehicle
        ((5.0, 5.0), (0.0, 0.0), NEVER),
    ],
)
def test_impact_with_a_box_by_hand(start, move, time) -> None:
    assert box_impact(*start, *move, *BOX, R) == pytest.approx(time, abs=1e-6)


def test_grazing_a_corner_circle() -> None:
    away = np.array([1.0, -1.0]) / math.sqrt(2)  # from the corner (1, 1), at right angles to the motion (1, 1)
    for radius, meets in ((R - 1e-8, True), (R + 1e-8, False)):
        x, y = np.array([2.0, 1.0]) + radius * away - 1.0
        assert (box_impact(x, y, 2.0, 2.0, 0.0, 1.0, 2.0, 3.0, R) < NEVER) == meets


def test_impact_with_a_disc_by_hand() -> None:
    assert disc_impact(-2.0, 0.0, 4.0, 0.0, 0.6) == pytest.approx(0.35)
    assert disc_impact(-2.0, 0.36, 4.0, 0.0, 0.6) == pytest.approx((2 - 0.48) / 4)
    assert disc_impact(-2.0, 0.6 + 1e-8, 4.0, 0.0, 0.6) == NEVER
    assert disc_impact(-2.0, 0.0, -4.0, 0.0, 0.6) == NEVER
    assert disc_impact(0.1, 0.0, -0.05, 0.0, 0.6) == 0.0  # it overlaps and comes nearer
    assert disc_impact(0.1, 0.0, 0.05, 0.0, 0.6) == NEVER


@settings(max_examples=100)
@given(st.integers(0, 2**32), st.floats(0.01, 30))
def test_impact_is_the_first_time_at_which_a_sampled_distance_is_the_radius(seed: int, length: float) -> None:
    instance = reference.random_instance(seed, boxes=6)
    floors = Floors(1)
    floors.put(0, instance.bounds, instance.boxes)
    angle = seed % 628 / 100
    start, move = instance.start[:2], length * np.array([math.cos(angle), math.sin(angle)])
    found = floor_impact(floors.arrays, 0, *start, *move, R)
    times = np.linspace(0, min(found, 1.0), 1000)[:, None]
    assert reference.room(start + times * move, instance).min() >= R
    if found < NEVER:
        assert reference.room(start + found * move, instance) <= R + 1e-8
        assert reference.room(start + (found + 1e-5) * move, instance) < R


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.integers(0, 40), st.sampled_from([12.0, 30.5]), st.sampled_from([0.7, 4.0, 50.0]))
def test_rays_are_those_of_a_caster_over_edges(seed: int, boxes: int, side: float, bucket: float) -> None:
    instance = reference.random_instance(seed, boxes=boxes, side=side)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agv_floor, "BUCKET", bucket)
        floors = Floors(1)
        floors.put(0, instance.bounds, instance.boxes)
    for angle in np.random.default_rng(seed).uniform(-4, 4, 12):
        found = ray(floors.arrays, 0, *instance.start[:2], math.cos(angle), math.sin(angle), 8.0)
        assert found == pytest.approx(reference.cast(instance, instance.start[:2], angle, 8.0), abs=1e-9)


@pytest.mark.parametrize(
    ("origin", "way", "distance"),
    [
        ((1.0, 2.0), (1.0, 0.0), 2.0),  # on the lines between buckets, along the axes
        ((3.5, 7.0), (0.0, -1.0), 3.0),
        ((9.0, 3.5), (-1.0, 0.0), 4.0),
        ((1.0, 4.5), (1.0, 0.0), 9.0),  # the wall
        ((1.0, 1.0), (-math.sqrt(0.5), -math.sqrt(0.5)), math.sqrt(2)),  # the hall's corner
        ((2.0, 0.0), (math.sqrt(0.5), math.sqrt(0.5)), math.sqrt(8)),  # through corners of buckets, to the lower face
    ],
)
def test_rays_on_the_lines_of_the_buckets(monkeypatch, origin, way, distance) -> None:
    monkeypatch.setattr(agv_floor, "BUCKET", 1.0)
    floors = Floors(1)
    floors.put(0, np.array([0.0, 0.0, 10.0, 10.0]), np.array([[3.0, 2.0, 5.0, 4.0]]))
    assert ray(floors.arrays, 0, *origin, *way, 20.0) == pytest.approx(distance, abs=1e-9)


def test_a_hall_has_no_more_buckets_than_are_allowed(monkeypatch) -> None:
    monkeypatch.setattr(agv_floor, "MOST_BUCKETS", 50)
    floors = Floors(1)
    floors.put(0, np.array([-400.0, 0.0, 400.0, 200.0]), np.array([[30.0, 2.0, 31.0, 199.0]]))
    assert floors.arrays.first.shape[1] <= 100
    assert ray(floors.arrays, 0, -300.0, 50.0, 1.0, 0.0, 900.0) == pytest.approx(330)
    assert ray(floors.arrays, 0, 300.0, 50.0, -1.0, 0.0, 200.0) == 200


def test_ray_to_a_disc_by_hand() -> None:
    assert ray_disc(2.0, 0.18, 1.0, 0.0, 0.3, 8.0) == pytest.approx(2 - 0.24)
    assert ray_disc(2.0, 0.31, 1.0, 0.0, 0.3, 8.0) == 8.0
    assert ray_disc(-2.0, 0.0, 1.0, 0.0, 0.3, 8.0) == 8.0
    assert ray_disc(9.0, 0.0, 1.0, 0.0, 0.3, 8.0) == 8.0
    assert ray_disc(0.1, 0.0, 1.0, 0.0, 0.3, 8.0) == 0.0


def test_copies_share_equal_floors_and_idle_ones_are_replaced() -> None:
    bounds = np.array([0.0, 0.0, 5.0, 5.0])
    boxes = [np.array([[1.0 + 0.1 * k, 1.0, 2.0 + 0.1 * k, 2.0]] * (k + 1)) for k in range(9)]
    floors = Floors(3)
    for b in range(3):
        floors.put(b, bounds, boxes[0])
    assert len(floors.arrays.side) == 1
    for k in range(60):
        floors.put(k % 3, bounds, boxes[k * 7 % 9])
        for b in range(max(0, k - 2), k + 1):  # each copy has what it was given
            m, last = floors.of[b % 3], boxes[b * 7 % 9]
            np.testing.assert_array_equal(floors.arrays.boxes[m, : len(last)], last)
            assert ray(floors.arrays, m, 0.5, 1.5, 1.0, 0.0, 9.0) == pytest.approx(last[0, 0] - 0.5)
    assert len(floors.arrays.side) <= 4
