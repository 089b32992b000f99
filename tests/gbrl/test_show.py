from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from gbrl_trees import random_ensemble, small_ensemble

from optgap.gbrl.errors import GBTError
from optgap.gbrl.show import draw_tree, tree_text

SECOND = """\
tree 1 of 2
speed > -1  [10 rows, gain 1.5]
├─ no: leaf +0, +0  [2 rows]
└─ yes: colour is 2  [8 rows, gain 0.5]
   ├─ no: leaf -2, +0  [5 rows]
   └─ yes: leaf +0, +1  [3 rows]"""


@pytest.fixture(autouse=True)
def no_window():
    matplotlib.use("Agg")


def test_the_text_of_a_tree():
    assert tree_text(small_ensemble(), -1, ["speed", "colour"]) == SECOND
    assert "x0 > 0.5 or missing  [10 rows, gain 3]" in tree_text(small_ensemble(), 0)


def test_every_node_of_any_tree_has_its_line():
    ensemble = random_ensemble(np.random.default_rng(0), 8, depth=5)
    for tree, size in enumerate(np.diff(ensemble.tree_start)):
        assert len(tree_text(ensemble, tree).splitlines()) == 1 + size


def test_a_drawing_says_what_the_text_says():
    axes = draw_tree(small_ensemble(), 1, ["speed", "colour"])
    texts = [text.get_text() for text in axes.texts]
    assert "speed > -1\n10 rows, gain 1.5" in texts
    assert "leaf\n-2, +0\n5 rows" in texts
    assert texts.count("no") == texts.count("yes") == len(axes.lines) / 2 == 2
    places = {text.get_text().split("\n")[0]: text.get_position() for text in axes.texts}
    assert places["speed > -1"] == (0.75, 0)
    assert places["colour is 2"] == (1.5, -1)
    axes.figure.canvas.draw()


def test_a_drawing_goes_where_it_is_asked_to():
    from matplotlib import pyplot

    _, axes = pyplot.subplots()
    assert draw_tree(small_ensemble(), 0, axes=axes) is axes
    pyplot.close("all")


def test_a_tree_that_is_not_there_and_missing_names_are_refused():
    with pytest.raises(GBTError, match="tree is 2; expected an integer from -2 to 1"):
        tree_text(small_ensemble(), 2)
    with pytest.raises(GBTError, match=r"feature_names is \['speed'\]; expected 2 names"):
        draw_tree(small_ensemble(), 0, ["speed"])
