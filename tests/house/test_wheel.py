"""The wheel is tested, not the tree: a checkout without symbolic links builds an empty one silently."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

import pytest

FOLDERS = ("co", "gbrl", "envs", "agents")
DATA_SUFFIXES = {".json", ".npz", ".safetensors", ".txt", ".html"}


def sources(repository: Path) -> set[str]:
    """Every module and data file of the four folders, as the wheel should name it."""
    found = (path for folder in FOLDERS for path in (repository / folder).rglob("*") if "__pycache__" not in path.parts)
    return {
        f"optgap/{path.relative_to(repository).as_posix()}" for path in found if path.suffix in DATA_SUFFIXES | {".py"}
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory, repository) -> zipfile.ZipFile:
    """Built from the source archive, as a person who installs from PyPI without a wheel would build it."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("dist")
    for name in (*FOLDERS, "src"):
        shutil.copytree(repository / name, tree / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository / name, tree)
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(tree)]
    run = subprocess.run(build, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return zipfile.ZipFile(next(out.glob("*.whl")))


def test_it_holds_every_module_and_data_file_and_nothing_else(wheel, repository):
    names = {name for name in wheel.namelist() if not name.startswith(f"optgap-{version(wheel)}.dist-info/")}
    assert names == sources(repository) | {"optgap/__init__.py", "optgap/py.typed"}


@pytest.mark.parametrize("folder", FOLDERS)
def test_it_holds_each_of_the_four_folders(wheel, folder):
    assert f"optgap/{folder}/__init__.py" in wheel.namelist()


def test_it_carries_the_instances_and_the_trained_weights(wheel):
    names = [PurePosixPath(name) for name in wheel.namelist()]
    assert any(name.match("optgap/co/problems/data/*.json") for name in names)
    assert any(name.match("optgap/agents/zoo/*/weights.safetensors") for name in names)


def test_every_shipped_weight_has_its_card(wheel):
    names = set(wheel.namelist())
    weights = [name for name in names if name.endswith(".safetensors")]
    assert [name for name in weights if str(PurePosixPath(name).with_name("card.json")) not in names] == []


def test_it_runs_without_the_checkout(wheel, tmp_path):
    wheel.extractall(tmp_path)
    code = """if True:
        import optgap
        from optgap.co.core import PROBLEMS
        print(optgap.__file__, optgap.__version__, *map(PROBLEMS.load, PROBLEMS))
    """
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split()[:2] == [str(tmp_path / "optgap" / "__init__.py"), version(wheel)]


def test_the_licence_travels_with_it(wheel):
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel.namelist())


def version(wheel: zipfile.ZipFile) -> str:
    return Path(str(wheel.filename)).name.split("-")[1]
