"""Time of the commands that a person waits for: help, keys, a plan, the status of 1,000 trials.

    python benchmarks/command_line.py --starts 15 --json command_line.json

Every command is a process of its own, from its start to its end, its output thrown away. They take
turns, each once a round; told is the median of the rounds. The trials, of which four in ten have
not finished and some run, lie under .bench/many/ and are made once.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import many_trials
import turns

ABLATE = str(Path(sys.executable).with_name("ablate"))
ARMS, SEEDS, POINTS, UNFINISHED = 20, 50, 10, 0.4
AIMS = {"ablate --help": (0.5, 0.2), "ablate status": (1.0, 0.5)}
"""Seconds: at most, and better."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", type=int, default=15, help="rounds")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"of each of {ARMS} arms")
    parser.add_argument("--folder", type=Path, default=turns.ENVIRONMENTS / "many")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    root = given.folder / f"status-{ARMS * given.seeds}"
    many = many_trials.make(root, ARMS, given.seeds, POINTS, UNFINISHED)
    with many_trials.claims(root):
        found = measure(commands(many), given.starts)
    print(turns.table(("command", "seconds", "from", "to", "at most", "aim"), _rows(found)))
    if given.json:
        settings = {"starts": given.starts, "trials": many.trials, "unfinished": UNFINISHED}
        turns.write_json(given.json, {"settings": settings, **turns.machine(), "seconds": found})


def commands(many: many_trials.Many) -> dict[str, list[str]]:
    plan = [ABLATE, "sweep", "table3", "--setting", many_trials.SETTING, "--dry-run"]
    return {
        "python -c pass": [sys.executable, "-c", "pass"],
        "ablate --help": [ABLATE, "--help"],
        "ablate sweep --help": [ABLATE, "sweep", "--help"],
        "ablate keys": [ABLATE, "keys"],
        "ablate sweep --dry-run": [*plan, "--root", str(many.root)],
        "ablate status": [ABLATE, "status", *many.words],
        "ablate status --json": [ABLATE, "status", *many.words, "--json"],
    }


def measure(commands: Mapping[str, Sequence[str]], starts: int) -> dict[str, list[float]]:
    """Seconds of every start; one more of each goes before, for the caches."""
    found: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(starts + 1):
        for name, command in commands.items():
            seconds = run(command)
            if number:
                found[name].append(seconds)
    return found


def run(command: Sequence[str]) -> float:
    """CalledProcessError where it fails."""
    environment = {**os.environ, "COLUMNS": "120"}
    began = time.perf_counter()
    subprocess.run(
        command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
    )
    return time.perf_counter() - began


def _rows(found: Mapping[str, Sequence[float]]) -> list[list[str]]:
    rows = []
    for name, seconds in found.items():
        spread = turns.quartiles(seconds)
        told = [f"{spread.median:.2f}", f"{min(seconds):.2f}", f"{max(seconds):.2f}"]
        rows.append([name, *told, *(f"{aim:g}" for aim in AIMS.get(name, ()))])
        rows[-1] += [""] * (6 - len(rows[-1]))
    return rows


if __name__ == "__main__":
    main()
