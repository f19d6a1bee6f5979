"""Folders that are made once, by one process, and are trusted only when whole.

A folder is built beside its place under a file lock, described by a manifest that is written last
(size and sha256 of every file, and the builder's facts), flushed to disk and renamed. A folder
whose files differ from its manifest is built again.

To hash a large corpus takes seconds, and every trial opens it. So a folder that was found whole is
noted beside it, with the state of each file: size, inode, and the times of the last change of its
content and of anything about it. While these are the same nobody has written to the file since,
and the note is believed. What the file system would not tell, a bit that rots on the disk, is
looked for where a sweep prepares its corpora: it hashes whatever the notes say (`hashed_anew`).
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from lit_transformer.record import exclusive, sync_folder, write_bytes

MANIFEST = "manifest.json"
SETTLED_NS = 2 * 10**9
"""A file that changed so shortly before a note may have changed after it at the same time of the
file system's clock, which ticks seldom; it is hashed once more."""

Facts = Mapping[str, int]
Builder = Callable[[Path], Facts]

logger = logging.getLogger(__name__)

_hashed: ContextVar[set[Path] | None] = ContextVar("_hashed", default=None)
"""Folders hashed in the `hashed_anew` block that this is in; None outside of one."""


class CorpusError(ValueError):
    """A corpus that cannot be used; the message names file, line, rule and remedy."""


class Built(NamedTuple):
    """A whole folder of the cache, and what its builder counted."""

    path: Path
    facts: Facts


def expanded(path: str, key: str) -> Path:
    """A path with its `~` written out; `key` is where it was given. CorpusError: no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise CorpusError(f"{key}={path}: no such user; correct the path") from None


def key_of(content: Mapping[str, object]) -> str:
    """16 hexadecimal digits that stand for `content`."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def sha256(path: Path) -> str:
    """The sha256 of a file's bytes, read as a stream. OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_once(path: Path) -> str:
    """As `sha256`, read again only after the file has changed."""
    state = path.stat()
    return _sha256_of_state(path.resolve(), state.st_size, state.st_mtime_ns, state.st_ino)


def build_once(folder: Path, build: Builder) -> Built:
    """`folder`, made by `build` if it is not there whole.

    `build` writes into the folder it is given, which is empty. CorpusError where the cache cannot
    be written.
    """
    try:
        facts = _read_whole(folder)
        if facts is not None:
            return Built(folder, facts)
        with locked(folder):
            facts = _read_whole(folder)  # another process may have been faster
            if facts is None:
                facts = _build(folder, build)
        return Built(folder, facts)
    except OSError as error:
        raise unwritable(folder.parent, error) from None


@contextmanager
def hashed_anew() -> Iterator[None]:
    """Within the block each folder is hashed once, whatever was noted of it."""
    token = _hashed.set(set())
    try:
        yield
    finally:
        _hashed.reset(token)


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """One process at a time works on `place`; the lock ends with the process, however it ends."""
    with exclusive(place.with_name(f".{place.name}.lock"), None):
        yield


def unwritable(folder: Path, error: OSError) -> CorpusError:
    """What to say when the cache fails: the file concerned, and the system's reason."""
    reason = error.strerror or str(error)
    return CorpusError(
        f"{error.filename or folder}: the cache cannot be used: {reason}; "
        "make room there, or make it writable, or choose another folder with --root"
    )


@lru_cache(maxsize=1024)
def _sha256_of_state(path: Path, _size: int, _modified_ns: int, _inode: int) -> str:
    return sha256(path)


def _build(folder: Path, build: Builder) -> Facts:
    partial = folder.with_name(f".{folder.name}.partial")  # under the lock: nobody else's
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        facts = build(partial)
        files = sorted(path for path in partial.iterdir())
        for path in files:
            _flush(path)
        described = {p.name: {"size": p.stat().st_size, "sha256": sha256(p)} for p in files}
        manifest = {"files": described, "facts": dict(facts)}
        write_bytes(partial / MANIFEST, json.dumps(manifest, indent=1).encode())
        if folder.exists():
            logger.warning("%s is damaged and is built again", folder)
            shutil.rmtree(folder)
        partial.rename(folder)
        sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return facts


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _read_whole(folder: Path) -> Facts | None:
    """The builder's facts, or None where the folder is absent, torn or altered."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        facts: dict[str, int] = manifest["facts"]
        found = _found(folder, manifest)
        if not _is_noted(folder, found):
            for name, described in manifest["files"].items():
                path = folder / name
                if path.stat().st_size != described["size"] or sha256(path) != described["sha256"]:
                    return None
            _note(folder, found)
        return facts
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _found(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest, and the state of each file that it names."""
    states = {}
    for name in manifest["files"]:
        about = (folder / name).stat()
        states[name] = [about.st_size, about.st_ino, about.st_mtime_ns, about.st_ctime_ns]
    return {"manifest": manifest, "states": states}


def _is_noted(folder: Path, found: Mapping[str, Any]) -> bool:
    """Whether the folder was found whole in this state before, and that may be believed."""
    anew = _hashed.get()
    if anew is not None and folder not in anew:
        return False
    note = _note_of(folder)
    try:
        settled_ns = note.stat().st_mtime_ns - SETTLED_NS  # by the same clock as the files' times
        return json.loads(note.read_bytes()) == found and all(
            max(times) < settled_ns for _, _, *times in found["states"].values()
        )
    except (OSError, ValueError):
        return False


def _note(folder: Path, found: Mapping[str, Any]) -> None:
    """`found` was read before the files were hashed: what has changed since is hashed again."""
    anew = _hashed.get()
    if anew is not None:
        anew.add(folder)
    with suppress(OSError):  # a cache that cannot be written is hashed every time
        write_bytes(_note_of(folder), json.dumps(found).encode())


def _note_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.whole")
