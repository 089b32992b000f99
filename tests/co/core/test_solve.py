"""The checked solve believes no solver."""

from __future__ import annotations

import numpy as np
import pytest

from optgap.co.core import Budget, InfeasibleError, Result, Status, solve
from optgap.co.problems.job_shop import JOB_SHOP, JobShopInstance

ONE = JobShopInstance.from_matrix([[0]], [[3]], name="one")


@pytest.mark.parametrize("bound", [4.0, float("nan"), float("inf")])
def test_a_bound_that_the_cost_contradicts_is_refused(bound):
    with pytest.raises(RuntimeError, match="contradicts the checked cost 3"):
        solve(lambda i, b: Result(np.array([0]), Status.FEASIBLE, bound=bound), JOB_SHOP, ONE, Budget())


def test_a_claimed_cost_is_replaced():
    answer = solve(lambda i, b: Result(np.array([2]), Status.FEASIBLE, cost=1.0), JOB_SHOP, ONE, Budget())
    assert answer.cost == 5


@pytest.mark.parametrize("start", [np.array([2**63 - 1]), np.array([2**64 - 1], np.uint64)])
def test_a_start_that_would_overflow_is_refused(start):
    with pytest.raises(InfeasibleError, match="one: an operation starts at"):
        solve(lambda i, b: Result(start, Status.FEASIBLE), JOB_SHOP, ONE, Budget())
