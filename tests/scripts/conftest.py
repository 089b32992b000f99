"""The scripts, called in this process (most tests) or as a person calls them (Ctrl-C, exit codes)."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"

sys.path.insert(0, str(SCRIPTS))  # as Python does for a script


class Answer(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def call(tmp_path, monkeypatch, capsys) -> Callable[..., Answer]:
    """``call("solve", "instance=ft06", ...)`` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "1")  # the scripts set them; this puts them back afterwards

    def run(script: str, *arguments: str) -> Answer:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        with pytest.raises(SystemExit) as ended:
            importlib.import_module("cli").run(importlib.import_module(script).main)
        return Answer(ended.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def refuses(call, tmp_path) -> Callable[..., str]:
    """The one line of a call that must end with exit code 2 and write nothing."""

    def run(script: str, *arguments: str) -> str:
        before = sorted(tmp_path.rglob("*"))
        answer = call(script, *arguments)
        assert answer.code == 2
        assert answer.err.count("\n") == 1
        assert answer.err.startswith("error: ")
        assert "Traceback" not in answer.err
        assert sorted(tmp_path.rglob("*")) == before
        return answer.err

    return run


def start(folder: Path, script: str, *arguments: str) -> subprocess.Popen[str]:
    """A script as its own process, to be interrupted."""
    command = [sys.executable, "-u", str(SCRIPTS / f"{script}.py"), *arguments]
    environment = os.environ | {"COLUMNS": "160", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """A run folder with weights that have hardly learned anything."""
    train = importlib.import_module("train")
    out = tmp_path_factory.mktemp("trained")
    size = ["env.jobs=3", "env.machines=3", "agent.samples=4", "agent.instances=2", "agent.checkpoint_interval=2"]
    rest = ["total_steps=300", "validation_instances=2", "validate_every=1", "final_seconds=0", f"out={out}"]
    before = os.environ.copy()
    assert train.main(["env=jssp", "agent=gnn-slim", *size, *rest]) == 0
    os.environ.clear()
    os.environ.update(before)
    return next((out / "jssp" / "gnn-slim").iterdir())
