from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from numba import njit

from optgap.co.core import InputError
from optgap.co.dynamics.projection import Polyhedron, project_capped_simplex


@njit
def _each(points, capacity, out):
    for i in range(len(points)):
        project_capped_simplex(points[i], capacity, out[i])


def project(points, capacity=1.0):
    out = np.empty_like(points)
    _each(points, capacity, out)
    return out


def vectors(dtype, largest=1e6, rows=1):
    width = 32 if dtype == np.float32 else 64
    numbers = st.floats(-largest, largest, width=width, allow_subnormal=False)
    return st.integers(1, 9).flatmap(lambda n: nps.arrays(dtype, (rows, n), elements=numbers))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_known_points(dtype):
    points = np.array([[0.2, 0.3, 0.1], [-1, 0.4, -2], [5, 1, -3], [1, 1, 1], [0.9, 0.5, 0]], dtype)
    third = 1 / 3
    expected = [[0.2, 0.3, 0.1], [0, 0.4, 0], [1, 0, 0], [third, third, third], [0.7, 0.3, 0]]
    np.testing.assert_allclose(project(points), expected, atol=4 * 2 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(project(points)[0], points[0])  # of the set: not touched
    np.testing.assert_array_equal(project(points, 0.0), 0.0)


@given(st.sampled_from([np.float32, np.float64]).flatmap(vectors), st.sampled_from([1.0, 0.1, 7.3, 1e-3]))
def test_the_capacity_holds_in_every_order_and_precision(points, capacity):
    found = project(points, capacity)
    assert (found >= 0).all()
    assert found.astype(np.float64).sum() <= capacity
    if not np.array_equal(found, np.maximum(points, 0)):
        for order in (found[0], found[0][::-1], np.sort(found[0])):
            assert order.cumsum(dtype=found.dtype)[-1] <= capacity
    np.testing.assert_array_equal(project(found, capacity), found)


@given(vectors(np.float64, 10.0, rows=2))
def test_distances_do_not_grow(points):
    found = project(points)
    assert np.linalg.norm(found[0] - found[1]) <= np.linalg.norm(points[0] - points[1]) + 1e-13


@given(vectors(np.float64, 100.0))
def test_no_vertex_is_nearer(points):
    """x is the projection of y if and only if (y - x) (z - x) <= 0 for every vertex z of the set."""
    found = project(points)[0]
    for vertex in (np.zeros(len(found)), *np.eye(len(found))):
        assert (points[0] - found) @ (vertex - found) <= 1e-12 * (1 + np.abs(points).max())


def test_in_place_and_into_another_precision():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(1000, 5))
    expected, single = project(points), np.empty((1000, 5), np.float32)
    _each(points, 1.0, single)
    np.testing.assert_allclose(single, expected, atol=2e-6)
    assert single.astype(np.float64).sum(axis=1).max() <= 1.0
    _each(points, 1.0, points)
    np.testing.assert_array_equal(points, expected)


def test_a_million_points_keep_the_capacity():
    rng = np.random.default_rng(0)
    for scale in (0.3, 1.0, 1e6):
        found = project((rng.normal(size=(400_000, 3)) * scale).astype(np.float32))
        assert found.min() >= 0
        assert found.sum(axis=1).max() <= 1
        assert found.astype(np.float64).sum(axis=1).max() <= 1


@st.composite
def polyhedra(draw):
    """Rows of small integers, hence often parallel, through or beyond a common point; some of them equations."""
    n, m = draw(st.integers(1, 5)), draw(st.integers(1, 9))
    k = draw(st.integers(0, n - 1))
    rows = draw(nps.arrays(np.float64, (m + k, n), elements=st.integers(-3, 3).map(float)))
    rows[~rows.any(axis=1), 0] = 1.0
    inside = draw(nps.arrays(np.float64, n, elements=st.integers(-4, 4).map(float)))
    room = draw(nps.arrays(np.float64, m, elements=st.integers(0, 4).map(float)))
    A, E = rows[k:], rows[:k]
    return A, A @ inside + room, E, E @ inside


def residual(A, b, E, f, point, found):
    """How far point - found is from a combination of the active rows, nonnegative for inequalities."""
    from scipy.optimize import nnls  # type: ignore[import-untyped]

    active = A[A @ found - b > -1e-7 * (1 + np.abs(point).max())]
    columns = np.concatenate([active, E, -E]).T
    return nnls(columns, point - found)[1] if columns.size else float(np.linalg.norm(point - found))


