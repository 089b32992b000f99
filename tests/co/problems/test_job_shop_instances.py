"""Instances by name: the generator reproduces the public files, bounds carry a date, wrong names list right ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from optgap.co.core import Bounds, InputError
from optgap.co.formats.job_shop import read_job_shop, read_job_shops, write_job_shop
from optgap.co.problems.blocking_job_shop import BlockingJobShopInstance
from optgap.co.problems.job_shop import JobShopInstance
from optgap.co.problems.job_shop_instances import instance_names, load_job_shop, published_bounds, taillard


def same(a: JobShopInstance, b: JobShopInstance) -> bool:
    names = ("job_ptr", "machine", "duration", "release")
    return a.n_machines == b.n_machines and all(np.array_equal(getattr(a, n), getattr(b, n)) for n in names)


def test_the_first_row_of_ta01() -> None:
    # read from the public file: machine and duration of job 0
    instance = taillard(1)
    assert instance.machine[:15].tolist() == [6, 12, 4, 7, 3, 2, 10, 11, 8, 14, 9, 13, 5, 0, 1]
    assert instance.duration[:15].tolist() == [94, 66, 10, 53, 26, 15, 65, 82, 10, 27, 93, 92, 96, 70, 83]


def test_all_public_taillard_and_fisher_thompson_files_are_reproduced(data_folder: Path) -> None:
    files = sorted(p for p in (data_folder / "jobshop").glob("*.txt") if p.stem in instance_names())
    assert len(files) >= 11
    for file in files:
        assert same(read_job_shop(file), load_job_shop(file.stem)), file


def test_every_taillard_instance_is_consistent() -> None:
    shapes = []
    for index in range(1, 81):
        instance = taillard(index)
        assert instance.name == f"ta{index:02d}"
        assert instance.best_known is not None
        assert instance.lower_bound() <= instance.best_known.lower <= instance.best_known.upper
        rows = np.sort(instance.machine.reshape(instance.n_jobs, -1), axis=1)
        assert np.array_equal(rows, np.tile(np.arange(instance.n_machines), (instance.n_jobs, 1)))
        shapes.append((instance.n_jobs, instance.n_machines))
    sizes = [(15, 15), (20, 15), (20, 20), (30, 15), (30, 20), (50, 15), (50, 20), (100, 20)]
    assert shapes == [size for size in sizes for _ in range(10)]


def test_bounds_carry_their_date_and_follow_the_numbers_not_the_name(tmp_path: Path) -> None:
    ft06 = load_job_shop("ft06")
    assert ft06.best_known == Bounds(55, 55, "2026")
    write_job_shop(ft06, tmp_path / "ft06.txt")
    write_job_shop(load_job_shop("ta01"), tmp_path / "ta01.txt")
    assert load_job_shop(tmp_path / "ft06.txt").best_known == ft06.best_known
    assert load_job_shop(tmp_path / "ta01.txt").best_known == Bounds(1231, 1231, "2026")
    (tmp_path / "ft06.txt").write_text((tmp_path / "ft06.txt").read_text().replace("2 1", "2 2", 1))
    assert load_job_shop(tmp_path / "ft06.txt").best_known is None


def test_bounds_of_public_files_lie_above_the_trivial_bound(data_folder: Path) -> None:
    for instance in read_job_shops(data_folder / "jobshop"):
        bounds = published_bounds(instance)
        assert bounds is not None, instance.name
        assert instance.lower_bound() <= bounds.lower <= bounds.upper


def test_random_names_are_seeded() -> None:
    one, again, other = (load_job_shop(f"random-4x3-s{seed}") for seed in (3, 3, 4))
    assert (one.n_jobs, one.n_machines, one.name) == (4, 3, "random-4x3-s3")
    assert same(one, again)
    assert not same(one, other)
    blocking = load_job_shop("blocking-4x3-p20-s3")
    assert isinstance(blocking, BlockingJobShopInstance)
    assert len(blocking.down_start) > 0


def test_wrong_names_list_near_ones(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"unknown instance 'ta81' \(did you mean .*ta80.*ft06, ft10, ft20, ta01 to ta80"
    ):
        load_job_shop("ta81")
    with pytest.raises(InputError, match=r"absent\.txt: no such file"):
        load_job_shop(tmp_path / "absent.txt")
    with pytest.raises(InputError, match="0 jobs x 3 machines"):
        load_job_shop("random-0x3-s1")
    with pytest.raises(InputError, match=r"expected 1\.\.80"):
        taillard(81)
