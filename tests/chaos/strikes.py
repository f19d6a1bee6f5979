"""A fault at the n-th write of a process, for every n: a full disk, a broken one, a kill.

What a trial writes, and what the mirror writes, is counted in a whole run. Then each write in turn
fails, in a process of its own, and another one goes on without a fault: what it ends with must be
what the whole run ended with, bit for bit. A write is a file opened for writing, the first bytes
that go into it (half of them arrive), a flush to disk, a rename, a removal, or a new folder.
"""

import builtins
import errno
import io
import os
import random
import shutil
import signal
import sqlite3
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, get_args

import experiments.preload  # noqa: F401  what trials are forked from
from experiments import mirror, store, sweep
from experiments.description import identify
from experiments.study import expand, load_setting, load_study
from experiments.sweep import Planned, Root
from experiments.tracking import prepare_store
from experiments.worker import work
from lit_transformer.config_io import parse_set
from lit_transformer.record import Record
from tests.chaos.outcome import outcome
from tests.chaos.setting import write_setting
from tests.toy import write_toy

Fault = Literal["ENOSPC", "EIO", "SIGKILL"]
FAULTS: tuple[Fault, ...] = get_args(Fault)
STEPS = ("train.steps=4", "train.valid_every=4", "train.checkpoint_every=2", "train.log_every=2")
"""A trial of at most 200 writes."""


class Strikes(NamedTuple):
    """How a series went."""

    writes: int
    """Of the whole run."""
    struck: int


class StruckError(OSError):
    """What the system would say."""


