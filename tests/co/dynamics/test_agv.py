"""Motion of vehicles: nothing is ever overlapped or crossed, kinematics against Euler steps, costs and sights by hand."""

from __future__ import annotations

import math

import agv_reference as reference
import numpy as np
import pytest
from agv_reference import Simulation
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.co.dynamics import agv
from optgap.co.problems.path_planning import PATH_PLANNING, PathPlanningInstance, distance_to_box

R = 0.3


def hall(**fields):
    """Empty, 20 x 10 m; the vehicle looks along x from (2, 5)."""
    return PathPlanningInstance(
        **{"bounds": [0, 0, 20, 10], "start": [2.0, 5.0, 0.0], "route": [[18.0, 5.0]], "name": "hall"} | fields
    )


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.floats(0.01, 10), st.booleans())
def test_no_box_or_wall_is_overlapped_or_crossed_at_any_dt(seed: int, dt: float, car: bool) -> None:
    instance = reference.random_instance(seed, boxes=10, dt=dt, max_speed=3.0)
    simulation = Simulation(instance, car=car)
    rng = np.random.default_rng(seed)
    for _ in range(40):
        simulation.step(*rng.uniform([-0.2, -1], 1))
        hit = simulation.fleet.cost[0, 0] > 0
        left = float(reference.room(simulation.position, instance))
        assert left >= R
        assert not hit or (left <= R + 1e-8 and simulation.fleet.speed[0] == 0)
    path = simulation.fleet.path[0, :41]
    between = path[:-1] + np.linspace(0, 1, 100)[:, None, None] * np.diff(path, axis=0)
    assert reference.room(between, instance).min() >= R
    for box in instance.boxes:
        assert distance_to_box(path, box).min() >= R


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.floats(0.05, 3))
def test_other_vehicles_are_met_at_the_first_contact(seed: int, dt: float) -> None:
    instance = reference.random_instance(seed, boxes=3, others=5, dt=dt, side=9.0)
    simulation, rng, apart = Simulation(instance), np.random.default_rng(seed), R + instance.other_radius
    shares = np.linspace(0, 1, 2000)[:, None]
    for _ in range(30):
        start, before = simulation.position, simulation.fleet.before
        clear = all(np.hypot(*(other - start)) >= apart for other in simulation.fleet.places[0, 1:])
        simulation.step(*rng.uniform([-0.2, -1], 1))
        after = simulation.fleet.places[0, 1:]
        others = before[0, 1:] + shares[:, None] * (after - before[0, 1:])  # (2000, V, 2)
        if simulation.fleet.cost[0, 0] == 0 and clear:
            centre = start + shares * (simulation.position - start)
            assert np.linalg.norm(others - centre[:, None], axis=2).min(initial=9) >= apart
        elif clear:  # it stood at some time of the step at which it touched something
            touched = np.linalg.norm(others - simulation.position, axis=2).min(initial=9) <= apart + 5 * dt / 2000
            assert touched or reference.room(simulation.position, instance) <= R + 1e-8


def test_two_vehicles_head_on_by_hand() -> None:
    loop = [[8.0, 5.0], [2.0, 5.0]]  # comes at 2 m/s; both are 6 m apart, edges 5.4 m
    instance = hall(loops=[loop], loop_speeds=[2.0], loop_phases=[0.0], dt=2.5)
    simulation = Simulation(instance)
    simulation.fleet.speed[0] = 1.0
    simulation.step(1.0, 0.0)  # they meet after 5.4 m / 3 m/s = 1.8 s
    assert simulation.position == pytest.approx([3.8, 5.0], abs=1e-8)
    assert simulation.fleet.cost[0].tolist() == [1.0, 0.0]
    assert simulation.fleet.speed[0] == 0.0
    assert simulation.fleet.length[0] == pytest.approx(1.8)


def test_a_step_has_its_chord_and_its_limits_by_hand() -> None:
    simulation = Simulation(hall())
    simulation.step(1.0, 1.0)  # 0.2 m/s and 0.8 rad/s after 0.2 s
    assert simulation.fleet.speed[0] == pytest.approx(0.2)
    assert simulation.fleet.turn[0] == pytest.approx(0.8)
    assert simulation.fleet.heading[0] == pytest.approx(0.16)
    chord = 2 * 0.25 * math.sin(0.08)  # of an arc of 0.16 rad and radius 0.25 m
    assert simulation.position == pytest.approx([2 + chord * math.cos(0.08), 5 + chord * math.sin(0.08)])
    for _ in range(20):
        simulation.step(-1.0, -1.0)
    assert simulation.fleet.speed[0] == pytest.approx(-0.3)
    assert simulation.fleet.turn[0] == pytest.approx(-1.5)
    simulation.step(-0.7 / 1.3, 0.0)  # the action that demands a standstill
    assert simulation.fleet.speed[0] == pytest.approx(-0.1)


