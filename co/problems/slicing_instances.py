"""Network-slicing instances by name and as files: seeded random cells, traces in ``.npz`` archives of plain arrays."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from optgap.co.core import InputError
from optgap.co.problems.routing_instances import DAMAGED
from optgap.co.problems.slicing import SLICING, SlicingInstance

RANDOM = re.compile(r"slicing-(\d{1,6})-s(\d{1,18})")
SUFFIX = ".npz"
_FIELDS = [f.name for f in fields(SlicingInstance) if f.name not in ("name", "best_known")]
_SCALARS = {"decision_slots": int, "queue": int, "reward": str, "blocks": float, "block_hertz": float} | {
    "slot_seconds": float,
    "reference_efficiency": float,
}


def load_slicing(name_or_path: str | Path) -> SlicingInstance:
    """An instance by name or from a file.

    Args:
        name_or_path: ``"slicing-100-s3"`` (users, seed; otherwise the standard cell), or a path that ends in ``.npz``,
            as :func:`save_slicing` writes it.

    Raises:
        InputError: neither; the message says what is expected.
    """
    name, path = str(name_or_path), Path(name_or_path)
    if match := RANDOM.fullmatch(name):
        return SLICING.generate(np.random.default_rng(int(match[2])), users=int(match[1]), name=name)
    if path.suffix != SUFFIX:
        raise InputError(f"unknown slicing instance {name!r}; expected slicing-<users>-s<seed> or a {SUFFIX} file")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
            found: dict[str, Any] = {name: data[name] for name in _FIELDS}
            found |= {name: kind(found[name].item()) for name, kind in _SCALARS.items()}
            return SlicingInstance(name=path.stem, **(found | {"slices": tuple(found["slices"].tolist())}))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (*DAMAGED, OSError, MemoryError) as error:
        raise InputError(f"{path}: is no trace of network slicing: {' '.join(str(error).split())}") from None


def load_slicing_folder(path: str | Path) -> list[SlicingInstance]:
    """Every instance of a folder (``.npz`` files, by name), or the one of a file."""
    path = Path(path)
    files = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: no slicing instance in this folder; expected {SUFFIX} files")
    return [load_slicing(file) for file in files]


def save_slicing(path: str | Path, instance: SlicingInstance) -> None:
    """Write an instance as a ``.npz`` archive; its name will be the file's.

    Raises:
        InputError: another suffix, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise InputError(f"{path}: expected a name that ends in {SUFFIX}")
    arrays: dict[str, Any] = {name: np.asarray(getattr(instance, name)) for name in _FIELDS}
    try:
        np.savez_compressed(path, **arrays)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None
