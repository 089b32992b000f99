"""``import optgap``: quick, light, and the only way into the four folders."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import pytest

import optgap
from optgap.envs import ENTRY_POINTS, register_environments

HEAVY = ("torch", "numba", "pyscipopt", "ortools", "ray", "stable_baselines3", "torch_geometric", "matplotlib", "hydra")


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)


def test_import_takes_under_a_second_and_loads_nothing_heavy(tmp_path):
    code = f"""if True:
        import json, sys, time
        begin = time.process_time()
        import optgap
        seconds = time.process_time() - begin
        print(json.dumps([seconds, [name for name in {HEAVY} if name in sys.modules]]))
    """
    seconds, loaded = zip(*(json.loads(python(code, tmp_path).stdout) for _ in range(3)), strict=True)
    assert loaded[0] == []
    assert min(seconds) < 1.0  # CPU seconds, so that a busy machine cannot fail it


@pytest.mark.parametrize("folder", ["co", "gbrl", "envs", "agents"])
def test_a_folder_imported_bare_says_what_to_import(folder, repository):
    run = python(f"import {folder}", repository)
    assert run.returncode != 0
    assert f"ImportError: import optgap.{folder}, not {folder}" in run.stderr


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_every_id_is_registered_with_entry_points_that_exist(name):
    spec = gym.spec(name)
    assert (spec.entry_point, spec.vector_entry_point) == ENTRY_POINTS[name]
    for target in ENTRY_POINTS[name]:
        module, _, attribute = target.partition(":")
        assert hasattr(importlib.import_module(module), attribute)


def test_registering_twice_changes_nothing_and_warns_of_nothing():
    before = dict(gym.registry)
    register_environments()
    importlib.reload(optgap)
    assert gym.registry == before


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_an_id_with_its_module_needs_no_import(name, tmp_path):
    run = python(f"import gymnasium; print(gymnasium.make('optgap:{name}').spec.id)", tmp_path)
    assert run.stdout.strip() == name, run.stderr
