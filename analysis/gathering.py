"""From trials' directories to the evidence of a report: what may be passed on, and no more.

Texts of a corpus are never in it. What a model wrote is, without its words where these are the
corpus's own (trees); of a user's files only if the user says so. References are written anew
where the code itself writes the corpus, and read where the verifier has it; elsewhere the numbers
that scores are computed from take their place.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any, NamedTuple, get_args

from pydantic import ConfigDict, TypeAdapter

from analysis import decisions
from analysis.counting import read_runs
from analysis.evidence import (
    LARGEST,
    SECTIONS,
    About,
    Counted,
    Counts,
    Directory,
    Evidence,
    Expected,
    Lines,
    Rated,
    Tracked,
)
from analysis.sources import Source, without_words
from analysis.tables import Table
from experiments.study import Trial
from lit_transformer.config import NUMERICS, Task
from lit_transformer.config_io import flatten
from lit_transformer.data import corpora
from lit_transformer.record import (
    DAMAGE,
    POINT,
    REMEDY,
    Record,
    RecordError,
    read_lines,
    read_own,
    refuse_links,
)
from lit_transformer.scoring import Scored
from lit_transformer.terminal import printable

_log = logging.getLogger(__name__)

MOST_TRIALS = 1000
"""Of a table that has evidence: a thousand take a report a second or two."""
STARTED = ("commit", "dirty", "device")
ENVIRONMENT = ("python", "versions", "device", "devices", "threads")
"""What is kept of a start and of an environment; hosts, paths and kernels are left out."""
SCORED: tuple[Scored, ...] = get_args(Scored)
COUNTS = TypeAdapter(Counts, config=ConfigDict(strict=True))


class _Found(NamedTuple):
    """A trial's directory and what was written in it."""

    trial: Trial
    directory: Directory
    lines: Mapping[Scored, list[str]]
    """As they may be kept; trees without their words."""
    counts: Mapping[Scored, Counts]

    @property
    def size(self) -> int:
        """About so many bytes of evidence."""
        texts = sum(len(line) + 3 for lines in self.lines.values() for line in lines)
        numbers = (
            one for counts in self.counts.values() for some in counts.values() for one in some
        )
        return texts + sum(3 * len(one) for one in numbers)


def gather(
    made: Table, trials: Sequence[Trial], source: Source, with_private_texts: bool
) -> Evidence | None:
    """The evidence of a table of these trials; None for more than MOST_TRIALS or LARGEST bytes."""
    if len(trials) > MOST_TRIALS:
        return None
    found: list[_Found] = []
    size = 0
    for trial in trials:
        for one in _found(trial, source, with_private_texts):
            found.append(one)
            size += one.size
        if size > LARGEST:
            return None
    heading = made.heading
    counted = {run.run_id for run in read_runs(made.tracked)}
    return Evidence(
        format=1,
        numerics=NUMERICS,
        about=About(
            study=heading.study,
            version=int(heading.version),
            setting=heading.setting,
            description=heading.description,
            command=heading.command,
            score=made.scored,
            rates=[Rated(**rate._asdict()) for rate in made.rates],
            sections=[*SECTIONS],
        ),
        trials=[_expected(trial) for trial in trials],
        runs=[Tracked(**run._asdict()) for run in made.tracked if run.run_id in counted],
        directories={one.trial.digest: one.directory for one in found},
        hypotheses=_hypotheses(found),
        counts=_counts(found),
        lengths=_lengths(made, trials, source),
        sequential=[decisions.as_object(one) for one in made.sequential],
        searched=[one.as_object() for one in made.searched],
    )


def _expected(trial: Trial) -> Expected:
    return Expected(
        arm=trial.arm,
        group=trial.group,
        label=trial.label,
        after=trial.after,
        seed=trial.seed,
        digest=trial.digest,
        checksums=dict(trial.checksums),
        overrides=dict(trial.overrides),
        config=dict(flatten(trial.config)),
    )


