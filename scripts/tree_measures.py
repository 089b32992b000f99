"""One measurement of one library of boosted trees, run by ``benchmark_trees.py`` in that library's own interpreter.

    python scripts/tree_measures.py optgap step-small-fresh 5

prints one JSON object: the least wall-clock and CPU seconds of 5 runs, or megabytes. Only the measured library is
imported. Threads are what OMP_NUM_THREADS says. All libraries see the same data and grow trees of the same depth with as
many bins; XGBoost and CatBoost compute their gradients from targets, the others are given them.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))
SIZES = {"small": (2048, 16), "large": (32768, 128)}
OUTPUTS, DEPTH, BINS = 8, 4, 256
ROLLOUT, MINIBATCH, EPOCHS, VIEW, VALUES = 4096, 512, 20, 147, 8  # 160 trees
MEGABYTE = 2**20

Array = NDArray[Any]
Run = Callable[[], object]


def problem(rows: int, features: int) -> tuple[Array, Array]:
    """Features (n, F), and gradients or targets (n, 8) that depend on them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, features)).astype(np.float32)
    noise = rng.normal(size=(rows, OUTPUTS))
    return x, (np.sin(2 * x[:, :OUTPUTS]) + x[:, OUTPUTS : 2 * OUTPUTS] + noise).astype(np.float32)


# Every library: a model, how it takes a step, and how it predicts.


def optgap_model(
    features: int, growth: str = "greedy", depth: int = DEPTH, bins: int = BINS, categories: bool = False
) -> Any:
    from optgap.gbrl.config import TreeConfig
    from optgap.gbrl.model import GBTModel

    kinds = np.full(features, categories)
    tree = TreeConfig(max_depth=depth, growth=growth, n_bins=bins)
    return GBTModel(features, OUTPUTS, tree, categorical=kinds, threads=THREADS)


def gbrl_model(
    features: int, growth: str = "greedy", depth: int = DEPTH, bins: int = BINS, categories: bool = False
) -> Any:
    from gbrl.models.gbt import GBTModel

    tree = {"max_depth": depth, "grow_policy": growth, "n_bins": bins, "min_data_in_leaf": 0, "par_th": 2}
    descent = {"algo": "SGD", "lr": 0.1, "start_idx": 0, "stop_idx": OUTPUTS}
    scores = {"split_score_func": "Cosine", "generator_type": "Quantile", "control_variates": False}
    return GBTModel(tree, features, OUTPUTS, descent, scores).learner


MODELS = {"optgap": optgap_model, "gbrl": gbrl_model}


def step(library: str, size: str, reused: bool = False) -> Run:
    """One tree on the same data again and again; bins fitted in every step, or once."""
    x, gradients = problem(*SIZES[size])
    if library == "xgboost":
        return xgboost_step(x, gradients)
    if library == "catboost":
        return catboost_step(x, gradients)
    model = MODELS[library](x.shape[1])
    rows = model.bin(x) if reused else x
    return lambda: model.step(rows, gradients)


def xgboost_step(x: Array, y: Array) -> Run:
    import xgboost

    settings = {
        "tree_method": "hist",
        "multi_strategy": "multi_output_tree",
        "max_depth": DEPTH,
        "max_bin": BINS,
        "nthread": THREADS,
    }
    booster: Any = None

    def once() -> None:
        nonlocal booster
        data = xgboost.QuantileDMatrix(x, y, max_bin=BINS, nthread=THREADS)
        booster = xgboost.train(settings, data, 1, xgb_model=booster)

    return once


def catboost_step(x: Array, y: Array) -> Run:
    from catboost import CatBoostRegressor

    model: Any = None

    def once() -> None:
        nonlocal model
        new = CatBoostRegressor(
            loss_function="MultiRMSE",
            iterations=1,
            depth=DEPTH,
            border_count=254,
            thread_count=THREADS,
            verbose=0,
            allow_writing_files=False,
            boost_from_average=False,
        )
        new.fit(x, y, init_model=model)
        model = new

    return once


