"""Trials of the built-in corpora as if they had been trained: written, scored and tracked."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import final

import numpy as np
import pandas as pd

from analysis import decisions
from analysis.counting import Run
from analysis.decisions import Decisions
from analysis.runs import Found, as_curves
from analysis.tables import Heading
from experiments import description
from experiments.study import Trial, expand, load_setting, load_study
from lit_transformer import heads, parsing, scoring
from lit_transformer.attention_maps import PARTS
from lit_transformer.config import DataConfig
from lit_transformer.config_io import dump, parse_set
from lit_transformer.data import corpora, treebank
from lit_transformer.data.corpora import Corpus
from lit_transformer.heads import Heads, Numbers, Removal, counts
from lit_transformer.model import cost
from lit_transformer.record import Record, append_line, read_lines, write_bytes

NAMES = ("valid", "test", "valid.averaged", "test.averaged")
PIECES = 90


@final
class Made:
    """A source of trials that nobody has trained."""

    def __init__(self, root: Path, trials: Sequence[Trial]) -> None:
        self.root, self.trials = root, trials
        self._corpora: dict[str, Corpus] = {}
        self.found = [self._made(trial) for trial in trials]

    def runs(self, study: str, setting: str) -> list[Found]:
        return self.found

    def history(self, wanted: Sequence[Run], metrics: Sequence[str]) -> pd.DataFrame:
        return as_curves(
            [
                (run.run_id, name, line["step"], value, 1000)
                for run in wanted
                for line in read_lines(Record(self.directory(run.digest)).metrics)
                for name, value in line["values"].items()
                if name in metrics
            ]
        )

    def directory(self, digest: str) -> Path:
        return self.root / "mlruns" / "trials" / digest

    def corpus(self, data: DataConfig) -> Corpus:
        key = data.model_dump_json()
        if key not in self._corpora:
            self._corpora[key] = corpora.prepare(data, self.root / "mlruns" / "cache")
        return self._corpora[key]

    def lengths(self, trial: Trial, part: str) -> list[tuple[int, int]]:
        pairs = self.corpus(trial.config.data).parts[part].pairs()
        return [(len(one.split()) + 1, len(other.split()) + 1) for one, other in pairs]

    def sequential(self, study: str, setting: str, trials: Sequence[Trial]) -> list[Decisions]:
        return decisions.read(self.root, study, setting, trials)

    def _made(self, trial: Trial) -> Found:
        record = Record(self.directory(trial.digest))
        write_bytes(record.config, dump(trial.config).encode())
        identity = description.identify(trial)
        about = {**identity._asdict(), "checksums": dict(trial.checksums), "overrides": {}}
        record.write_json("trial.json", about)
        start = {"commit": "c0ffee", "dirty": False, "device": "cpu", "host": "of-somebody"}
        append_line(record.attempts, {"event": "start", "time": 1.0, "attempt": 1, **start})
        environment = {"python": "3.11.9", "platform": "of-somebody", "versions": {"torch": "2.13"}}
        record.write_json("environment.json", environment)
        point = {"valid.loss": 2.5, "valid.perplexity": scoring.perplexity(2.5), "train.loss": 3.0}
        point |= {"cost.target_tokens": 8.0, "cost.train_seconds": 12.5}
        append_line(record.metrics, {"step": 1, "time": 1.0, "values": point})
        heads.write(record, _heads(trial))
        training = {"train_seconds": 12.5, "source_tokens": 7.0, "target_tokens": 8.0, "flops": 9e9}
        record.write_json("training.json", training)
        size = cost.parameters(trial.config.model, PIECES)
        scores = {f"cost.{name}": value for name, value in training.items()}
        scores |= {"cost.parameters": float(size.total), "cost.total_seconds": 20.25}
        signatures: dict[str, str] = {}
        for name in NAMES:
            kept = self._scored(trial, name, record)
            scores |= {f"{name}.{key}": value for key, value in kept["scores"].items()}
            signatures |= kept["signatures"]
        result = {"digest": trial.digest, "scores": scores, "signatures": signatures}
        result |= {"parameters": {**size._asdict(), "total": size.total}}
        record.write_json("result.json", {**result, "vocabulary_size": PIECES})
        read = description.read(identity, record.path)
        assert read is not None
        run_id = f"{trial.arm}{trial.seed}".ljust(32, "0")
        return Found(run_id, "7", "FINISHED", json.loads(description.row(read)))

    def _scored(self, trial: Trial, name: str, record: Record) -> dict:
        chance = random.Random(f"{trial.arm} {trial.seed} {name}")
        part, data = name.partition(".")[0], trial.config.data
        corpus = self.corpus(data)
        if data.task == "translation":
            lines = [_worse(line, chance) for line in corpus.parts[part].targets()]
            counts = scoring.counts(lines, corpus.parts[part].targets())
            found = scoring.of_counts(counts)
            measures = {"bleu": found.bleu, "chrf": found.chrf, "ter": found.ter}
            signatures = found.signatures
        else:
            form, gold = treebank.linear(data), treebank.load(corpus.trees[part])
            outputs = [parsing.read(form, _some(form.symbols(t), chance), t.words) for t in gold]
            lines = [str(output.tree) for output in outputs]
            counts = {"f1": parsing.counts(gold, outputs)}
            measures = parsing.of_counts(counts["f1"])._asdict()
            signatures = dict.fromkeys(parsing.SIGNED, parsing.SIGNATURE)
        loss = 1 + chance.random()
        content = {
            "scores": {"perplexity": scoring.perplexity(loss), **measures, "truncated": 1.0},
            "signatures": signatures,
            "loss": loss,
            "truncated": [2],
        }
        if data.task == "translation":
            others = scoring.tokenized(lines, corpus.parts[part].targets())
            content["tokenized"] = {name: one._asdict() for name, one in others.items()}
        text = "".join(f"{line}\n" for line in lines)
        write_bytes(record.hypotheses / f"{name}.txt", text.encode())
        write_bytes(record.counts / f"{name}.json", json.dumps(counts).encode())
        record.write_json(f"scores/{name}.json", content)
        return content


def made(root: Path, study: str, setting: str, arms: Sequence[str], sets: Sequence[str]) -> Made:
    found = load_study(study)
    given = dict(parse_set(text) for text in sets)
    return Made(root, expand(found, load_setting(setting), [1, 2], arms, given))


def heading(source: Made) -> Heading:
    first = source.trials[0]
    command = f"ablate sweep {first.study} --setting {first.setting} --seeds 2"
    return Heading(first.study, str(first.version), first.setting, "Made up.", command, {})


def _worse(line: str, chance: random.Random) -> str:
    return " ".join(word for word in line.split() if chance.random() < 0.8)


def _heads(trial: Trial) -> Heads:
    """Of one layer; more are removed at more and more cost."""
    chance, count = random.Random(f"{trial.arm} {trial.seed}"), trial.config.model.heads
    parts = {
        part: Numbers(*(np.array([[chance.random() for _ in range(count)]]) for _ in range(3)))
        for part in PARTS
    }
    removed = [Removal(n, 2.0 + n * chance.random()) for n in (0, *counts(3 * count))]
    return Heads(9, 80, 90, parts, removed)


def _some(symbols: Sequence[str], chance: random.Random) -> list[str]:
    """Now and then without one, so that some outputs must be repaired."""
    return [symbol for symbol in symbols if chance.random() < 0.97]