@settings(max_examples=150)
@given(polyhedra(), st.data())
def test_projections_on_polyhedra_fulfil_the_conditions_of_optimality(polyhedron, data):
    A, b, E, f = polyhedron
    scale = data.draw(st.sampled_from([0.1, 10.0, 1e4]))
    points = data.draw(nps.arrays(np.float64, (2, A.shape[1]), elements=st.floats(-scale, scale)))
    found, tangents = Polyhedron(A, b, E, f).project(points)
    tolerance = 1e-9 * (1 + scale)
    assert (found @ A.T - b).max() <= tolerance
    assert np.abs(found @ E.T - f).max(initial=0) <= tolerance
    for point, nearest, tangent in zip(points, found, tangents, strict=True):
        assert residual(A, b, E, f, point, nearest) <= tolerance
        np.testing.assert_allclose(tangent @ tangent, tangent, atol=1e-9)  # an orthogonal projection
        np.testing.assert_allclose(tangent, tangent.T, atol=1e-12)
    assert np.linalg.norm(found[0] - found[1]) <= np.linalg.norm(points[0] - points[1]) + tolerance


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [2, 5, 12])
def test_inequalities_hold_as_numbers(dtype, n):
    rng = np.random.default_rng(n)
    A = np.concatenate([rng.normal(size=(2 * n, n)), np.eye(n), -np.eye(n)])
    b = np.concatenate([rng.uniform(0.1, 1, 2 * n), np.full(n, 0.3), np.zeros(n)])
    polyhedron = Polyhedron(A, b)
    points = (rng.normal(size=(3000, n)) * 10 ** rng.uniform(-2, 4, (3000, 1))).astype(dtype)
    points[:100] = np.abs(points[:100]) / 1e6
    found, _ = polyhedron.project(points)
    assert found.dtype == dtype
    assert (found.astype(np.float64) @ A.T - b).max() <= 0
    np.testing.assert_array_equal(polyhedron.project(found)[0], found)
    inside = polyhedron.contains(points)
    assert 0 < inside.mean() < 1
    np.testing.assert_array_equal(found[inside], points[inside])


def test_the_simplex_as_a_polyhedron_gives_the_same():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(500, 4))
    polyhedron = Polyhedron(np.concatenate([-np.eye(4), np.ones((1, 4))]), [0, 0, 0, 0, 1])
    np.testing.assert_allclose(polyhedron.project(points)[0], project(points), atol=1e-14)


def test_small_quadratic_programs_agree_with_scip():
    from pyscipopt import Model, quicksum

    rng = np.random.default_rng(2)
    for _ in range(3):
        A, b, E = rng.normal(size=(6, 3)), rng.uniform(0.1, 1, 6), rng.normal(size=(1, 3))
        point = rng.normal(size=3) * 2
        model = Model()
        model.hideOutput()
        model.setParam("numerics/feastol", 1e-9)
        x = [model.addVar(lb=-100, ub=100) for _ in range(3)]
        distance = model.addVar()
        for row, limit in zip(A, b, strict=True):
            model.addCons(quicksum(a * v for a, v in zip(row, x, strict=True)) <= limit)
        model.addCons(quicksum(e * v for e, v in zip(E[0], x, strict=True)) == 0)
        model.addCons(quicksum((v - p) ** 2 for v, p in zip(x, point, strict=True)) <= distance)
        model.setObjective(distance)
        model.optimize()
        found, _ = Polyhedron(A, b, E, [0.0]).project(point[None])
        assert ((found[0] - point) ** 2).sum() == pytest.approx(model.getObjVal(), rel=1e-5)
        model.freeProb()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1.0, 0]], [1, 2]), "expected"),
        (([[0.0, 0]], [1]), "zero"),
        (([[1.0, np.nan]], [1]), "not finite"),
        (([[1.0], [-1.0]], [-1, -1]), "row [01] of A contradicts"),
        (([[1.0, 0]], [0], [[1.0, 0]], [1]), "row 0 of A contradicts"),
        (([[1.0, 0]], [9], [[1.0, 1], [2.0, 2]], [1, 3]), "row 1 of E contradicts"),
    ],
)
def test_bad_constraints_are_said(arguments: Any, message: str):
    with pytest.raises(InputError, match=message):
        Polyhedron(*arguments)
