"""How much any policy can earn in network slicing: a fluid relaxation with hindsight, solved by SCIP.

Arrivals and channels of all decisions are known, users are served in any order, bits are real numbers. For decision t and
user u, with D slots a decision and M blocks:

    maximize    reward of the bits served: sum over t, u of v(t, u)
    subject to  W(t, u) = W(t-1, u) + arrived(t, u) - dropped(t, u) - v(t, u)       bits wait, are dropped or served
                W(t, u) <= the ``queue`` largest packets that u has had so far      a queue is finite
                sum over u in s of v(t, u) / rate(t, u) <= x(t, s) D M              bits take blocks
                sum over s of x(t, s) <= 1
                mean over t of sum over u in s of dropped(t, u) / (largest(t, u) packets(t, s)) <= limit of drop/s

It bounds every policy: whatever a policy does, its served, dropped and waiting bits fulfil the rows. A user gets at
most ``rate`` bits of a block (the definition rounds down); at most ``queue`` packets wait, none larger than those that came;
n dropped packets are at most n times the largest packet that came in that decision, so the row of the drops holds
whenever the mean of the costs is within its limit. What is left out can only raise the bound: the order of service,
packets that are dropped whole and where queues are full, arrivals within a decision, and the limits of the latencies (means
of ratios, which no linear row bounds well). The reward "utility" takes every packet to be on time.

Users of slices with little traffic count as one user with the best rate among them, which only relaxes more.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optgap.co.core import Budget, InfeasibleError, InputError, Result
from optgap.co.exact.progress import Progress
from optgap.co.exact.scip_run import CLOSE_SETTINGS, TOLERANCE, run_scip
from optgap.co.heuristics.slicing_rules import RULES, make_rule, play
from optgap.co.problems.slicing import EFFICIENCY_WEIGHT, SlicingInstance
from optgap.co.problems.slicing import TOLERANCE as SHARES_TOLERANCE
from optgap.co.problems.slicing_traffic import cost_limits, cost_names

F64 = NDArray[np.float64]
LITTLE = 0.01  # share of all bits below which a slice's users are taken together


def solve(instance: SlicingInstance, budget: Budget) -> Result:
    """The best of the rules' shares and the relaxation's, and the relaxation's bound; Ctrl-C returns what there is.

    The bound is that of any shares, without limits of the costs.
    """
    progress = Progress(integral=False, unit=-1.0)
    try:
        for name in RULES:
            shares = play(make_rule(name, cost_limits(instance.slices)), instance)
            progress.found(shares, -_return(instance, shares))
        _run([instance], None, progress, budget)
    except KeyboardInterrupt:
        pass
    return progress.result()


def hindsight_bound(
    instances: SlicingInstance | Sequence[SlicingInstance],
    limits: ArrayLike | None = None,
    budget: Budget | None = None,
) -> float:
    """Upper bound on the mean return of an episode over these instances, of any policy.

    Args:
        limits: (2 S,) of the mean costs a step, over all steps of all instances; None is no limit. With them the bound holds
            for policies that meet the limits of the drops on these instances.
        budget: of one relaxation, 60 seconds by default; one with limits has all instances in it, one without has one.

    Raises:
        InfeasibleError: no policy meets the limits of the drops on these instances; names those that none meets.
        InputError: limits or instances that do not fit, or not even a first bound within the budget.
    """
    given = [instances] if isinstance(instances, SlicingInstance) else list(instances)
    if not given or len({instance.slices for instance in given}) > 1:
        raise InputError(f"{len(given)} instances; expected at least one, and all with the same slices")
    names = cost_names(given[0].slices)
    bounds = np.full(len(names), np.inf) if limits is None else np.asarray(limits, np.float64)
    if bounds.shape != (len(names),) or np.isnan(bounds).any():
        raise InputError(f"limits of shape {bounds.shape}; expected {len(names)} numbers: {', '.join(names)}")
    budget = budget or Budget()
    drops = bounds[len(names) // 2 :]
    if np.isinf(drops).all():  # nothing ties the instances together
        found = [_bound([instance], drops, budget) for instance in given]
    else:
        found = [_bound(given, drops, budget)]
    if None in found:
        alone = [np.where(np.arange(len(drops)) == s, drops, np.inf) for s in np.flatnonzero(np.isfinite(drops))]
        broken = [limit for limit in alone if _bound(given, limit, budget) is None] or [drops]
        which = [f"{names[len(drops) + s]} <= {drops[s]:g}" for s in np.flatnonzero(np.isfinite(broken).any(0))]
        raise InfeasibleError(f"no policy meets, even with hindsight: {', '.join(which)}")
    value = sum(bound for bound in found if bound is not None) / len(given)
    return float(value + TOLERANCE * max(1.0, abs(value)))


def _bound(given: list[SlicingInstance], drops: F64, budget: Budget) -> float | None:
    """Of the sum of the returns; None if the relaxation is infeasible."""
    progress = Progress(integral=False, unit=-1.0)
    _run(given, drops, progress, budget)
    if progress.bound > -np.inf:
        return -float(progress.bound)
    if progress.seconds() >= budget.seconds:
        raise InputError(f"no bound within {budget.seconds:g} seconds; expected a larger budget")
    return None


@dataclass(frozen=True)
class _Fluid:
    """What the relaxation knows of an instance: G users or groups of them, bits in units of ``unit``."""

    slice_of: NDArray[np.int64]  # (G,)
    arrived: F64  # (T, G)
    room: F64  # (T, G) most that can wait at the end
    full: F64  # (T, G) served by the whole band
    packets: F64  # (T, S) packets that arrived
    largest: F64  # (T, G) largest packet that arrived, 0 where none did


def _fluid(instance: SlicingInstance, unit: float) -> _Fluid:
    steps, users, slices = instance.n_decisions, instance.n_users, instance.n_slices
    arrived, largest, room = np.zeros((steps, users)), np.zeros((steps, users)), np.zeros((steps, users))
    t, u, bits = instance.packet_slot // instance.decision_slots, instance.packet_user, instance.packet_bits
    np.add.at(arrived, (t, u), bits)
    np.maximum.at(largest, (t, u), bits)
    kept: list[list[int]] = [[] for _ in range(users)]  # heaps of the largest packets
    for when, who, size in zip(t.tolist(), u.tolist(), bits.tolist(), strict=True):
        if len(kept[who]) < instance.queue:
            heapq.heappush(kept[who], size)
            room[when, who] += size
        else:
            room[when, who] += size - heapq.heappushpop(kept[who], size)
    room = np.cumsum(room, axis=0)
    packets = np.zeros((steps, slices))
    np.add.at(packets, (t, instance.user_slice[u]), 1.0)

    total = np.bincount(instance.user_slice, arrived.sum(0), slices)
    together = total < LITTLE * total.sum()
    group = np.where(together[instance.user_slice], users + instance.user_slice, np.arange(users))
    _, first, group = np.unique(group, return_index=True, return_inverse=True)
    member = np.eye(len(first))[group]  # (U, G)
    band = instance.blocks * instance.decision_slots / unit

    def highest(values: NDArray[Any]) -> F64:
        found = np.zeros((len(first), steps))
        np.maximum.at(found, group, values.T.astype(np.float64))
        return found.T

    return _Fluid(
        slice_of=instance.user_slice[first],
        arrived=arrived @ member / unit,
        room=room @ member / unit,
        full=highest(instance.rate) * band,
        packets=packets,
        largest=highest(largest) / unit,
    )


def _run(given: list[SlicingInstance], drops: F64 | None, progress: Progress, budget: Budget) -> None:
    from pyscipopt import Model, quicksum

    model = Model("slicing")
    model.setParams(CLOSE_SETTINGS)
    slices, steps = given[0].n_slices, sum(instance.n_decisions for instance in given)
    dropped: list[list[Any]] = [[] for _ in range(slices)]  # terms of the mean costs
    shares: list[list[list[Any]]] = []
    for instance in given:
        unit = instance.hertz_seconds * instance.reference_efficiency
        utility = instance.reward == "utility"
        worth = EFFICIENCY_WEIGHT * instance.reference_efficiency if utility else 1.0
        if utility:
            model.addObjoffset(-instance.n_decisions * float(instance.weight.sum()))
        shares.append(_add_instance(model, _fluid(instance, unit), worth, dropped, quicksum))
    for s in range(slices):
        if drops is not None and np.isfinite(drops[s]):
            model.addCons(quicksum(dropped[s]) <= float(drops[s]) * steps)

    def incumbent(solution: Any) -> None:
        if len(given) > 1:  # only the bound is wanted
            progress.found((), model.getSolObjVal(solution))
        else:
            found = np.array([[model.getSolVal(solution, x) for x in row] for row in shares[0]])
            found = np.clip(found, 0.0, 1.0)
            found += np.maximum(1.0 - found.sum(1, keepdims=True), 0.0) / slices
            found /= found.sum(1, keepdims=True)
            progress.found(found, -_return(given[0], found))

    run_scip(model, progress, budget, incumbent=incumbent)


def _add_instance(model: Any, fluid: _Fluid, worth: float, dropped: list[list[Any]], quicksum: Any) -> list[list[Any]]:
    """Variables and rows of an instance; returns the shares, (T, S)."""
    steps, groups = fluid.arrived.shape
    waiting: list[Any] = [0.0] * groups
    ever = np.cumsum(fluid.arrived, axis=0)
    shares = []
    for t in range(steps):
        row = [model.addVar(f"x{t},{s}", lb=0.0, ub=1.0) for s in range(len(dropped))]
        used: list[list[Any]] = [[] for _ in row]
        for g, s in enumerate(fluid.slice_of.tolist()):
            if ever[t, g] == 0:
                continue
            most = float(min(ever[t, g], fluid.full[t, g]))
            served = model.addVar(f"v{t},{g}", lb=0.0, ub=most, obj=-worth)
            lost = model.addVar(f"d{t},{g}", lb=0.0, ub=float(fluid.arrived[t, g]))
            left = model.addVar(f"w{t},{g}", lb=0.0, ub=float(fluid.room[t, g]))
            model.addCons(waiting[g] + float(fluid.arrived[t, g]) - lost - served == left)
            waiting[g] = left
            if most > 0:
                used[s].append(served * float(1.0 / fluid.full[t, g]))
            if fluid.arrived[t, g] > 0:
                dropped[s].append(lost * float(1.0 / (fluid.largest[t, g] * fluid.packets[t, s])))
        for s, terms in enumerate(used):
            if terms:
                model.addCons(quicksum(terms) <= row[s])
        model.addCons(quicksum(row) <= 1.0 + SHARES_TOLERANCE)
        shares.append(row)
    return shares


def _return(instance: SlicingInstance, shares: F64) -> float:
    from optgap.co.dynamics.slicing import replay

    return float(replay(instance, shares)["reward"].sum())
