"""One measurement of one environment library, run by ``benchmark_peers.py`` in that library's own interpreter.

    python scripts/peer_measures.py optgap-batch 5

prints one JSON object. Only the measured library is imported; everything is single-threaded, and choosing the allowed
action and starting new episodes (with new random instances) are part of the measured time, on every side alike. Batches
take the allowed action that stands highest in a random order of all, one a copy, drawn once: to draw at every step would
be most of the time. In the TSP that choice comes to a random tour; the measures that end in ``-tours`` walk one that is
written down beforehand, so that the environment alone is measured.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

COPIES, JOBS, MACHINES = 64, 10, 10
TOURS, NODES = 512, 100  # copies and nodes (customers) of the routing environments


def optgap_batch(name: str, copies: int, **size: Any) -> Iterator[int]:
    """Copies of random instances through ``gymnasium.make_vec``, every observation key."""
    import gymnasium
    import numpy as np

    import optgap  # noqa: F401  (registers the environments)

    envs: Any = gymnasium.make_vec(name, num_envs=copies, vectorization_mode="vector_entry_point", **size)
    seen, _ = envs.reset(seed=0)
    count = seen["action_mask"].shape[1]
    rank = np.random.default_rng(0).permuted(np.tile(np.arange(1, count + 1), (copies, 1)), axis=1)
    action_of = np.argsort(np.concatenate([np.zeros((copies, 1), int), rank], 1), 1) - 1  # (copies, rank)
    every, rank = np.arange(copies), rank.astype(np.int16)  # the integers on which NumPy is fastest
    over = np.zeros(copies, bool)
    while True:
        began_anew = int(over.sum())  # these copies reset in this call: not a step
        actions = action_of[every, (seen["action_mask"] * rank).max(1)]
        seen, _, terminated, truncated, _ = envs.step(actions)
        over = terminated | truncated
        yield copies - began_anew


def optgap_tours(copies: int, nodes: int) -> Iterator[int]:
    """The batched TSP alone: random tours from node 0, drawn beforehand, are walked again on every new instance."""
    import gymnasium
    import numpy as np

    import optgap  # noqa: F401

    envs: Any = gymnasium.make_vec("optgap/TSP-v0", copies, vectorization_mode="vector_entry_point", nodes=nodes)
    envs.reset(seed=0)
    others = np.tile(np.arange(1, nodes), (copies, 1))
    tours = np.ascontiguousarray(np.random.default_rng(0).permuted(others, axis=1).T)  # a step a row
    while True:
        for actions in tours:
            envs.step(actions)
            yield copies
        envs.step(tours[0])  # all copies reset


def optgap_single() -> Iterator[int]:
    """One copy of ta01 (15x15), every observation key, through ``gymnasium.make`` without its checking wrapper."""
    import gymnasium
    import numpy as np

    import optgap  # noqa: F401

    env = gymnasium.make("optgap/JobShop-v0", instances=["ta01"], disable_env_checker=True)
    masks = env.get_wrapper_attr("action_masks")
    rng = np.random.default_rng(0)
    while True:
        env.reset(seed=0)
        over = False
        while not over:
            allowed = np.flatnonzero(masks())
            _, _, over, _, _ = env.step(allowed[rng.integers(len(allowed))])
            yield 1


def rl4co_batch(name: str, copies: int, **size: Any) -> Iterator[int]:
    """Copies of random instances through the environment's own ``reset``, ``step`` and ``get_reward``."""
    import rl4co.envs
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    env = getattr(rl4co.envs, name)(generator_params=size)
    rank = 1 + torch.rand(env.reset(batch_size=[copies])["action_mask"].shape).argsort(1)
    action_of = torch.nn.functional.pad(rank, (1, 0)).argsort(1) - 1  # (copies, rank)
    rank = rank.int()  # the integers on which PyTorch is fastest
    while True:
        state, actions = env.reset(batch_size=[copies]), []
        while (over := int(state["done"].sum())) < copies:
            best = (state["action_mask"] * rank).amax(1, keepdim=True)
            actions.append(action_of.gather(1, best.long()).squeeze(1))
            state.set("action", actions[-1])
            state = env.step(state)["next"]
            yield copies - over
        env.get_reward(state, torch.stack(actions, 1))  # the costs, which the steps leave out


