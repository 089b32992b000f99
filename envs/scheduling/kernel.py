"""Steps of the scheduling environments: dispatch, play what is forced, reward, observe. One numba call a batch."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.dynamics.job_shop import NEVER
from optgap.co.dynamics.options import KERNEL
from optgap.co.dynamics.shop import (
    DYNAMICS,
    digest_of,
    dispatch,
    find_candidates,
    lower_bound,
    next_event,
    reset,
    wait_for_event,
)
from optgap.envs.scheduling import features, observation
from optgap.envs.scheduling.features import (
    observe_jobs,
    observe_operations,
    observe_route,
    tighten_bound,
)
from optgap.envs.scheduling.observation import Scratch, ShopObservation

REWARDS = ("makespan", "lower_bound", "waiting", "sparse")
MAKESPAN, LOWER_BOUND, WAITING, SPARSE = range(len(REWARDS))


class Options(NamedTuple):
    """What an environment's arguments become in the kernel."""

    scheme: int  # NON_DELAY or ACTIVE
    scope: int  # ANY_MACHINE or ONE_MACHINE
    reward: int  # index into REWARDS
    wait: bool  # offer the action after the last job: let time pass
    autoplay: bool  # take decisions with one candidate (and no wait) at once
    nodes: bool  # write the operations' features
    candidates_only: bool  # leave the features of jobs that are no candidates at zero


@njit(cache=False, **KERNEL)
def _settle(shop: Any, state: Any, b: int, options: Options, keep: int) -> bool:
    """Go on to the next real decision of copy ``b``; return whether waiting is possible there.

    The last ``keep`` operations are never played here (an episode has at least one step).
    """
    while True:
        count = find_candidates(shop, state, b, options.scheme, options.scope)
        waitable = options.wait and count > 0 and next_event(shop, state, b) < NEVER
        if not options.autoplay or count != 1 or waitable or state.left[b] <= keep:
            return waitable
        for j in range(shop.n_jobs[b]):
            if state.candidate[b, j]:
                dispatch(shop, state, b, j, options.scheme)
                break


@njit(cache=False, **KERNEL)
def _observe(
    shop: Any, state: Any, scratch: Scratch, seen: ShopObservation, b: int, options: Options, waitable: bool
) -> None:
    tighten_bound(shop, state, scratch, b, lower_bound(shop, state, b))
    observe_jobs(shop, state, scratch, seen, b, options.candidates_only)
    if options.nodes:
        observe_operations(shop, state, scratch, seen, b)
    jobs = state.candidate.shape[1]
    for j in range(jobs):
        seen.action_mask[b, j] = state.candidate[b, j]
    if options.wait:
        seen.action_mask[b, jobs] = waitable


def _compile(sources: str) -> tuple[Any, Any]:
    """(reset_batch, step_batch), for every module of ``optgap.co.dynamics``.

    Numba keeps what it compiles on disk for as long as *this* file stays as it is. The functions therefore hold
    ``sources``, a digest of the files that they call into: it is part of the key under which they are kept.
    """

    @njit(cache=True)
    def reset_batch(
        shop: Any, state: Any, scratch: Scratch, seen: ShopObservation, which: NDArray[np.bool_], options: Options
    ) -> None:
        """Start the copies marked in ``which`` (B,) anew."""
        sources  # noqa: B018  (held, see above)
        for b in range(len(which)):
            if which[b]:
                reset(shop, state, b)
                scratch.charged[b] = 0
                observe_route(shop, state, scratch, seen, b)
                waitable = _settle(shop, state, b, options, 1)
                if state.left[b] == 0:  # the last forced decision set off moves that ended it all: keep the first one
                    reset(shop, state, b)
                    waitable = _settle(shop, state, b, options, NEVER)
                _observe(shop, state, scratch, seen, b, options, waitable)

    @njit(cache=True, **KERNEL)
    def step_batch(
        shop: Any,
        state: Any,
        scratch: Scratch,
        seen: ShopObservation,
        action: NDArray[np.int64],
        skip: NDArray[np.bool_],
        options: Options,
        reward: NDArray[np.float64],
        done: NDArray[np.bool_],
    ) -> int:
        """Take ``action`` (B,) in every copy not marked in ``skip``; fill ``reward`` and ``done``.

        Returns -1, or the first copy whose action is not allowed; then no copy has moved.
        """
        sources  # noqa: B018  (held, see above)
        copies, jobs = state.candidate.shape
        for b in range(copies):
            a = action[b]
            if not skip[b] and (a < 0 or a >= seen.action_mask.shape[1] or seen.action_mask[b, a] == 0):
                return b
        for b in range(copies):
            if skip[b]:
                continue
            if action[b] == jobs:
                wait_for_event(shop, state, b)
            else:
                dispatch(shop, state, b, action[b], options.scheme)
            waitable = _settle(shop, state, b, options, 0)
            _observe(shop, state, scratch, seen, b, options, waitable)
            done[b] = state.left[b] == 0
            if options.reward == WAITING:
                waiting = 0
                for j in range(shop.n_jobs[b]):
                    unfinished = state.next_operation[b, j] < shop.job_ptr[b, j + 1]
                    waiting += unfinished and state.job_ready[b, j] <= state.clock[b]
                reward[b] = -waiting
            elif options.reward == SPARSE:
                reward[b] = -state.makespan[b] if done[b] else 0
            else:
                now = state.makespan[b] if options.reward == MAKESPAN else scratch.bound[b]
                reward[b] = scratch.charged[b] - now
                scratch.charged[b] = now
        return -1

    return reset_batch, step_batch


reset_batch, step_batch = _compile(digest_of(features, observation, *DYNAMICS.values()))