class Strike:
    """Counts the writes of this process under `folder`, and fails the n-th."""

    def __init__(self, folder: Path, number: int, fault: Fault) -> None:
        self._folder, self._number, self._fault = str(folder), number, fault
        self.writes = 0

    def begin(self) -> None:
        """From here on; there is no end, since the process is made for it."""
        opened, descriptor_opened = io.open, os.open

        def open_file(file: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
            if not set(mode) & set("wax+") or not self._is_ours(file):
                return opened(file, mode, *rest, **more)
            self._look()
            return _File(opened(file, mode, *rest, **more), self)

        def open_descriptor(path: Any, flags: int, *rest: Any, **more: Any) -> int:
            if flags & os.O_CREAT and self._is_ours(path):
                self._look()
            return descriptor_opened(path, flags, *rest, **more)

        builtins.open = io.open = open_file
        os.open = open_descriptor
        for name in ("replace", "unlink", "mkdir"):
            setattr(os, name, self._watched(getattr(os, name)))
        flush = os.fsync
        os.fsync = lambda descriptor: flush(descriptor) if self._look() else None

    def _watched(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(path: Any, *rest: Any, **more: Any) -> Any:
            if self._is_ours(path):
                self._look()
            return call(path, *rest, **more)

        return watched

    def _is_ours(self, path: object) -> bool:
        return isinstance(path, str | os.PathLike) and os.fspath(path).startswith(self._folder)

    def _look(self, before: Callable[[], object] = bool) -> bool:
        """Count a write; at the n-th let `before` happen, and fail."""
        self.writes += 1
        if self.writes == self._number:
            before()
            if self._fault == "SIGKILL":
                os.kill(os.getpid(), signal.SIGKILL)
            number = getattr(errno, self._fault)
            raise StruckError(number, os.strerror(number))
        return True

    def first_bytes(self, file: IO[Any], content: Any) -> None:
        def half() -> None:
            file.write(content[: len(content) // 2])
            file.flush()

        self._look(half)


class _File:
    """A file whose first write is counted."""

    def __init__(self, file: IO[Any], strike: Strike) -> None:
        self._file, self._strike, self._is_fresh = file, strike, True

    def write(self, content: Any) -> int:
        if self._is_fresh:
            self._is_fresh = False
            self._strike.first_bytes(self._file, content)
        return self._file.write(content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._file)

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def in_child(what: Callable[[], object]) -> int:
    """Run it in a forked process -> its exit status; negative: the signal that ended it."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            what()
        except SystemExit as end:
            os._exit(end.code if isinstance(end.code, int) else 0)
        except StruckError:
            os._exit(70)
        except BaseException:
            traceback.print_exc()
            os._exit(70)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def counted(folder: Path, note: Path, what: Callable[[], object]) -> None:
    """Run it, and note how many writes it took."""
    strike = Strike(folder, 0, "EIO")
    strike.begin()
    try:
        what()
    finally:
        descriptor = os.open(note, os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(descriptor, str(strike.writes).encode())


def struck(folder: Path, number: int, fault: Fault, what: Callable[[], object]) -> None:
    Strike(folder, number, fault).begin()
    what()


def strike_trials(folder: Path, every: int, say: Callable[[str], None]) -> Strikes:
    """Every `every`-th write of a trial, each in turn by another fault."""
    (planned,) = write_toy(folder / "toy").plan(folder, [1], ["A"], STEPS)
    trial = _Trial(planned, Root(folder))
    numbers = range(every, trial.writes + 1, every)
    for number in numbers:
        say(trial.strike(number, FAULTS[number % len(FAULTS)]))
    return Strikes(trial.writes, len(numbers))


def strike_arms(folder: Path, chance: random.Random, say: Callable[[str], None]) -> Strikes:
    """Every row of Table 3, each killed at one of its writes."""
    setting = write_setting(folder)
    sets = dict(parse_set(text) for text in STEPS)
    trials = expand(load_study("table3"), load_setting(str(setting)), [1], [], sets)
    writes = 0
    for planned in sweep.plan(trials, Root(folder)):
        trial = _Trial(planned, Root(folder))
        writes += trial.writes
        say(f"{planned.trial.arm}: {trial.strike(chance.randint(1, trial.writes), 'SIGKILL')}")
    return Strikes(writes, len(trials))


class _Trial:
    """A trial that has run whole, to be struck and gone on with."""

    def __init__(self, planned: Planned, root: Root) -> None:
        in_child(lambda: sweep.prepare([planned.trial], root, lambda text: None))
        self._job = job = replace(sweep.job(planned, root), parent=os.getpid())
        note = root.path / "writes"
        status = in_child(lambda: counted(job.directory, note, lambda: work(job)))
        assert status == 0, status
        self._whole, self.writes = outcome(job.directory), int(note.read_text())

    def strike(self, number: int, fault: Fault) -> str:
        """Fail this write of a fresh attempt; the next one must end as if nothing had been."""
        job, record = self._job, Record(self._job.directory)
        shutil.rmtree(job.directory)
        status = in_child(lambda: struck(job.directory, number, fault, lambda: work(job)))
        state = record.state()
        assert state.kind in ("failed", "killed", "waiting", "finished"), (number, state)
        assert in_child(lambda: work(job)) == 0, (number, fault, record.state())
        assert outcome(job.directory) == self._whole, (number, fault)
        assert record.ends("finished") <= 1, (number, fault)
        left = [str(path) for path in job.directory.rglob("*.partial")]
        assert not left or state.kind == "finished", (number, fault, left)
        return f"write {number} of {self.writes}: {fault}: exit status {status}, {state.kind}"


def strike_mirror(folder: Path, every: int, say: Callable[[str], None]) -> Strikes:
    """Every `every`-th write of telling MLflow of a finished trial."""
    (planned,) = write_toy(folder / "toy").plan(folder, [1], ["A"], STEPS)
    _Trial(planned, Root(folder))
    assert in_child(lambda: prepare_store(folder)) == 0
    store.calm_mlflow()
    import mlflow  # noqa: F401  once, before the forks

    kept = shutil.copytree(folder / "mlruns", folder / "kept")
    note = folder / "writes of the mirror"
    who = identify(planned.trial)

    def send() -> None:
        problems = mirror.sync(folder, [who])
        sys.exit(3 if problems else 0)

    status = in_child(lambda: counted(folder / "mlruns", note, send))
    assert status == 0, status
    whole, writes = _told(folder), int(note.read_text())
    assert whole
    numbers = range(every, writes + 1, every)
    for number in numbers:
        fault = FAULTS[number % len(FAULTS)]
        shutil.rmtree(folder / "mlruns")
        shutil.copytree(kept, folder / "mlruns")
        status = in_child(lambda n=number, f=fault: struck(folder / "mlruns", n, f, send))
        say(f"mirror's write {number} of {writes}: {fault}: exit status {status}")
        assert in_child(send) == 0, (number, fault)
        assert _told(folder) == whole, (number, fault)
    return Strikes(writes, len(numbers))


def _told(root: Path) -> list[tuple[Any, ...]]:
    """Statuses, metrics, parameters and tags of every run, without ids."""
    queries = (
        "SELECT name, status FROM runs",
        "SELECT key, step, value, is_nan, timestamp FROM metrics",
        "SELECT key, value FROM params",
        # A parent is told by its name.
        "SELECT key, CASE key WHEN 'mlflow.parentRunId'"
        " THEN (SELECT name FROM runs WHERE runs.run_uuid = tags.value) ELSE value END"
        " FROM tags WHERE key NOT IN ('ablate.root', 'mlflow.note.content')",
    )
    with closing(sqlite3.connect(store.database(root))) as connection:
        return [row for query in queries for row in sorted(connection.execute(query), key=repr)]
