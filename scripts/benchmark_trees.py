"""Boosted trees beside gbrl, XGBoost, CatBoost and a network of torch, on this machine, in one go; and what growth costs.

    python scripts/benchmark_trees.py repeats=3 out=runs/trees
    python scripts/benchmark_trees.py only=step large=false
    python scripts/benchmark_trees.py peers=false

The peers are installed from PyPI into out/.venv (network and about 3 GB of disk needed; done once). All sides run one after
the other in turn, `repeats` times, each in a process of its own that takes the least of `runs` runs; medians over the
processes are compared, by the wall clock and by CPU time (on a machine that does other work, the latter is the one to
trust). gbrl needs a minute or more for one step of the large size: it takes one run in one process; large=false skips it.
The second table (cost=true) is optgap's alone: the time of a step against rows, features, bins, depth and outputs, and of
a prediction against trees; out/cost.png draws it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

import cli
from benchmark_peers import install, measured, versions
from optgap.co.benchmark.provenance import provenance
from optgap.co.core import InputError
from optgap.co.formats.files import write_text
from tree_costs import cost_of_growth

PEERS = ("gbrl==1.1.9", "xgboost", "catboost")
MEASURES = Path(__file__).with_name("tree_measures.py")

# what is measured: (description, measure of optgap, peer, its measure, threads)
ROWS = (
    ("step, fresh bins, 2048 x 16", "step-small-fresh", "gbrl", "step-small-fresh", 1),
    ("step, bins reused, 2048 x 16", "step-small-reused", "gbrl", "step-small-fresh", 1),
    ("step, fresh data, 2048 x 16", "step-small-fresh", "xgboost", "step-small-fresh", 1),
    ("step, fresh data, 2048 x 16", "step-small-fresh", "catboost", "step-small-fresh", 1),
    ("step, fresh bins, 32768 x 128", "step-large-fresh", "gbrl", "step-large-fresh", 1),
    ("step, bins reused, 32768 x 128", "step-large-reused", "gbrl", "step-large-fresh", 1),
    ("step, fresh data, 32768 x 128", "step-large-fresh", "xgboost", "step-large-fresh", 1),
    ("step, fresh data, 32768 x 128", "step-large-fresh", "catboost", "step-large-fresh", 1),
    ("PPO update, 4096 rows, 160 trees", "ppo-update", "gbrl", "ppo-update", 1),
    ("PPO update, 4096 rows, 160 trees", "ppo-update", "torch", "ppo-update", 1),
    ("predict 2048 rows, oblivious", "predict-2048-oblivious", "gbrl", "predict-2048-oblivious", 2),
    ("predict 2048 rows, greedy", "predict-2048-greedy", "gbrl", "predict-2048-greedy", 2),
    ("predict 1 row, oblivious", "predict-1-oblivious", "gbrl", "predict-1-oblivious", 1),
    ("predict 1 row, greedy", "predict-1-greedy", "gbrl", "predict-1-greedy", 1),
    ("memory of the first model, MiB", "memory", "gbrl", "memory", 1),
    ("file of 10,000 greedy trees, MiB", "file", "gbrl", "file", 1),
    ("greedy tree of depth 10", "depth-10", "gbrl", "depth-10", 1),
)
SLOW = {("gbrl", "step-large-fresh"), ("gbrl", "ppo-update")}  # one run, without one to warm up

Side = tuple[str, str, int]


@dataclass
class TreesConfig:
    """What can be said on the command line."""

    only: str = ""  # rows whose description holds this text, for instance predict
    large: bool = True  # gbrl at 32768 x 128 too
    repeats: int = 3  # processes a measure
    runs: int = 5  # in each process
    limit: float = 600.0  # seconds for a process; a side that needs more, or fails, is not asked again
    peers: bool = True
    cost: bool = True
    out: str = "runs/trees"


def main(argv: list[str]) -> int:
    config = cli.parse(TreesConfig, argv, about=__doc__)
    if config.repeats < 1 or config.runs < 1 or not config.limit > 0:
        raise InputError(
            f"repeats {config.repeats}, runs {config.runs}, limit {config.limit:g}; expected at least 1, 1, above 0"
        )
    rows = [row for row in ROWS if config.only in row[0] and (config.large or row[3] != "step-large-fresh")]
    if not rows:
        raise InputError(f"only={config.only}: no such row; known: {'; '.join(row[0] for row in ROWS)}")
    console, folder = Console(), Path(config.out)
    folder.mkdir(parents=True, exist_ok=True)
    data: dict[str, Any] = {"provenance": provenance(), "repeats": config.repeats, "runs": config.runs}
    if config.peers:
        python = install(folder / ".venv", console, PEERS)
        data["peers"] = versions(python, [name.partition("==")[0] for name in PEERS])
        data |= compare(rows, python, config, console)
        write_text(folder / "trees.json", json.dumps(data, indent=1) + "\n")
        console.print(Text(f"written  {folder / 'trees.json'}"))
    if config.cost:
        cost_of_growth(folder, config.runs, console)
    return 0


def compare(rows: Sequence[tuple[str, str, str, str, int]], peer: str, config: TreesConfig, console: Console) -> Any:
    """Measure both sides of all rows in turn; prints the table and returns medians and all answers."""
    found: dict[Side, list[dict[str, float] | None]] = {}
    asked: dict[Side, str] = {}  # with the interpreter
    for _, ours, library, theirs, threads in rows:
        asked["optgap", ours, threads] = sys.executable
        asked[library, theirs, threads] = peer
    for repeat in range(config.repeats):
        for (library, case, threads), python in asked.items():
            slow = (library, case) in SLOW
            earlier = found.setdefault((library, case, threads), [])
            if None in earlier or (slow and case == "step-large-fresh" and earlier):
                continue
            console.print(Text(f"{repeat + 1}/{config.repeats}  {library} {case}"))
            command = [python, "-W", "ignore", str(MEASURES), library, case, "1" if slow else str(config.runs)]
            try:
                earlier.append(measured(command, threads, config.limit))
            except InputError as error:
                console.print(Text(f"  {error}"))
                earlier.append(None)

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for header in ("measure", "threads", "in", "optgap", "peer", "ratio", "of"):
        table.add_column(header, justify="left" if header in ("measure", "in", "of") else "right")
    medians = []
    for what, ours, library, theirs, threads in rows:
        mine, other = (middle(found[side]) for side in (("optgap", ours, threads), (library, theirs, threads)))
        for unit in mine or other:
            a, b = mine.get(unit), other.get(unit)
            ratio = b / a if a and b else None
            medians.append({"measure": what, "threads": threads, "in": unit, "optgap": a, library: b, "ratio": ratio})
            texts = ("fails" if value is None else figure(value, unit) for value in (a, b))
            table.add_row(what, str(threads), unit, *texts, f"{ratio:,.1f} x" if ratio else "", library)
    console.print(table)
    answers = [
        {"library": side[0], "measure": side[1], "threads": side[2], "all": all_} for side, all_ in found.items()
    ]
    return {"medians": medians, "all": answers}


def middle(answers: Sequence[dict[str, float] | None]) -> dict[str, float]:
    """The median of every figure; nothing if a process failed."""
    whole = [answer for answer in answers if answer is not None]
    if len(whole) < len(answers):
        return {}
    return {unit: median(answer[unit] for answer in whole) for unit in whole[0]}


def figure(value: float, unit: str) -> str:
    return f"{value:,.1f}" if unit == "megabytes" else f"{1000 * value:,.3f} ms"


if __name__ == "__main__":
    cli.run(main)
