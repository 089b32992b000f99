"""What an exact solver has found so far, and how Ctrl-C and errors reach a search that runs in compiled code."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from optgap.co.core import Incumbent, Result, Status


class Progress:
    """The history of a minimization: best solution, best proved bound, and when each was reached.

    Args:
        integral: every feasible cost is an integer, so a bound rounds up to the next one.
        unit: what 1 of these costs is in the instance's unit, in which the result is; below 0 for a maximization, whose
            solver minimizes the negated value.
    """

    def __init__(self, *, integral: bool = True, unit: float = 1.0) -> None:
        self._begin = time.perf_counter()
        self.integral, self.unit = integral, unit
        self.solution: Any = None
        self._incumbents: list[Incumbent] = []
        self.cost = math.inf
        self.bound = -math.inf

    def seconds(self) -> float:
        """Wall-clock seconds since the start."""
        return time.perf_counter() - self._begin

    def found(self, solution: Any, cost: float) -> None:
        """A feasible solution; kept if it is the best so far."""
        if cost < self.cost:
            self.solution, self.cost = solution, cost
            self._record()

    def proved(self, bound: float) -> None:
        """A lower bound, in floating point; with integral costs the integer above it is as true and is what is kept."""
        if not abs(bound) < 1e15:  # solvers say 1e20 for none
            return
        if (rounded := math.ceil(bound - 1e-6) if self.integral else bound) > self.bound:
            self.bound = rounded
            if self.solution is not None:
                self._record()

    def _record(self) -> None:
        self._incumbents.append(Incumbent(self.seconds(), float(self.unit * self.cost), self._own_bound()))

    def _own_bound(self) -> float | None:
        return None if self.bound == -math.inf else float(self.unit * self.bound)

    def result(self) -> Result:
        """Optimal only where the bound meets the cost."""
        if self.solution is None:
            status = Status.NO_SOLUTION
        else:
            status = Status.OPTIMAL if self.bound >= self.cost else Status.FEASIBLE
        return Result(self.solution, status, bound=self._own_bound(), incumbents=tuple(self._incumbents))


class Guard:
    """Keeps the first exception of callbacks that a solver calls: solvers swallow what their callbacks raise."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    @contextlib.contextmanager
    def __call__(self, stop: Callable[[], object]) -> Iterator[None]:
        """Around a callback's body: on an exception, keep it and ask the solver to stop."""
        try:
            yield
        except BaseException as error:
            self.error = self.error or error
            stop()


def run_interruptibly(work: Callable[[], object], stop: Callable[[], object], guard: Guard) -> None:
    """Run ``work`` (compiled code that releases the GIL) in a thread; on Ctrl-C call ``stop`` until it ends.

    Raises:
        BaseException: what ``work`` or a callback under ``guard`` raised. Not KeyboardInterrupt: the caller's incumbent
            is the answer to that.
    """
    outcome = Guard()
    finished = threading.Event()  # not Thread.join: interrupted, it may take a running thread for a dead one

    def target() -> None:
        with outcome(lambda: None):
            work()
        finished.set()

    threading.Thread(target=target, name="exact-solver", daemon=True).start()
    stopping = False
    while True:
        try:
            while not finished.wait(0.1):
                if stopping:
                    stop()  # again and again: a solver forgets a request that comes before its search has begun
            break
        except KeyboardInterrupt:
            stopping = True
    if (error := guard.error or outcome.error) is not None:
        raise error
