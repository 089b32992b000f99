"""The plain knapsack format: read, written back, errors with file and line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optgap.co.core import InputError
from optgap.co.formats.knapsack import read_knapsack, write_knapsack
from optgap.co.problems.knapsack import KnapsackInstance

ROUND = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TOY = "# three items\n3 4.5\n\n10 1\n20 2.25  # the second\n30 3\n"
AMOUNT = st.floats(0, 1e6) | st.integers(0, 1000)


def test_a_file_by_hand(tmp_path):
    (tmp_path / "toy.kp").write_text(TOY)
    (tmp_path / "best_known.json").write_text('{"toy": 40}')
    instance = read_knapsack(tmp_path / "toy.kp")
    assert (instance.name, instance.capacity, instance.value.tolist()) == ("toy", 4.5, [10, 20, 30])
    assert instance.weight.tolist() == [1, 2.25, 3]
    assert tuple(instance.best_known) == (40, 60, "best_known.json")
    write_knapsack(instance, tmp_path / "out.kp")
    assert (tmp_path / "out.kp").read_text() == "3 4.5\n10 1\n20 2.25\n30 3\n"


@ROUND
@given(items=st.lists(st.tuples(AMOUNT, AMOUNT), min_size=1, max_size=6), capacity=AMOUNT)
def test_instances_written_are_read_back(tmp_path, items, capacity):
    value, weight = zip(*items, strict=True)
    instance = KnapsackInstance(value=value, weight=weight, capacity=capacity)
    write_knapsack(instance, tmp_path / "again.kp")
    again = read_knapsack(tmp_path / "again.kp")
    assert np.array_equal(again.value, instance.value)
    assert np.array_equal(again.weight, instance.weight)
    assert again.capacity == instance.capacity


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: the file holds no numbers; expected a first line 'items capacity'"),
        ("3\n", "line 1: '3'; expected a first line 'items capacity'"),
        ("2.5 4\n", "line 1: 2.5 items; expected 1 to 10000000"),
        ("0 4\n", "line 1: 0 items; expected 1 to 10000000"),
        ("99999999999 4\n", "line 1: 99999999999 items; expected 1 to 10000000"),
        ("9999999 4\n1 1\n", "line 3: the file ends after 1 of 9999999 items; expected a line an item"),
        ("1 4\n1 1\n\n2 2\n", "line 4: more lines than items; expected 1 items"),
        ("1 4\n1\n", "line 2: '1'; expected a line 'value weight'"),
        ("1 4\n1 2 3\n", "line 2: '1 2 3'; expected a line 'value weight'"),
        ("1 4\n1 x\n", "line 2: '1 x'; expected a line 'value weight'"),
        ("1 4\n1 nan\n", "line 2: '1 nan'; expected finite numbers, 0 to 1e+15"),
        ("1 4\n-1 2\n", "line 2: '-1 2'; expected finite numbers, 0 to 1e+15"),
        ("1 inf\n1 2\n", "line 1: '1 inf'; expected finite numbers, 0 to 1e+15"),
    ],
)
def test_errors_say_where_and_what(tmp_path, text, message):
    path = tmp_path / "bad.kp"
    path.write_text(text)
    with pytest.raises(InputError) as raised:
        read_knapsack(path)
    assert str(raised.value) == f"{path}: {message}"
