"""The script that compares the flow with published figures: what it refuses, and that it goes on where it was interrupted."""

from __future__ import annotations

import json

import pytest


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["only=sphere"], "only=sphere: no such case"),
        (["cylinder=x"], "cylinder=x: expected integers"),
        (["cylinder=10,0"], "cylinder-0: lattice of 0 x 0 cells"),
        (["cylinder=10,3"], "cylinder-3: Reynolds number of a cell is 33.3; expected at most CELL_REYNOLDS_LIMIT"),
        (["cylinder=1500"], "cylinder-1500: lattice of 52500 x 30000 cells; expected at most CELLS_LIMIT"),
        (["filament=24,11"], "filament-11: cells along the ray are 11"),
        (["ray=12"], "held-12: lattice viscosity is 0.0012 "),
        (["out=file/flow"], "out=file/flow: cannot be made"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_run(refuses, tmp_path, arguments, said):
    (tmp_path / "file").write_text("in the way")
    assert said in refuses("validate_flow", *arguments)
    assert not list(tmp_path.rglob("flow.json"))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"cases": 3}', '{"cases": {"held-24": 3}}', '{"cases": {"held-24": {}}}']
)
def test_a_damaged_file_is_one_line(refuses, tmp_path, text):
    (tmp_path / "flow.json").write_text(text)
    assert "flow.json: expected a JSON object with 'cases'" in refuses("validate_flow", "out=.", "only=held-24")


def test_an_interrupted_run_goes_on(call, tmp_path, monkeypatch):
    import validate_flow

    ran, interrupts = [], [KeyboardInterrupt]

    def cylinder(cells, length, velocity, duration):
        yield 0.5
        if cells == 16 and interrupts:
            raise interrupts.pop()
        ran.append(cells)
        yield {"drag": 1.35, "strouhal": 0.165, "lift": 0.33}

    monkeypatch.setattr(validate_flow, "cylinder", cylinder)
    monkeypatch.setitem(validate_flow.GRIDS, cylinder, validate_flow.cylinder_grid)
    command = ["validate_flow", "out=.", "only=cylinder", "cylinder=10,16"]
    assert call(*command).code == 130
    assert list(json.loads((tmp_path / "flow.json").read_text())["cases"]) == ["cylinder-10"]
    assert call(*command).code == 0
    assert ran == [10, 16]
    assert (tmp_path / "flow.png").stat().st_size > 1000
