"""Tables in the terminal: a row a solver, a column an instance, every gap against its reference."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich import box
from rich.table import Table

from optgap.co.benchmark.groups import Groups
from optgap.co.benchmark.results import Record, references, summarize

REST = 28  # characters of the last three columns and of the margins


def percent(gap: float | None) -> str:
    """A gap as text, with two decimals below 1%; a dash where there is none."""
    return "-" if gap is None else f"{100 * gap:.{2 if 5e-5 <= abs(gap) < 0.01 else 1}f}%"


def duration(seconds: float) -> str:
    """A time with two or three significant figures."""
    if seconds < 1:
        return f"{1000 * seconds:.2g} ms" if seconds < 0.01 else f"{1000 * seconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds:.0f} s"


def label(solver: str) -> str:
    """A run folder by its last two parts, any other solver by its name."""
    return "/".join(solver.split("/")[-2:])


def gap_table(
    records: Sequence[Record],
    title: str,
    width: int,
    names: dict[str, str] | None = None,
    each: bool = True,
    hidden: Collection[str] = (),
) -> Table:
    """Solvers by mean gap, smallest first.

    Args:
        hidden: solvers without a row; the references are of all.
        names: solver -> what to call it here; these rows are set apart.
        width: of the terminal; columns of instances that do not fit are left out.
        each: a column an instance, where they fit.
    """
    known = references(records)
    instances = list(dict.fromkeys(record["instance"] for record in records))
    rows = [row for row in summarize(records) if row.solver not in hidden]
    labels = {row.solver: (names or {}).get(row.solver, label(row.solver)) for row in rows}
    marks = {name: "" if name in known and known[name].source.startswith("best known") else "*" for name in instances}
    needed = max(map(len, labels.values()), default=0) + sum(1 + max(len(name + marks[name]), 6) for name in instances)
    shown = instances if each and needed + REST <= width else []
    table = Table(
        title=title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, padding=0, pad_edge=False
    )
    table.add_column("solver", overflow="fold", min_width=12)
    for name in shown:
        table.add_column(f"{name}{marks[name]}", justify="right", no_wrap=True, min_width=6)
    table.add_column("mean gap", justify="right", no_wrap=True)
    if not shown:
        table.add_column("worst", justify="right", no_wrap=True)
    table.add_column("proved", justify="right", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    for row in rows:
        cells = [percent(row.gaps.get(name)) for name in shown]
        cells.append(percent(row.mean_gap if len(row.gaps) == len(instances) else None))
        if not shown:
            cells.append(percent(row.worst_gap))
        table.add_row(
            labels[row.solver],
            *cells,
            f"{row.optimal}/{row.cells}",
            duration(row.mean_seconds),
            style="bold green" if row.solver in (names or {}) else None,
        )
    if any(reference.source == "best found here" for reference in known.values()):
        table.caption = "* no published bound: the reference is the best cost found here"
        table.caption_justify = "left"
    return table


def group_cells(groups: Groups) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of groups: solver, mean gap a group, mean gap and time of all instances."""
    counts = [f"{name} ({count})" for name, count in groups.sizes.items()]
    rows = []
    for row in groups.total:
        of = groups.rows[row.solver]
        gaps = [percent(of[name].mean_gap) if name in of else "-" for name in groups.sizes]
        rows.append([label(row.solver), *gaps, percent(row.mean_gap), duration(row.mean_seconds)])
    return ["solver", *counts, f"all ({sum(groups.sizes.values())})", "time"], rows


def group_table(groups: Groups, title: str) -> Table:
    """Solvers by mean gap, a column a group of instances; how many instances it has in brackets."""
    header, rows = group_cells(groups)
    table = Table(title=title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(header):
        table.add_column(name, justify="right" if index else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def group_markdown(groups: Groups) -> str:
    """The same as a table of Markdown."""
    header, rows = group_cells(groups)
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def failures(records: Sequence[Record]) -> list[str]:
    """One line a distinct failure: the solvers, how many cells, and the error."""
    found: dict[str, list[Record]] = {}
    for record in records:
        if record.get("error"):
            found.setdefault(" ".join(record["error"].split()), []).append(record)
    return [
        f"{', '.join(sorted({label(record['solver']) for record in group}))}: "
        f"{'' if group[0].get('missing_extra') else f'{len(group)} failed: '}{error}"
        for error, group in found.items()
    ]