def _found(trial: Trial, source: Source, with_private_texts: bool) -> Iterator[_Found]:
    """The trial, if it has been started; a damaged one is told, and missing in the evidence."""
    record, data = Record(source.directory(trial.digest)), trial.config.data
    with _told(record):
        refuse_links(record.path)
        directory = _directory(record)
        if directory is not None:
            done = SCORED if directory.result else ()
            kept = data.task == "parsing" or with_private_texts or not corpora.is_private(data)
            # Where the verifier may lack the references; and of trees, what was repaired.
            counted = data.task == "parsing" or not corpora.is_generated(data)
            lines = {name: _lines(record, name, data.task) for name in done if kept}
            counts = {name: _counts_of(record, name) for name in done if counted}
            yield _Found(
                trial,
                directory,
                {name: some for name, some in lines.items() if some is not None},
                {name: some for name, some in counts.items() if some is not None},
            )


def _directory(record: Record) -> Directory | None:
    trial, config = record.read_json("trial.json", checksums=dict), read_own(record.config)
    if trial is None or config is None:
        return None
    starts = [line for line in record.read_attempts() if line["event"] == "start"]
    environment = record.read_json("environment.json") or {}
    scores = {name: record.read_json(f"scores/{name}.json") for name in SCORED}
    found = Directory(
        config=config.decode("utf-8", "replace"),
        trial=trial,
        start={name: starts[-1].get(name) for name in STARTED} if starts else {},
        environment={name: environment[name] for name in ENVIRONMENT if name in environment},
        training=record.read_json("training.json") or {},
        result=record.read_json("result.json") or {},
        scores={name: content for name, content in scores.items() if content is not None},
        curves=list(_curves(record)),
        heads=record.read_json("attention/heads.json") or {},
    )
    found.model_dump_json()  # ValueError: a text that is no Unicode
    return found


def _curves(record: Record) -> Iterator[dict[str, Any]]:
    """The points of the valid part, and what had been spent by then: those that a report shows."""
    for line in read_lines(record.metrics, **POINT):
        values = line["values"]
        if "valid.loss" in values:
            yield {"step": line["step"], "values": values}


def _lines(record: Record, name: Scored, task: Task) -> list[str] | None:
    content = read_own(record.hypotheses / f"{name}.txt")
    if content is None:
        return None
    lines = content.decode("utf-8").split("\n")[:-1]
    return without_words(lines) if task == "parsing" else lines


def _counts_of(record: Record, name: Scored) -> Counts | None:
    content = record.read_json(f"counts/{name}.json")
    return None if content is None else COUNTS.validate_python(content)


def _hypotheses(found: Sequence[_Found]) -> dict[Scored, Lines]:
    """Side by side, since trials write much the same of a sentence, which packs well."""
    kept = {}
    for name in SCORED:
        texts = {one.trial.digest: one.lines[name] for one in found if name in one.lines}
        if texts:
            rows = [list(row) for row in zip_longest(*texts.values())]
            kept[name] = Lines(trials=[*texts], lines=rows)
    return kept


def _lengths(
    made: Table, trials: Sequence[Trial], source: Source
) -> dict[str, list[tuple[int, int]]]:
    base = next(trial for trial in trials if trial.arm == made.base.arm)
    found = {part: source.lengths(base, part) for part in ("valid", "test")}
    return {part: lengths for part, lengths in found.items() if lengths is not None}


def _counts(found: Sequence[_Found]) -> dict[Scored, Counted]:
    kept = {}
    for name in SCORED:
        counts = {one.trial.digest: one.counts[name] for one in found if name in one.counts}
        if counts:
            kept[name] = Counted(trials=[*counts], counts=[*counts.values()])
    return kept


@contextmanager
def _told(record: Record) -> Iterator[None]:
    """What is damaged is told, and missing in the evidence."""
    try:
        yield
    except RecordError as error:
        _log.warning("not in the evidence: %s", printable(str(error)))
    except DAMAGE as error:
        what = f"{record.path}: {type(error).__name__}: {error}; {REMEDY}"
        _log.warning("not in the evidence: %s", printable(what[:500]))
