"""Arrays and settings as one file: safetensors with json in its header. Reading runs no code."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from optgap.gbrl.errors import GBTError

FORMAT, VERSION = "optgap-gbt", "1"


def write(path: str | os.PathLike[str], arrays: dict[str, NDArray[Any]], settings: dict[str, Any]) -> None:
    """Write the file ``path``, all of it or nothing."""
    header = {"format": FORMAT, "version": VERSION, "settings": json.dumps(settings)}
    target = Path(path)
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(save(arrays, header))
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """What :func:`write` wrote.

    Raises:
        GBTError: no such file, cut short, or of another kind or version.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            found = f"{header.get('format', 'unknown')} {header.get('version', '')}".strip()
            if found != f"{FORMAT} {VERSION}":
                raise GBTError(f"{path}: format {found}; expected {FORMAT} {VERSION}")
            return {name: file.get_tensor(name) for name in file.keys()}, json.loads(header["settings"])  # noqa: SIM118
    except FileNotFoundError:
        raise GBTError(f"{path}: no such file") from None
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
        raise GBTError(f"{path}: cut short or no model ({error})") from None
