"""Trial directories made by hand, for tests of what reads them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.description import Identity
from lit_transformer.config import RunConfig, TrainConfig
from lit_transformer.config_io import dump
from lit_transformer.record import Record, append_line, write_bytes

BEGAN = 1_700_000_000.0
"""Unix seconds of a trial's first attempt."""
CHECKSUMS = {"grammar": "1:200:20:20"}
SCORES = {"valid.perplexity": 4.25, "valid.bleu": 31.5, "cost.parameters": 65_000_000.0}


def identity(arm: str = "A1", seed: int = 1, setting: str = "grammar") -> Identity:
    return Identity("table3", setting, arm, "A", seed, f"{arm.lower()}{seed}".ljust(16, "0"))


def make_trial(root: Path, who: Identity, about: Mapping[str, Any] | None = None) -> Record:
    """A trial that has been started and has written two points of a curve."""
    record = Record(root / "mlruns" / "trials" / who.digest)
    record.path.mkdir(parents=True)
    config = RunConfig(train=TrainConfig(seed=who.seed, steps=100))
    record.config.write_text(dump(config), "utf-8")
    record.write_json("trial.json", {**who._asdict(), "checksums": CHECKSUMS, **(about or {})})
    start = {"commit": "c0ffee", "dirty": True, "device": "cpu", "pid": 1}
    append_line(record.attempts, {"attempt": 1, "event": "start", "time": BEGAN, **start})
    add_points(record, [50, 100])
    return record


def add_points(record: Record, steps: Sequence[int]) -> None:
    for step in steps:
        values = {"train.loss": 5 - step / 100, "valid.perplexity": 9.5}
        append_line(record.metrics, {"step": step, "time": BEGAN + step, "values": values})


def end(record: Record, kind: str, reason: str = "") -> None:
    about = {"attempt": 1, "event": "end", "time": BEGAN + 200}
    append_line(record.attempts, {**about, "kind": kind, "reason": reason})


def finish(record: Record, scores: Mapping[str, Any] | None = None) -> None:
    """Everything that a finished trial leaves."""
    record.hypotheses.mkdir()
    (record.hypotheses / "valid.txt").write_text("ein Hund\n", "utf-8")
    for name in (
        "maps.html",
        "maps.json",
        "maps.safetensors",
        "heads.json",
        ".maps.json.7.partial",
    ):
        write_bytes(record.attention / name, b"maps")
    record.vocabulary.write_bytes(b"pieces")
    record.weights.write_bytes(b"weights")
    record.log.write_text("trained\n", "utf-8")
    record.write_json("environment.json", {"python": "3.11"})
    result = {
        "scores": scores or SCORES,
        "signatures": {"bleu": "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"},
        "parameters": {"embedding": 1, "positions": 0, "non_embedding": 2, "total": 3},
    }
    record.result_file.write_text(json.dumps(result), "utf-8")
    end(record, "finished")
