"""Reading and writing files so that every failure is one line that names the file."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from optgap.co.core import InputError


def read_text(path: Path) -> str:
    """The file's text (UTF-8, a byte-order mark is dropped).

    Raises:
        InputError: the file is missing, is a folder, cannot be read, or is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; expected a file") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path}: line {line}: byte {error.object[error.start]:#04x} is not UTF-8; expected text"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise InputError(f"{path}: cannot be read: {error}") from None


def write_text(path: Path, text: str) -> None:
    """Write ``text`` (UTF-8) to ``path``: either the whole file appears or nothing changes.

    Raises:
        InputError: the folder is missing or cannot be written.
    """
    write_whole(path, lambda stream: stream.write(text.encode()))


def write_whole(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Let ``write`` fill a temporary file, then put it in the place of ``path``: the whole file, or no change.

    Raises:
        InputError: the folder is missing or cannot be written, or ``write`` refuses with a ValueError (an unknown format).
    """
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as stream:
            temporary = Path(stream.name)
            write(stream)
        temporary.chmod(0o644)  # a temporary file is private; a result is not
        temporary.replace(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be written: {error}") from None
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):  # gone already where it became the file
                temporary.unlink()
