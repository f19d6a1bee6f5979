"""Fixtures that several packages' tests share."""

import os
import signal
from pathlib import Path

import pytest

# A shell that starts the tests in its background lets them, and all they start, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

CHECKOUT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real corpora; tests that need it are skipped where it is absent."""
    named = os.environ.get("ABLATE_SHARED_DATA")
    folder = Path(named) if named else CHECKOUT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: set ABLATE_SHARED_DATA to the folder of real corpora")
    return folder
