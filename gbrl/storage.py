"""Arrays and settings as one file: safetensors with json in its header. Reading runs no code."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from optgap.gbrl.errors import GBTError, shown

FORMAT, VERSION = "optgap-gbt", "1"


def write(path: str | os.PathLike[str], arrays: dict[str, NDArray[Any]], settings: dict[str, Any]) -> None:
    """Write arrays and settings to the file ``path``: see :func:`write_bytes`."""
    text = json.dumps(settings, default=lambda scalar: scalar.item())  # NumPy's numbers
    write_bytes(path, save(arrays, {"format": FORMAT, "version": VERSION, "settings": text}))


def write_bytes(path: str | os.PathLike[str], contents: bytes) -> None:
    """Write the file ``path``, all of it or nothing.

    Raises:
        GBTError: no path of a file that can be written.
    """
    try:
        target = Path(path)
        partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
        try:
            partial.write_bytes(contents)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    except (OSError, TypeError, ValueError) as error:
        raise GBTError(f"{_named(path)}: cannot be written ({_reason(error)})") from None


def read(path: str | os.PathLike[str]) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """What :func:`write` wrote.

    Raises:
        GBTError: no such file, cut short, or of another kind or version.
    """
    name = _named(path)
    try:
        if Path(path).is_dir():
            raise GBTError(f"{name}: a folder; expected a file")
        with safe_open(os.fspath(path), framework="numpy") as file:
            header = file.metadata() or {}
            found = f"{header.get('format', 'unknown')} {header.get('version', '')}".strip()
            if found != f"{FORMAT} {VERSION}":
                raise GBTError(f"{name}: format {shown(found)}; expected {FORMAT} {VERSION}")
            arrays = {array: file.get_tensor(array) for array in file.keys()}  # noqa: SIM118
        settings = json.loads(header["settings"])
    except FileNotFoundError:
        raise GBTError(f"{name}: no such file") from None
    except GBTError:
        raise
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise GBTError(f"{name}: cut short or no model ({_reason(error)})") from None
    if not isinstance(settings, dict):
        raise GBTError(f"{name}: settings {shown(settings)}; expected names and values")
    return arrays, settings


def _named(path: Any) -> str:
    """A path for a message, whatever it is."""
    return str(path) if isinstance(path, (str, Path)) and path and str(path).isprintable() else f"path {shown(path)}"


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or " ".join(str(error).split())
