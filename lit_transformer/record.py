"""The trial's directory: what is in it, and how it is written so that a kill loses nothing.

Whole files are written beside their place, flushed to disk and renamed; line files are appended
to and flushed, and a torn last line is cut off before the next append. `result.json` comes last:
it alone means that the trial finished.
"""

import errno
import fcntl
import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, final, get_args

Kind = Literal[
    "waiting",
    "running",
    "finished",
    "failed",
    "killed",
    "pruned",
    "diverged",
    "out_of_memory",
    "bad_configuration",
]

DAMAGE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What values raise that no trial has written."""
NUMBER = (int, float)
POINT: Mapping[str, type | tuple[type, ...]] = {"step": int, "time": NUMBER, "values": dict}
"""Types in a line of the curves."""
REMEDY = "restore it from a copy, or remove the trial's directory to train it again"
CLAIM_PATIENCE_S = 2.0
"""A look at the lock holds it for an instant; a claim tries again for so long."""


class RecordError(ValueError):
    """A file of a trial's directory that no trial has written so; the message names it."""


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
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
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
        self.prune_file = path / "prune"
        self.changes = path / "changes"
        self.checkpoints = path / "checkpoints"
        self.hypotheses = path / "hypotheses"
        self.attention = path / "attention"
        self.heads = self.attention / "heads.json"
        self.counts = path / "counts"
        self.vocabulary = path / "vocabulary.model"
        self.weights = path / "model.safetensors"
        self.averaged = path / "averaged.safetensors"

    def diff(self, changes: str) -> Path:
        """Where uncommitted changes of the code lie, by the sha256 that an attempt names."""
        return self.changes / f"{changes}.diff"

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Numbers that are not finite are written as text, as in the curves."""
        text = json.dumps(_finite(content), indent=1, ensure_ascii=False, allow_nan=False)
        write_bytes(self.path / name, text.encode())

    def read_json(self, name: str, **shape: type | tuple[type, ...]) -> dict[str, Any] | None:
        """The object in a file of this directory; None where it is absent.

        RecordError where it is none, or lacks a key of `shape` or has another type there.
        """
        path = self.path / name
        content = read_own(path)
        return None if content is None else read_object(content, str(path), shape)

    def result(self, **shape: type) -> dict[str, Any] | None:
        """What the finished trial says; None before its end. Every score is a number."""
        content = self.read_json("result.json", scores=dict, **shape)
        if content is not None:
            try:
                scores = {name: float(value) for name, value in content["scores"].items()}
            except DAMAGE:
                raise RecordError(f"{self.result_file}: a score is no number; {REMEDY}") from None
            content["scores"] = scores
        return content

    def show_progress(self, phase: str, done: int, total: int) -> None:
        """Leave word for whoever watches; never flushed, never read back by the trial."""
        partial = self.progress_file.with_suffix(".partial")
        text = json.dumps({"phase": phase, "done": done, "total": total, "time": time.time()})
        partial.write_text(text)
        partial.replace(self.progress_file)

    def progress(self) -> dict[str, Any] | None:
        try:
            return self.read_json("progress.json", phase=str, done=int, total=int)
        except RecordError:
            return None

    def ask_to_prune(self) -> None:
        """Ask the trial to end after its next update, with a checkpoint: it is not worth its time.

        It stands until an attempt begins: whoever wants the trial then asks again, or not.
        """
        self.prune_file.touch()

    def start_attempt(self, about: Mapping[str, Any]) -> int:
        """Note that a process begins on this trial -> the number of its attempt, from 1."""
        mend_lines(self.attempts)
        number: int = 1 + sum(line["event"] == "start" for line in self.read_attempts())
        line = {"attempt": number, "event": "start", "time": time.time(), **about}
        append_line(self.attempts, line)
        return number

    def end_attempt(self, number: int, kind: Kind, reason: str) -> None:
        line = {"attempt": number, "event": "end", "time": time.time()}
        append_line(self.attempts, {**line, "kind": kind, "reason": reason})

    def ends(self, kind: Kind) -> int:
        """How many attempts ended in this way; none where the record is damaged, which `state`
        tells."""
        try:
            lines = list(self.read_attempts())
        except RecordError:
            return 0
        return sum(line["event"] == "end" and line.get("kind") == kind for line in lines)

    def read_attempts(self) -> Iterator[dict[str, Any]]:
        return read_lines(self.attempts, event=str, time=NUMBER)

    def state(self) -> State:
        """How the trial stands, whatever any tracker says; a record that is damaged has failed."""
        try:
            return self._state()
        except (RecordError, OSError) as error:
            return State("failed", str(error), 0)

    def _state(self) -> State:
        lines = list(self.read_attempts())
        attempts = sum(line["event"] == "start" for line in lines)
        if self.result() is not None:
            return State("finished", "", attempts)
        if self.is_claimed():
            return State("running", "", attempts)
        if not lines:
            return State("waiting", "", 0)
        if lines[-1]["event"] == "start":
            return State("killed", "the process ended without a word", attempts)
        last = lines[-1]
        if last.get("kind") not in get_args(Kind) or not isinstance(last.get("reason"), str):
            raise RecordError(f"{self.attempts}: its last line is no end of an attempt; {REMEDY}")
        return State(last["kind"], last["reason"], attempts)

    def clear_partials(self) -> None:
        """Delete what was asked of attempts before, and what killed ones have left half written;
        for whoever holds the claim."""
        scored = (self.hypotheses, self.attention, self.counts, self.path / "scores")
        self.prune_file.unlink(missing_ok=True)  # asked of an attempt before
        for folder in (self.path, self.changes, self.checkpoints, *scored):
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
            descriptor = os.open(self.lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
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
        for line in read_lines(self._path, **POINT):
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


def read_lines(path: Path, **shape: type | tuple[type, ...]) -> Iterator[dict[str, Any]]:
    """The whole lines of a line file; a torn last one is left out. RecordError: as `read_json`."""
    content = read_own(path) or b""
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        yield read_object(line, f"{path}:{number}", shape)


def read_own(path: str | Path) -> bytes | None:
    """A file's bytes; None where it is absent. RecordError where it is a link or no file: what
    others have put into a trial's directory leads nowhere else."""
    try:
        # Without waiting, since a pipe may have no other end.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb", buffering=0) as file:
            return file.readall()
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = "it is a link" if error.errno == errno.ELOOP else error.strerror
        raise RecordError(f"{path}: cannot be read: {reason}; {REMEDY}") from None


def read_object(
    text: bytes, where: str, shape: Mapping[str, type | tuple[type, ...]]
) -> dict[str, Any]:
    """A JSON object with values of these types under these keys. RecordError: see `read_json`."""
    try:
        content = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError):
        raise RecordError(f"{where}: not JSON; {REMEDY}") from None
    if not isinstance(content, dict):
        raise RecordError(f"{where}: no JSON object; {REMEDY}")
    for key, kind in shape.items():
        if not isinstance(content.get(key), kind):
            raise RecordError(f"{where}: {key} is missing or of another type; {REMEDY}")
    return content


def refuse_links(directory: Path) -> None:
    """RecordError where something in a trial's directory is a link: it may lead out of it."""
    for folder, folders, files in os.walk(directory):
        for name in (*folders, *files):
            path = Path(folder, name)
            if path.is_symlink():
                raise RecordError(f"{path}: is a link; put the file itself in its place")


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