def rl4co_tours(copies: int, nodes: int) -> Iterator[int]:
    """The batched TSP alone, as :func:`optgap_tours`: here a tour's first node is an action too."""
    import rl4co.envs
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    env = rl4co.envs.TSPEnv(generator_params={"num_loc": nodes})
    tours = torch.rand(copies, nodes).argsort(1)
    steps = list(tours.T.contiguous())
    while True:
        state = env.reset(batch_size=[copies])
        for actions in steps:
            state.set("action", actions)
            state = env.step(state)["next"]
            yield copies
        env.get_reward(state, tours)


def rl4co_rollout(name: str, copies: int, **size: Any) -> Iterator[int]:
    """The same by the library's own ``rollout`` of its own ``random_policy``, which draws at every step."""
    import rl4co.envs
    import torch
    from rl4co.utils.decoding import random_policy, rollout

    torch.set_num_threads(1)
    torch.manual_seed(0)
    env = getattr(rl4co.envs, name)(generator_params=size)
    taken = 0

    def policy(state: Any) -> Any:
        nonlocal taken
        taken += copies - int(state["done"].sum())  # a copy that has ended takes no step
        return random_policy(state)

    while True:
        rollout(env, env.reset(batch_size=[copies]), policy)
        yield taken
        taken = 0


def job_shop_lib_single() -> Iterator[int]:
    """One copy of ta01 (15x15): resource-task graph and the features of all its observers."""
    import random

    from job_shop_lib.benchmarking import load_benchmark_instance
    from job_shop_lib.dispatching.feature_observers import FeatureObserverType
    from job_shop_lib.graphs import build_resource_task_graph
    from job_shop_lib.reinforcement_learning import SingleJobShopGraphEnv

    rng = random.Random(0)
    graph = build_resource_task_graph(load_benchmark_instance("ta01"))
    env = SingleJobShopGraphEnv(graph, feature_observer_configs=list(FeatureObserverType))
    while True:
        _, info = env.reset()
        over = False
        while not over:
            _, machine, job = rng.choice(info["available_operations_with_ids"])
            _, _, over, _, info = env.step((job, machine))
            yield 1


MEASURES: dict[str, Callable[[], Iterator[int]]] = {
    "optgap-batch": partial(optgap_batch, "optgap/JobShop-v0", COPIES, jobs=JOBS, machines=MACHINES),
    "optgap-tsp": partial(optgap_batch, "optgap/TSP-v0", TOURS, nodes=NODES),
    "optgap-tsp-tours": partial(optgap_tours, TOURS, NODES),
    "optgap-cvrp": partial(optgap_batch, "optgap/CVRP-v0", TOURS, customers=NODES),
    "optgap-single": optgap_single,
    "rl4co-batch": partial(rl4co_batch, "JSSPEnv", COPIES, num_jobs=JOBS, num_machines=MACHINES),
    "rl4co-tsp": partial(rl4co_batch, "TSPEnv", TOURS, num_loc=NODES),
    "rl4co-tsp-tours": partial(rl4co_tours, TOURS, NODES),
    "rl4co-cvrp": partial(rl4co_batch, "CVRPEnv", TOURS, num_loc=NODES),
    "rl4co-tsp-rollout": partial(rl4co_rollout, "TSPEnv", TOURS, num_loc=NODES),
    "rl4co-cvrp-rollout": partial(rl4co_rollout, "CVRPEnv", TOURS, num_loc=NODES),
    "job-shop-lib-single": job_shop_lib_single,
}


def speed(name: str, seconds: float) -> tuple[float, float]:
    """Steps a second of wall clock and of CPU time, after a fifth of the time for compilation and caches.

    On an idle machine the two agree; on a busy one the second says what the first would be.
    """
    steps = MEASURES[name]()
    deadline = time.perf_counter() + seconds / 5
    next(steps)
    while time.perf_counter() < deadline:
        next(steps)
    began, busy, taken = time.perf_counter(), time.process_time(), 0
    while (now := time.perf_counter()) < began + seconds:
        taken += next(steps)
    return taken / (now - began), taken / (time.process_time() - busy)


def import_seconds(module: str) -> tuple[float, float]:
    """Seconds, of wall clock and of CPU time, of ``import module`` in a fresh interpreter; its start is not counted."""
    clocks = "(time.perf_counter(), time.process_time())"
    code = f"import time; a = {clocks}; import {module}; b = {clocks}; print(b[0] - a[0], b[1] - a[1])"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    wall, cpu = done.stdout.split()[-2:]
    return float(wall), float(cpu)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    what, argument = sys.argv[1:]
    wall, cpu = import_seconds(argument) if what == "import" else speed(what, float(argument))
    print(json.dumps({"measure": what, "argument": argument, "wall": wall, "cpu": cpu}))
