"""Final policies of several seeds, and baselines, on the same episodes: returns, figures, and costs beside their limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from optgap.agents.common.evaluation import Choose, Episodes, play_episodes
from optgap.agents.common.metrics import read_metrics
from optgap.envs.registry import EnvironmentConfig
from returns import SEED, acting, figure_text, mean_of

Row = dict[str, Any]
TOLERANCE = 0.01  # of a limit, by which a mean cost may exceed it


def policy_rows(agent: str, folders: Sequence[Path], limits: Mapping[str, float], episodes: int) -> list[Row]:
    """A row for the greedy policies of the runs in ``folders`` and one for the sampled ones, on the same episodes."""
    import torch

    from naming import find_agent

    agents = [find_agent(str(folder)) for folder in folders]
    over = {"training_excess": [training_excess(folder, limits) for folder in folders]} if limits else {}
    rows = []
    for mode in ("greedy", "sampled"):
        found = []
        for trained in agents:
            with torch.random.fork_rng():
                torch.manual_seed(SEED)
                found.append(play_episodes(acting(trained, mode == "greedy"), trained.env_config, episodes, SEED))
        rows.append(row_of(f"{agent}, {mode}", found, limits) | over)
    return rows


def baseline_rows(env_config: EnvironmentConfig, limits: Mapping[str, float], episodes: int) -> list[Row]:
    """A row a baseline of the environment, on the episodes of :func:`policy_rows`."""
    baselines: Mapping[str, Choose] = getattr(env_config, "baselines", dict)()
    return [
        row_of(name, [play_episodes(policy, env_config, episodes, SEED)], limits) for name, policy in baselines.items()
    ]


def row_of(policy: str, found: Sequence[Episodes], limits: Mapping[str, float]) -> Row:
    """Returns, figures and mean costs of a policy, an entry a seed."""
    costs = [np.average(each.costs, axis=0, weights=each.lengths) for each in found if each.costs is not None]
    excess = [
        max((mean - limit) / (abs(limit) or 1.0) for mean, limit in zip(c, limits.values(), strict=True)) for c in costs
    ]
    return {
        "policy": policy,
        "returns": [float(each.returns.mean()) for each in found],
        "steps": [float(each.lengths.mean()) for each in found],
        "figures": {name: [mean_of(each.figures[name]) for each in found] for name in found[0].figures},
        "costs": {name: [float(mean[i]) for mean in costs] for i, name in enumerate(limits)},
        "worst": [float(value) for value in excess],  # the largest excess over a limit, by that limit
        "held": int(sum(value <= TOLERANCE for value in excess)),
    }


def training_excess(folder: Path, limits: Mapping[str, float]) -> float:
    """Mean over a run's updates of :func:`excess_curve`."""
    _, excess = excess_curve(folder, limits)
    return float(excess.mean()) if len(excess) else float("nan")


def excess_curve(folder: Path, limits: Mapping[str, float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Steps of a run's updates, and what their rollouts' costs exceeded their limits by, in limits, summed over them."""
    lines = [line for line in read_metrics(folder) if all(f"cost/{name}" in line for name in limits)]
    costs = np.array([[line[f"cost/{name}"] for name in limits] for line in lines], np.float64).reshape(-1, len(limits))
    bounds = np.array(list(limits.values()))
    excess = np.maximum(0.0, (costs - bounds) / np.where(bounds == 0.0, 1.0, np.abs(bounds)))
    return np.array([line["steps"] for line in lines], np.float64), excess.sum(axis=1)


def texts(row: Row) -> tuple[str, ...]:
    """A row as printed: means over seeds, and their spread where there are several."""

    def spread(values: Sequence[float]) -> str:
        mean = float(np.mean(values))
        beside = f" +- {np.std(values, ddof=1):.2g}" if len(values) > 1 and not np.isnan(mean) else ""
        return f"{figure_text(mean)}{beside}"

    figures = (spread(values) for values in (row["steps"], *row["figures"].values(), *row["costs"].values()))
    if not row["costs"]:
        return row["policy"], spread(row["returns"]), *figures
    over = row.get("training_excess")
    held = f"{row['held']} of {len(row['returns'])}"
    return row["policy"], spread(row["returns"]), *figures, held, "" if over is None else spread(over)


def headers(rows: Sequence[Row], limits: Mapping[str, float]) -> tuple[str, ...]:
    figures = (name.replace("_", " ") for name in rows[0]["figures"])
    names = (f"{name} <={limit:.4g}" for name, limit in limits.items())
    last = ("all held", "excess while training") if limits else ()
    return "policy", "mean return", "steps", *figures, *names, *last


def policies_table(rows: Sequence[Row], limits: Mapping[str, float], title: str) -> Group:
    """The rows of one environment, and below their costs, red above their limit. Cells break between words alone."""
    names = headers(rows, limits)
    lines = [[text.replace("+- ", "+-") for text in texts(row)] for row in rows]
    first = 3 + len(rows[0]["figures"])
    costs = range(first, first + len(limits))
    others = [i for i in range(len(names)) if i not in costs]
    shown = _columns(title, [names[i] for i in others], [[Text(line[i]) for i in others] for line in lines])
    if not limits:
        return Group(shown)
    cells = [[Text(line[0]), *(Text(line[i]) for i in costs)] for line in lines]
    for row, (_, *found) in zip(rows, cells, strict=True):
        for cell, (name, values) in zip(found, row["costs"].items(), strict=False):
            cell.stylize("red" if np.mean(values) > limits[name] else "green")
    below = _columns("costs a step", ["policy", *(f"[{i + 1}]" for i in range(len(limits)))], cells)
    return Group(shown, below, Text(", ".join(f"[{i + 1}] {names[at]}" for i, at in enumerate(costs))))


def _columns(title: str, names: Sequence[str], lines: Sequence[Sequence[Text]]) -> Table:
    """A table whose columns are at least as wide as their longest words."""
    table = Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        header_style="bold",
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for i, name in enumerate(names):
        words = " ".join([name, *(line[i].plain for line in lines)]).split()
        table.add_column(Text(name), justify="left" if i == 0 else "right", min_width=max(map(len, words)))
    for line in lines:
        table.add_row(*line)
    return table


def policies_markdown(rows: Sequence[Row], limits: Mapping[str, float]) -> str:
    names = headers(rows, limits)
    lines = [names, ("---",) * len(names), *(texts(row) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