@pytest.mark.parametrize("car", [False, True])
def test_motion_is_that_of_fine_euler_steps(car: bool) -> None:
    instance, rng, fine = hall(bounds=[-50, -50, 50, 50]), np.random.default_rng(4), 4000
    simulation = Simulation(instance, car=car)
    x, y, heading = instance.start
    speed = turn = steer = 0.0
    for _ in range(25):
        forward, sideways = rng.uniform(-1, 1, 2)
        simulation.step(forward, sideways)
        speed += np.clip(-0.3 + 1.3 * (forward + 1) / 2 - speed, -0.2, 0.2)
        if car:
            steer += np.clip(0.6 * sideways - steer, -0.3, 0.3)
            turn = speed * math.tan(steer) / 0.4
        else:
            turn += np.clip(1.5 * sideways - turn, -0.8, 0.8)
        angles = heading + turn * 0.2 * (np.arange(fine) + 0.5) / fine
        x, y = x + speed * 0.2 * np.cos(angles).mean(), y + speed * 0.2 * np.sin(angles).mean()
        heading += turn * 0.2
        assert simulation.position == pytest.approx([x, y], abs=1e-7)
        assert math.remainder(simulation.fleet.heading[0] - heading, 2 * math.pi) == pytest.approx(0, abs=1e-12)
        assert -math.pi <= simulation.fleet.heading[0] <= math.pi


@pytest.mark.parametrize("car", [False, True])
@pytest.mark.parametrize("parts", [2, 5])
def test_straight_driving_is_the_same_in_shorter_steps(car: bool, parts: int) -> None:
    boxes = [[9.0, 5.2, 10.0, 6.0]]  # met with a corner
    coarse, fine = (Simulation(hall(boxes=boxes, dt=dt), car=car) for dt in (1.0, 1.0 / parts))
    coarse.fleet.speed[0] = fine.fleet.speed[0] = 1.0
    for _ in range(6):
        coarse.step(1.0, 0.0)
        for _ in range(parts):
            fine.step(1.0, 0.0)
        np.testing.assert_allclose(coarse.position, fine.position, atol=1e-12)
    for _ in range(4):
        coarse.step(1.0, 0.0)
        for _ in range(parts):
            fine.step(1.0, 0.0)
    stop = 9 - math.sqrt(0.3**2 - 0.2**2)
    np.testing.assert_allclose([coarse.position, fine.position], [[stop, 5.0]] * 2, atol=1e-8)


def test_a_vehicle_at_a_wall_turns_away_and_a_car_backs_off() -> None:
    for car in (False, True):
        simulation = Simulation(hall(start=[19.0, 5.0, 0.0]), car=car)
        for _ in range(20):
            simulation.step(1.0, 0.5)
        assert simulation.fleet.cost[0, 0] == (1.0 if car else 0.0)
        assert reference.room(simulation.position, simulation.instance) >= R
        if car:
            simulation.step(-1.0, 0.0)
            assert simulation.fleet.cost[0, 0] == 0.0
            assert reference.room(simulation.position, simulation.instance) > R + 0.01


@settings(max_examples=40)
@given(st.integers(0, 2**32))
def test_movers_are_where_the_instance_says(seed: int) -> None:
    instance = reference.random_instance(seed, others=3, dt=0.7, target_phase=0.5)
    simulation = Simulation(instance)
    for t in range(1, 40):
        simulation.step(-1.0, 0.3)
        np.testing.assert_allclose(simulation.fleet.places[0, 0], instance.target_at(t * 0.7), atol=1e-9)
        np.testing.assert_allclose(simulation.fleet.places[0, 1:], instance.others_at(t * 0.7), atol=1e-9)


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.sampled_from([24, 5]))
def test_the_lidar_sees_boxes_walls_and_vehicles(seed: int, beams: int) -> None:
    instance = reference.random_instance(seed, boxes=8, others=4)
    simulation = Simulation(instance, beams=beams, reach=5.0)
    for _ in range(3):
        simulation.step(0.7, 0.4)
        heading, others = simulation.fleet.heading[0], simulation.fleet.places[0, 1:]
        if (np.hypot(*(others - simulation.position).T) < instance.other_radius).any():
            return  # one drives over the vehicle: every beam is 0
        angles = heading + np.arange(beams) * 2 * math.pi / beams
        expected = [reference.cast(instance, simulation.position, angle, 5.0, others) / 5.0 for angle in angles]
        np.testing.assert_allclose(simulation.fleet.seen[0, :beams], expected, atol=1e-6)


