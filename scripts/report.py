"""The benchmark's page: one HTML file without external resources, and the gap-over-time picture beside it."""

from __future__ import annotations

import base64
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from drawing import save_figure
from optgap.co.benchmark.curves import gap_curves
from optgap.co.benchmark.groups import Groups
from optgap.co.benchmark.results import Record, Summary, as_csv, gap_of, references, summarize
from optgap.co.core import PROBLEMS, Instance, optimality_gap
from svg import SOLUTIONS, gap_chart, line_style
from tables import duration, failures, label, percent

TEMPLATE = Path(__file__).with_name("report_template.html")
DRAWN = 24  # best solutions in a page; more would make it slow
OPEN = 2  # of them, shown without a click


def html_report(
    records: Sequence[Record],
    instances: Mapping[str, Instance],
    settings: Mapping[str, Any],
    facts: Mapping[str, Any],
    groups: Groups | None = None,
) -> str:
    """The page.

    Args:
        records: of one problem.
        settings: budget, threads, seeds and what else was said on the command line.
        facts: of :func:`optgap.co.benchmark.provenance.provenance`.
        groups: mean gaps by group, where they are asked for.
    """
    rows = summarize(records)
    styles = {row.solver: index for index, row in enumerate(rows)}
    known = references(records)
    sources = sorted({reference.source for reference in known.values()})
    problem = str(settings["problem"])
    told = {
        "problem": problem,
        "budget a solver and instance": f"{settings['seconds']:g} s",
        "threads a process": settings["threads"],
        "seeds": ", ".join(map(str, settings["seeds"])),
        "processes": f"{settings['jobs']} ({settings['engine']})",
        "processor": facts["processor"],
        "cores, memory": f"{facts['cores']}, {facts['memory_gib']} GiB",
        "date": facts["date"],
        "commit": facts["commit"] or "not a checkout",
        "system": f"{facts['system']}, Python {facts['python']}",
        "versions": ", ".join(f"{name} {number}" for name, number in facts["versions"].items()),
    }
    broken = "".join(f"<p>{escape(line)}</p>" for line in failures(records))
    fill = {
        "title": f"Benchmark: {len(rows)} solvers on {len(instances)} instances",
        "subtitle": "Every solution was checked and its cost recomputed from the problem's definition; one clock for all.",
        "facts": "".join(
            f"<div><dt>{escape(key)}</dt><dd>{escape(str(value))}</dd></div>" for key, value in told.items()
        ),
        "gap_note": f"Gaps are relative to: {escape('; '.join(sources) or 'nothing')}.",
        "summary": _summary_table(rows, styles),
        "failures": broken,
        "groups": _group_table(groups) if groups else "",
        "curve_note": (
            "Mean over all instances and seeds, from the moment at which each of them has a solution. A dot marks the end "
            "of the solver's longest run. Point at a solver in the table to single it out."
        ),
        "curves": gap_chart(gap_curves(records), styles) or "<p>No solver found a solution everywhere.</p>",
        "instance_note": "Mean gap over the seeds, solver by solver; darker is worse. The reference is a cost.",
        "instances": _instance_table(records, rows, instances),
        "schedules": _solutions(records, instances, problem),
        "csv": base64.b64encode(as_csv(records).encode()).decode(),
    }
    # in one pass: a name that looks like a key of the template is not filled in
    return re.sub(r"\{\{(\w+)\}\}", lambda found: str(fill[found[1]]), TEMPLATE.read_text("utf-8"))


