"""Training speed against the number of devices of one trial, at the same global batch.

    python benchmarks/devices.py --devices 1 2 --rounds 3 --json devices.json

Each round sweeps base once for each number, under new seeds, by the command that a person gives;
the order turns. A speed is target tokens over seconds in training steps, validation left out. On a
machine without GPUs a device is a process, and they share its cores: two of one thread each beside
one of two.
"""

import argparse
import itertools
import json
import subprocess
import tempfile
from pathlib import Path

import turns
from sweep_cost import ABLATE, ARM, STUDY, trials


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--setting", default="grammar")
    parser.add_argument("--steps", type=int, default=400, help="updates of a trial")
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="sets")
    parser.add_argument("--gpus", help="as for ablate sweep; all, if not given")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rounds = measure(Path(folder), given)
    head = ("devices", "target tokens a second", "times the first")
    print(turns.table(head, turns.paces(rounds, str(given.devices[0]))))
    if given.json:
        settings = {name: value for name, value in vars(given).items() if name != "json"}
        settings["sets"] = [text for text in given.sets if not text.startswith("data.folder=")]
        turns.write_json(given.json, {**turns.machine(), "settings": settings, "rounds": rounds})


def measure(root: Path, given: argparse.Namespace) -> list[dict[str, float]]:
    """Target tokens a second by number of devices, round by round; the first trial of all, which
    prepares the corpus, is left out."""
    rounds: list[dict[str, float]] = []
    seeds = itertools.count(1)  # of every training, since devices are no part of a digest
    train(root, given, next(seeds), given.devices[0])
    for number in range(given.rounds):
        turn = number % len(given.devices)
        order = given.devices[turn:] + given.devices[:turn]
        rounds.append({str(count): train(root, given, next(seeds), count) for count in order})
    return rounds


def train(root: Path, given: argparse.Namespace, seed: int, devices: int) -> float:
    """Target tokens a second of one trial."""
    words = [STUDY, "--setting", given.setting, "--only", ARM, "--seeds", f"{seed},"]
    words += ["--root", str(root), "--at-once", "1"]
    words += [] if given.gpus is None else ["--gpus", given.gpus]
    for text in (f"train.steps={given.steps}", f"train.devices={devices}", *given.sets):
        words += ["--set", text]
    before = {*trials(root)}
    subprocess.run([ABLATE, "sweep", *words], stdout=subprocess.DEVNULL, check=False)
    new = [*{*trials(root)} - before]
    if len(new) != 1:
        raise SystemExit(f"ablate sweep {' '.join(words)}: the trial has not finished")
    result = json.loads((new[0] / "result.json").read_text("utf-8"))
    assert result["devices"] == devices
    scores: dict[str, float] = result["scores"]
    return scores["cost.target_tokens"] / scores["cost.train_seconds"]


if __name__ == "__main__":
    main()
