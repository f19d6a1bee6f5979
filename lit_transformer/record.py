"""The trial's directory: what is in it, and how it is written so that a kill loses nothing.

Whole files are written beside their place, flushed to disk and renamed; line files are appended
to and flushed, and a torn last line is cut off before the next append. `result.json` comes last:
it alone means that the trial finished.
"""

import fcntl
import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, final

Kind = Literal[
    "waiting",
    "running",
    "finished",
    "failed",
    "killed",
    "diverged",
    "out_of_memory",
    "bad_configuration",
]

CLAIM_PATIENCE_S = 2.0
"""A look at the lock holds it for an instant; a claim tries again for so long."""


class State(NamedTuple):
    """How a trial stands: its kind, the reason of its last end, and how often it was started."""

    kind: Kind
    reason: str
    attempts: int

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to train: a trial that diverged would do so again."""
        return self.kind in ("finished", "diverged")


def write_bytes(path: Path, content: bytes) -> None:
    """The whole file or none of it, on disk when this returns."""
    with replacing(path) as file:
        file.write(content)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write to. It takes its place, flushed to disk, when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextmanager
def exclusive(path: Path, patience_s: float | None) -> Iterator[None]:
    """Hold a lock file; it is let go when the process ends, however it ends.

    None waits for as long as it takes; otherwise TimeoutError where another process keeps the file
    for longer than patience.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _lock(path, patience_s)
    if descriptor is None:
        raise TimeoutError(f"{path} is held by another process")
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(path: Path, patience_s: float | None) -> int | None:
    """A descriptor that holds the lock while any process has it open; None: another has it."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
    how = fcntl.LOCK_EX if patience_s is None else fcntl.LOCK_EX | fcntl.LOCK_NB
    deadline = time.monotonic() + (patience_s or 0.0)
    while True:
        try:
            fcntl.flock(descriptor, how)
            return descriptor
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                return None
            time.sleep(0.02)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries, so that a rename survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@final
class Record:
    """The directory of one trial (or of one rerun)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.log = path / "log.txt"
        self.lock = path / "lock"
        self.attempts = path / "attempts.jsonl"
        self.metrics = path / "metrics.jsonl"
        self.result_file = path / "result.json"
        self.progress_file = path / "progress.json"
        self.checkpoints = path / "checkpoints"
        self.hypotheses = path / "hypotheses"
        self.vocabulary = path / "vocabulary.model"
        self.weights = path / "model.safetensors"
        self.averaged = path / "averaged.safetensors"

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Numbers that are not finite are written as text, as in the curves."""
        text = json.dumps(_finite(content), indent=1, ensure_ascii=False, allow_nan=False)
        write_bytes(self.path / name, text.encode())

    def read_json(self, name: str) -> dict[str, Any] | None:
        """The object in a file of this directory; None where it is absent."""
        try:
            content = json.loads((self.path / name).read_text("utf-8"))
        except FileNotFoundError:
            return None
        assert isinstance(content, dict)
        return content

    def result(self) -> dict[str, Any] | None:
        """What the finished trial says; None before its end. Every score is a number."""
        content = self.read_json("result.json")
        if content is not None:
            content["scores"] = {name: float(value) for name, value in content["scores"].items()}
        return content

    def show_progress(self, phase: str, done: int, total: int) -> None:
        """Leave word for whoever watches; never flushed, never read back by the trial."""
        partial = self.progress_file.with_suffix(".partial")
        text = json.dumps({"phase": phase, "done": done, "total": total, "time": time.time()})
        partial.write_text(text)
        partial.replace(self.progress_file)

    def progress(self) -> dict[str, Any] | None:
        return self.read_json("progress.json")

    def start_attempt(self, about: Mapping[str, Any]) -> int:
        """Note that a process begins on this trial -> the number of its attempt, from 1."""
        mend_lines(self.attempts)
        number: int = 1 + sum(line["event"] == "start" for line in read_lines(self.attempts))
        line = {"attempt": number, "event": "start", "time": time.time(), **about}
        append_line(self.attempts, line)
        return number

    def end_attempt(self, number: int, kind: Kind, reason: str) -> None:
        line = {"attempt": number, "event": "end", "time": time.time()}
        append_line(self.attempts, {**line, "kind": kind, "reason": reason})

    def ends(self, kind: Kind) -> int:
        """How many attempts ended in this way."""
        lines = read_lines(self.attempts)
        return sum(line["event"] == "end" and line["kind"] == kind for line in lines)

    def state(self) -> State:
        """How the trial stands, whatever any tracker says."""
        lines = list(read_lines(self.attempts))
        attempts = sum(line["event"] == "start" for line in lines)
        if self.result_file.exists():
            return State("finished", "", attempts)
        if self.is_claimed():
            return State("running", "", attempts)
        if not lines:
            return State("waiting", "", 0)
        if lines[-1]["event"] == "start":
            return State("killed", "the process ended without a word", attempts)
        return State(lines[-1]["kind"], lines[-1]["reason"], attempts)

    def clear_partials(self) -> None:
        """Delete what killed attempts have left half written; for whoever holds the claim."""
        for folder in (self.path, self.checkpoints, self.hypotheses, self.path / "scores"):
            for path in folder.glob(".*.partial"):
                if not path.name.startswith(".mirror-"):  # the sweep's, which holds another lock
                    path.unlink(missing_ok=True)

    def claim(self) -> int | None:
        """Take the trial -> a descriptor that holds the claim while any process has it open.

        None where another process holds it. The descriptor may be inherited by the processes that
        the trial starts.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        return _lock(self.lock, CLAIM_PATIENCE_S)

    def is_claimed(self) -> bool:
        """Whether a living process holds the claim."""
        try:
            descriptor = os.open(self.lock, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False


@final
class MetricsLog:
    """The curves of a trial. A point that an earlier attempt has written is not written again."""

    def __init__(self, record: Record) -> None:
        self._path = record.metrics
        mend_lines(self._path)
        self._last: dict[str, int] = {}
        for line in read_lines(self._path):
            for name in line["values"]:
                self._last[name] = max(line["step"], self._last.get(name, 0))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Append a point of each curve in `values`; NaN and infinities are written as text."""
        new = {n: _number(v) for n, v in values.items() if step > self._last.get(n, 0)}
        if new:
            append_line(self._path, {"step": step, "time": time.time(), "values": new})
            self._last.update(dict.fromkeys(new, step))


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def _finite(value: Any) -> Any:
    """The same JSON value with text in place of infinities and NaN."""
    match value:
        case float():
            return _number(value)
        case Mapping():
            return {name: _finite(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_finite(inner) for inner in value]
        case _:
            return value


def append_line(path: Path, content: Mapping[str, Any]) -> None:
    """One JSON object as one line, on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(json.dumps(content, ensure_ascii=False, allow_nan=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a line file; a torn last one is left out."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    for line in content.split(b"\n")[:-1]:
        yield json.loads(line)


def mend_lines(path: Path) -> None:
    """Cut off a last line that a kill has torn, so that the next one starts afresh."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)
            os.fsync(file.fileno())
