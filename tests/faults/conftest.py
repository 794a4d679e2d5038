"""One process that forks writers, for all tests of this folder."""

import shutil
from collections.abc import Iterator

import pytest

from tests.faults.nursery import Nursery


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Return what starts writers."""
    with Nursery() as opened:
        yield opened


@pytest.fixture(scope="session")
def strace() -> None:
    """Skip where system calls cannot be made to fail."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed (apt install strace)")
