"""A registry of names, filled by import strings, so that registering costs no import."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from optgap.co.core.errors import InputError


class Registry:
    """Names to objects. A target is the object itself or ``"module:attribute"``, imported when first asked for.

    A wrong name raises :class:`InputError` that lists the right ones.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._targets: dict[str, Any] = {}

    def register(self, name: str, target: Any) -> None:
        """Add ``name``; registering a name twice with another target is an :class:`InputError`."""
        if self._targets.get(name, target) != target:
            raise InputError(f"{self.kind} {name!r} is registered already")
        self._targets[name] = target

    def load(self, name: str) -> Any:
        """The object behind ``name``."""
        if name not in self._targets:
            near = get_close_matches(name, self._targets, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise InputError(f"unknown {self.kind} {name!r}{hint}; known: {', '.join(sorted(self._targets))}")
        target = self._targets[name]
        if isinstance(target, str):
            module, _, attribute = target.partition(":")
            target = getattr(import_module(module), attribute)
        return target

    def names(self, prefix: str = "") -> list[str]:
        """Registered names that begin with ``prefix``, sorted."""
        return sorted(name for name in self._targets if name.startswith(prefix))

    def __contains__(self, name: str) -> bool:
        return name in self._targets

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())


PROBLEMS = Registry("problem")
SOLVERS = Registry("solver")  # "<problem>/<solver>" -> a Solver, called as solver(instance, budget)

PROBLEMS.register("job-shop", "optgap.co.problems.job_shop:JOB_SHOP")
PROBLEMS.register("blocking-job-shop", "optgap.co.problems.blocking_job_shop:BLOCKING_JOB_SHOP")
PROBLEMS.register("tsp", "optgap.co.problems.tsp:TSP_PROBLEM")
PROBLEMS.register("atsp", "optgap.co.problems.tsp:ATSP_PROBLEM")
PROBLEMS.register("cvrp", "optgap.co.problems.cvrp:CVRP_PROBLEM")
PROBLEMS.register("op", "optgap.co.problems.orienteering:ORIENTEERING")
PROBLEMS.register("kp", "optgap.co.problems.knapsack:KNAPSACK")
PROBLEMS.register("slicing", "optgap.co.problems.slicing:SLICING")
PROBLEMS.register("path-planning", "optgap.co.problems.path_planning:PATH_PLANNING")
PROBLEMS.register("mapf", "optgap.co.problems.multi_agent_path_finding:MAPF")
PROBLEMS.register("portfolio", "optgap.co.problems.portfolio:PORTFOLIO")
PROBLEMS.register("mean-variance", "optgap.co.problems.mean_variance:MEAN_VARIANCE")

for _problem in ("job-shop", "blocking-job-shop"):
    for _rule in ("spt", "lpt", "mwkr", "lwkr", "mor", "lor", "fifo", "random"):
        SOLVERS.register(f"{_problem}/{_rule}", f"optgap.co.heuristics.dispatching:{_rule}")
        for _samples in (128, 512):
            _name = f"{_rule}_x{_samples}"
            SOLVERS.register(f"{_problem}/{_rule}-x{_samples}", f"optgap.co.heuristics.dispatching:{_name}")
    SOLVERS.register(f"{_problem}/scip", "optgap.co.exact.job_shop_scip:solve")
    SOLVERS.register(f"{_problem}/cp-sat", "optgap.co.exact.job_shop_cp_sat:solve")

for _problem in ("tsp", "atsp"):
    SOLVERS.register(f"{_problem}/scip", "optgap.co.exact.tour_scip:solve")
    SOLVERS.register(f"{_problem}/lkh", "optgap.co.heuristics.lkh:solve")
    SOLVERS.register(f"{_problem}/or-tools", "optgap.co.heuristics.ortools_routing:solve_tour")
SOLVERS.register("cvrp/or-tools", "optgap.co.heuristics.ortools_routing:solve_cvrp")

SOLVERS.register("cvrp/scip", "optgap.co.exact.cvrp_scip:solve")
SOLVERS.register("cvrp/pyvrp", "optgap.co.heuristics.pyvrp_solver:solve")
SOLVERS.register("op/scip", "optgap.co.exact.orienteering_scip:solve")
SOLVERS.register("kp/scip", "optgap.co.exact.knapsack_scip:solve")
for _problem in ("tsp", "atsp"):
    SOLVERS.register(f"{_problem}/nearest-neighbour", "optgap.co.heuristics.tour_solvers:nearest_neighbour")
    SOLVERS.register(f"{_problem}/random-insertion", "optgap.co.heuristics.tour_solvers:random_insertion")
    SOLVERS.register(f"{_problem}/farthest-insertion", "optgap.co.heuristics.tour_solvers:farthest_insertion")
    SOLVERS.register(f"{_problem}/3-opt", "optgap.co.heuristics.tour_solvers:three_opt")
    SOLVERS.register(f"{_problem}/ils", "optgap.co.heuristics.tour_solvers:iterated")
SOLVERS.register("tsp/2-opt", "optgap.co.heuristics.tour_solvers:two_opt")
SOLVERS.register("atsp/patching", "optgap.co.heuristics.tour_solvers:patching")

SOLVERS.register("cvrp/nearest-neighbour", "optgap.co.heuristics.route_solvers:nearest_neighbour")
SOLVERS.register("cvrp/savings", "optgap.co.heuristics.route_solvers:savings")
SOLVERS.register("cvrp/ruin-recreate", "optgap.co.heuristics.route_solvers:iterated")
SOLVERS.register("op/greedy", "optgap.co.heuristics.route_solvers:orienteering_greedy")
SOLVERS.register("op/ils", "optgap.co.heuristics.route_solvers:orienteering_ils")
SOLVERS.register("kp/greedy", "optgap.co.heuristics.knapsack_exact:greedy")
SOLVERS.register("kp/branch-and-bound", "optgap.co.heuristics.knapsack_exact:branch_and_bound")
for _rule in ("equal_share", "proportional", "latency_greedy", "drift_plus_penalty"):
    SOLVERS.register(f"slicing/{_rule.replace('_', '-')}", f"optgap.co.heuristics.slicing_rules:solve_{_rule}")
SOLVERS.register("slicing/scip", "optgap.co.exact.slicing_scip:solve")
SOLVERS.register("path-planning/visibility-graph", "optgap.co.exact.visibility:solve")
SOLVERS.register("path-planning/lattice-a-star", "optgap.co.heuristics.lattice:solve")
SOLVERS.register("path-planning/lattice-a-star-car", "optgap.co.heuristics.lattice:solve_car")
SOLVERS.register("mapf/prioritized-planning", "optgap.co.heuristics.prioritized_planning:solve")
SOLVERS.register("mapf/cbs", "optgap.co.exact.conflict_based_search:solve")
SOLVERS.register("mapf/scip", "optgap.co.exact.multi_agent_path_finding_scip:solve")
SOLVERS.register("portfolio/equal-weight", "optgap.co.heuristics.portfolio_rules:solve_equal_weight")
SOLVERS.register("portfolio/buy-and-hold", "optgap.co.heuristics.portfolio_rules:solve_buy_and_hold")
SOLVERS.register("portfolio/hindsight", "optgap.co.exact.portfolio_hindsight:solve")
SOLVERS.register("portfolio/scip", "optgap.co.exact.portfolio_scip:solve")
SOLVERS.register("mean-variance/local-search", "optgap.co.heuristics.mean_variance_search:solve")
SOLVERS.register("mean-variance/scip", "optgap.co.exact.mean_variance_scip:solve")
