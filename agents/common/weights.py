"""Where trained weights lie: shipped ones by their name, those of a run by its folder. Needs no torch."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

from optgap.co.core import InputError

STATE, WEIGHTS = "state.json", "weights.safetensors"  # what every checkpoint folder holds
ZOO = Path(str(files("optgap.agents"))) / "zoo"
PARTS = ("", "best", "final", "checkpoint")  # of a run folder, the one to use first


def zoo_names() -> list[str]:
    """Names of the shipped weights."""
    return sorted(state.parent.name for state in ZOO.glob(f"*/{STATE}"))


def zoo_names_for(env_config: object) -> list[str]:
    """Names of the shipped weights that were trained on an environment of this configuration's class."""
    wanted = f"{type(env_config).__module__}:{type(env_config).__qualname__}"
    found = ((name, json.loads((ZOO / name / STATE).read_text())) for name in zoo_names())
    return [name for name, state in found if state.get("environment", {}).get("class") == wanted]


def weights_folder(name: str) -> Path | None:
    """The folder of the weights that ``name`` means: shipped ones, a run folder's best ones, or a checkpoint."""
    candidates = [ZOO / name] if name in zoo_names() else []
    folders = [folder / part for folder in [*candidates, Path(name)] for part in PARTS]
    return next((folder for folder in folders if (folder / STATE).is_file()), None)


def require_weights(name: str) -> Path:
    """:func:`weights_folder`, or an :class:`InputError` that lists the shipped weights."""
    folder = weights_folder(name)
    if folder is None:
        shipped = ", ".join(zoo_names()) or "none"
        raise InputError(f"{name}: holds no trained weights; expected a run folder or shipped weights ({shipped})")
    return folder
