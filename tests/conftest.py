"""Fixtures and settings that every test shares."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A shell's background job ignores Ctrl-C and hands that on; the tests that send it need it delivered.
signal.signal(signal.SIGINT, signal.default_int_handler)

# One thread a process: small networks are faster so, and two runs give the same sums. Read when torch or numba is
# first imported, here or in a child process.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# "fixed" gives every run the same examples, so that a change is never blamed for an example it did not cause;
# `pytest --hypothesis-profile=explore` searches for new ones. No deadline: the first call of a kernel compiles it.
settings.register_profile("fixed", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fixed")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The public instances: $OPTGAP_DATA, or shared/data beside the checkout; the test is skipped where neither is."""
    named = os.environ.get("OPTGAP_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the public instances: {folder} is not a folder (set OPTGAP_DATA)")
    return folder


@pytest.fixture
def no_garbage_collection() -> Iterator[None]:
    """For tests that interrupt themselves: a KeyboardInterrupt in a callback of the collector would be lost."""
    gc.disable()
    yield
    gc.enable()