def test_an_observation_by_hand() -> None:
    lanes = [
        [1.0, 4.0, 3.0, 8.0, 1.0, 0.0],
        [1.0, 4.0, 9.0, 8.0, 0.0, 1.0],
    ]  # the first one that holds the centre counts
    instance = hall(start=[2.0, 5.0, math.pi / 2], route=[[5.0, 9.0]], lanes=lanes)
    seen = Simulation(instance, beams=4).fleet.seen[0]
    beams = [5 / 8, 2 / 8, 5 / 8, 1.0]  # up, left, down, right
    target = [5 / math.hypot(20, 10), 0.8, -0.6]  # 4 m ahead, 3 m to the right
    np.testing.assert_allclose(seen, [*beams, *target, 0, 0, -0.8, 0, 0, 1, 0, -1], atol=1e-7)


def test_metres_against_a_lane_by_hand() -> None:
    lanes = [[3.0, 0.0, 6.0, 10.0, -0.6, 0.8]]
    simulation = Simulation(hall(lanes=lanes))
    against = []
    for _ in range(30):
        simulation.step(1.0, 0.0)
        against.append((simulation.position[0], simulation.fleet.cost[0, 1]))
    steps = np.diff([2.0, *(x for x, _ in against)])
    for (x, cost), moved in zip(against, steps, strict=True):
        assert cost == pytest.approx(0.6 * moved if 3 <= x <= 6 else 0.0)
    assert sum(cost for _, cost in against) > 1.5


def test_the_target_counts_at_the_end_of_a_step_and_a_crash_counts_before_it() -> None:
    simulation = Simulation(hall(start=[17.0, 5.0, 0.0]), steps=9)
    rewards = []
    while not simulation.fleet.done[0]:
        simulation.step(1.0, 0.0)
        rewards.append(simulation.fleet.reward[0])
    assert rewards == [0.0, 0.0, 0.0, 0.0, 1.0]  # 0.04 + 0.08 + 0.12 + 0.16 + 0.2 m: the first beyond 0.5
    path = simulation.fleet.path[0, :6]
    PATH_PLANNING.check(simulation.instance, path)
    assert PATH_PLANNING.cost(simulation.instance, path) == pytest.approx(simulation.fleet.length[0])
    crash = Simulation(hall(start=[19.0, 5.0, 0.0], route=[[19.9, 5.0]], goal_radius=0.62), ends=True)
    while not crash.fleet.done[0]:
        crash.step(1.0, 0.0)
    assert (crash.fleet.reward[0], crash.fleet.success[0], crash.fleet.truncated[0]) == (1.0, 1.0, False)
    crash = Simulation(hall(start=[19.0, 5.0, 0.0], route=[[19.9, 5.0]], goal_radius=0.2001), ends=True)
    while not crash.fleet.done[0]:
        crash.step(1.0, 0.0)
    assert (crash.fleet.reward[0], crash.fleet.success[0], crash.fleet.truncated[0]) == (0.0, 0.0, False)
    assert crash.fleet.cost[0, 0] == 1.0


def test_arrays_grow_for_larger_instances_and_keep_the_others() -> None:
    halls, fleet = agv.empty_fleet(2, 5, 3)
    first = reference.random_instance(1, lanes=2)
    halls, fleet = agv.put_hall(halls, fleet, 0, first, 12)
    arc = halls.arc[0, 0].copy()
    halls, fleet = agv.put_hall(halls, fleet, 1, reference.random_instance(2, others=6, lanes=5), 12)
    np.testing.assert_array_equal(halls.arc[0, 0, : len(arc)], arc)
    assert (halls.arc[0, 0, len(arc) - 1 :] == arc[-1]).all()
    np.testing.assert_array_equal(halls.lanes[0, :2], first.lanes)
