"""What a report's numbers were computed from, in one file beside it, for `ablate verify`.

The file is JSON, packed by bzip2: smaller than xz packs such texts, with checksums, and without a
size of memory that a hostile file could choose. The same evidence gives the same bytes. Of texts
that may not be passed on it holds none (`gathering.py` decides); what is read from it is data,
never a path.
"""

import bz2
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError

from experiments.files import Schema
from lit_transformer.config_io import LARGEST_BYTES
from lit_transformer.record import RecordError, write_bytes
from lit_transformer.scoring import Scored

LARGEST_PACKED, LARGEST = 2**26, 2**28
"""Bytes of the file, and of what is in it."""
SUFFIX = ".evidence.json.bz2"
"""Behind the name of the report that it is of."""
FIRST = ("table2", "table4", "claims", "costs", "views")
"""Sections that reports had before their evidence named any."""
LATER = (
    *("steps", "lengths", "extrapolation", "metrics", "metric_pairs", "tokenizations", "heads"),
    *("search", "tuning"),
)
SECTIONS = (*FIRST, *LATER)
"""Those that a report of this version may have; of an older one no others are built again."""
REMEDY = "take it from where the report came from, or write both anew with `ablate report`"

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
Counts = dict[str, list[list[int | float | bool]]]
Content = dict[str, Any]
"""A JSON object as a trial or the tracker has it."""


class EvidenceError(RecordError):
    """A file that is no evidence; the message names it."""


class Rated(Schema):
    """What a device was taken to sustain; see `rates.Rate`."""

    device: str
    tflops: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    source: str


class About(Schema):
    """What the report is of."""

    study: str
    version: Annotated[int, Field(ge=1)]
    setting: str
    description: str
    command: str
    score: Scored
    rates: list[Rated]
    sections: list[str] = Field(default=[*FIRST])
    """Those that the report may have."""


class Expected(Schema):
    """A trial that the study lists."""

    arm: str
    group: str
    label: str | None
    after: str | None = None
    seed: int
    digest: Digest
    checksums: dict[str, str]
    overrides: Content
    config: Content
    """Dotted keys, none left out."""


class Tracked(Schema):
    """A run as the tracker has it; see `runs.Found`."""

    run_id: str
    experiment_id: str
    status: str
    row: Content


class Directory(Schema):
    """What a trial's directory says, without what tells of the machine or of other texts."""

    config: Annotated[str, StringConstraints(max_length=LARGEST_BYTES)]
    """config.yaml, as it was trained."""
    trial: Content
    start: Content
    """Commit, dirty and device of the last attempt."""
    environment: Content
    training: Content
    result: Content
    scores: dict[Scored, Content]
    curves: list[Content]
    """Points of the valid part: step and values."""
    heads: Content = Field(default_factory=dict)
    """heads.json; empty where the trial has not measured its heads."""


class Lines(Schema):
    """What trials wrote: for each sentence a line of each trial; None behind a trial's last."""

    trials: list[Digest]
    lines: list[list[str | None]]


class Counted(Schema):
    """What scores are computed from: for each trial and scorer the numbers of each sentence."""

    trials: list[Digest]
    counts: list[Counts]


class Evidence(Schema):
    """Everything that `ablate verify` needs but for references, which stay where they are."""

    format: Literal[1]
    numerics: int
    about: About
    trials: Annotated[list[Expected], Field(min_length=1)]
    runs: list[Tracked]
    directories: dict[Digest, Directory]
    hypotheses: dict[Scored, Lines]
    counts: dict[Scored, Counted]
    lengths: dict[str, list[tuple[int, int]]] = Field(default={})
    """Part -> tokens of each sentence's source and target, as base's vocabulary cuts them."""
    sequential: list[Content]
    """Sweeps that gave seeds until decided, as `decisions.as_object` has them."""
    searched: Annotated[list[Content], Field(default_factory=list)]
    """Searches, as `Searched.as_object` has them; older evidence has none."""


def write(evidence: Evidence, path: Path) -> bool:
    """Whether there is a file: none is written that would be larger than LARGEST."""
    text = evidence.model_dump_json().encode()
    if len(text) > LARGEST:
        return False
    write_bytes(path, bz2.compress(text))
    return True


def read(path: Path) -> Evidence:
    """EvidenceError where the file is missing, damaged, too large, or no evidence."""
    text = _unpacked(path)
    try:
        return Evidence.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, problem["loc"])) or "its content"
        raise EvidenceError(f"{path}: no evidence of a report: {place}: {problem['msg']}") from None


def _unpacked(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            packed = file.read(LARGEST_PACKED + 1)
        if len(packed) > LARGEST_PACKED:
            raise EvidenceError(f"{path}: larger than {LARGEST_PACKED:,} bytes; is it evidence?")
        machine = bz2.BZ2Decompressor()
        text = machine.decompress(packed, LARGEST + 1)
    except OSError as error:
        raise EvidenceError(f"{path}: {error.strerror or 'damaged'}; {REMEDY}") from None
    if len(text) > LARGEST:
        raise EvidenceError(f"{path}: holds more than {LARGEST:,} bytes; is it evidence?")
    if not machine.eof or machine.unused_data:
        raise EvidenceError(f"{path}: cut short, or followed by something else; {REMEDY}")
    return text