def ppo_update(library: str) -> Run:
    """PPO's clipped loss on a rollout of MiniGrid's shape: 20 epochs of 8 minibatches, a gradient step each.

    The same loss by torch on all sides. optgap bins the rollout and keeps its outputs up to date; gbrl predicts each
    minibatch by all trees of the update. The network is two of 2x64 (policy, value), under Adam, on 147 numbers.
    """
    import torch

    torch.set_num_threads(THREADS)
    rng = np.random.default_rng(0)
    view = rng.integers(VALUES, size=(ROLLOUT, VIEW))
    actions = torch.from_numpy(rng.integers(OUTPUTS - 1, size=ROLLOUT))
    advantages = torch.from_numpy((view[:, 0] % 3 + rng.normal(size=ROLLOUT)).astype(np.float32))
    returns = torch.from_numpy((view[:, 1] / VALUES + rng.normal(size=ROLLOUT)).astype(np.float32))
    before = torch.full((ROLLOUT,), -float(np.log(OUTPUTS - 1)))
    batches = [part for _ in range(EPOCHS) for part in rng.permutation(ROLLOUT).reshape(-1, MINIBATCH)]

    def loss(outputs: Any, rows: Array) -> Any:
        logs = outputs[:, :-1].log_softmax(1)
        ratio = (logs.gather(1, actions[rows, None])[:, 0] - before[rows]).exp()
        gain = torch.minimum(ratio * advantages[rows], ratio.clamp(0.8, 1.2) * advantages[rows])
        entropy = -(logs.exp() * logs).sum(1)
        return (0.5 * (outputs[:, -1] - returns[rows]) ** 2 - gain - 0.01 * entropy).mean()

    def gradients(outputs: Array, rows: Array) -> Array:
        leaf = torch.from_numpy(outputs).requires_grad_()
        loss(leaf, rows).backward()
        assert leaf.grad is not None
        return (leaf.grad * len(rows)).numpy()

    def optgap() -> None:
        model = optgap_model(VIEW, categories=True)
        binned = model.bin(view.astype(np.float32))
        cache = model.cache(binned)
        for rows in batches:
            model.step(binned.take(rows), gradients(cache.outputs[rows], rows))
            cache.update()

    def gbrl() -> None:
        model = gbrl_model(VIEW)
        names = view.astype(str).astype(object)  # categories are strings there
        for rows in batches:
            part = names[rows]
            outputs = np.ascontiguousarray(model.predict(part, requires_grad=False, tensor=False), np.float32)
            model.step(part, gradients(outputs.reshape(len(rows), OUTPUTS), rows))

    def network() -> None:
        def layers(outputs: int) -> Any:
            nn = torch.nn
            return nn.Sequential(nn.Linear(VIEW, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, outputs))

        nets = torch.nn.ModuleList([layers(OUTPUTS - 1), layers(1)])
        optimizer = torch.optim.Adam(nets.parameters(), 3e-4, fused=True)
        x = torch.from_numpy((view / VALUES).astype(np.float32))
        for rows in batches:
            part = x[rows]
            optimizer.zero_grad()
            loss(torch.cat([net(part) for net in nets], 1), rows).backward()
            torch.nn.utils.clip_grad_norm_(nets.parameters(), 0.5)
            optimizer.step()

    return {"optgap": optgap, "gbrl": gbrl, "torch": network}[library]


def forest(library: str, growth: str, trees: int, features: int = 16) -> Any:
    """A model of full trees of depth 4: fitted to noise on few rows, which is quick on both sides."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, features)).astype(np.float32)
    model = MODELS[library](features, growth, bins=16)
    if library == "optgap":
        x = model.bin(x)
    for _ in range(trees):
        model.step(x, rng.normal(size=(256, OUTPUTS)).astype(np.float32))
    return model


def predict(library: str, growth: str, rows: int) -> Run:
    model = forest(library, growth, 1000)
    x = np.random.default_rng(1).normal(size=(rows, 16)).astype(np.float32)
    if library == "gbrl":
        return lambda: model.predict(x, requires_grad=False, tensor=False)
    return lambda: model.predict(x)


def file_size(library: str) -> float:
    """Megabytes of a file of 10,000 greedy trees."""
    model = forest(library, "greedy", 10_000)
    with tempfile.TemporaryDirectory() as folder:
        model.save(str(Path(folder) / "model"))
        return sum(file.stat().st_size for file in Path(folder).iterdir()) / MEGABYTE


def peak() -> float:
    """Most megabytes that the process has held, by Linux; ``getrusage`` says its parent's if that one held more."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024 / MEGABYTE


def memory(library: str) -> float:
    """Megabytes by which the process's peak grows from the import and the data on, by one step of the small size."""
    x, gradients = problem(*SIZES["small"])
    if library == "gbrl":
        import gbrl.models.gbt  # noqa: F401
    else:
        import optgap.gbrl.model  # noqa: F401
    before = peak()
    MODELS[library](x.shape[1]).step(x, gradients)
    return peak() - before


def deep(library: str) -> Run:
    """A greedy tree of depth 10."""
    x, gradients = problem(*SIZES["small"])
    model = MODELS[library](x.shape[1], depth=10)
    return lambda: model.step(x, gradients)


TIMED: dict[str, Callable[[str], Run]] = {
    "step-small-fresh": partial(step, size="small"),
    "step-small-reused": partial(step, size="small", reused=True),
    "step-large-fresh": partial(step, size="large"),
    "step-large-reused": partial(step, size="large", reused=True),
    "ppo-update": ppo_update,
    "predict-2048-oblivious": partial(predict, growth="oblivious", rows=2048),
    "predict-2048-greedy": partial(predict, growth="greedy", rows=2048),
    "predict-1-oblivious": partial(predict, growth="oblivious", rows=1),
    "predict-1-greedy": partial(predict, growth="greedy", rows=1),
    "depth-10": deep,
}
WEIGHED: dict[str, Callable[[str], float]] = {"memory": memory, "file": file_size}


def least_seconds(run: Run, runs: int) -> tuple[float, float]:
    """Least wall-clock and CPU seconds of so many runs, after one that is not counted if there are several.

    Short runs are repeated within one reading of the clock, for a tenth of a second in all.
    """
    inner = 1
    if runs > 1:
        run()
        began = time.perf_counter()
        run()
        inner = max(1, int(0.1 / (time.perf_counter() - began)))
    walls, busys = [], []
    for _ in range(runs):
        began, busy = time.perf_counter(), time.process_time()
        for _ in range(inner):
            run()
        walls.append((time.perf_counter() - began) / inner)
        busys.append((time.process_time() - busy) / inner)
    return min(walls), min(busys)


def main(library: str, case: str, runs: str) -> None:
    if case in WEIGHED:
        answer = {"megabytes": WEIGHED[case](library)}
    else:
        wall, cpu = least_seconds(TIMED[case](library), int(runs))
        answer = {"wall": wall, "cpu": cpu}
    print(json.dumps(answer))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(*sys.argv[1:])
