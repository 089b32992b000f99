from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from optgap.agents.constrained.projection import (
    Bounds,
    BoxCapacity,
    PolyhedronProjection,
    project_capped_simplex,
    project_simplex,
    projection_of,
)
from optgap.co.core import InputError
from optgap.co.dynamics import projection as numeric
from optgap.envs.constrained_box import Capacity, ConstrainedBox, Linear, polyhedron_of

DTYPES = [torch.float32, torch.float64]


@st.composite
def boxes(draw):
    """Bounds (n,) as float32, a capacity that they can meet, whether exactly, a dtype, and points of some scale (64, n)."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = draw(st.integers(1, 9))
    low = (rng.normal(size=n) * draw(st.sampled_from([0, 1, 100]))).astype(np.float32)
    width = rng.uniform(0, 2, n) * (rng.random(n) < 0.8)
    high = (low + width).astype(np.float32)
    exact = draw(st.booleans())
    least, most = low.astype(float).sum(), high.astype(float).sum()
    capacity = least + rng.uniform(0.01, 1.0 if exact else 1.3) * (most - least)
    dtype = draw(st.sampled_from(DTYPES))
    points = rng.normal(size=(64, n)) * 10.0 ** draw(st.integers(-2, 6))
    return low, high, float(capacity), exact, torch.tensor(points, dtype=dtype)


@given(boxes())
def test_bounds_and_capacity_hold_as_numbers(box):
    low, high, capacity, exact, points = box
    project = BoxCapacity(low, high, capacity, exact)
    found = project(points)
    assert found.dtype == points.dtype
    assert bool(((found >= torch.tensor(low)) & (found <= torch.tensor(high))).all())
    rounding = (len(low) + 1) * torch.finfo(points.dtype).eps * (abs(capacity) + 2 * np.abs(low).sum())
    total = found.sum(dim=1, dtype=torch.float64)
    if exact:
        assert float((total - capacity).abs().max()) <= rounding
    else:
        assert float(total.max()) <= capacity
        touched = (found != points.clamp(torch.tensor(low), torch.tensor(high))).any(dim=1)
        for order in (found, found.flip(1)):
            assert bool((order.cumsum(dim=1)[touched, -1].double() <= capacity).all())
    assert torch.equal(project(found), found)


@given(boxes())
def test_the_closed_form_agrees_with_quadratic_programs(box):
    low, high, capacity, exact, points = box
    project, expected = BoxCapacity(low, high, capacity, exact), polyhedron_of(low, high, Capacity(capacity, exact))
    leaf = points.clone().requires_grad_()
    found = project(leaf)
    nearest, tangents = expected.project(points.numpy())
    size = 1 + abs(capacity) + np.abs(low).sum()
    tolerance = 20 * len(low) * torch.finfo(points.dtype).eps * size + 1e-14 * float(points.abs().max())
    np.testing.assert_allclose(found.detach().numpy(), nearest, atol=tolerance)
    if points.dtype == torch.float64:
        weights = torch.linspace(-1, 2, points.numel(), dtype=points.dtype).reshape(points.shape)
        (found * weights).sum().backward()
        np.testing.assert_allclose(leaf.grad, np.einsum("bij,bj->bi", tangents, weights.numpy()), atol=1e-7)


@given(boxes())
def test_distances_do_not_grow(box):
    low, high, capacity, exact, points = box
    found = BoxCapacity(low, high, capacity, exact)(points.double())
    pairs = torch.pdist(found), torch.pdist(points.double())
    assert bool((pairs[0] <= pairs[1] * (1 + 1e-12) + 1e-11 * (1 + abs(capacity) + np.abs(low).sum())).all())


def test_policies_and_environments_project_alike():
    points = torch.randn(2000, 5, generator=torch.Generator().manual_seed(0)) * 2
    out = np.empty((2000, 5), np.float32)
    for row, store in zip(points.numpy(), out, strict=True):
        numeric.project_capped_simplex(row, 1.5, store)
    np.testing.assert_allclose(project_capped_simplex(points, 1.5).numpy(), out, atol=1e-6)


def test_known_points():
    points = torch.tensor([[0.2, 0.3, 0.1], [5.0, 1.0, -3.0], [-1.0, -1.0, -4.0]], dtype=torch.float64)
    simplex = [[1 / 3, 0.3 + 2 / 15, 0.3 - 1 / 15], [1, 0, 0], [0.5, 0.5, 0]]
    torch.testing.assert_close(project_simplex(points), torch.tensor(simplex, dtype=torch.float64))
    capped = [[0.2, 0.3, 0.1], [1, 0, 0], [0, 0, 0]]
    torch.testing.assert_close(project_capped_simplex(points), torch.tensor(capped, dtype=torch.float64))
    assert torch.equal(Bounds([0, 0, -1], 2.0)(points), points.clamp(torch.tensor([0, 0, -1]), torch.tensor(2)))


A = np.random.default_rng(0).normal(size=(6, 4))
PROJECTIONS = {
    "simplex": project_simplex,
    "capped": lambda points: project_capped_simplex(points, 2.0),
    "box": Bounds(-0.5, [0.5, 1.0, 1.5, 2.0]),
    "box and capacity": BoxCapacity(-1.0, 0.5, 0.3),
    "polyhedron": PolyhedronProjection(numeric.Polyhedron(A, np.ones(6))),
    "with an equation": PolyhedronProjection(numeric.Polyhedron(A, np.ones(6), [[1.0, 1, 0, -1]], [0.2])),
}


@pytest.mark.parametrize("name", PROJECTIONS)
def test_gradients_are_those_of_differences(name):
    generator = torch.Generator().manual_seed(3)
    points = (2 * torch.randn(30, 4, dtype=torch.float64, generator=generator)).requires_grad_()
    assert gradcheck(PROJECTIONS[name], (points,))
    assert gradgradcheck(PROJECTIONS[name], (points,))


@pytest.mark.slow
def test_millions_of_points_never_violate():
    generator = torch.Generator().manual_seed(0)
    low, high = torch.tensor([0.0, 0.1, -0.2, 0, 0, 0]), torch.tensor([0.3, 1, 1, 0.5, 1, 0.2])
    sets = [(project_capped_simplex, 1.0), (BoxCapacity(low, high, 0.7), float(np.float32(0.7)))]
    for _ in range(10):
        for scale in (0.3, 3.0, 1e6):
            points = torch.randn(50_000, 6, generator=generator) * scale
            for project, capacity in sets:
                found = project(points)
                assert float(found.sum(dim=1).max()) <= capacity
                assert float(found.sum(dim=1, dtype=torch.float64).max()) <= max(
                    0.7, capacity if capacity == 1 else 0.7
                )
            assert bool(((found >= low) & (found <= high)).all())


@pytest.mark.parametrize(
    ("low", "high", "capacity", "exact"),
    [
        (0.5, 1.0, 0.9, False),
        (0.0, 0.3, 1.0, True),
        (-np.inf, 1, 1, False),
        (1.0, 0.0, 1, False),
        (0, 1, np.nan, False),
    ],
)
def test_empty_or_undescribed_sets_are_said(low, high, capacity, exact):
    with pytest.raises(InputError, match="projection on a capacity"):
        BoxCapacity(low, high, capacity, exact)(torch.zeros(1, 2))


@pytest.mark.parametrize(
    ("space", "kind"),
    [
        (ConstrainedBox(0.0, 1.0, Capacity(1.0), n=3), BoxCapacity),
        (ConstrainedBox(0.0, 1.0, Capacity(1.0, exact=True), n=3), BoxCapacity),
        (
            ConstrainedBox(-1.0, 1.0, Linear([[1.0, 2.0, 3.0]], [1.0], [[1.0, -1.0, 0.0]], [0.5]), n=3),
            PolyhedronProjection,
        ),
    ],
)
def test_the_projection_of_a_space_gives_its_members(space, kind):
    project = projection_of(space)
    assert isinstance(project, kind)
    points = 3 * torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    for row in project(points).numpy():
        assert space.contains(row)
