"""Instances of multi-agent path finding by name and as files of the MovingAI benchmark."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from optgap.co.core import InputError
from optgap.co.problems.multi_agent_path_finding import MAPF, MAPFInstance

SUFFIX = ".scen"
RANDOM = re.compile(r"mapf-(warehouse-)?(\d{1,3})x(\d{1,3})-v(\d{1,4})-s(\d{1,18})")


def load_mapf(name_or_path: str | Path) -> MAPFInstance:
    """An instance by name.

    Args:
        name_or_path: ``"mapf-8x8-v4-s0"`` (rows, columns, vehicles, seed; a fifth of the cells blocked) or
            ``"mapf-warehouse-8x11-v4-s0"``.

    Raises:
        InputError: anything else; the message says what is expected.
    """
    name = str(name_or_path)
    match = RANDOM.fullmatch(name)
    if match is None:
        raise InputError(
            f"unknown mapf instance {name!r}; expected mapf-<rows>x<columns>-v<vehicles>-s<seed> "
            "or mapf-warehouse-<rows>x<columns>-v<vehicles>-s<seed>"
        )
    rows, columns, vehicles, seed = (int(part) for part in match.groups()[1:])
    rng = np.random.default_rng(seed)
    layout = "warehouse" if match[1] else "random"
    return MAPF.generate(rng, rows=rows, columns=columns, vehicles=vehicles, layout=layout, name=name)


def load_mapf_folder(path: str | Path) -> list[MAPFInstance]:
    """Every instance of a folder (``.scen`` files, by name), each with all of its vehicles."""
    files = sorted(Path(path).glob(f"*{SUFFIX}"))
    if not files:
        raise InputError(f"{path}: no mapf instance in this folder; expected {SUFFIX} files")
    return [load_mapf(file) for file in files]
