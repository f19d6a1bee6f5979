"""Training on several devices, here processes: by the commands that a person gives."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.toy import write_toy

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
def test_each_number_of_devices_has_its_speed_beside_the_first(tmp_path: Path) -> None:
    toy = write_toy(tmp_path)
    file = tmp_path / "devices.json"
    words = ["--setting", str(toy.setting), "--gpus", "", "--steps", "8", "--rounds", "1"]
    command = [sys.executable, str(BENCHMARKS / "devices.py"), *words, "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (speeds,) = json.loads(file.read_text("utf-8"))["rounds"]
    assert {*speeds} == {"1", "2"}
    assert all(speed > 0 for speed in speeds.values())
    one, two = [line.split() for line in done.stdout.splitlines()[-2:]]
    assert one[-2:] == ["1.00", "|"]
    assert float(two[-2]) == pytest.approx(speeds["2"] / speeds["1"], abs=0.005)
