"""What the scheduling environments show: the features by name, and the buffers that hold them.

Lengths are divided by the instance's mean duration ``d`` or by the rest of the makespan bound ``L = bound - clock``, so
that a policy sees the same numbers at every size and time unit. ``squash(x) = x / (1 + |x|)`` keeps open-ended ones in
(-1, 1).

*Left* is what has not started; a machine's or job's *work* is a sum of durations. A job is *queued* at the machine of its
next operation; it can *begin* there once the job is ready and the machine idle, at the clock at the earliest. The
*busiest* machine is the one with work left whose idle-from + work left is greatest (the first of several). A job
that holds a machine is *under way*.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

OPERATION_FEATURES = (
    "not started (its job is not there yet)",
    "in process",
    "delayed (its job waits for it)",
    "done",
    "duration / d",
    "share of its job's work that has started",
    "operations left in its job / most operations of a job",
    "waiting time / d, squashed (delayed operations)",
    "remaining processing time / d (in process)",
    "lower bound of its completion / bound of the makespan",
)
JOB_FEATURES = (
    "candidate",
    "duration of the next operation / 2d",
    "work left / L",
    "slack of the job: (begin + work left - bound) / L",
    "operations left / most operations of a job",
    "time since the job is ready / d, squashed; negative while in process",
    "work left on the next operation's machine / L",
    "slack of that machine: (idle-from + work left + least work that follows one of its operations left - bound) / L",
    "share of the unfinished jobs whose next operation is on that machine",
    "idle-from of the machine after next - end of the next operation, / d, squashed",
    "work left on the machine after next / L",
    "work queued at the machine after next / d, squashed",
    "duration of the operation after next / 2d",
    "the next operation is the last",
    "work left / most work left among jobs queued at the machine",
    "(duration - shortest duration queued at the machine) / d, squashed",
    "work before the job reaches the busiest machine / d, squashed; 1 if it does not",
    "duration on the busiest machine / 2d",
    "(begin - earliest begin queued at the machine) / d, squashed; both of them may lie before the clock",
    "share of the job's operations left",
    "mean work left on the machines of the rest of the route, weighted by duration, / L",
    "if chosen: (its end + most work left among the others queued - bound) / L, squashed; -1 with no other",
    "machine is down",
    "if not chosen: (earliest end among the others queued + its work left - bound) / L, squashed; -1 with no other",
    "(work left - most work left queued at the machine) / 2d, squashed",
    "slack of the job / 4d, squashed",
    "the machine after next is held by another job (no buffers)",
    "other jobs under way that go on to the machine the job holds / 2, squashed (no buffers)",
    "work of those jobs' next operations / d, squashed (no buffers)",
    "the job that holds the machine after next goes on to the next operation's machine (no buffers)",
    "jobs under way that go on to the machine after next / 2, squashed (no buffers)",
    "the job holds a machine (no buffers)",
)
MACHINE_FEATURES = (
    "busy",
    "time until idle / d, squashed",
    "work left / L",
    "share of the unfinished jobs queued at it",
    "down",
)
SHOP_FEATURES = (
    "share of the operations left",
    "L / 10d, squashed",
    "share of the jobs unfinished",
    "jobs / (jobs + machines)",
    "rise of the bound since time 0 / first bound",
    "share of the jobs that are candidates",
    "mean work left on a machine / L",
    "most work left of a job / L",
    "share of the machines that are held (no buffers)",
    "share of the machines that are held by a job that waits (no buffers)",
)
ROUTE_FEATURES = (
    "duration / 2d",
    "work before it in its job / first bound",
    "work after it in its job / first bound",
    "share of its job's operations before it",
    "load of its machine / first bound",
    "work of its job / first bound",
)


class ShopObservation(NamedTuple):
    """Buffers of B observations; float32 unless said otherwise, zero where padded."""

    operations: F32  # (B, N, 10) OPERATION_FEATURES
    jobs: F32  # (B, J, 32) JOB_FEATURES; zero for finished jobs
    machines: F32  # (B, M, 5) MACHINE_FEATURES
    shop: F32  # (B, 10) SHOP_FEATURES
    route: F32  # (B, N, 6) ROUTE_FEATURES: constant over an episode
    operation_job: NDArray[np.int64]  # (B, N) job of each operation, -1 where padded
    operation_machine: NDArray[np.int64]  # (B, N) machine of each operation, -1 where padded
    next_operation: NDArray[np.int64]  # (B, J) next operation of each job, -1 where finished or padded
    action_mask: NDArray[np.int8]  # (B, A) 1 where the action is allowed


class Scratch(NamedTuple):
    """Work space and per-episode constants of the feature functions."""

    bound: NDArray[np.int64]  # (B,) lower bound of the makespan now
    charged: NDArray[np.int64]  # (B,) makespan or bound that past rewards have paid for
    first_bound: NDArray[np.int64]  # (B,) lower bound at time 0
    mean_duration: NDArray[np.float64]  # (B,) d
    most_operations: NDArray[np.int64]  # (B,) most operations of a job
    queue: NDArray[np.int64]  # (M, 10) jobs whose next operation is on a machine: see the columns below
    by_tail: NDArray[np.int64]  # (B, N) operations by machine, then by the work that follows them in their job
    tail_next: NDArray[np.int64]  # (B, M) place in by_tail of a machine's first operation that may not have started
    tail_end: NDArray[np.int64]  # (B, M) end of a machine's part of by_tail


def empty_observation(copies: int, jobs: int, operations: int, machines: int, actions: int) -> ShopObservation:
    """Zeroed buffers."""
    return ShopObservation(
        np.zeros((copies, operations, len(OPERATION_FEATURES)), np.float32),
        np.zeros((copies, jobs, len(JOB_FEATURES)), np.float32),
        np.zeros((copies, machines, len(MACHINE_FEATURES)), np.float32),
        np.zeros((copies, len(SHOP_FEATURES)), np.float32),
        np.zeros((copies, operations, len(ROUTE_FEATURES)), np.float32),
        np.full((copies, operations), -1, np.int64),
        np.full((copies, operations), -1, np.int64),
        np.full((copies, jobs), -1, np.int64),
        np.zeros((copies, actions), np.int8),
    )


def empty_scratch(copies: int, operations: int, machines: int) -> Scratch:
    """Zeroed work space."""
    return Scratch(
        np.zeros(copies, np.int64),
        np.zeros(copies, np.int64),
        np.zeros(copies, np.int64),
        np.ones(copies),
        np.zeros(copies, np.int64),
        np.zeros((machines, 10), np.int64),
        np.zeros((copies, operations), np.int64),
        np.zeros((copies, machines), np.int64),
        np.zeros((copies, machines), np.int64),
    )
