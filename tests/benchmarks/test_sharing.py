"""Trials that share a device, here the processor: by the commands that a person gives."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.toy import write_toy

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
def test_each_number_at_once_has_its_pace_beside_one_at_a_time(tmp_path: Path) -> None:
    toy = write_toy(tmp_path)
    file = tmp_path / "sharing.json"
    words = ["--setting", str(toy.setting), "--gpus", "", "--steps", "16", "--trials", "2"]
    command = [sys.executable, str(BENCHMARKS / "sharing.py"), *words, "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(file.read_text("utf-8"))
    (paces,) = found["rounds"]
    assert {*paces} == {"1", "10"}
    assert all(pace > 0 for pace in paces.values())
    assert found["settings"]["trials"] == 2
    one, ten = [line.split() for line in done.stdout.splitlines()[-2:]]
    assert one[-2:] == ["1.00", "|"]
    assert float(ten[-2]) == pytest.approx(paces["10"] / paces["1"], abs=0.005)
