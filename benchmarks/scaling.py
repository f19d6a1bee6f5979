"""How this project's training speed changes with sentence length, width, batch and threads.

    python benchmarks/scaling.py --rounds 3 --json scaling.json

The bare loop on sentences of random ids. The points of a curve take turns, one optimizer update a
round; `--curves` names some of the curves. What a curve does not vary is BASE.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import train_step
import turns

SYNTHETIC = turns.ENVIRONMENTS / "synthetic"
VOCABULARY_SIZE = 8_000
MARKS = {"pad": 0, "unk": 1, "bos": 2, "eos": 3}
HEAD_WIDTH, FF_FACTOR = 64, 4
"""d_model of a head, and d_ff over d_model."""
TRAINED_BATCHES = 8


class Point(NamedTuple):
    """One place on a curve."""

    length: int
    """Tokens of every sentence, both sides, with the end mark."""
    d_model: int
    batch_tokens: int
    threads: int


BASE = Point(length=16, d_model=256, batch_tokens=4096, threads=2)
CURVES: dict[str, Sequence[int]] = {
    "length": (8, 16, 32, 64, 128, 256),
    "d_model": (128, 256, 512),
    "batch_tokens": (1024, 2048, 4096, 8192),
    "threads": (1, 2),
}


def workload(point: Point) -> Path:
    """Random sentences of one length, enough for a few batches."""
    folder = SYNTHETIC / f"{point.length}-{point.batch_tokens}"
    folder.mkdir(parents=True, exist_ok=True)
    sentences = TRAINED_BATCHES * point.batch_tokens // point.length
    generator = np.random.default_rng(0)
    for side in ("source", "target"):
        shape = sentences, point.length
        ids = generator.integers(len(MARKS), VOCABULARY_SIZE, shape, dtype=np.int32)
        ids[:, -1] = MARKS["eos"]
        np.save(folder / f"train.{side}.ids.npy", ids.ravel())
        np.save(folder / f"train.{side}.offsets.npy", np.arange(sentences + 1) * point.length)
    meta = {"folder": None, "vocabulary_size": VOCABULARY_SIZE, **MARKS}
    (folder / "meta.json").write_text(json.dumps(meta))
    return folder


def model_of(point: Point) -> dict[str, Any]:
    return {
        **train_step.model_of("small", "paper", point.batch_tokens),
        "d_model": point.d_model,
        "d_ff": FF_FACTOR * point.d_model,
        "heads": point.d_model // HEAD_WIDTH,
    }


def measure(curve: str, rounds: int) -> Iterator[dict[str, Any]]:
    """A row for each of the curve's points, measured in turns."""
    points = {f"{curve} {at}": BASE._replace(**{curve: at}) for at in CURVES[curve]}
    contenders = []
    for name, point in points.items():
        (contender,) = turns.start(["ours_synthetic"], point.threads)
        contender.name = name
        contender.call(
            "Training",
            workload=str(workload(point)),
            model=model_of(point),
            threads=point.threads,
        )
        for _ in range(train_step.WARM_UP):
            contender.call("step")
        contenders.append(contender)
    shapes = turns.model_shapes(
        BASE.d_model, FF_FACTOR * BASE.d_model, VOCABULARY_SIZE, BASE.batch_tokens
    )
    answers, probed = turns.take_turns(
        contenders,
        rounds,
        lambda contender, _: contender.call("step"),
        lambda: turns.matrix_peak(shapes, BASE.threads),
    )
    for contender in contenders:
        contender.close()
    for name, point in points.items():
        found = train_step.row(answers[name], probed, model_of(point), VOCABULARY_SIZE)
        yield {"curve": curve, "at": getattr(point, curve), **point._asdict(), **found}


def show(rows: Sequence[dict[str, Any]]) -> str:
    head = ["", "at", "tokens/s", "spread", "of peak", "MiB"]
    lines = []
    for row in rows:
        rate = row["tokens_per_second"]
        lines.append(
            [
                row["curve"],
                f"{row['at']:,}",
                f"{rate['median']:,.0f}",
                f"{rate['low']:,.0f}-{rate['high']:,.0f}",
                f"{row['share_of_peak']['median']:.0%}",
                f"{row['peak_mib']:,.0f}",
            ]
        )
    return turns.table(head, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--curves", nargs="+", choices=CURVES, default=list(CURVES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file for all that was measured")
    arguments = parser.parse_args()
    rows = [row for curve in arguments.curves for row in measure(curve, arguments.rounds)]
    print(show(rows))
    if arguments.json:
        content = {"machine": turns.machine(), "base": BASE._asdict(), "rows": rows}
        turns.write_json(arguments.json, content)


if __name__ == "__main__":
    main()
