"""The job-shop formats: what is written is read back, and whatever is wrong is one InputError with file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optgap.co.core import InfeasibleError, InputError
from optgap.co.formats.job_shop import read_job_shop, read_job_shops, write_job_shop, write_schedule
from optgap.co.problems.blocking_job_shop import BlockingJobShopInstance
from optgap.co.problems.job_shop import JobShopInstance

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

TOY = """# a comment
2 3

0 3  1 2   # job 0 skips machine 2
2 4  0 1  2 5
"""


def equal(a: JobShopInstance, b: JobShopInstance) -> bool:
    names = ["job_ptr", "machine", "duration", "release"]
    if isinstance(a, BlockingJobShopInstance):
        names += ["down_ptr", "down_start", "down_end"]
    same = all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)
    return same and type(a) is type(b) and a.name == b.name and a.n_machines == b.n_machines


@st.composite
def instances(draw: st.DrawFn, windows: bool = True) -> JobShopInstance:
    machines = draw(st.integers(1, 4))
    times = st.integers(0, 10**6)
    jobs = draw(
        st.lists(
            st.lists(st.tuples(st.integers(0, machines - 1), times), min_size=1, max_size=5), min_size=1, max_size=4
        )
    )
    shop: dict[str, Any] = {
        "name": "instance",
        "job_ptr": np.cumsum([0, *map(len, jobs)]),
        "machine": np.array([m for job in jobs for m, _ in job]),
        "duration": np.array([p for job in jobs for _, p in job]),
        "release": np.array([draw(times) if windows else 0 for _ in jobs]),
        "n_machines": machines,
    }
    if not windows or draw(st.booleans()):
        return JobShopInstance(**shop)
    edges = [sorted(draw(st.sets(times, max_size=6))) for _ in range(machines)]
    edges = [points[: len(points) // 2 * 2] for points in edges]
    return BlockingJobShopInstance(
        **shop,
        down_ptr=np.cumsum([0, *(len(points) // 2 for points in edges)]),
        down_start=np.array([t for points in edges for t in points[::2]], np.int64),
        down_end=np.array([t for points in edges for t in points[1::2]], np.int64),
    )


def test_reads_comments_ragged_jobs_and_skipped_machines(tmp_path: Path) -> None:
    (tmp_path / "toy.txt").write_text(TOY)
    instance = read_job_shop(tmp_path / "toy.txt")
    assert (instance.name, instance.n_jobs, instance.n_machines) == ("toy", 2, 3)
    assert instance.job_ptr.tolist() == [0, 2, 5]
    assert instance.machine.tolist() == [0, 1, 2, 0, 2]
    assert instance.duration.tolist() == [3, 2, 4, 1, 5]


def test_windows_line_ends_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    (tmp_path / "toy.txt").write_bytes(b"\xef\xbb\xbf" + TOY.replace("\n", "\r\n").encode())
    assert read_job_shop(tmp_path / "toy.txt").duration.tolist() == [3, 2, 4, 1, 5]


def test_reads_the_documented_json(tmp_path: Path) -> None:
    text = """{"format": "optgap-job-shop", "version": 1, "machines": 2,
     "jobs": [{"release": 0, "operations": [[0, 3], [1, 2]]}, {"release": 5, "operations": [[1, 4]]}],
     "down": [[1, 2, 3], [0, 10, 14]]}"""
    (tmp_path / "toy.json").write_text(text)
    instance = read_job_shop(tmp_path / "toy.json")
    assert isinstance(instance, BlockingJobShopInstance)
    assert instance.release.tolist() == [0, 5]
    assert [w.tolist() for w in instance.windows(0)] == [[10], [14]]
    assert [w.tolist() for w in instance.windows(1)] == [[2], [3]]


@FUZZ
@given(instance=instances())
def test_json_written_is_read_back(tmp_path: Path, instance: JobShopInstance) -> None:
    write_job_shop(instance, tmp_path / "instance.json")
    assert equal(read_job_shop(tmp_path / "instance.json"), instance)


@FUZZ
@given(instance=instances(windows=False))
def test_text_written_is_read_back(tmp_path: Path, instance: JobShopInstance) -> None:
    write_job_shop(instance, tmp_path / "instance.txt")
    assert equal(read_job_shop(tmp_path / "instance.txt"), instance)


@FUZZ
@given(data=st.binary(max_size=200), suffix=st.sampled_from([".txt", ".json"]))
def test_arbitrary_bytes_never_raise_anything_else(tmp_path: Path, data: bytes, suffix: str) -> None:
    (tmp_path / f"fuzz{suffix}").write_bytes(data)
    attempt(tmp_path / f"fuzz{suffix}")


@FUZZ
@given(text=st.text(st.sampled_from("0123456789-+._ \n\r\t#xe٣\x0b\u2028"), max_size=60))
def test_arbitrary_numbers_never_raise_anything_else(tmp_path: Path, text: str) -> None:
    (tmp_path / "fuzz.txt").write_text("2 3\n" + text, newline="")
    attempt(tmp_path / "fuzz.txt")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["release", "operations", "x"]), inner),
    max_leaves=12,
)


@FUZZ
@given(machines=VALUES | st.integers(1, 3), jobs=VALUES, down=VALUES, version=st.just(1) | VALUES)
def test_arbitrary_json_values_never_raise_anything_else(
    tmp_path: Path, machines: object, jobs: object, down: object, version: object
) -> None:
    data = {"format": "optgap-job-shop", "version": version, "machines": machines, "jobs": jobs, "down": down}
    (tmp_path / "fuzz.json").write_text(json.dumps(data))
    attempt(tmp_path / "fuzz.json")


def attempt(path: Path) -> None:
    """Read; an InputError must be one line that begins with the file's path."""
    message = f"{path}: "
    try:
        read_job_shop(path)
    except InputError as error:
        message = str(error)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: the file holds no numbers; expected a first line 'jobs machines'"),
        ("2\n0 1\n0 1\n", "line 1: 1 values; expected a first line 'jobs machines'"),
        ("0 3\n", "line 1: the number of jobs is 0; expected 1..100000"),
        ("1 0\n0 1\n", "line 1: the number of machines is 0; expected 1..100000"),
        ("999999999999999999999 3\n", "line 1: the number of jobs is 99999999999999999999...; expected 1..100000"),
        ("2 2\n0 1 1 1\n", "line 3: the file ends after 1 of 2 jobs; expected one line a job"),
        ("1 2\n# note\n0 1 1\n", "line 3: 3 values; expected 'machine duration' pairs"),
        ("1 2\n0 1\n0 1\n", "line 3: more lines than jobs; expected 1 job lines"),
        ("1 2\n0 -4\n", "line 2: a duration is -4; expected 0..2147483647"),
        ("1 2\n0 2147483648\n", "line 2: a duration is 2147483648; expected 0..2147483647"),
        ("2 2\n0 2147483647\n1 1\n", "line 3: durations add up to more than 2147483647 here; expected less"),
        ("1 2\n2 4\n", "line 2: a machine index is 2; expected 0..1"),
        ("1 2\n0 1.5\n", "line 2: a duration is '1.5'; expected an integer"),
        ("1 2\n0 1_0\n", "line 2: a duration is '1_0'; expected an integer"),
    ],
)
def test_text_errors_say_where_and_what(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_job_shop(path)
    assert str(caught.value) == f"{path}: {message}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "x"}, 'line 1: not a job-shop instance; expected an object with "format": "optgap-job-shop"'),
        ({"version": 2}, "version is 2; expected 1"),
        ({"extra": 1}, "unknown key 'extra'; expected format, version, machines, jobs, down"),
        ({"machines": True}, "'machines' is missing or not an integer; expected the number of machines"),
        ({"jobs": {}}, "'jobs' is not a list; expected a list"),
        ({"jobs": []}, "the number of jobs is 0; expected 1..100000"),
        ({"jobs": [{"operations": [[0, -1]]}]}, "jobs[0].operations[0]: a duration is -1; expected 0..2147483647"),
        ({"jobs": [{"operations": [[0]]}]}, "jobs[0].operations[0]: expected [machine, duration], integers"),
        ({"jobs": [{"operations": [[0, 1]], "release": -1}]}, "jobs[0]: a release date is -1; expected 0..2147483647"),
        ({"jobs": [{"operations": []}]}, "instance bad: job 0 has no operation"),
        ({"down": [[5, 1, 2]]}, "down[0]: a machine index is 5; expected 0..0"),
        ({"down": [[0, 2, 2]]}, "instance bad: machine 0: down-time windows must be non-empty, sorted and apart"),
    ],
)
def test_json_errors_say_where_and_what(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = tmp_path / "bad.json"
    data = {"format": "optgap-job-shop", "version": 1, "machines": 1, "jobs": [{"operations": [[0, 1]]}]}
    path.write_text(json.dumps(data | change))
    with pytest.raises(InputError) as caught:
        read_job_shop(path)
    assert str(caught.value) == f"{path}: {message}"


def test_broken_json_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text('{"format": "optgap-job-shop",\n "machines": }')
    with pytest.raises(InputError, match="line 2: Expecting value"):
        read_job_shop(path)
    for text in ("[" * 200_000, "9" * 10_000):
        path.write_text(text)
        with pytest.raises(InputError, match=r"bad\.json: cannot be read as JSON"):
            read_job_shop(path)


def test_unreadable_paths(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"1 1\n# \xe9\n0 1\n")
    with pytest.raises(InputError, match="line 2: byte 0xe9 is not UTF-8; expected text"):
        read_job_shop(tmp_path / "latin.txt")
    with pytest.raises(InputError, match="no such file"):
        read_job_shops(tmp_path / "absent.txt")
    with pytest.raises(InputError, match="is a folder; expected a file"):
        read_job_shop(tmp_path)


def test_a_folder_is_read_in_order_and_other_files_are_passed_over(tmp_path: Path) -> None:
    for name in ("b.txt", "a.jsp", ".hidden", "c.md"):
        (tmp_path / name).write_text("1 1\n0 1\n" if name[0] in "ab" else "no instance")
    (tmp_path / "other.json").write_text('{"ft06": 55}')
    (tmp_path / "d.json").write_text(
        '{"format": "optgap-job-shop", "version": 1, "machines": 1, "jobs": [{"operations": [[0, 1]]}]}'
    )
    assert [instance.name for instance in read_job_shops(tmp_path)] == ["a", "b", "d"]
    assert [instance.name for instance in read_job_shops(tmp_path / "b.txt")] == ["b"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: no job-shop instance in this folder"):
        read_job_shops(tmp_path / "empty")


def test_text_cannot_hold_release_dates(tmp_path: Path) -> None:
    instance = JobShopInstance.from_matrix([[0]], [[3]], release=np.array([2]))
    with pytest.raises(InputError, match="holds no release dates"):
        write_job_shop(instance, tmp_path / "toy.txt")
    with pytest.raises(InputError, match="cannot be written"):
        write_job_shop(instance, tmp_path / "absent" / "toy.json")
    assert list(tmp_path.iterdir()) == []


def test_a_schedule_is_checked_and_written_with_its_makespan(tmp_path: Path) -> None:
    instance = BlockingJobShopInstance(
        name="toy",
        job_ptr=np.array([0, 2]),
        machine=np.array([0, 1]),
        duration=np.array([3, 2]),
        release=np.array([0]),
        n_machines=2,
        down_ptr=np.array([0, 1, 1]),
        down_start=np.array([1]),
        down_end=np.array([5]),
    )
    with pytest.raises(InfeasibleError):  # interrupted in [1, 5), operation 0 ends at 7
        write_schedule(tmp_path / "bad.json", instance, np.array([0, 3]))
    assert list(tmp_path.iterdir()) == []
    write_schedule(tmp_path / "good.json", instance, np.array([0, 8]), {"solver": "by hand"})
    data = json.loads((tmp_path / "good.json").read_text())
    assert (data["makespan"], data["solver"], data["problem"], data["instance"]) == (
        10,
        "by hand",
        "blocking-job-shop",
        "toy",
    )
    assert data["operations"] == [
        {"job": 0, "operation": 0, "machine": 0, "start": 0, "end": 7, "leave": 8},
        {"job": 0, "operation": 1, "machine": 1, "start": 8, "end": 10, "leave": 10},
    ]
