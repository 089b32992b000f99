"""Network-slicing instances by name and as files: seeded random cells, and traces in ``.npz`` archives."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from optgap.co.core import InputError
from optgap.co.formats.archives import SUFFIX, read_archive
from optgap.co.problems.slicing import SLICING, SlicingInstance

RANDOM = re.compile(r"slicing-(\d{1,6})-s(\d{1,18})")


def load_slicing(name_or_path: str | Path) -> SlicingInstance:
    """An instance by name or from a file.

    Args:
        name_or_path: ``"slicing-100-s3"`` (users, seed; otherwise the standard cell), or a path that ends in ``.npz``,
            as :func:`~optgap.co.formats.archives.write_archive` writes it.

    Raises:
        InputError: neither; the message says what is expected.
    """
    name, path = str(name_or_path), Path(name_or_path)
    if match := RANDOM.fullmatch(name):
        return SLICING.generate(np.random.default_rng(int(match[2])), users=int(match[1]), name=name)
    if path.suffix != SUFFIX:
        raise InputError(f"unknown slicing instance {name!r}; expected slicing-<users>-s<seed> or a {SUFFIX} file")
    return read_archive(SlicingInstance, path)
