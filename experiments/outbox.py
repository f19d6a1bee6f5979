"""What of a trial's directory MLflow has accepted, and what is new since.

The notes lie in the directory itself (`mirror-*.json`); without them everything is sent again.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, TypeAdapter

from experiments import store
from experiments.description import KEY_LIMIT, Identity
from lit_transformer.record import POINT, Record, read_object, write_bytes

BATCH = 1000
"""Metrics that MLflow takes in one call."""


class Point(NamedTuple):
    """One value of a curve."""

    name: str
    value: float
    time_ms: int
    step: int


@dataclass
class Sent:
    """What MLflow has accepted of one run."""

    run_id: str
    offset: Annotated[int, Field(ge=0)]
    """Bytes of metrics.jsonl."""
    words: str
    """Hash of the parameters, the tags and the note."""
    status: str
    files: dict[str, list[int]]
    """Size and modification time of each artifact."""
    seen: list[int]
    """The directory's fingerprint when everything in it had been sent."""


_SENT = TypeAdapter(Sent)


def nothing(run_id: str) -> Sent:
    """The notes of a run to which nothing was sent."""
    return Sent(run_id, 0, "", "", {}, [])


def notes_path(root: Path, identity: Identity, directory: Path) -> Path:
    place = "" if store.is_default(root) else store.scrub(store.uri(root))
    words = "\n".join((place, identity.experiment, identity.arm))
    return directory / f"mirror-{hashlib.sha256(words.encode()).hexdigest()[:12]}.json"


def fingerprint(directory: Path) -> list[int]:
    """Changes whenever there is something new to send."""
    record = Record(directory)
    finished = record.result_file.exists()
    claimed = not finished and record.is_claimed()
    later = _size(record.heads)  # `ablate heads` may come after the end
    return [_size(record.attempts), _size(record.metrics), later, int(finished), int(claimed)]


def new_points(path: Path, offset: int) -> Iterator[tuple[int, list[Point]]]:
    """Batches of the whole lines from byte `offset` on, each with the offset behind it."""
    if not path.exists():
        return
    batch: list[Point] = []
    with path.open("rb") as file:
        file.seek(offset if offset <= path.stat().st_size else 0)
        offset = file.tell()
        for line in file:
            if not line.endswith(b"\n"):
                break  # torn: it is being written, or a kill has cut it
            points = _points(read_object(line, f"{path}: byte {offset}", POINT))
            if batch and len(batch) + len(points) > BATCH:
                yield offset, batch
                batch = []
            batch += points
            offset += len(line)
    if batch:
        yield offset, batch


def _points(content: Mapping[str, Any]) -> list[Point]:
    time_ms, step = round(content["time"] * 1000), int(content["step"])
    return [
        Point(name, float(value), time_ms, step)
        for name, value in content["values"].items()
        if len(name) <= KEY_LIMIT and re.fullmatch(r"[\w.\-/: ]+", name)
    ]


def read_notes(path: Path) -> Sent | None:
    """None where there are none, or none that can be read: everything is then sent again."""
    try:
        notes = Record(path.parent).read_json(path.name, sent=dict)
        return None if notes is None else _SENT.validate_python(notes["sent"])
    except ValueError:
        return None


def write_notes(path: Path, identity: Identity, sent: Sent) -> None:
    content = {"trial": identity._asdict(), "sent": asdict(sent)}
    write_bytes(path, json.dumps(content, indent=1).encode())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1
