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

from analysis.counting import read_runs
from analysis.evidence import (
    About,
    Counted,
    Directory,
    Evidence,
    Expected,
    Lines,
    Scored,
    Tracked,
)
from analysis.sources import Source, without_words
from analysis.tables import Heading
from experiments.study import Trial
from lit_transformer.config import NUMERICS, DataConfig
from lit_transformer.config_io import flatten
from lit_transformer.data import corpora
from lit_transformer.record import (
    POINT,
    REMEDY,
    Record,
    RecordError,
    read_lines,
    read_own,
    refuse_links,
)
from lit_transformer.terminal import printable

_log = logging.getLogger(__name__)

STARTED = ("commit", "dirty", "device")
ENVIRONMENT = ("python", "versions", "device", "devices", "threads")
"""What is kept of a start and of an environment; hosts, paths and kernels are left out."""
NAMES: tuple[Scored, ...] = get_args(Scored)


class _Found(NamedTuple):
    """A trial's directory and what was written in it."""

    trial: Trial
    directory: Directory
    written: Mapping[Scored, list[str]]
    counts: Mapping[Scored, dict[str, Any]]


def gather(
    heading: Heading, trials: Sequence[Trial], source: Source, with_private_texts: bool
) -> Evidence:
    """The evidence of a table of these trials."""
    tracked = source.runs(heading.study, heading.setting)
    counted = {run.run_id for run in read_runs(tracked)}
    found = [one for trial in trials for one in _found(trial, source)]
    return Evidence(
        format=1,
        numerics=NUMERICS,
        about=About(
            study=heading.study,
            version=int(heading.version),
            setting=heading.setting,
            description=heading.description,
            command=heading.command,
        ),
        trials=[_expected(trial) for trial in trials],
        runs=[Tracked(**run._asdict()) for run in tracked if run.run_id in counted],
        directories={one.trial.digest: one.directory for one in found},
        hypotheses=_hypotheses(found, with_private_texts),
        counts=_counts(found),
    )


def _expected(trial: Trial) -> Expected:
    return Expected(
        arm=trial.arm,
        group=trial.group,
        label=trial.label,
        seed=trial.seed,
        digest=trial.digest,
        checksums=dict(trial.checksums),
        overrides=dict(trial.overrides),
        config=dict(flatten(trial.config)),
    )


def _found(trial: Trial, source: Source) -> Iterator[_Found]:
    """The trial, if it has been started; a damaged one is told, and missing in the evidence."""
    record = Record(source.directory(trial.digest))
    with _told():
        refuse_links(record.path)
        directory = _directory(record)
        if directory is not None:
            done = NAMES if directory.result else ()
            written = {name: _lines(record, name) for name in done}
            counts = {name: record.read_json(f"counts/{name}.json") for name in done}
            yield _Found(
                trial,
                directory,
                {name: lines for name, lines in written.items() if lines is not None},
                {name: content for name, content in counts.items() if content is not None},
            )


def _directory(record: Record) -> Directory | None:
    trial, config = record.read_json("trial.json"), read_own(record.config)
    if trial is None or config is None:
        return None
    starts = [line for line in record.read_attempts() if line["event"] == "start"]
    environment = record.read_json("environment.json") or {}
    scores = {name: record.read_json(f"scores/{name}.json") for name in NAMES}
    return Directory(
        config=config.decode("utf-8", "replace"),
        trial=trial,
        start={name: starts[-1].get(name) for name in STARTED} if starts else {},
        environment={name: environment[name] for name in ENVIRONMENT if name in environment},
        training=record.read_json("training.json") or {},
        result=record.read_json("result.json") or {},
        scores={name: content for name, content in scores.items() if content is not None},
        curves=list(_curves(record)),
    )


def _curves(record: Record) -> Iterator[dict[str, Any]]:
    """The points of the valid part: those that a report shows."""
    for line in read_lines(record.metrics, **POINT):
        values = {name: x for name, x in line["values"].items() if name.startswith("valid.")}
        if values:
            yield {**line, "values": values}


def _lines(record: Record, name: Scored) -> list[str] | None:
    content = read_own(record.hypotheses / f"{name}.txt")
    try:
        return None if content is None else content.decode("utf-8").split("\n")[:-1]
    except UnicodeDecodeError:
        raise RecordError(f"{record.hypotheses}/{name}.txt: not UTF-8; {REMEDY}") from None


def _hypotheses(found: Sequence[_Found], with_private_texts: bool) -> dict[Scored, Lines]:
    """Side by side, since trials write much the same of a sentence, which packs well."""
    kept = {}
    for name in NAMES:
        texts = {
            one.trial.digest: _without_words(one.trial.config.data, one.written[name])
            for one in found
            if name in one.written and _may_be_kept(one.trial.config.data, with_private_texts)
        }
        if texts:
            rows = [list(row) for row in zip_longest(*texts.values())]
            kept[name] = Lines(trials=[*texts], lines=rows)
    return kept


def _may_be_kept(data: DataConfig, with_private_texts: bool) -> bool:
    return data.task == "parsing" or with_private_texts or not corpora.is_private(data)


def _without_words(data: DataConfig, lines: list[str]) -> list[str]:
    return without_words(lines) if data.task == "parsing" else lines


def _counts(found: Sequence[_Found]) -> dict[Scored, Counted]:
    """Where a verifier may lack the references; of trees always, which tell what was repaired."""
    kept = {}
    for name in NAMES:
        counts = {
            one.trial.digest: one.counts[name]
            for one in found
            if name in one.counts
            and (
                one.trial.config.data.task == "parsing"
                or not corpora.is_generated(one.trial.config.data)
            )
        }
        if counts:
            kept[name] = Counted(trials=[*counts], counts=[*counts.values()])
    return kept


@contextmanager
def _told() -> Iterator[None]:
    """What is damaged is told, and missing in the evidence."""
    try:
        yield
    except RecordError as error:
        _log.warning("not in the evidence: %s", printable(str(error)))
