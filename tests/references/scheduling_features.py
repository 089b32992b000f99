"""The features of the scheduling environments by a slow reading of their names, in plain Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from optgap.co.problems.job_shop import JobShopInstance

JOBS, OPERATIONS, MACHINES = 5, 20, 4


@dataclass
class Seen:
    """What an observer knows of a shop at a decision."""

    shop: JobShopInstance
    start: list[int]  # -1: not started
    clock: int
    ready: list[int]  # when each job is ready for its next operation
    idle: list[int]  # when each machine is idle again
    down: list[bool]
    candidates: list[int]
    bound: int
    first_bound: int
    holds: list[int]  # machine that each job keeps until it goes on, or -1

    def __post_init__(self) -> None:
        pointer = self.shop.job_ptr.tolist()
        self.route = [list(range(a, b)) for a, b in zip(pointer[:-1], pointer[1:], strict=True)]
        self.m, self.p = self.shop.machine.tolist(), self.shop.duration.tolist()
        self.left = [[o for o in route if self.start[o] < 0] for route in self.route]
        self.unfinished = [j for j, left in enumerate(self.left) if left]
        self.d = max(sum(self.p) / len(self.p), 1e-9)
        self.L = max(self.bound - self.clock, 1)
        self.most = max(map(len, self.route))
        self.job = [j for j, route in enumerate(self.route) for _ in route]

    def after(self, o: int) -> int:
        """Work that follows operation ``o`` in its job."""
        return sum(self.p[k] for k in self.route[self.job[o]] if k > o)

    def work(self, j: int) -> int:
        return sum(self.p[o] for o in self.left[j])

    def machine_work(self, m: int) -> int:
        return sum(self.p[o] for left in self.left for o in left if self.m[o] == m)

    def queue(self, m: int) -> list[int]:
        return [j for j in self.unfinished if self.m[self.left[j][0]] == m]

    def next_machine(self, j: int) -> int:
        return int(self.m[self.left[j][0]])

    def earliest(self, j: int) -> int:
        return int(max(self.ready[j], self.idle[self.m[self.left[j][0]]]))

    def jobs(self) -> np.ndarray:
        rows = np.zeros((JOBS, 32))
        for j in self.unfinished:
            rows[j] = self.job_row(j)
        return rows

    def job_row(self, j: int) -> list[float]:
        d, L, bound, clock = self.d, self.L, self.bound, self.clock
        o, *then = self.left[j]
        m, p, work = self.m[o], self.p[o], self.work(j)
        begin = max(self.earliest(j), clock)
        queue = self.queue(m)
        others = [i for i in queue if i != j]
        on_machine = [k for left in self.left for k in left if self.m[k] == m]
        machine_bound = max(self.idle[m], clock) + self.machine_work(m) + min(map(self.after, on_machine))
        loads = {
            k: self.idle[k] + self.machine_work(k) for k in range(self.shop.n_machines) if self.machine_work(k) > 0
        }
        busiest = max(loads, key=lambda k: loads[k]) if loads else -1
        visits = [k for k in self.left[j] if self.m[k] == busiest]
        if_chosen = if_not = -1.0
        if others:
            if_chosen = squash((begin + p + max(map(self.work, others)) - bound) / L)
            first_end = min(self.earliest(i) + self.p[self.left[i][0]] for i in others)
            if_not = squash((max(first_end, clock) + work - bound) / L)
        after = self.m[then[0]] if then else -1
        under_way = [i for i in self.unfinished if self.holds[i] >= 0]
        behind = [i for i in under_way if i != j and self.holds[j] >= 0 and self.next_machine(i) == self.holds[j]]
        ahead = [i for i in range(len(self.route)) if i != j and then and self.holds[i] == after]
        return [
            float(j in self.candidates),
            p / (2 * d),
            work / L,
            (begin + work - bound) / L,
            len(self.left[j]) / self.most,
            squash((clock - self.ready[j]) / d),
            self.machine_work(m) / L,
            (machine_bound - bound) / L,
            len(queue) / len(self.unfinished),
            squash((self.idle[after] - begin - p) / d) if then else 0.0,
            self.machine_work(after) / L if then else 0.0,
            squash(sum(self.p[self.left[i][0]] for i in self.queue(after)) / d) if then else 0.0,
            self.p[then[0]] / (2 * d) if then else 0.0,
            float(not then),
            work / max(1, *(self.work(i) for i in queue)),
            squash((p - min(self.p[self.left[i][0]] for i in queue)) / d),
            squash(sum(self.p[k] for k in self.left[j] if k < visits[0]) / d) if visits else 1.0,
            self.p[visits[0]] / (2 * d) if visits else 0.0,
            squash((self.earliest(j) - min(map(self.earliest, queue))) / d),
            len(self.left[j]) / len(self.route[j]),
            sum(self.p[k] * self.machine_work(self.m[k]) for k in self.left[j]) / max(work, 1) / L,
            if_chosen,
            float(self.down[m]),
            if_not,
            squash((work - max(map(self.work, queue))) / (2 * d)),
            squash((begin + work - bound) / (4 * d)),
            float(len(ahead)),
            squash(len(behind) / 2),
            squash(sum(self.p[self.left[i][0]] for i in behind) / d),
            float(any(self.left[i] and self.next_machine(i) == m for i in ahead)),
            squash(sum(self.next_machine(i) == after for i in under_way) / 2) if then else 0.0,
            float(self.holds[j] >= 0),
        ]

    def machines(self) -> np.ndarray:
        rows = np.zeros((MACHINES, 5))
        for m in range(self.shop.n_machines):
            until = max(self.idle[m] - self.clock, 0)
            share = len(self.queue(m)) / max(len(self.unfinished), 1)
            rows[m] = [until > 0, squash(until / self.d), self.machine_work(m) / self.L, share, self.down[m]]
        return rows

    def whole(self) -> np.ndarray:
        jobs, machines = len(self.route), self.shop.n_machines
        works = [self.machine_work(m) for m in range(machines)]
        return np.array(
            [
                sum(map(len, self.left)) / len(self.p),
                squash(self.L / (10 * self.d)),
                len(self.unfinished) / jobs,
                jobs / (jobs + machines),
                (self.bound - self.first_bound) / self.first_bound,
                len(self.candidates) / jobs,
                sum(works) / machines / self.L,
                max(map(self.work, range(jobs))) / self.L,
                sum(m >= 0 for m in self.holds) / machines,
                sum(m >= 0 and self.ready[j] <= self.clock for j, m in enumerate(self.holds)) / machines,
            ]
        )

    def constants(self) -> np.ndarray:
        rows = np.zeros((OPERATIONS, 6))
        for o, j in enumerate(self.job):
            load = sum(p for p, m in zip(self.p, self.m, strict=True) if m == self.m[o])
            before = sum(self.p[k] for k in self.route[j] if k < o)
            place = self.route[j].index(o) / len(self.route[j])
            total = sum(self.p[k] for k in self.route[j])
            b = self.first_bound
            rows[o] = [self.p[o] / (2 * self.d), before / b, self.after(o) / b, place, load / b, total / b]
        return rows

    def operations(self) -> np.ndarray:
        rows = np.zeros((OPERATIONS, 10))
        for o, j in enumerate(self.job):
            p, left = self.p[o], self.left[j]
            total = sum(self.p[k] for k in self.route[j])
            started = self.start[o] >= 0
            last_started = started and (o == self.route[j][-1] or self.start[o + 1] < 0)
            in_process = last_started and self.ready[j] > self.clock
            delayed = bool(left) and o == left[0] and self.ready[j] <= self.clock
            if started:
                completion = self.ready[j] if in_process else self.start[o] + p
            else:
                completion = max(self.ready[j], self.clock) + sum(self.p[k] for k in left if k <= o)
            rows[o] = [
                not started and not delayed,
                in_process,
                delayed,
                started and not in_process,
                p / self.d,
                1 - self.work(j) / max(total, 1),
                len(left) / self.most,
                squash((self.clock - self.ready[j]) / self.d) if delayed else 0.0,
                (self.ready[j] - self.clock) / self.d if in_process else 0.0,
                completion / max(self.bound, 1),
            ]
        return rows

    def lower_bound(self) -> int:
        """What jobs without conflicts and machines without idle time leave possible, in the job shop."""
        ends = [s + p for s, p in zip(self.start, self.p, strict=True) if s >= 0]
        chains = [max(self.earliest(j), self.clock) + self.work(j) for j in self.unfinished]
        loads = []
        for m in range(self.shop.n_machines):
            tails = [self.after(o) for left in self.left for o in left if self.m[o] == m]
            if self.machine_work(m):
                loads.append(max(self.idle[m], self.clock) + self.machine_work(m) + min(tails))
        return int(max([0, *ends, *chains, *loads]))


def squash(x: float) -> float:
    return x / (1 + abs(x))


def compare(seen: Seen, observation: dict[str, np.ndarray]) -> None:
    expected: dict[str, Any] = {
        "jobs": seen.jobs(),
        "machines": seen.machines(),
        "shop": seen.whole(),
        "route": seen.constants(),
        "operations": seen.operations(),
        "operation_job": padded(seen.job, OPERATIONS),
        "operation_machine": padded(seen.m, OPERATIONS),
        "next_operation": padded([left[0] if left else -1 for left in seen.left], JOBS),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(observation[name], values, rtol=2e-5, atol=1e-6, err_msg=name)


def padded(values: list[int], size: int) -> list[int]:
    return values + [-1] * (size - len(values))
