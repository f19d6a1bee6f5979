"""What trials are measured by before they run: a calibration for each distinct shape, remembered.

A calibration is a job of the runner, as a trial is: in a process of its own, on the devices, with
the threads and with as many beside it as the sweep's trials will have.
"""

import hashlib
import os
import platform
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from experiments.runners.local import LocalRunner, Slot
from experiments.sweep import Planned, Root, job
from experiments.worker import Job
from lit_transformer.config import NUMERICS, RunConfig
from lit_transformer.config_io import CANONICAL, flatten
from lit_transformer.forecast import Measured, Read
from lit_transformer.record import Record, RecordError, read_own, write_bytes

LAYOUT = 2
"""Raised when a calibration means something else than before."""
UNPRICED = frozenset(
    (
        *("optim.schedule", "optim.warmup_steps", "optim.peak_steps", "optim.rate_factor"),
        *("optim.beta1", "optim.beta2", "optim.eps", "optim.smoothed_over"),
        *("train.steps", "train.seed", "train.average_last", "train.average_every"),
        *("train.valid_every", "train.checkpoint_every", "train.keep", "data.folder"),
        *("decode.alpha", "decode.length_penalty"),
    )
)
"""Keys that change the price of nothing; how often there is what has a price, a forecast counts."""
PRICED_IF_ANY = frozenset(
    (
        *("model.dropout", "model.attention_dropout", "model.relu_dropout"),
        *("optim.label_smoothing", "optim.clip_norm", "optim.momentum", "optim.weight_decay"),
    )
)
"""Keys whose price is that of any value but 0 and null."""
WORK = ".measuring-"
"""Before the name of a folder that a calibration works in."""


class Place(NamedTuple):
    """Where trials run, as far as it decides how long they take."""

    on_gpu: bool
    threads: int
    """Of each process."""
    beside: int
    """Trials at once."""


class Calibration(Read):
    """A file of `mlruns/calibrations/`."""

    time: float
    """When it was measured, in Unix seconds."""
    host: str
    on_gpu: bool
    threads: int
    beside: int
    measured: Measured


def place(planned: Sequence[Planned], slots: Sequence[Slot], at_once: int | None) -> Place:
    """Where the trials of a sweep run. All slots are alike."""
    devices = min((item.trial.config.train.devices for item in planned), default=1)
    beside = min(len(slots) // devices, at_once or len(slots), max(1, len(planned)))
    return Place(slots[0].gpu is not None, slots[0].threads, max(1, beside))


def shape(config: RunConfig) -> dict[str, Any]:
    """What decides the price of a trial's pieces; trials of one shape share a calibration."""
    return {
        name: bool(value) if name in PRICED_IF_ANY else value
        for name, value in flatten(config).items()
        if name not in UNPRICED
    }


def key(item: Planned, where: Place) -> str:
    """What a calibration is remembered under."""
    content = {
        "layout": LAYOUT,
        "numerics": NUMERICS,
        "shape": shape(item.trial.config),
        "checksums": dict(item.trial.checksums),
        "place": where._asdict(),
        "host": platform.node(),
        "versions": _versions(),
    }
    return hashlib.sha256(CANONICAL.encode(content).encode()).hexdigest()[:16]


@cache
def _versions() -> dict[str, str]:
    found = {name: version(name) for name in ("torch", "pytorch-lightning")}
    return {**found, "python": platform.python_version()}


def folder(root: Root) -> Path:
    return root.mlruns / "calibrations"


def recall(item: Planned, root: Root, where: Place) -> Calibration | None:
    """The calibration of a trial's shape; None where there is none, or none that can be read."""
    try:
        content = read_own(folder(root) / f"{key(item, where)}.json")
        return None if content is None else Calibration.model_validate_json(content)
    except (ValidationError, RecordError):
        return None


def lacking(planned: Sequence[Planned], root: Root, where: Place, fresh: bool) -> list[Planned]:
    """One trial of each shape that has to be measured, for those that are still to run."""
    first: dict[str, Planned] = {}
    for item in planned:
        if not item.is_over and (fresh or recall(item, root, where) is None):
            first.setdefault(key(item, where), item)
    return list(first.values())


def calibrate(
    items: Sequence[Planned],
    root: Root,
    where: Place,
    slots: Sequence[Slot],
    say: Callable[[str], None],
) -> None:
    """Measure the shapes of these trials, and remember them.

    There are always as many processes at work as the sweep will have: while there are fewer shapes
    left, some are measured once more, for the load alone.
    """
    _clear(folder(root))
    jobs = {key(item, where): _job(item, root, key(item, where)) for item in items}
    titles = {key(item, where): item.trial.title for item in items}
    waiting, done = list(jobs.values()), 0
    with LocalRunner(slots, where.beside) as runner:
        load, loads = _Load(list(jobs.values())), True
        try:
            while waiting or any(digest in jobs for digest in runner.running):
                while waiting and runner.has_room(waiting[0].devices):
                    runner.submit(waiting.pop(0))
                while loads and not waiting and runner.has_room(load.devices):
                    runner.submit(load.next())
                for ended in runner.poll(1.0):
                    if ended.digest in jobs:
                        done += 1
                        told = _remember(jobs[ended.digest], root, where)
                        say(f"{done} of {len(jobs)}: {titles[ended.digest]}: {told}")
                    elif ended.exit_status:
                        loads = False  # what fails would only be started again and again
        finally:
            runner.stop(0.0)
            _clear(folder(root))


class _Load:
    """Calibrations that nobody reads: they keep the machine as busy as a sweep does."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs, self._count = jobs, 0

    @property
    def devices(self) -> int:
        return self._jobs[self._count % len(self._jobs)].devices

    def next(self) -> Job:
        one = self._jobs[self._count % len(self._jobs)]
        self._count += 1
        name = f"load-{self._count}"
        return replace(one, digest=name, directory=one.directory.with_name(_work(name)))


def _job(item: Planned, root: Root, name: str) -> Job:
    directory = folder(root).resolve() / _work(name)
    return replace(job(item, root), purpose="calibration", digest=name, directory=directory)


def _work(name: str) -> str:
    return f"{WORK}{os.getpid()}-{name}"  # two plans may measure at once


def _remember(one: Job, root: Root, where: Place) -> str:
    """Keep what was measured -> what to say of it."""
    record = Record(one.directory)
    content = read_own(record.path / "calibration.json")
    if content is None:
        state = record.state()
        return f"not measured: {state.kind}: {state.reason}"
    measured = Measured.model_validate_json(content)
    made = Calibration(time=time.time(), host=platform.node(), measured=measured, **where._asdict())
    write_bytes(folder(root) / f"{one.digest}.json", made.model_dump_json(indent=1).encode())
    rounds = measured.pieces.update_s
    return f"{sum(rounds) / len(rounds):.3g} s an update"


def _clear(place: Path) -> None:
    """Remove what calibrations have worked in, unless one still does."""
    for path in place.glob(f"{WORK}*"):
        with suppress(OSError):
            if not Record(path).is_claimed():
                shutil.rmtree(path)
