"""A short `make chaos`: some writes that fail, and some faults of real sweeps."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_no_fault_breaks_a_promise() -> None:
    words = ["--faults", "8", "--every", "9", "--seed", "4"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", *words], cwd=CHECKOUT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "seed 4" in done.stdout
    assert "trials finished exactly once each" in done.stdout
    assert "equal: False" not in done.stdout
