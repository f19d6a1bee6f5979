"""What a sweep takes beside its trials' work: time between them, and time taken from them.

    python benchmarks/sweep_cost.py --setting grammar --steps 800 --rounds 1 --json sweep_cost.json

Short trials, one after another, give the gap: from the end of one to the first update of the next,
by the time stamps of their records. Long trials are trained under `ablate sweep` and by
`training.train` alone, turn about; alone, each kind of work is timed: validation, checkpoints,
decoding, scoring. `--set KEY=VALUE` changes the long trials.

A sweep's own cost is what it adds to its trials' work: the gaps, its start and end, and all the CPU
time of its process, as if it always kept a trial waiting, which on cores that are all taken it may.
"""

import argparse
import contextlib
import functools
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import turns

STUDY, ARM = "table3", "base"
ABLATE = Path(sys.executable).with_name("ablate")
SHORT = {
    "train.steps": 6,
    "train.log_every": 1,
    "train.average_last": 1,
    "train.valid_sentences": 0,
    "decode.beam": 1,
    "decode.extra_length": 0,
}
"""A trial whose curve tells when its first update was done, and whose decoding takes no time."""
PUBLISHED_TRIALS, TRIAL_S = 20, 60.0
"""The sweep for which the share is told: Table 3's rows, a minute each."""
LOOK_EVERY_S = 0.5
"""Between two looks at the CPU time of the sweep's process."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--setting", default="grammar")
    parser.add_argument("--steps", type=int, default=800, help="updates of a long trial")
    parser.add_argument("--rounds", type=int, default=1, help="long trials, each way")
    parser.add_argument("--gaps", type=int, default=4)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="sets")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--alone", nargs=2, type=Path, metavar=("DIRECTORY", "CACHE"))
    given = parser.parse_args()
    settings = {name: value for name, value in vars(given).items() if name not in ("json", "alone")}
    if given.alone:
        print(json.dumps(train_alone(*given.alone)))
        return
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), given)
    print(turns.table(("what", "value"), _rows(found)))
    if given.json:
        turns.write_json(given.json, {"settings": settings, **turns.machine(), **found})


def measure(root: Path, given: argparse.Namespace) -> dict[str, Any]:
    short = [f"{key}={value}" for key, value in SHORT.items()]
    sweep(root, given.setting, range(1, given.gaps + 2), short)
    found: dict[str, Any] = {"gap": gaps(trials(root))}
    long = [f"train.steps={given.steps}", *given.sets]
    rounds = []
    for seed in range(101, 101 + given.rounds):
        before = set(trials(root))
        ran = sweep(root, given.setting, [seed], long)
        (directory,) = set(trials(root)) - before
        alone = in_a_process(directory, root)
        rounds.append({"sweep": beside(directory, ran), "alone": alone})
    return found | {"rounds": rounds, "shares": shares(found["gap"], rounds)}


class Swept(NamedTuple):
    """When a sweep began and ended, and the CPU seconds of its own process up to some times."""

    began: float
    ended: float
    used: list[tuple[float, float]]

    def cpu_s(self, began: float, ended: float) -> float:
        """CPU seconds between two times."""
        return float(np.diff(np.interp((began, ended), *zip(*self.used, strict=True)))[0])


def sweep(root: Path, setting: str, seeds: Sequence[int], sets: Sequence[str]) -> Swept:
    """Run the command as a person does."""
    told = ",".join(map(str, seeds)) + ","
    words = [STUDY, "--setting", setting, "--only", ARM, "--seeds", told, "--at-once", "1"]
    words += ["--gpus", "", "--root", str(root), *(w for text in sets for w in ("--set", text))]
    began = time.time()
    process = psutil.Popen([ABLATE, "sweep", *words], stdout=subprocess.DEVNULL)
    used = [(began, 0.0)]
    while process.poll() is None:
        with contextlib.suppress(psutil.Error):  # it has just ended
            times = process.cpu_times()  # its own; trials are no children of it
            used.append((time.time(), times.user + times.system))
        time.sleep(LOOK_EVERY_S)
    if process.returncode:
        raise SystemExit(f"ablate sweep {' '.join(words)}: status {process.returncode}")
    return Swept(began, time.time(), used)


def trials(root: Path) -> list[Path]:
    return sorted(path.parent for path in (root / "mlruns" / "trials").glob("*/result.json"))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def gaps(directories: Sequence[Path]) -> dict[str, Any]:
    """Seconds from each trial's end to the next one's first update, and to its start."""
    times = []
    for directory in directories:
        attempts, curve = lines(directory / "attempts.jsonl"), lines(directory / "metrics.jsonl")
        times.append((attempts[0]["time"], curve[0]["time"], attempts[-1]["time"]))
    times.sort()
    pairs = list(itertools.pairwise(times))
    whole = [after[1] - before[2] for before, after in pairs]
    process = [after[0] - before[2] for before, after in pairs]
    return {
        "seconds": statistics.median(whole),
        "largest": max(whole),
        "of_it_until_the_process_has_begun": statistics.median(process),
        "gaps": whole,
    }


def beside(directory: Path, ran: Swept) -> dict[str, float]:
    """What lies before the trial and after it, and the CPU that the sweep takes meanwhile.

    MLflow is imported while the first trial trains: once in a sweep. The second half of training is
    taken for what every trial has beside it.
    """
    attempts, curve = lines(directory / "attempts.jsonl"), lines(directory / "metrics.jsonl")
    scores = json.loads((directory / "result.json").read_text())["scores"]
    began, trained = attempts[0]["time"], curve[-1]["time"]
    half = (began + trained) / 2
    cpu_share = ran.cpu_s(half, trained) / (trained - half)
    return {
        "start_s": began - ran.began,
        "end_s": ran.ended - attempts[-1]["time"],
        "cpu_share": cpu_share,
        "cpu_once_s": ran.cpu_s(began, half) - cpu_share * (half - began),
        "train_s": scores["cost.train_seconds"],
        "total_s": scores["cost.total_seconds"],
    }


def in_a_process(directory: Path, root: Path) -> dict[str, float]:
    words = [sys.executable, __file__, "--alone", str(directory), str(root / "mlruns" / "cache")]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def train_alone(directory: Path, cache: Path) -> dict[str, float]:
    """The trial of a directory by `training.train`, and the seconds of each kind of its work."""
    import torch

    from lit_transformer import callbacks, checkpoints, config_io, evaluation, scoring, training

    spent: dict[str, float] = {}
    timed(spent, "validation loss", callbacks, "cross_entropy")
    timed(spent, "validation decoding", callbacks, "translate")
    timed(spent, "validation BLEU", scoring, "bleu")
    timed(spent, "checkpoints", checkpoints, "write_checked")
    timed(spent, "final decoding", evaluation, "translate")
    timed(spent, "final loss", evaluation, "cross_entropy")
    timed(spent, "scoring", evaluation, "scored")
    timed(spent, "heads", training, "_measure_heads")
    config = config_io.load(directory / "config.yaml")
    place = Path(tempfile.mkdtemp(dir=cache.parent))
    try:
        result = training.train(
            config,
            place,
            cache,
            device=torch.device("cpu"),
            threads=len(os.sched_getaffinity(0)),
            should_stop=lambda: False,
        )
    finally:
        shutil.rmtree(place)
    scores = result.scores
    return {
        **spent,
        "train_s": scores["cost.train_seconds"],
        "total_s": scores["cost.total_seconds"],
    }


def timed(spent: dict[str, float], kind: str, module: Any, name: str) -> None:
    """Add up the seconds and the calls of a function under `kind`."""
    function: Callable[..., Any] = getattr(module, name)
    spent[kind], spent[f"{kind}, times"] = 0.0, 0

    @functools.wraps(function)
    def wrapped(*words: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*words, **named)
        finally:
            spent[kind] += time.perf_counter() - began
            spent[f"{kind}, times"] += 1

    setattr(module, name, wrapped)


def shares(gap: Mapping[str, Any], rounds: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Ratios, each the median over rounds."""

    def median(value: Callable[[Any, Any], float]) -> float:
        return statistics.median(value(one["sweep"], one["alone"]) for one in rounds)

    validation = ("validation loss", "validation decoding", "validation BLEU")
    once = median(lambda swept, _: swept["start_s"] + swept["end_s"] + swept["cpu_once_s"])
    cpu_share = median(lambda swept, _: swept["cpu_share"])
    of_a_trial = gap["seconds"] + cpu_share * TRIAL_S
    return {
        "training under a sweep, of the same alone": median(
            lambda swept, alone: swept["train_s"] / alone["train_s"]
        ),
        "whole trial under a sweep, of the same alone": median(
            lambda swept, alone: swept["total_s"] / alone["total_s"]
        ),
        "validation, of training": median(
            lambda _, alone: sum(alone[kind] for kind in validation) / alone["train_s"]
        ),
        "checkpoints, of training": median(
            lambda _, alone: alone["checkpoints"] / alone["train_s"]
        ),
        "scoring (not decoding), seconds a trial": median(lambda _, alone: alone["scoring"]),
        "measuring heads, seconds a trial": median(lambda _, alone: alone["heads"]),
        "start and end of a sweep, and CPU for MLflow's start, seconds once": once,
        "CPU of the sweep's process beside a trial, of a core": cpu_share,
        f"own cost of {PUBLISHED_TRIALS} trials of {TRIAL_S:.0f} s, of their time": (
            once + PUBLISHED_TRIALS * of_a_trial
        )
        / (PUBLISHED_TRIALS * TRIAL_S),
    }


def _rows(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    gap = found["gap"]
    rows = [
        ("gap between two trials, median s", f"{gap['seconds']:.3f}"),
        ("  largest", f"{gap['largest']:.3f}"),
        ("  until its process has begun", f"{gap['of_it_until_the_process_has_begun']:.3f}"),
    ]
    rows += [(name, f"{value:.3f}") for name, value in found["shares"].items()]
    last = found["rounds"][-1]["alone"]
    return rows + [(f"  {name}, last round", f"{value:.3f}") for name, value in last.items()]


if __name__ == "__main__":
    main()