def save_curves(records: Sequence[Record], path: Path) -> None:
    """The gap-over-time plot as a picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.add_subplot()
    curves = gap_curves(records)
    last = max((float(seconds[-1]) for seconds, _ in curves.values()), default=1.0)
    for index, row in enumerate(summarize(records)):
        if row.solver not in curves:
            continue
        seconds, gaps = curves[row.solver]
        colour, dash = line_style(index)
        pattern: Any = (0, tuple(map(float, dash.split()))) if dash else "solid"
        times, values = np.append(seconds, last), 100 * np.append(gaps, gaps[-1])
        axes.step(times, values, where="post", color=colour, linestyle=pattern, label=label(row.solver))
        axes.plot(seconds[-1], values[-1], "o", color=colour, markersize=4)
    axes.set(xscale="log", xlabel="time (s)", ylabel="mean gap (%)", title="Gap over time")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    if curves:
        axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    save_figure(figure, path)


def _summary_table(rows: Sequence[Summary], styles: Mapping[str, int]) -> str:
    body = []
    for row in rows:
        colour, dash = line_style(styles[row.solver])
        key = (
            f'<svg class="key" viewBox="0 0 22 8"><path d="M0 4H22" stroke="{colour}" stroke-width="3" '
            f'stroke-dasharray="{dash}"/></svg>'
        )
        spread = "" if row.spread is None else f" \N{PLUS-MINUS SIGN} {percent(row.spread).rstrip('%')}"
        body.append(
            f'<tr data-solver="{escape(row.solver)}"><td>{key}{escape(label(row.solver))}</td>{_gap(row.mean_gap, 0, spread)}'
            f"{_gap(row.worst_gap, 0)}{_number(row.optimal, f'{row.optimal} of {row.cells}')}"
            f"{_number(row.solved, f'{row.solved} of {row.cells}')}{_number(row.mean_seconds, duration(row.mean_seconds))}</tr>"
        )
    return _table(["solver", "mean gap", "worst gap", "proved optimal", "solved", "mean time"], body)


def _group_table(groups: Groups) -> str:
    heads = [f"{name} ({count})" for name, count in groups.sizes.items()]
    body = []
    for row in groups.total:
        of = groups.rows[row.solver]
        gaps = [_gap(of[name].mean_gap if name in of else None, 0) for name in groups.sizes]
        body.append(f"<tr><td>{escape(label(row.solver))}</td>{''.join(gaps)}{_gap(row.mean_gap, 0)}</tr>")
    table = _table(["solver", *heads, "all"], body)
    return f"<h2>By size</h2><p class='soft'>Mean gap; in brackets the number of instances.</p><div class='wide'>{table}</div>"


def _instance_table(records: Sequence[Record], rows: Sequence[Summary], instances: Mapping[str, Instance]) -> str:
    known = references(records)
    worst = max((gap for row in rows for gap in row.gaps.values() if gap is not None), default=0.0)
    best: dict[str, float] = {}
    for record in records:
        gap = gap_of(record, record.get("cost"), known)
        if gap is not None:
            best[record["instance"]] = min(best.get(record["instance"], np.inf), gap)
    body = []
    for name in instances:
        reference = known.get(name)
        cells = [f"<td>{escape(name)}</td>"]
        cells.append(_number(reference.cost, f"{reference.cost:.12g}") if reference else _number(None, "-"))
        cells.append(_gap(best.get(name), 0))
        cells += [_gap(row.gaps.get(name), worst) for row in rows]
        body.append(f"<tr>{''.join(cells)}</tr>")
    return _table(["instance", "reference", "best", *(label(row.solver) for row in rows)], body)


def _solutions(records: Sequence[Record], instances: Mapping[str, Instance], problem: str) -> str:
    """The best solution of each instance, drawn."""
    if problem not in SOLUTIONS:
        return ""
    sense = PROBLEMS.load(problem).sense
    found: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.get("cost") is not None:
            found[record["instance"]].append(record)
    parts: list[str] = []
    for name in list(found)[:DRAWN]:
        best = min(found[name], key=lambda record: optimality_gap(record["cost"], 1.0, sense))
        proved = ", proved optimal" if best["status"] == "optimal" else ""
        drawn = SOLUTIONS[problem](instances[name], np.array(best["solution"]))
        told = f"<b>{escape(name)}</b>cost {best['cost']:.12g} by {escape(label(best['solver']))}, seed {best['seed']}{proved}"
        state = " open" if len(parts) < OPEN else ""
        parts.append(f"<details{state}><summary>{told}</summary>{drawn}</details>")
    more = f"<p class='soft'>The first {DRAWN} of {len(found)} instances.</p>" if len(found) > DRAWN else ""
    return f"<h2>Best solutions</h2>{more}{''.join(parts)}" if parts else ""


def _table(headers: Sequence[str], body: Sequence[str]) -> str:
    head = "".join(f'<th scope="col">{escape(header)}</th>' for header in headers)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _number(value: float | None, text: str) -> str:
    return f'<td data-v="{"" if value is None else repr(float(value))}">{escape(text)}</td>'


def _gap(gap: float | None, worst: float, more: str = "") -> str:
    """A cell with a gap, shaded in proportion to ``worst``; a dash where there is none."""
    if gap is None:
        return '<td class="failed" data-v="">-</td>'
    shade = f' class="heat" style="--h:{0.55 * max(gap, 0) / worst:.2f}"' if worst > 0 else ""
    return f'<td{shade} data-v="{float(gap)!r}">{percent(gap)}{more}</td>'
