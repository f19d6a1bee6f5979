"""What must not depend on what a trial has gone through."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from lit_transformer.record import Record, read_lines
from lit_transformer.scoring import METRICS

OF_TIME = {
    *("train.target_tokens_per_second", "cost.train_seconds", "cost.total_seconds"),
    *(name for name in METRICS if name.endswith(".seconds_per_sentence")),
}
"""Metrics that no two runs have in common; the machine's own (`system/`) are the others."""


class Outcome(NamedTuple):
    """A trial's results, but for times."""

    weights: str
    """sha256 of the last model, as are the next two of theirs."""
    averaged: str
    hypotheses: str
    scores: tuple[tuple[str, float], ...]
    curves: tuple[tuple[int, str, float | str], ...]
    """Step, metric and value, in order, each once."""


def outcome(directory: Path) -> Outcome:
    """Of a finished trial; AssertionError where it is not."""
    record = Record(directory)
    result = record.result()
    assert result is not None, f"{directory} is not finished"
    points = [
        (line["step"], name, value)
        for line in read_lines(record.metrics)
        for name, value in line["values"].items()
        if name not in OF_TIME and not name.startswith("system/")
    ]
    texts = b"".join(path.read_bytes() for path in sorted(record.hypotheses.iterdir()))
    return Outcome(
        _sha256(record.weights.read_bytes()),
        _sha256(record.averaged.read_bytes()),
        _sha256(texts),
        tuple(sorted((n, v) for n, v in result["scores"].items() if n not in OF_TIME)),
        tuple(sorted(points)),
    )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
