"""Tables in the terminal: a row a solver, a column an instance, every gap against its reference."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from optgap.co.benchmark.results import Record, references, summarize

MANY = 8  # instances; above, only the means are shown


def percent(gap: float | None) -> str:
    """A gap as text; a dash where there is none."""
    return "-" if gap is None else f"{100 * gap:.1f}%"


def duration(seconds: float) -> str:
    """A time with two or three significant figures."""
    if seconds < 1:
        return f"{1000 * seconds:.2g} ms" if seconds < 0.01 else f"{1000 * seconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds:.0f} s"


def label(solver: str) -> str:
    """A run folder by its last two parts, any other solver by its name."""
    return "/".join(solver.split("/")[-2:])


def gap_table(records: Sequence[Record], title: str, names: dict[str, str] | None = None, each: bool = True) -> Table:
    """Solvers by mean gap, smallest first.

    Args:
        names: solver -> what to call it here; these rows are set apart.
        each: a column an instance, where there are few.
    """
    known = references(records)
    instances = list(dict.fromkeys(record["instance"] for record in records))
    shown = instances if each and len(instances) <= MANY else []
    table = Table(title=title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("solver", overflow="fold")
    for name in shown:
        mark = "" if known.get(name) and known[name].source.startswith("best known") else "*"
        table.add_column(f"{name}{mark}", justify="right", no_wrap=True)
    table.add_column("mean gap", justify="right", no_wrap=True)
    if not shown:
        table.add_column("worst", justify="right", no_wrap=True)
    table.add_column("proved", justify="right", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    for row in summarize(records):
        cells = [percent(row.gaps.get(name)) for name in shown]
        cells.append(percent(row.mean_gap if len(row.gaps) == len(instances) else None))
        if not shown:
            cells.append(percent(row.worst_gap))
        own = (names or {}).get(row.solver)
        table.add_row(
            own or label(row.solver),
            *cells,
            f"{row.optimal}/{row.cells}",
            duration(row.mean_seconds),
            style="bold green" if own else None,
        )
    if any(reference.source == "best found here" for reference in known.values()):
        table.caption = "* no published bound: the reference is the best cost found here"
        table.caption_justify = "left"
    return table


def failures(records: Sequence[Record]) -> list[str]:
    """One line a distinct failure: the solvers, how many cells, and the error."""
    found: dict[str, list[Record]] = {}
    for record in records:
        if record.get("error"):
            found.setdefault(" ".join(record["error"].split()), []).append(record)
    return [
        f"{', '.join(sorted({label(record['solver']) for record in group}))}: {len(group)} failed: {error}"
        for error, group in found.items()
    ]
