"""Job-shop instances and schedules as files.

**Standard text format** (any suffix but ``.json``): ``#`` starts a comment, blank lines are skipped, the first line is
``jobs machines``, then one line a job: ``machine duration`` pairs in technological order, machines counted from 0.
Lines may differ in length; a job may skip machines or visit one more than once.

**JSON form** (suffix ``.json``), for what the text format cannot say::

    {"format": "optgap-job-shop", "version": 1, "machines": 2,
     "jobs": [{"release": 0, "operations": [[0, 3], [1, 2]]}, {"release": 5, "operations": [[1, 4]]}],
     "down": [[0, 10, 14], [1, 2, 3]]}

``release`` may be left out (0). ``down`` lists down-time windows ``[machine, start, end)``; where it is present, even
empty, the file is an instance of the blocking job shop with swaps and interruptions, otherwise of the job shop.

An instance is named after its file, without the suffix.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InputError
from optgap.co.formats.files import read_text, write_text
from optgap.co.problems.blocking_job_shop import BLOCKING_JOB_SHOP, BlockingJobShopInstance
from optgap.co.problems.job_shop import JOB_SHOP, TIME_LIMIT, JobShopInstance

INSTANCE_FORMAT = "optgap-job-shop"
SCHEDULE_FORMAT = "optgap-schedule"
VERSION = 1
SIZE_LIMIT = 100_000  # jobs or machines in one file; a larger number is a corrupt header
TEXT_SUFFIXES = ("", ".txt", ".jsp", ".jss", ".dat")


def read_job_shop(path: str | Path) -> JobShopInstance:
    """Read one file; a :class:`BlockingJobShopInstance` where the file has a ``down`` list.

    Raises:
        InputError: the file cannot be read or is malformed; names the file, the line and what was expected.
    """
    path = Path(path)
    text = read_text(path)
    return _from_json(path, _parse_json(path, text)) if path.suffix == ".json" else _from_text(path, text)


def read_job_shops(path: str | Path) -> list[JobShopInstance]:
    """Read one file, or every instance of a folder sorted by file name.

    In a folder, files without a suffix or with one of .txt, .jsp, .jss, .dat are instances, and so are .json files that
    declare ``"format": "optgap-job-shop"``; other files, hidden files and folders are passed over.

    Raises:
        InputError: as :func:`read_job_shop`, or the folder holds no instance.
    """
    path = Path(path)
    if not path.is_dir():
        return [read_job_shop(path)]
    instances = []
    for file in sorted(path.iterdir()):
        if file.name.startswith(".") or not file.is_file():
            continue
        if file.suffix in TEXT_SUFFIXES:
            instances.append(_from_text(file, read_text(file)))
        elif file.suffix == ".json":
            data = _parse_json(file, read_text(file))
            if isinstance(data, dict) and data.get("format") == INSTANCE_FORMAT:
                instances.append(_from_json(file, data))
    if not instances:
        raise InputError(f"{path}: no job-shop instance in this folder; expected .txt, .jsp, .jss, .dat or .json files")
    return instances


def write_job_shop(instance: JobShopInstance, path: str | Path) -> None:
    """Write an instance so that :func:`read_job_shop` gives it back: JSON where ``path`` ends in .json, else text.

    Raises:
        InputError: the file cannot be written, or the text format cannot hold release dates or down-time windows.
    """
    path = Path(path)
    jobs = [
        list(zip(instance.machine[a:b].tolist(), instance.duration[a:b].tolist(), strict=True))
        for a, b in zip(instance.job_ptr[:-1], instance.job_ptr[1:], strict=True)
    ]
    if path.suffix != ".json":
        if instance.release.any() or isinstance(instance, BlockingJobShopInstance):
            raise InputError(f"{path}: the text format holds no release dates and no down-time; expected a .json path")
        lines = [" ".join(f"{machine} {duration}" for machine, duration in job) for job in jobs]
        write_text(path, "\n".join([f"{instance.n_jobs} {instance.n_machines}", *lines, ""]))
        return
    data: dict[str, Any] = {"format": INSTANCE_FORMAT, "version": VERSION, "machines": instance.n_machines}
    data["jobs"] = [
        {"release": release, "operations": job} for release, job in zip(instance.release.tolist(), jobs, strict=True)
    ]
    if isinstance(instance, BlockingJobShopInstance):
        owner = np.repeat(np.arange(instance.n_machines), np.diff(instance.down_ptr))
        data["down"] = np.stack([owner, instance.down_start, instance.down_end], axis=1).tolist()
    write_text(path, json.dumps(data) + "\n")


def write_schedule(
    path: str | Path, instance: JobShopInstance, start: NDArray[np.int64], facts: Mapping[str, Any] | None = None
) -> None:
    """Write a schedule as JSON, after checking it: its makespan and one entry an operation.

    Args:
        start: (N,) integer start times, time units.
        facts: what else to record beside the makespan (solver, bound, status, ...), JSON values.

    An entry's ``end`` is when processing ends, interruptions included; in the blocking job shop ``leave`` is when the
    machine is free again.

    Raises:
        InfeasibleError: the schedule breaks a constraint.
        InputError: the file cannot be written.
    """
    blocking = isinstance(instance, BlockingJobShopInstance)
    problem: Any = BLOCKING_JOB_SHOP if blocking else JOB_SHOP
    problem.check(instance, start)
    operations = []
    for job, (first, last) in enumerate(zip(instance.job_ptr[:-1], instance.job_ptr[1:], strict=True)):
        for o in range(int(first), int(last)):
            begin = int(start[o])
            entry = {"job": job, "operation": o - int(first), "machine": int(instance.machine[o]), "start": begin}
            if isinstance(instance, BlockingJobShopInstance):
                entry["end"] = instance.completion(o, begin)
                entry["leave"] = int(start[o + 1]) if o + 1 < last else entry["end"]
            else:
                entry["end"] = begin + int(instance.duration[o])
            operations.append(entry)
    data = {"format": SCHEDULE_FORMAT, "version": VERSION, "problem": problem.name, "instance": instance.name}
    data |= {"makespan": int(problem.cost(instance, start)), **(facts or {}), "operations": operations}
    write_text(Path(path), json.dumps(data, indent=1) + "\n")


def _integer(token: str, where: str, what: str, high: int, low: int = 0) -> int:
    digits = token[1:] if token.startswith("-") else token
    if not (digits.isascii() and digits.isdigit()):
        raise InputError(f"{where}: {what} is {token[:20]!r}; expected an integer")
    if len(digits.lstrip("0")) > 18:  # far beyond every limit, and int() refuses absurd lengths
        raise InputError(f"{where}: {what} is {token[:20]}...; expected {low}..{high}")
    return _within(int(token), where, what, high, low)


def _within(value: int, where: str, what: str, high: int, low: int = 0) -> int:
    if not low <= value <= high:
        raise InputError(f"{where}: {what} is {value}; expected {low}..{high}")
    return value


def _from_text(path: Path, text: str) -> JobShopInstance:
    rows = [(number, line.partition("#")[0].split()) for number, line in enumerate(text.split("\n"), start=1)]
    end = len(rows)
    rows = [(number, tokens) for number, tokens in rows if tokens]
    if not rows:
        raise InputError(f"{path}: line {end}: the file holds no numbers; expected a first line 'jobs machines'")
    number, header = rows[0]
    where = f"{path}: line {number}"
    if len(header) != 2:
        raise InputError(f"{where}: {len(header)} values; expected a first line 'jobs machines'")
    n_jobs = _integer(header[0], where, "the number of jobs", SIZE_LIMIT, 1)
    n_machines = _integer(header[1], where, "the number of machines", SIZE_LIMIT, 1)
    if len(rows) - 1 < n_jobs:
        raise InputError(
            f"{path}: line {end}: the file ends after {len(rows) - 1} of {n_jobs} jobs; expected one line a job"
        )
    if len(rows) - 1 > n_jobs:
        raise InputError(f"{path}: line {rows[n_jobs + 1][0]}: more lines than jobs; expected {n_jobs} job lines")
    machine: list[int] = []
    duration: list[int] = []
    job_ptr, total = [0], 0
    for number, tokens in rows[1:]:
        where = f"{path}: line {number}"
        if len(tokens) % 2:
            raise InputError(f"{where}: {len(tokens)} values; expected 'machine duration' pairs")
        for m, p in zip(tokens[::2], tokens[1::2], strict=True):
            machine.append(_integer(m, where, "a machine index", n_machines - 1))
            duration.append(_integer(p, where, "a duration", TIME_LIMIT))
            total += duration[-1]
        if total > TIME_LIMIT:
            raise InputError(f"{where}: durations add up to more than {TIME_LIMIT} here; expected less")
        job_ptr.append(len(machine))
    return JobShopInstance(
        name=path.stem,
        job_ptr=np.array(job_ptr),
        machine=np.array(machine),
        duration=np.array(duration),
        release=np.zeros(n_jobs, np.int64),
        n_machines=n_machines,
    )


def _parse_json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: line {error.lineno}: {error.msg} (column {error.colno}); expected JSON") from None
    except (ValueError, RecursionError) as error:  # an absurdly long number; absurdly deep nesting
        raise InputError(f"{path}: cannot be read as JSON: {error}") from None


def _row(value: Any, where: str, names: tuple[str, ...]) -> list[int]:
    """A list of integers, one a name."""
    if not isinstance(value, list) or len(value) != len(names) or any(type(item) is not int for item in value):
        raise InputError(f"{where}: expected [{', '.join(names)}], integers")
    return value


def _listing(data: dict[str, Any], key: str, where: str) -> list[Any]:
    value = data.get(key)
    if not isinstance(value, list):
        raise InputError(f"{where}: {key!r} is {'missing' if key not in data else 'not a list'}; expected a list")
    return value


def _from_json(path: Path, data: Any) -> JobShopInstance:
    if not isinstance(data, dict) or data.get("format") != INSTANCE_FORMAT:
        raise InputError(
            f'{path}: line 1: not a job-shop instance; expected an object with "format": "{INSTANCE_FORMAT}"'
        )
    if data.get("version") != VERSION:
        raise InputError(f"{path}: version is {str(data.get('version'))[:20]}; expected {VERSION}")
    if unknown := data.keys() - {"format", "version", "machines", "jobs", "down"}:
        raise InputError(f"{path}: unknown key {min(unknown)!r}; expected format, version, machines, jobs, down")
    if type(data.get("machines")) is not int:
        raise InputError(f"{path}: 'machines' is missing or not an integer; expected the number of machines")
    n_machines = _within(data["machines"], str(path), "the number of machines", SIZE_LIMIT, 1)
    jobs = _listing(data, "jobs", str(path))
    _within(len(jobs), str(path), "the number of jobs", SIZE_LIMIT, 1)
    operations: list[list[int]] = []
    job_ptr, release = [0], []
    for j, job in enumerate(jobs):
        where = f"{path}: jobs[{j}]"
        if not isinstance(job, dict) or job.keys() - {"release", "operations"}:
            raise InputError(f"{where}: expected an object with 'operations' and, optionally, 'release'")
        if type(job.get("release", 0)) is not int:
            raise InputError(f"{where}: 'release' is not an integer; expected a time")
        release.append(_within(job.get("release", 0), where, "a release date", TIME_LIMIT))
        for k, operation in enumerate(_listing(job, "operations", where)):
            at = f"{where}.operations[{k}]"
            m, p = _row(operation, at, ("machine", "duration"))
            operations.append(
                [_within(m, at, "a machine index", n_machines - 1), _within(p, at, "a duration", TIME_LIMIT)]
            )
        job_ptr.append(len(operations))
    windows = []
    for k, window in enumerate(_listing(data, "down", str(path)) if "down" in data else []):
        at = f"{path}: down[{k}]"
        m, begin, end = _row(window, at, ("machine", "start", "end"))
        _within(m, at, "a machine index", n_machines - 1)
        windows.append((m, _within(begin, at, "a start", TIME_LIMIT), _within(end, at, "an end", TIME_LIMIT)))
    windows.sort()
    machine, duration = np.array(operations, np.int64).reshape(-1, 2).T
    shop: dict[str, Any] = {
        "name": path.stem,
        "job_ptr": np.array(job_ptr),
        "machine": machine,
        "duration": duration,
        "release": np.array(release),
        "n_machines": n_machines,
    }
    down = np.array(windows, np.int64).reshape(-1, 3)
    try:
        if "down" not in data:
            return JobShopInstance(**shop)
        down_ptr = np.searchsorted(down[:, 0], np.arange(n_machines + 1))
        return BlockingJobShopInstance(**shop, down_ptr=down_ptr, down_start=down[:, 1], down_end=down[:, 2])
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
