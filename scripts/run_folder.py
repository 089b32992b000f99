"""The folder of a training run: ``runs/<env>/<agent>/<time>/`` with its configuration, to be resumed from."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optgap.co.benchmark.provenance import provenance
from optgap.co.core import InputError
from optgap.co.formats.files import read_text, write_text

CONFIG, BEST = "config.json", "best.json"


def new_run_folder(out: str, env: str, agent: str) -> Path:
    """A new folder, named after the present time.

    Raises:
        InputError: it cannot be made.
    """
    stamp = f"{dt.datetime.now():%Y%m%d-%H%M%S}"
    for attempt in range(1, 1000):
        folder = Path(out) / env / agent / (stamp if attempt == 1 else f"{stamp}-{attempt}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue  # another run of the same second
        except OSError as error:
            raise InputError(f"{folder}: cannot be made: {error.strerror or error}") from None
        return folder
    raise InputError(f"{out}: cannot be made; expected a folder")


def write_config(folder: Path, command: Sequence[str], config: Any, **more: Any) -> None:
    """``config.json``: the arguments as typed (a resumed run reads them), what they resolved to, and the machine."""
    resolved = dataclasses.asdict(config)
    data: Mapping[str, Any] = {"command": list(command), **more, "resolved": resolved, "provenance": provenance()}
    write_text(folder / CONFIG, json.dumps(data, indent=1, default=str) + "\n")


def read_config(folder: Path) -> dict[str, Any]:
    """What :func:`write_config` wrote.

    Raises:
        InputError: the folder is not a run.
    """
    file = folder / CONFIG
    if not file.is_file():
        raise InputError(f"{folder} is not a run folder: it holds no {CONFIG}")
    try:
        data = json.loads(read_text(file))
        if not all(isinstance(argument, str) for argument in data["command"]):
            raise TypeError
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{file}: expected a JSON object with the list 'command'") from None
    return data  # type: ignore[no-any-return]


def write_best(folder: Path, gap: float) -> None:
    """Note the validation gap of the weights in ``best/``."""
    write_text(folder / BEST, json.dumps({"validation/gap": gap}) + "\n")


def read_best(folder: Path) -> float:
    """The validation gap of the weights in ``best/``, infinite before there are any."""
    file = folder / BEST
    if not file.exists():
        return float("inf")
    try:
        return float(json.loads(read_text(file))["validation/gap"])
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{file}: expected a JSON object with the number 'validation/gap'") from None
