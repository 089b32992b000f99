"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import json
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
LIBRARY, SCRIPTS, TESTS = (
    sorted(path for folder in folders for path in (REPOSITORY / folder).rglob("*.py"))
    for folders in (("co", "gbrl", "envs", "agents"), ("scripts",), ("tests",))
)
FILES = LIBRARY + SCRIPTS + TESTS

RUNS_CODE = {"pickle", "cloudpickle", "dill", "marshal", "shelve"}  # reading what these wrote can run code
READS_PICKLES = {"torch.load", "torch.save", "joblib.load", "joblib.dump"}
READS_ARRAYS = {"np.load", "numpy.load"}  # pickled objects among them only where allow_pickle says so
MEBIBYTE = 2**20


def short(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


@pytest.mark.parametrize("path", FILES, ids=short)
def test_a_file_holds_one_idea(path):
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", FILES, ids=short)
def test_no_module_is_a_room_without_a_purpose(path):
    assert path.stem not in {"utils", "util", "helpers", "misc"}


def pickles_in(code: str) -> list[str]:
    """What reads or writes pickles, and NumPy archives that are not read with ``allow_pickle=False``."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in RUNS_CODE]
        elif isinstance(node, ast.ImportFrom):
            found += [name for name in [node.module or ""] if name.split(".")[0] in RUNS_CODE]
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            pickles = [ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg == "allow_pickle"]
            found += [name] * (name in READS_PICKLES or (name in READS_ARRAYS and pickles != ["False"]))
            found += [f"{name}(allow_pickle={value})" for value in pickles if value != "False"]
    return found


@pytest.mark.parametrize("path", LIBRARY + SCRIPTS, ids=short)
def test_nothing_is_saved_or_loaded_by_pickle(path):
    assert pickles_in(path.read_text()) == []


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("np.load(path, allow_pickle=False)", False),
        ("np.savez(path, **arrays)", False),
        ("np.load(path)", True),
        ("numpy.load(path, allow_pickle=True)", True),
        ("np.load(path, allow_pickle=trusted)", True),
        ("np.save(path, array, allow_pickle=True)", True),
        ("torch.load(path)", True),
        ("import pickle", True),
        ("from dill import loads", True),
    ],
)
def test_the_rule_about_pickle_sees_what_it_should(line, refused):
    assert bool(pickles_in(line)) is refused


def test_the_library_imports_no_script():
    """import-linter cannot hold it: run as ``python scripts/train.py``, a script's neighbours are top-level modules."""
    scripts = {"scripts"} | {path.stem for path in SCRIPTS}
    for path in LIBRARY:
        nodes = list(ast.walk(ast.parse(path.read_text())))
        found = {alias.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        found |= {(node.module or "").split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}
        assert not found & scripts, path


def zoo(repository: Path) -> list[Path]:
    return sorted(path for path in (repository / "agents" / "zoo").rglob("*") if path.is_file())


def test_the_zoo_holds_weights_cards_and_code_only(repository):
    files = [path for path in zoo(repository) if "__pycache__" not in path.parts]
    assert {path.suffix for path in files} <= {".safetensors", ".json", ".py", ".md"}


def test_a_zoo_file_is_at_most_ten_mebibytes_and_readable(repository):
    for path in zoo(repository):
        assert path.stat().st_size <= 10 * MEBIBYTE, path
        if path.suffix == ".safetensors":
            blob = path.read_bytes()
            header = json.loads(blob[8 : 8 + int.from_bytes(blob[:8], "little")])
            assert all(set(entry) == {"dtype", "shape", "data_offsets"} for n, entry in header.items() if n[:2] != "__")
        elif path.suffix == ".json":
            json.loads(path.read_text())


def test_every_ignored_lint_rule_has_its_reason(repository):
    lines = (
        (repository / "pyproject.toml").read_text().split("[tool.ruff.lint]")[1].split("\n[tool.mypy]")[0].splitlines()
    )
    entries = [line for line in lines[lines.index("ignore = [") + 1 :] if line.strip().startswith('"')]
    assert entries
    assert [line for line in entries if "#" not in line and not line.rstrip().endswith("[")] == []


def test_the_version_is_one(repository):
    import optgap

    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    assert project["version"] == optgap.__version__
    assert f"## {optgap.__version__}" in (repository / "CHANGELOG.md").read_text()
