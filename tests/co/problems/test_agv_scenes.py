"""Scenes of vehicles: lengths of their paths, draws that can be played, and named instances."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from optgap.co.core import InputError
from optgap.co.exact.visibility import VisibilityGraph, shortest_length
from optgap.co.problems.path_planning import PATH_PLANNING, check_playable, distances_to_boxes
from optgap.co.problems.path_planning_instances import load_path_planning, load_path_planning_folder, load_scenarios

GRID = "type octile\nheight 6\nwidth 8\nmap\n........\n..@@@...\n....@...\n@...@.TT\n........\n....W...\n"


@pytest.mark.parametrize(
    ("scene", "least", "most"),
    [
        ("simple-static", 80, 100),
        ("complex-static", 150, 200),
        ("simple-dynamic", 55, 100),
        ("complex-dynamic", 130, 200),
    ],
)
def test_scenes_take_about_as_many_steps_as_they_say(scene: str, least: float, most: float) -> None:
    """In steps of 0.2 m; the target is not seen from the start."""
    for seed in range(6):
        instance = load_path_planning(f"{scene}-s{seed}")
        assert least <= shortest_length(instance) / 0.2 <= most
        graph = VisibilityGraph(instance.bounds, instance.boxes, 0.01)
        assert not graph.is_clear(instance.start[:2], instance.target_at(0.0))
        assert instance.moves == scene.endswith("dynamic")


def test_seeds_draw_starts_headings_and_phases() -> None:
    drawn = [load_path_planning(f"complex-dynamic-s{seed}") for seed in (0, 1, 0)]
    assert drawn[0].start.tolist() == drawn[2].start.tolist() != drawn[1].start.tolist()
    assert drawn[0].target_phase == drawn[2].target_phase != drawn[1].target_phase
    many = np.array([load_path_planning(f"simple-static-s{seed}").start for seed in range(60)])
    assert (abs(many[:, :2] - 1.2) <= 0.5).all()
    assert np.ptp(many[:, 0]) > 0.8
    assert np.ptp(many[:, 2]) > 5


def test_warehouses_can_be_played_and_differ() -> None:
    layouts = set()
    for seed in range(25):
        instance = load_path_planning(f"warehouse-s{seed}")
        layouts.add(instance.boxes.tobytes())
        assert instance.bounds.tolist() == pytest.approx([0, 0, 19.2, 15.8])
        diagonal = np.hypot(*instance.bounds[2:])
        assert np.hypot(*(instance.start[:2] - instance.route[0])) >= diagonal / 3
        assert (distances_to_boxes(instance.start[:2], instance.boxes) >= 0.5).all()
        for v in range(len(instance.loops)):  # the others keep off all shelves
            for seconds in np.linspace(0, 60, 40):
                place = instance.others_at(seconds)[v]
                assert (distances_to_boxes(place, instance.boxes) >= 0.4 - 1e-9).all()
    assert len(layouts) == 25


def test_others_drive_as_the_lanes_say() -> None:
    kept = 0
    for seed in range(10):
        instance = PATH_PLANNING.generate(np.random.default_rng(seed), scene="warehouse", vehicles=6)
        for t in np.linspace(0, 40, 30):
            here, there = instance.others_at(t), instance.others_at(t + 1e-6)
            for a, b in zip(here, there, strict=True):
                for x0, y0, x1, y1, dx, dy in instance.lanes:
                    if x0 < a[0] < x1 and y0 < a[1] < y1:
                        assert (b - a) @ np.array([dx, dy]) >= -1e-9
                        kept += 1
    assert kept > 100


def test_parameters_of_a_warehouse() -> None:
    made = PATH_PLANNING.generate(
        np.random.default_rng(0),
        scene="warehouse",
        rows=3,
        columns=4,
        aisle=2.0,
        missing=0.0,
        vehicles=0,
        one_way=False,
        dt=0.1,
    )
    assert made.boxes.shape == (12, 4)
    assert len(made.lanes) == len(made.loops) == 0
    assert made.dt == 0.1
    assert made.bounds.tolist() == [0, 0, 4 * 4 + 5 * 2, 3 * 1 + 4 * 2]
    rng = np.random.default_rng(0)
    for changes, says in (
        ({"aisle": 0.5}, "aisle is 0.5; expected a number from 0.8 to 100000"),
        ({"rows": 0}, "rows is 0; expected a number from 1 to 300"),
        ({"columns": 10**30}, "columns is 1000000000000000000000000000000; expected a number from 1 to 300"),
        ({"rows": 2.0}, "rows is 2.0; expected a whole number"),
        ({"radius": -np.inf}, "radius is -inf; expected a number from 1e-06"),
        ({"aisle": 1e5}, "bounds of shape .*up to 100000"),
        ({"one_way": "no"}, "one_way is 'no'; expected true or false"),
        ({"rows": "a"}, "scene warehouse: rows is 'a'; expected a number"),
        ({"radius": None}, "radius is None; expected a number"),
        ({"max_speed": "a"}, "max_speed is 'a'; expected a number"),
        ({"boxes": "a"}, "boxes of shape .*expected finite numbers"),
        ({"loops": 5}, "loops of shape .*expected finite numbers"),
        ({"vehicles": 99}, "at most one a shelf"),
        ({"missing": 1.0}, "probability below 1"),
        ({"shelves": 3}, "scene warehouse has no argument 'shelves'"),
        ({"scene": "mall"}, "scene is 'mall'; expected of simple-static"),
    ):
        with pytest.raises(InputError, match=says):
            PATH_PLANNING.generate(rng, **({"scene": "warehouse"} | changes))


def test_maps(tmp_path: Path) -> None:
    path = tmp_path / "rooms.map"
    path.write_text(GRID)
    drawn = load_path_planning(path)
    check_playable(drawn)
    assert drawn.name == "rooms"
    given = PATH_PLANNING.generate(
        np.random.default_rng(0), scene="map", path=path, cell=0.8, start=(0.4, 4.4), target=(6, 4.4), name="here"
    )
    assert given.bounds.tolist() == pytest.approx([0, 0, 6.4, 4.8])
    assert given.start[:2].tolist() == [0.4, 4.4]
    assert shortest_length(given) == pytest.approx(5.1)
    with pytest.raises(InputError, match=r"closed: start \(0.5, 5.5\) is within 0.3 m of box"):
        PATH_PLANNING.generate(
            np.random.default_rng(0),
            scene="map",
            path=path,
            start=(0.5, 5.5),
            target=(7, 5),
            name="closed",
            boxes=[[0, 0, 8, 6]],
        )
    with pytest.raises(InputError, match="path is missing"):
        PATH_PLANNING.generate(np.random.default_rng(0), scene="map")
    with pytest.raises(InputError, match="cell is 0"):
        PATH_PLANNING.generate(np.random.default_rng(0), scene="map", path=path, cell=0)
    assert [one.name for one in load_path_planning_folder(tmp_path)] == ["rooms"]
    (tmp_path / "rooms.map.scen").write_text(
        "version 1\n0\trooms.map\t8\t6\t0\t0\t7\t0\t7\n1\trooms.map\t8\t6\t1\t1\t1\t5\t4\n"
    )
    first, second = load_scenarios(tmp_path / "rooms.map.scen")
    assert shortest_length(first) == pytest.approx(6.5)
    assert second.start[:2].tolist() == [1.5, 4.5]
    assert shortest_length(second) == pytest.approx(3.5)
    (tmp_path / "rooms.map.scen").write_text("version 1\n0\trooms.map\t9\t6\t0\t0\t7\t0\t7\n")
    with pytest.raises(InputError, match=r"problem 0 is on a map of 9 x 6 cells; rooms.map has 8 x 6"):
        load_scenarios(tmp_path / "rooms.map.scen")


def test_a_route_into_any_of_many_boxes_is_refused() -> None:
    """It is compared with the boxes near it alone."""
    rng = np.random.default_rng(5)
    corners = rng.uniform(1, 18, (60, 2))
    hall = {"scene": "complex-static", "boxes": np.hstack([corners, corners + 0.4]), "start": [0.5, 0.5, 0.0]}
    crossing = 0
    for _ in range(40):
        route = rng.uniform(0.5, 19.5, (2, 2))
        points = route[0] + np.linspace(0, 1, 2000)[:, None, None] * (route[1] - route[0])
        if ((points >= corners) & (points <= corners + 0.4)).all(2).any():
            crossing += 1
            with pytest.raises(InputError, match="or drives into it"):
                PATH_PLANNING.generate(rng, route=route, target_speed=0.1, **hall)
    assert crossing > 10


def test_drawn_ends_of_a_map_are_in_one_area(tmp_path: Path) -> None:
    """A wall parts this map: independent draws would be on different sides of it every second time."""
    path = tmp_path / "parted.map"
    path.write_text("\n".join(["type octile", "height 8", "width 17", "map"] + ["." * 8 + "@" + "." * 8] * 8) + "\n")
    sides = set()
    for seed in range(12):
        drawn = PATH_PLANNING.generate(np.random.default_rng(seed), scene="map", path=path)
        sides.add(drawn.start[0] < 8)
        given = PATH_PLANNING.generate(np.random.default_rng(seed), scene="map", path=path, start=(1.5, 1.5))
        assert given.route[0, 0] < 8
    assert sides == {True, False}
    for name, place in (("start", "a"), ("start", (1.0,)), ("target", (1.0, 2.0, 3.0))):
        with pytest.raises(InputError, match=f"scene map: {name} is .*; expected 2"):
            PATH_PLANNING.generate(np.random.default_rng(0), scene="map", path=path, **{name: place})


def test_names_that_are_none(tmp_path: Path) -> None:
    for name in ("warehouse", "mall-s0", "simple-static-s", "complex-s0"):
        with pytest.raises(InputError, match=f"unknown path-planning instance '{name}'; expected <scene>-s<seed>"):
            load_path_planning(name)
    with pytest.raises(InputError, match="no path-planning instance in this folder"):
        load_path_planning_folder(tmp_path)
