"""Asynchronous against synchronous training: what is refused before anything is run, and that it goes on."""

from __future__ import annotations

import json

import pytest

SMALL = ["seconds=0.001", "actors=1,2", "total_steps=50", "out=."]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["seconds=-1"], "seconds of a step is -1.0; expected a number from 0"),
        (["seconds=0.001,inf"], "seconds of a step is inf"),
        (["seconds="], "no number is named in seconds"),
        (["jitter=2"], "jitter is 2.0"),
        (["actors=1,0"], "actors=[1, 0]: expected at least 1"),
        (["actors=1000000"], "actors is 1000000; expected at most 1024"),
        (["seeds=-1"], "seeds=-1: expected at least 0"),
        (["total_steps=0"], "total_steps=0: expected at least 1"),
        (["target=nan"], "target is nan; expected a finite number"),
        (["update_ratio=0.3"], "update_ratio is 0.3; expected a multiple of 1/8"),
        (["update_ratio=inf"], "update_ratio is inf"),
        (["hidden=0"], "hidden_sizes is [0, 0]"),
        (["warmup_steps=0"], "warmup_steps is 0"),
        (["engine=threads"], "engine is 'threads'; expected "),
        (["agent=ppo"], "agent is 'ppo'; expected sac or td3"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_run(refuses, tmp_path, arguments, said):
    assert said in refuses("benchmark_asynchronous", *SMALL, *arguments)
    assert not (tmp_path / "results.jsonl").exists()


def test_it_goes_on_where_it_was_interrupted_and_keeps_other_runs(call, refuses, tmp_path, monkeypatch):
    import benchmark_asynchronous

    ran, interrupts = [], [KeyboardInterrupt]

    def measure(cell, tell):
        if cell.actors == 1 and interrupts:
            raise interrupts.pop()
        ran.append(cell.actors)
        figures = {
            "starting": 1.0,
            "steps": 50,
            "gradient_steps": 50,
            "return": None,
            "staleness": 0.0,
            "reached": True,
        }
        return figures | {"seconds": 8.0 / max(cell.actors, 1)}

    monkeypatch.setattr(benchmark_asynchronous, "measure", measure)
    assert call("benchmark_asynchronous", *SMALL).code == 130
    file = tmp_path / "results.jsonl"
    kept = file.read_text()
    assert call("benchmark_asynchronous", *SMALL).code == 0
    assert ran == [0, 1, 2]
    assert file.read_text().startswith(kept)
    rows = json.loads((tmp_path / "asynchronous.json").read_text())["rows"]
    assert [row["ratio"] for row in rows] == [1.0, 1.0, 2.0]
    assert call("benchmark_asynchronous", *SMALL, "actors=4").code == 0
    assert len(file.read_text().splitlines()) == 4
    file.write_text(file.read_text()[:-20])
    assert "results.jsonl:4: expected a json object with 'cell'" in refuses("benchmark_asynchronous", *SMALL)
