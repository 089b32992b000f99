"""The commands and the code of README.md and CONTRIBUTING.md, run as they are printed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).parents[2]

# What is appended to a command of README.md or CONTRIBUTING.md that has such a word, so that it ends in seconds. Nothing
# else is changed.
APPENDED = {
    "scripts/train.py": "total_steps=2000 validation_instances=2 reference_seconds=0.2 final_seconds=0.5 final_episodes=5",
    "scripts/benchmark.py": "seconds=1",
    "agent=bq": "agent.labels=128",
}
SECONDS = 300  # that one command may take


class Block(NamedTuple):
    language: str
    line: int  # of the document, where the block's first line stands
    text: str


def blocks(document: str) -> list[Block]:
    """The fenced blocks of a document, in order."""
    text = (REPOSITORY / document).read_text()
    found = re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(m[1], text[: m.start(2)].count("\n") + 1, m[2]) for m in found]


def commands(document: str) -> list[str]:
    """The lines of a document's bash blocks, without comments."""
    lines = (line for block in blocks(document) if block.language == "bash" for line in block.text.splitlines())
    return [line for line in lines if shlex.split(line, comments=True)]


def python_blocks(document: str) -> list[Block]:
    return [block for block in blocks(document) if block.language == "python"]


def run(command: list[str], folder: Path) -> str:
    """Standard output of a command that ends well, with this interpreter as ``python``."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(folder), "COLUMNS": "120"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def run_line(line: str, folder: Path) -> None:
    """Run a line of a bash block as a shell would, with what :data:`APPENDED` has for it at its end."""
    program, *arguments = shlex.split(line, comments=True)
    if program == "make":  # it would install and train: only what it would do is asked for
        run([program, *arguments, "--dry-run"], REPOSITORY)
        return
    assert program == "python", f"{line!r}: bash blocks hold python and make commands, console blocks the others"
    appended = [APPENDED[word] for word in arguments if word in APPENDED]
    run(["bash", "-c", " ".join([line, *appended])], folder)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A folder that looks like the checkout to the commands of a document; what they write stays in it."""
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "scripts").symlink_to(REPOSITORY / "scripts")
    return folder


@pytest.mark.parametrize("line", commands("README.md"))
def test_a_command_of_the_readme(line, checkout):
    run_line(line, checkout)


@pytest.mark.parametrize("block", python_blocks("README.md"), ids=lambda block: f"line-{block.line}")
def test_the_python_of_the_readme(block, checkout):
    run([sys.executable, "-W", "error", "-c", block.text], checkout)


def test_the_readme_shows_what_make_train_runs():
    printed = run(["make", "--dry-run", "train"], REPOSITORY)
    assert "python scripts/train.py env=jssp agent=gnn-ppo" in commands("README.md")
    assert "python scripts/train.py env=jssp agent=gnn-ppo\n" in printed


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """CONTRIBUTING.md's blocks, each in the file that its first line names, at its own line numbers."""
    folder = tmp_path_factory.mktemp("package")
    (folder / "scripts").symlink_to(REPOSITORY / "scripts")
    for block in python_blocks("CONTRIBUTING.md"):
        name = re.match(r"# ([\w/]+\.py)\n", block.text)
        assert name, f"CONTRIBUTING.md:{block.line}: the first line of a python block names its file"
        (folder / name[1]).parent.mkdir(exist_ok=True)
        (folder / name[1]).write_text(block.text)
    return folder


@pytest.mark.parametrize("name", ["try_solvers.py", "try_agent.py"])
def test_an_example_of_contributing_runs(name, package):
    assert run([sys.executable, "-W", "error", name], package)


def test_the_tests_of_contributing_pass(package):
    run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_environment.py"], package)


@pytest.mark.parametrize("line", commands("CONTRIBUTING.md"))
def test_a_command_of_contributing(line, package):
    run_line(line, package)


def test_the_code_of_contributing_keeps_the_house_style(package):
    config = str(REPOSITORY / "pyproject.toml")
    files = [str(path) for path in package.rglob("*.py") if "scripts" not in path.parts]
    run([sys.executable, "-m", "ruff", "format", "--check", "--config", config, *files], package)
    run([sys.executable, "-m", "ruff", "check", "--config", config, "--ignore", "D,F401,I001", *files], package)


def test_the_links_of_the_documents_lead_somewhere():
    for document in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", (REPOSITORY / document).read_text()):
            assert (REPOSITORY / target).exists(), f"{document}: {target}"
