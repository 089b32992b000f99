"""Archives of instances: what is written is read again; damaged and foreign files are refused."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from optgap.co.benchmark.collections import load_instances
from optgap.co.core import InputError
from optgap.co.formats.archives import read_archive, write_archive
from optgap.co.problems.mean_variance import MeanVarianceInstance
from optgap.co.problems.portfolio import PORTFOLIO, TradingPeriod
from optgap.co.problems.portfolio_instances import load_mean_variance, load_portfolio


def test_every_field_comes_back(tmp_path):
    low = 0.9 * load_portfolio("portfolio-2x4-s0").close
    one = PORTFOLIO.generate(np.random.default_rng(0), assets=2, days=4, low=low, cap=0.7, name="one")
    two = load_mean_variance("mean-variance-6-k3-s1")
    for instance in (one, two):
        path = tmp_path / f"{instance.name}.npz"
        write_archive(path, instance)
        again = read_archive(type(instance), path)
        for item in fields(instance):
            mine, its = getattr(instance, item.name), getattr(again, item.name)
            assert type(mine) is type(its), item.name
            np.testing.assert_array_equal(mine, its)
    (found,) = load_instances("portfolio", [str(tmp_path / "one.npz")])
    assert found.name == "one"


def test_files_that_are_no_instances_are_refused(tmp_path):
    write_archive(tmp_path / "one.npz", load_portfolio("portfolio-2x4-s0"))
    (tmp_path / "text.npz").write_text("no archive")
    np.savez(tmp_path / "other.npz", close=np.ones((3, 2)))
    np.savez(tmp_path / "bad.npz", expected=np.zeros(2), covariance=np.zeros((3, 3)))
    for name, kind, said in (
        ("gone", TradingPeriod, "no such file"),
        ("text", TradingPeriod, "is no TradingPeriod"),
        ("other", TradingPeriod, "is no TradingPeriod"),
        ("one", MeanVarianceInstance, "is no MeanVarianceInstance"),
        ("bad", MeanVarianceInstance, "covariance of shape"),
    ):
        with pytest.raises(InputError, match=f"{name}.npz: .*{said}"):
            read_archive(kind, tmp_path / f"{name}.npz")
    with pytest.raises(InputError, match="expected a name that ends in"):
        write_archive(tmp_path / "one.csv", load_portfolio("portfolio-2x4-s0"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no TradingPeriod in this folder"):
        load_instances("portfolio", [str(tmp_path / "empty")])


@pytest.mark.parametrize(
    ("load", "name"), [(load_portfolio, "portfolio-2x4"), (load_mean_variance, "mean-variance-2-s0")]
)
def test_wrong_names_say_the_right_ones(load, name):
    with pytest.raises(InputError, match=rf"unknown .* instance '{name}'; expected .*-s<seed>"):
        load(name)
