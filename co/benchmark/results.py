"""The results of a benchmark: a file of records that survives a kill, references, gaps, and a summary a solver."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from optgap.co.benchmark.cells import Cell
from optgap.co.core import PROBLEMS, InputError, Status, optimality_gap
from optgap.co.formats.files import read_text, write_text

Record = dict[str, Any]
KEYS = tuple(item.name for item in fields(Cell))
COLUMNS = (*KEYS, "status", "cost", "bound", "reference", "gap", "wall_seconds", "cpu_seconds", "date", "error")


class Reference(NamedTuple):
    """What gaps on an instance are measured against."""

    cost: float
    source: str  # "best known (<date>)" or "best found here"


@dataclass(frozen=True)
class Summary:
    """A solver over all instances and seeds. Gaps are fractions; None where a cell has no solution."""

    solver: str
    mean_gap: float | None
    spread: float | None  # standard deviation of the mean gap between seeds; None with one seed
    worst_gap: float | None
    mean_seconds: float
    cells: int
    solved: int  # cells with a feasible solution
    optimal: int  # cells with a proof of optimality
    gaps: dict[str, float | None]  # instance -> mean over seeds


def cell_of(record: Record) -> Cell:
    """The cell that ``record`` is of."""
    return Cell(**{key: record[key] for key in KEYS})


def read_records(file: Path) -> list[Record]:
    """The records of a results file; a last line that a kill cut short is removed from the file.

    Raises:
        InputError: a complete line is not a record; names the file and the line.
    """
    if not file.exists():
        return []
    text = read_text(file)
    complete, _, rest = text.rpartition("\n")
    records = []
    for number, line in enumerate(complete.split("\n") if complete else [], start=1):
        try:
            record = json.loads(line)
            hash(cell_of(record))  # refuses a list where a number or a name should be
            record["error" if "error" in record else "cost"]
        except (ValueError, KeyError, TypeError):
            raise InputError(
                f"{file}: line {number}: not a benchmark record; expected an object with {', '.join(KEYS)}"
            ) from None
        records.append(record)
    if rest:
        write_text(file, complete + "\n" if complete else "")
    return records


def finished(file: Path, digests: Mapping[str, str], weights: Mapping[str, str | None]) -> dict[Cell, Record]:
    """The records of a results file that need not be run again: without errors, of the same instances and weights.

    Args:
        digests: instance -> its :func:`~optgap.co.benchmark.cells.instance_digest` now.
        weights: solver -> digest of its weights now; solvers without weights need no entry.
    """
    return {
        cell_of(record): record
        for record in read_records(file)
        if "error" not in record
        and record.get("instance_sha256") in (None, digests.get(record["instance"]))  # None: of an older version
        and record.get("weights_sha256") == weights.get(record["solver"])
    }


def append_record(file: Path, record: Record) -> None:
    """Add one line; it is on the disk when this returns."""
    try:
        with file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise InputError(f"{file}: cannot be written: {error.strerror or error}") from None


def references(records: Sequence[Record]) -> dict[str, Reference]:
    """Instance -> its best-known cost where one is published, otherwise the best cost among ``records``."""
    found: dict[str, Reference] = {}
    for record in records:
        name, cost = record["instance"], record.get("cost")
        sense = PROBLEMS.load(record["problem"]).sense
        if record.get("best_known"):
            lower, upper, date = record["best_known"]
            found[name] = Reference(upper if sense == "minimize" else lower, f"best known ({date})")
        elif cost is not None and (name not in found or optimality_gap(cost, found[name].cost, sense) < 0):
            found[name] = Reference(cost, "best found here")
    return found


def gap_of(record: Record, cost: float | None, reference: Mapping[str, Reference]) -> float | None:
    """Gap of ``cost`` on the record's instance, as a fraction; None without a cost or a reference."""
    known = reference.get(record["instance"])
    if cost is None or known is None:
        return None
    return optimality_gap(cost, known.cost, PROBLEMS.load(record["problem"]).sense)


def summarize(records: Sequence[Record]) -> list[Summary]:
    """One row a solver, smallest mean gap first; solvers that left a cell without a solution come last."""
    known = references(records)
    by_solver: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_solver[record["solver"]].append(record)
    rows = []
    for solver, group in by_solver.items():
        by_instance: dict[str, list[float | None]] = defaultdict(list)
        by_seed: dict[int, list[float | None]] = defaultdict(list)
        for record in group:
            gap = gap_of(record, record.get("cost"), known)
            by_instance[record["instance"]].append(gap)
            by_seed[record["seed"]].append(gap)
        gaps = {name: _mean(values) for name, values in by_instance.items()}
        seeds = [mean for mean in map(_mean, by_seed.values()) if mean is not None]
        each = [gap for values in by_instance.values() for gap in values]
        complete = [gap for gap in each if gap is not None]
        rows.append(
            Summary(
                solver=solver,
                mean_gap=_mean(list(gaps.values())),
                spread=stdev(seeds) if len(seeds) > 1 and len(seeds) == len(by_seed) else None,
                worst_gap=max(complete) if len(complete) == len(each) else None,
                mean_seconds=fmean(record.get("wall_seconds", 0.0) for record in group),
                cells=len(group),
                solved=len(complete),
                optimal=sum(record.get("status") == Status.OPTIMAL for record in group),
                gaps=gaps,
            )
        )
    return sorted(rows, key=lambda row: (row.mean_gap is None, row.mean_gap or 0.0, row.mean_seconds))


def as_csv(records: Sequence[Record]) -> str:
    """The records without solutions and histories, as comma-separated values with a header."""
    known = references(records)
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for record in records:
        reference = known.get(record["instance"])
        gap = gap_of(record, record.get("cost"), known)
        writer.writerow(record | {"reference": reference.cost if reference else None, "gap": gap})
    return out.getvalue()


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None
