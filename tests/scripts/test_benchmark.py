"""benchmark.py: every number is re-checked, a stopped benchmark goes on, and the page needs nothing but itself."""

from __future__ import annotations

import base64
import json
import re
import shutil
import signal
import subprocess
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from tests.scripts.conftest import start

from optgap.co.problems.job_shop import JOB_SHOP
from optgap.co.problems.job_shop_instances import load_job_shop

SMALL = ["solvers=[spt,mwkr,random]", "instances=[ft06,random-4x4-s0]", "seeds=0,1", "seconds=1", "out=bench"]


@pytest.fixture
def bench(call, tmp_path) -> Path:
    answer = call("benchmark", *SMALL)
    assert answer.code == 0, answer.err
    for word in ("spt", "mwkr", "random", "ft06", "random-4x4-s0*", "mean gap", "report.html"):
        assert word in answer.out
    return tmp_path / "bench"


def test_every_figure_is_that_of_its_solution(bench):
    data = json.loads((bench / "results.json").read_text())
    assert len(data["records"]) == 12
    for record in data["records"]:
        instance, solution = load_job_shop(record["instance"]), np.array(record["solution"])
        JOB_SHOP.check(instance, solution)
        assert JOB_SHOP.cost(instance, solution) == record["cost"]
    spt = next(row for row in data["summary"] if row["solver"] == "spt")
    assert spt["gaps"]["ft06"] == pytest.approx(88 / 55 - 1)
    assert {"date", "commit", "processor", "cores", "versions"} <= data["provenance"].keys()
    assert data["settings"]["seeds"] == [0, 1]
    assert (bench / "gap_over_time.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_command_repeats_nothing_and_a_wider_one_adds(call, bench):
    before = (bench / "results.jsonl").read_text()
    assert "resumed  12 of 12 runs" in call("benchmark", *SMALL).out
    assert (bench / "results.jsonl").read_text() == before
    (bench / "results.jsonl").write_text(before + '{"problem": "job-sh')  # as a kill leaves it
    assert call("benchmark", "solvers=[spt,mwkr,random,lpt]", *SMALL[1:]).code == 0
    after = (bench / "results.jsonl").read_text()
    assert after.startswith(before)
    assert after.count("\n") == before.count("\n") + 4
    assert len(json.loads((bench / "results.json").read_text())["records"]) == 16


def test_a_file_that_changed_under_its_name_is_run_again(call, tmp_path):
    file = tmp_path / "shop.txt"
    for text, cost in (("1 1\n0 3\n", 3), ("1 1\n0 30\n", 30), ("1 1\n0 3\n", 3)):
        file.write_text(text)
        assert call("benchmark", "solvers=spt", "instances=shop.txt", "out=bench").code == 0
        assert [r["cost"] for r in json.loads((tmp_path / "bench" / "results.json").read_text())["records"]] == [cost]
    assert len((tmp_path / "bench" / "results.jsonl").read_text().splitlines()) == 2  # the third run found the first


def test_weights_that_changed_under_their_name_are_run_again(call, tmp_path):
    import shutil

    import numpy as np
    from safetensors.numpy import load_file, save_file

    from optgap.agents.common.weights import ZOO

    shutil.copytree(ZOO / "job-shop-gnn-ppo", tmp_path / "mine")
    command = ("benchmark", "solvers=spt,mine", "instances=ft06", "out=bench")
    assert call(*command).code == 0
    assert "resumed  2 of 2 runs" in call(*command).out
    weights = tmp_path / "mine" / "weights.safetensors"
    save_file({name: np.negative(tensor) for name, tensor in load_file(weights).items()}, weights)
    assert "resumed  1 of 2 runs" in call(*command).out


def test_a_solver_that_fails_costs_only_its_own_cells(call, tmp_path, monkeypatch):
    from optgap.co.core import SOLVERS

    monkeypatch.setattr(SOLVERS, "_targets", {**SOLVERS._targets, "job-shop/broken": lambda instance, budget: 1 // 0})
    answer = call("benchmark", "solvers=broken,spt", "instances=ft06", "out=bench")
    assert answer.code == 2
    assert "broken: 1 failed: ZeroDivisionError" in answer.out
    page = (tmp_path / "bench" / "report.html").read_text()
    assert "broken: 1 failed: ZeroDivisionError" in page
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(SOLVERS, "_targets", {**SOLVERS._targets, "job-shop/broken": SOLVERS.load("job-shop/lpt")})
    from optgap.co.benchmark.cells import warm_solver

    warm_solver.cache_clear()
    again = call("benchmark", "solvers=broken,spt", "instances=ft06", "out=bench")
    warm_solver.cache_clear()
    assert again.code == 0  # what failed is run again, what did not is kept
    assert "resumed  1 of 2 runs" in again.out


def test_ctrl_c_keeps_finished_runs_and_no_unfinished_one(tmp_path):
    arguments = ["solvers=[spt,scip]", "instances=[ft20]", "seconds=100", "out=bench"]
    process = start(tmp_path, "benchmark", *arguments)
    results = tmp_path / "bench" / "results.jsonl"
    while process.poll() is None and not (results.exists() and results.read_text().endswith("\n")):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 130, err
    assert "stopped  1 of 2 runs" in out
    assert [json.loads(line)["solver"] for line in results.read_text().splitlines()] == ["spt"]


class Page(HTMLParser):
    """Elements, the texts of table cells, and everything that a browser would fetch."""

    VOID = ("meta", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.count: dict[str, int] = {}
        self.fetched: list[str] = []
        self.cells: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.count[tag] = self.count.get(tag, 0) + 1
        found = dict(attributes)
        self.fetched += [found[key] for key in ("src", "href", "xlink:href", "data") if key in found]
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_startendtag(self, tag, attributes):
        self.count[tag] = self.count.get(tag, 0) + 1

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "td" in self.open:
            self.cells[-1] += data


def test_the_page_holds_everything_and_fetches_nothing(bench):
    text = (bench / "report.html").read_text()
    page = Page(text)
    assert page.open == []  # every element is closed
    assert all(url.startswith("data:") for url in page.fetched)
    assert not re.search(r"https?://|@import|url\(", text)
    assert "{{" not in text
    assert page.count["table"] == 2
    assert page.count["svg"] == 1 + 3 + 2  # the curves, a key a solver, a schedule an instance
    assert page.count["details"] == 2
    assert {"spt", "mwkr", "random", "ft06", "random-4x4-s0", "60.0%"} <= set(page.cells)
    for fact in ("budget a solver and instance", "1 s", "seeds", "0, 1", "processor", "commit", "threads a process"):
        assert fact in text
    encoded = re.search(r"data:text/csv;base64,([^\"]*)", text)[1]
    assert base64.b64decode(encoded).decode() == (bench / "results.csv").read_text()


def test_names_cannot_break_the_page(call, tmp_path):
    (tmp_path / "<b>&.txt").write_text("2 2\n0 3 1 2\n1 4 0 1\n")
    assert call("benchmark", "solvers=spt", "instances=[<b>&.txt]", "out=bench").code == 0
    page = Page((tmp_path / "bench" / "report.html").read_text())
    assert page.open == []
    assert page.cells.count("<b>&") == 1


def test_a_name_like_a_key_of_the_template_is_a_name(call, tmp_path):
    (tmp_path / "shops").mkdir()
    (tmp_path / "shops" / "{{csv}}.txt").write_text("1 1\n0 3\n")
    assert call("benchmark", "solvers=spt", "instances=shops", "out=bench").code == 0
    assert "<b>{{csv}}</b>" in (tmp_path / "bench" / "report.html").read_text()


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(BROWSER is None, reason="needs a Chromium on the PATH")
def test_a_click_on_a_header_sorts_in_a_browser(bench, tmp_path):
    page = (bench / "report.html").read_text()
    clicks = "<script>for (let i = 0; i < 2; i++) document.querySelectorAll('thead th')[1].click()</script></body>"
    (tmp_path / "clicked.html").write_text(page.replace("</body>", clicks))
    switches = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    switches += [
        "--disable-background-networking",
        "--disable-component-update",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    command = [BROWSER, *switches, "--dump-dom", (tmp_path / "clicked.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert 'aria-sort="descending"' in done.stdout
    gaps = [cell for cell in Page(page).cells[:18] if "±" in cell]
    sorted_gaps = [cell for cell in Page(done.stdout).cells[:18] if "±" in cell]
    assert sorted_gaps == sorted(gaps, key=lambda text: -float(text.partition("%")[0])) != gaps


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["solvers=spt,sptt", "instances=ft06"], "unknown solver 'sptt' of job-shop (did you mean spt?)"),
        (["solvers=[]", "instances=ft06"], "no solver is named"),
        (["solvers=spt", "instances=ft06", "seeds=a"], "seeds=a: expected integers"),
        (["solvers=spt", "instances=ft06", "seeds=1.5"], "seeds=1.5: expected integers"),
        (["solvers=spt", "instances=ft06", "seeds=-1"], "budget seed is -1"),
        (["solvers=spt", "instances=ft06", "threads=0"], "threads is 0; expected at least 1"),
        (["solvers=spt", "instances=ft06", "seconds=-1"], "budget seconds is -1.0"),
        (["solvers=spt"], "instances= is missing"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(refuses, arguments, said):
    assert said in refuses("benchmark", *arguments)


def test_a_missing_extra_is_its_pip_command(call, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    answer = call("benchmark", "solvers=spt", "instances=ft06", "engine=ray", "out=bench")
    assert answer.code == 2
    assert "pip install 'optgap[distributed]'" in answer.err


def test_plugins_are_imported_in_every_process(tmp_path):
    (tmp_path / "my_rules.py").write_text(
        "from optgap.co.core import SOLVERS\nSOLVERS.register('job-shop/mine', SOLVERS.load('job-shop/mor'))\n"
    )
    arguments = ["plugins=my_rules", "solvers=mine,mor", "instances=ft06,ft10", "jobs=2", "out=bench"]
    process = start(tmp_path, "benchmark", *arguments)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    gaps = {
        row["solver"]: row["gaps"] for row in json.loads((tmp_path / "bench" / "results.json").read_text())["summary"]
    }
    assert gaps["mine"] == gaps["mor"]
