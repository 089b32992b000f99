"""evaluate.py and render.py on weights that have hardly learned anything."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image, ImageSequence

from optgap.co.problems.job_shop import JOB_SHOP
from optgap.co.problems.job_shop_instances import load_job_shop


def test_gaps_are_those_of_the_checked_solutions(call, tmp_path, trained):
    (tmp_path / "shops").mkdir()
    (tmp_path / "shops" / "two.txt").write_text("2 2\n0 3 1 2\n1 4 0 1\n")
    arguments = [f"run={trained}", "instances=ft06,random-4x3-s0,shops"]
    answer = call("evaluate", *arguments, "out=gaps.json")
    assert answer.code == 0, answer.err
    records = json.loads((tmp_path / "gaps.json").read_text())["records"]
    assert [record["instance"] for record in records] == ["ft06", "random-4x3-s0", "two"]
    for record in records[:2]:
        instance, solution = load_job_shop(record["instance"]), np.array(record["solution"])
        JOB_SHOP.check(instance, solution)
        assert JOB_SHOP.cost(instance, solution) == record["cost"]
    assert call("evaluate", *arguments, "out=gaps.csv").code == 0
    rows = list(csv.DictReader((tmp_path / "gaps.csv").read_text().splitlines()))
    assert float(rows[0]["gap"]) == pytest.approx(records[0]["cost"] / 55 - 1)
    assert f"gap {100 * float(rows[0]['gap']):>5.1f}% to 55 best known" in answer.out


def test_sampling_is_no_worse_than_greedy(call, tmp_path, trained):
    for mode in ("greedy", "sample"):
        assert (
            call("evaluate", f"run={trained}", "instances=ft06", f"mode={mode}", f"out={mode}.json", "samples=16").code
            == 0
        )
    costs = [json.loads((tmp_path / f"{mode}.json").read_text())["records"][0]["cost"] for mode in ("greedy", "sample")]
    assert costs[1] <= costs[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["run=nowhere", "instances=ft06"],
            "nowhere: holds no trained weights; expected a run folder or shipped weights",
        ),
        (
            ["run={trained}", "instances=ft06", "mode=bem"],
            "mode is 'bem'; expected one of greedy, sample, beam, reconst",
        ),
        (["run={trained}", "instances=ft06", "mode=beam"], "mode is beam; expected greedy or sample: SLIM has no beam"),
        (["run={trained}", "instances=ft06", "mode=reconstruct"], "SLIM has no re-construction; the BQ agents have"),
        (["run={trained}", "instances=ft06", "samples=0"], "samples is 0; expected at least 1"),
        (["run={trained}", "instances=ft06", "seconds=0"], "budget seconds is 0.0; expected a number above 0"),
        (["run={trained}", "instances=ft06", "reference=sptt"], "unknown solver 'sptt' of job-shop"),
        (["run={trained}", "instances="], "no instance is named"),
        (["run={trained}", "instances=ta80-ta01"], "expected a rising range"),
        (["run={trained}", "instances=ft06", "out=gaps.xls"], "expected a file name that ends in .json or .csv"),
        (["run={trained}"], "instances= is missing"),
    ],
)
def test_bad_input_is_one_line(refuses, trained, arguments, said):
    assert said in refuses("evaluate", *(argument.format(trained=trained) for argument in arguments))


def test_damaged_weights_are_named(call, tmp_path, trained):
    import shutil

    run = shutil.copytree(trained, tmp_path / "run")
    file = run / "best" / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    answer = call("evaluate", f"run={run}", "instances=ft06")
    assert answer.code == 2
    assert "weights.safetensors" in answer.err
    assert answer.err.count("\n") == 1


def test_a_rule_is_replayed_as_an_animation(call, tmp_path):
    answer = call("render", "env=jssp", "policy=mwkr", "instance=random-3x3-s0", "out=shop.gif")
    assert answer.code == 0, answer.err
    assert "note" not in answer.out  # the environment replays the rule's schedule exactly
    with Image.open(tmp_path / "shop.gif") as image:
        assert len(list(ImageSequence.Iterator(image))) == 10  # the empty chart, then one frame an operation


@pytest.mark.parametrize("policy", ["random", "{trained}"])
def test_an_episode_ends_as_a_picture(call, tmp_path, trained, policy):
    arguments = ["env=jssp", "instance=random-3x3-s0", f"policy={policy.format(trained=trained)}"]
    assert "checked" in call("render", *arguments, "out=shop.png").out
    with Image.open(tmp_path / "shop.png") as image:
        assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["env=jssp", "out=a.mp4"], "a.mp4: expected a file name that ends in .png or .gif"),
        (["env=jssp", "policy=mwk", "out=a.gif"], "unknown solver 'mwk' of job-shop (did you mean mwkr?)"),
        (["env=gym", "policy=mwkr", "out=a.gif"], "policy=mwkr: expected random or trained weights"),
        (["env=gym", "instance=ft06", "out=a.gif"], "this environment plays no named instances"),
        (["env=gym", "policy={trained}", "out=a.gif"], "trained on JobShopConfig"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(refuses, trained, arguments, said):
    assert said in refuses("render", *(argument.format(trained=trained) for argument in arguments))
