"""Small trials on one GPU: so many at once, beside one after another, in runs an hour.

    python benchmarks/sharing.py --at-once 1 10 --trials 20 --json sharing.json

Each round sweeps base under new seeds, once for each number at once, by the command that a person
gives; the order turns. `--alone-trials` makes the rounds of one at a time shorter. Where NVIDIA's
Multi-Process Service runs (`nvidia-cuda-mps-control -d`), the kernels of several processes overlap,
and without it they take turns; which it was is part of what is written. With --gpus "" the trials
share the processor's cores, to try the script.
"""

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import turns
from sweep_cost import ABLATE, ARM, STUDY, trials

PIPES = "CUDA_MPS_PIPE_DIRECTORY"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--setting", default="grammar")
    parser.add_argument("--steps", type=int, default=400, help="updates of a trial")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--alone-trials", type=int, help="of a round of one at a time")
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--gpus", default="0")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rounds = measure(Path(folder), given)
    found = {
        "machine": turns.machine(),
        "mps": Path(os.environ.get(PIPES, "/tmp/nvidia-mps")).exists(),
        "settings": {name: value for name, value in vars(given).items() if name != "json"},
        "rounds": rounds,
    }
    alone = "1" if "1" in rounds[0] else next(iter(rounds[0]))
    head = ("trials at once", "runs an hour", "times one at a time")
    print(turns.table(head, turns.paces(rounds, alone)))
    if given.json:
        turns.write_json(given.json, found)


def measure(root: Path, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Runs an hour of each number at once, round by round; the first trial of all, which prepares
    the corpus, is left out."""
    seed = sweep(root, given, 1, 1, 1)
    rounds = []
    for number in range(given.rounds):
        turn = number % len(given.at_once)
        paces: dict[str, float] = {}
        for at_once in given.at_once[turn:] + given.at_once[:turn]:
            count = (given.alone_trials or given.trials) if at_once == 1 else given.trials
            began = time.monotonic()
            seed = sweep(root, given, seed, count, at_once)
            paces[str(at_once)] = count / (time.monotonic() - began) * 3600
        rounds.append(paces)
    return rounds


def sweep(root: Path, given: argparse.Namespace, seed: int, count: int, at_once: int) -> int:
    """Train so many trials, from this seed on -> the seed after them."""
    seeds = ",".join(str(seed + more) for more in range(count)) + ","
    words = [STUDY, "--setting", given.setting, "--only", ARM, "--seeds", seeds]
    words += ["--set", f"train.steps={given.steps}", "--root", str(root), "--gpus", given.gpus]
    words += ["--at-once", str(at_once)]
    if given.gpus:
        words += ["--trials-per-gpu", str(at_once)]
    before = len(trials(root))
    subprocess.run([ABLATE, "sweep", *words], stdout=subprocess.DEVNULL, check=False)
    if len(trials(root)) != before + count:
        raise SystemExit(f"ablate sweep {' '.join(words)}: not every trial has finished")
    return seed + count


if __name__ == "__main__":
    main()
