"""The Makefile's own errors: one line, nothing half-made."""

from __future__ import annotations

import shutil
import subprocess


def test_an_unusable_python_is_one_clear_line(tmp_path, repository):
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(repository / name, tmp_path)
    run = subprocess.run(
        ["make", "PYTHON=/nonexistent/python", "train"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert run.stderr.startswith("optgap: needs Python 3.11, 3.12 or 3.13, tried: /nonexistent/python")
    assert not (tmp_path / ".venv").exists()


def test_ci_runs_the_test_command_of_the_readme(repository):
    assert "\nmake test " in (repository / ".ci" / "run").read_text()
    assert "\nmake test " in (repository / "README.md").read_text()
