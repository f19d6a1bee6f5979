"""A search over the toy whose trials take no time, and may be killed at any poll."""

import math
from pathlib import Path

from experiments import sweep
from experiments.runners.local import Ended
from experiments.search import Searching
from experiments.study import Trial, load_setting, load_study
from experiments.sweep import Planned, Root
from experiments.worker import Job
from lit_transformer import config_io
from lit_transformer.config import RunConfig
from lit_transformer.record import MetricsLog, Record
from tests.toy import Toy

VALIDATIONS = 4
HEAD = """\
name: hunt
version: 1
description: A search.
search:
  trials: 12
"""
SPACE = """\
  space:
    optim.rate_factor: {low: 0.1, high: 10, log: true}
    model.dropout: {low: 0, high: 0.4, step: 0.1}
    model.positions: {choices: [sinusoidal, learned]}
    model.max_positions: {low: 64, high: 256, when: {model.positions: learned}}
"""
MEDIAN = "  pruner: {name: median, options: {n_startup_trials: 2}}\n"


def score(config: RunConfig) -> float:
    """Best at a rate factor of 1 without dropout."""
    return 10 - math.log(config.optim.rate_factor) ** 2 - config.model.dropout


class KilledError(Exception):
    """What a sweep dies of, without a word to anybody."""


class Runner:
    """Trains in no time, one trial at a time: a validation at each poll, and then the result.

    `dies_at`: the poll at which the sweep is no more.
    """

    def __init__(self, dies_at: int | None = None) -> None:
        self.jobs: list[Job] = []
        self.started: list[str] = []
        self.polls, self.dies_at = 0, dies_at
        self.diverges: set[int] = set()

    @property
    def running(self) -> list[str]:
        return [job.digest for job in self.jobs]

    def has_room(self, devices: int) -> bool:
        return not self.jobs

    def submit(self, job: Job) -> None:
        self.jobs.append(job)
        self.started.append(job.digest)
        record = Record(job.directory)
        record.clear_partials()
        record.start_attempt({})

    def poll(self, timeout_s: float) -> list[Ended]:
        self.polls += 1
        if self.polls == self.dies_at:
            raise KilledError
        (job,) = self.jobs
        record = Record(job.directory)
        config = config_io.parse(job.config, job.directory / "config.yaml")
        record.path.mkdir(exist_ok=True)
        done = record.metrics.read_text().count("\n") if record.metrics.exists() else 0
        if record.prune_file.exists():
            return self.end(job, record, "pruned")
        if len(self.started) in self.diverges:
            return self.end(job, record, "diverged")
        if done < VALIDATIONS:
            value = score(config) * (done + 1) / VALIDATIONS
            MetricsLog(record).add(done + 1, {"valid.curve_bleu": value})
            return []
        scores = {
            "valid.bleu": score(config),
            "valid.perplexity": 2.0,
            "cost.total_seconds": 1.0,
            "cost.parameters": 1000 * config.model.dropout,
        }
        record.write_json("result.json", {"scores": scores})
        return self.end(job, record, "finished")

    def end(self, job: Job, record: Record, kind: str) -> list[Ended]:
        record.end_attempt(1, kind, "")  # type: ignore[arg-type]
        self.jobs.clear()
        return [Ended(job.digest, 0)]

    def stop(self, grace_s: float) -> list[Ended]:
        return []


class Watcher:
    """Mirror and display."""

    def __init__(self) -> None:
        self.watched: list[str] = []
        self.said: list[str] = []

    def watch(self, trial: Trial, directory: Path) -> None:
        self.watched.append(trial.arm)

    def show(self, planned: list[Planned], running: list[str]) -> None:
        pass

    def say(self, text: str) -> None:
        self.said.append(text)


class World:
    """A search over the toy, under one root."""

    def __init__(self, toy: Toy, root: Path, body: str) -> None:
        self.toy, self.root = toy, root
        self.file = toy.folder / "hunt.yaml"
        self.file.write_text(HEAD + body)

    def searching(self) -> Searching:
        setting = load_setting(str(self.toy.setting))
        return Searching(load_study(str(self.file)), setting, 1, {}, self.root)

    def go(self, runner: Runner) -> tuple[Searching, Watcher]:
        found, watcher = self.searching(), Watcher()
        with found.begun():
            sweep.run(found.planned(), Root(self.root), runner, watcher, watcher, None, found)
        return found, watcher

    @property
    def journal(self) -> Path:
        (found,) = (self.root / "mlruns" / "searches").rglob("*.jsonl")
        return found
