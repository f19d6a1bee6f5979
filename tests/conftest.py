"""Fixtures that several packages' tests share."""

import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

# A shell that starts the tests in its background lets them, and all they start, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

CHECKOUT = Path(__file__).parents[1]
MARK = "ABLATE_TEST_PROCESS"
"""Environment variable by which the processes that a test has started are found."""
SERVERS = ("multiprocessing.forkserver", "multiprocessing.resource_tracker")
"""What Python itself keeps from one test to the next, each a child of the tests' own process."""
LIVES_ON_S = 10.0
"""Longest time that a process may outlive its test; it only has to notice."""


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real corpora; tests that need it are skipped where it is absent."""
    named = os.environ.get("ABLATE_SHARED_DATA")
    folder = Path(named) if named else CHECKOUT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: set ABLATE_SHARED_DATA to the folder of real corpora")
    return folder


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    """Every process that a test has started, and theirs, ends with it."""
    os.environ[MARK] = mark = f"{os.getpid()}-{uuid.uuid4().hex}"
    yield
    deadline = time.monotonic() + LIVES_ON_S
    while (left := _marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left, f"processes outlive their test: {left}"


def _marked(mark: str) -> list[str]:
    """The command lines of the processes that still run with this mark."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() not in (place / "environ").read_bytes():
                continue
            words = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            state, parent = (place / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue  # it has just ended
        is_ours = int(parent) == os.getpid() and any(server in words for server in SERVERS)
        if state != "Z" and not is_ours:
            found.append(words)
    return found
