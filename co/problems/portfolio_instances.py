"""Trading periods by name and as files: seeded random walks, and ``.npz`` archives of plain arrays."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from optgap.co.core import InputError
from optgap.co.problems.portfolio import PORTFOLIO, TradingPeriod
from optgap.co.problems.routing_instances import DAMAGED

RANDOM = re.compile(r"portfolio-(\d{1,4})x(\d{1,5})-s(\d{1,18})")
SUFFIX = ".npz"
_OPTIONAL = ("open", "high", "low")
_FIELDS = [f.name for f in fields(TradingPeriod) if f.name not in ("name", "best_known")]
_NUMBERS = ("history", "proportional_cost", "fixed_cost", "cap", "minimum_cash", "turnover")


def load_portfolio(name_or_path: str | Path) -> TradingPeriod:
    """An instance by name or from a file.

    Args:
        name_or_path: ``"portfolio-20x250-s3"`` (assets, decisions, seed; otherwise as :meth:`Portfolio.generate`
            draws it), or a path that ends in ``.npz``, as :func:`save_portfolio` writes it.

    Raises:
        InputError: neither; the message says what is expected.
    """
    name, path = str(name_or_path), Path(name_or_path)
    if match := RANDOM.fullmatch(name):
        rng = np.random.default_rng(int(match[3]))
        return PORTFOLIO.generate(rng, assets=int(match[1]), days=int(match[2]), name=name)
    if path.suffix != SUFFIX:
        raise InputError(
            f"unknown portfolio instance {name!r}; expected portfolio-<assets>x<days>-s<seed> or a {SUFFIX} file"
        )
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
            found: dict[str, Any] = {name: data[name] for name in _FIELDS if name in data or name not in _OPTIONAL}
            found |= {name: found[name].item() for name in _NUMBERS}
            return TradingPeriod(name=path.stem, **(found | {"assets": tuple(found["assets"].tolist())}))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (*DAMAGED, OSError, MemoryError) as error:
        raise InputError(f"{path}: is no trading period: {' '.join(str(error).split())}") from None


def load_portfolio_folder(path: str | Path) -> list[TradingPeriod]:
    """Every instance of a folder (``.npz`` files, by name), or the one of a file."""
    path = Path(path)
    files = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: no portfolio instance in this folder; expected {SUFFIX} files")
    return [load_portfolio(file) for file in files]


def save_portfolio(path: str | Path, instance: TradingPeriod) -> None:
    """Write an instance as a ``.npz`` archive; its name will be the file's.

    Raises:
        InputError: another suffix, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise InputError(f"{path}: expected a name that ends in {SUFFIX}")
    values = {name: getattr(instance, name) for name in _FIELDS}
    arrays: dict[str, Any] = {name: np.asarray(value) for name, value in values.items() if value is not None}
    try:
        np.savez_compressed(path, **arrays)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None
