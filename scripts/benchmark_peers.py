"""Steps a second and import times beside rl4co and job_shop_lib, on this machine, in one go.

    python scripts/benchmark_peers.py seconds=10 repeats=3 out=runs/peers

The peers are installed from PyPI into out/.venv (network and about 2 GB of disk needed; done once). All sides run
single-threaded, one after the other in turn, `repeats` times; medians are compared, by the wall clock and by CPU time
(on a machine that does other work, the latter is the one to trust). rl4co's routing environments are measured with the
choice of actions that optgap's measure has, alone (actions drawn beforehand), and by rl4co's own rollout with its own
random policy.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

import cli
from optgap.co.benchmark.provenance import provenance
from optgap.co.core import InputError
from optgap.co.formats.files import write_text

TORCH = "torch>=2.9,<2.14"  # the range that optgap itself takes
PEERS = ("rl4co", "job-shop-lib")
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
MEASURES = Path(__file__).with_name("peer_measures.py")

# what is measured: (description, ours, the peer's), each a measure and its argument; "" stands for the seconds
ROWS = (
    ("steps/s, 64 copies, job shop 10x10", ("optgap-batch", ""), ("rl4co-batch", "")),
    ("steps/s, 512 copies, TSP 100", ("optgap-tsp", ""), ("rl4co-tsp", "")),
    ("steps/s, 512 copies, TSP 100", ("optgap-tsp-tours", ""), ("rl4co-tsp-tours", "")),
    ("steps/s, 512 copies, TSP 100", ("optgap-tsp", ""), ("rl4co-tsp-rollout", "")),
    ("steps/s, 512 copies, CVRP 100", ("optgap-cvrp", ""), ("rl4co-cvrp", "")),
    ("steps/s, 512 copies, CVRP 100", ("optgap-cvrp", ""), ("rl4co-cvrp-rollout", "")),
    ("steps/s, 1 copy, ta01", ("optgap-single", ""), ("job-shop-lib-single", "")),
    ("import, s", ("import", "optgap"), ("import", "rl4co")),
    ("import of the environment, s", ("import", "optgap.envs.routing.env"), ("import", "rl4co.envs")),
    (
        "import of the environment, s",
        ("import", "optgap.envs.scheduling.env"),
        ("import", "job_shop_lib.reinforcement_learning"),
    ),
)


@dataclass
class PeersConfig:
    """What can be said on the command line."""

    seconds: float = 10.0  # a measurement
    only: str = ""  # rows whose description holds this text, for instance TSP
    repeats: int = 3
    out: str = "runs/peers"


def main(argv: list[str]) -> int:
    config = cli.parse(PeersConfig, argv, about=__doc__)
    if not config.seconds > 0 or config.repeats < 1:
        raise InputError(f"seconds {config.seconds}, repeats {config.repeats}; expected above 0, at least 1")
    rows_asked = [row for row in ROWS if config.only in row[0]]
    if not rows_asked:
        raise InputError(f"only={config.only}: no such row; known: {'; '.join(row[0] for row in ROWS)}")
    console = Console()
    folder = Path(config.out)
    peer = install(folder / ".venv", console, PEERS)
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    # each once a repeat, in the order of the rows
    asked = dict.fromkeys(side for _, ours, theirs in rows_asked for side in ((sys.executable, ours), (peer, theirs)))
    for repeat in range(config.repeats):
        for python, measure in asked:
            console.print(Text(f"{repeat + 1}/{config.repeats}  {' '.join(measure)}"))
            found.setdefault(measure, []).append(run(python, measure, config.seconds))

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for header in ("measure", "clock", "optgap", "peer", "ratio", "of"):
        table.add_column(header, justify="right" if header in ("optgap", "peer", "ratio") else "left")
    rows = []
    for what, ours, theirs in rows_asked:
        for index, clock in enumerate(("wall", "cpu")):
            mine, other = (median(values[index] for values in found[side]) for side in (ours, theirs))
            ratio = other / mine if theirs[0] == "import" else mine / other
            of = " ".join(theirs).strip()
            rows.append({"measure": what, "clock": clock, "optgap": mine, "peer": other, "ratio": ratio, "of": of})
            figure = "{:,.2f}" if theirs[0] == "import" else "{:,.0f}"
            table.add_row(what, clock, figure.format(mine), figure.format(other), f"{ratio:,.1f} x", of)
    console.print(table)
    data = {
        "provenance": provenance(),
        "peers": versions(peer, (*PEERS, "tensordict", "torchrl")),
        "seconds": config.seconds,
        "medians": rows,
        "all": [{"measure": " ".join(measure).strip(), "wall_cpu": values} for measure, values in found.items()],
    }
    write_text(folder / "peers.json", json.dumps(data, indent=1) + "\n")
    console.print(Text(f"written  {folder / 'peers.json'}"))
    return 0


def install(folder: Path, console: Console, peers: Sequence[str]) -> str:
    """The interpreter of a virtual environment that holds torch and the peers."""
    python = folder / "bin" / "python"
    done = folder / ".installed"
    if not done.exists():
        console.print(Text(f"installing {', '.join(peers)} into {folder}"))
        venv.create(folder, with_pip=True, clear=folder.exists())
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        try:
            subprocess.run([*pip, "--retries", "1", "--extra-index-url", CPU_INDEX, TORCH], check=True)
            subprocess.run([*pip, TORCH, *peers], check=True)
        except subprocess.CalledProcessError as error:
            raise InputError(
                f"{folder}: the peers cannot be installed (pip said why); exit code {error.returncode}"
            ) from None
        done.touch()
    return str(python)


def run(python: str, measure: tuple[str, str], seconds: float) -> tuple[float, float]:
    """One measurement in an interpreter of its own, single-threaded: by wall clock, by CPU time."""
    answer = measured([python, "-W", "ignore", str(MEASURES), measure[0], measure[1] or str(seconds)], threads=1)
    return answer["wall"], answer["cpu"]


def measured(command: Sequence[str], threads: int, limit: float | None = None) -> dict[str, float]:
    """The JSON object that is the last line of what a command prints.

    Raises:
        InputError: it failed, or had not ended after `limit` seconds (None waits for ever).
    """
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    limits = dict.fromkeys(names, str(threads))
    try:
        done = subprocess.run(
            command, env=os.environ | limits, capture_output=True, text=True, check=False, timeout=limit
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"{' '.join(command[4:])}: no answer within {limit:g} s") from None
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or [f"no answer, exit code {done.returncode}"])[-1]
        raise InputError(f"{' '.join(command[4:])}: {said}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def versions(python: str, peers: Sequence[str]) -> dict[str, str]:
    """Versions of the peers and of what they run on."""
    names = (*peers, "torch", "numpy")
    code = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {names!r}}}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


if __name__ == "__main__":
    cli.run(main)
