"""From a study to its table: trials, runs, published figures, curves and samples together."""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pandas as pd

from analysis import (
    attention,
    claims,
    costs,
    evidence,
    extrapolation,
    heads,
    lengths,
    metrics,
    published,
    rendering,
    report,
    searches,
    sentence_counts,
    steps,
    table2,
    table4,
    tables,
    tokenizations,
    views,
)
from analysis.counting import Run
from analysis.evidence import SUFFIX
from analysis.gathering import gather
from analysis.listing import Places
from analysis.rates import Rate, known
from analysis.report import Sample
from analysis.sections import Section
from analysis.sources import Source, Stored
from analysis.tables import BASE, Heading, Table
from experiments.mirror import reports_path
from experiments.searched import Searched
from experiments.study import Setting, Study, Trial
from experiments.sweep import Root
from lit_transformer import attention_maps
from lit_transformer import heads as head_files
from lit_transformer.attention_maps import Sentence
from lit_transformer.config_io import ConfigError, parse
from lit_transformer.data.text import Part
from lit_transformer.record import (
    REMEDY,
    Record,
    RecordError,
    read_object,
    read_own,
    refuse_links,
)
from lit_transformer.scoring import Scored
from lit_transformer.terminal import printable

_log = logging.getLogger(__name__)

PAPERS_STUDY = "table3"
"""The study whose rows the paper printed."""
OF_SENTENCES = frozenset(("lengths", "extrapolation", "metrics", "metric_pairs"))
"""Sections that need the counts of every sentence."""
PRINTED = {"table2": table2.section, "table4": table4.section}
"""Studies whose report has a table as the paper prints it, one setting beside another."""
TRACKER = "http://127.0.0.1:5000"
"""Where `ablate ui` shows the runs unless told otherwise."""
SAMPLES = 5
"""Sentences whose translations are shown."""
CURVES = ("valid.perplexity", "valid.curve_bleu", "valid.curve_f1", *views.COSTS)


def table(
    study: Study,
    setting: Setting,
    trials: Sequence[Trial],
    root: Path,
    command: str,
    stated: Sequence[Rate] = (),
) -> Table:
    """The study's table as far as it has been run; `command` is what completes it.

    `stated`: what devices sustain, before the rates of the paper.
    """
    heading = Heading(
        study=study.name,
        version=str(study.version),
        setting=setting.name,
        description=setting.description,
        command=command,
        versions={},
    )
    source = Stored(root)
    return build(heading, trials, source, study.score, known(stated), study.searched)


def build(
    heading: Heading,
    trials: Sequence[Trial],
    source: Source,
    scored: Scored,
    rates: Sequence[Rate],
    searched: Sequence[Searched] = (),
) -> Table:
    """The table of these trials; the versions that stand above it are the trials' own."""
    found = source.runs(heading.study, heading.setting)
    about = heading._replace(versions=_versions(trials, source))
    translates = trials[0].config.data.task == "translation"
    figures = published.load() if heading.study == PAPERS_STUDY and translates else None
    sequential = source.sequential(heading.study, heading.setting, trials)
    made = tables.build(about, trials, found, figures, scored, rates, sequential, searched)
    return made.with_sentences(sentence_counts.compared(made, trials, source))


def histories(made: Table, source: Source) -> pd.DataFrame:
    """The curves behind a table's pictures and views, those of pruned trials among them; none
    where it has too many rows for them."""
    if len(made.rows) > report.MOST_DRAWN:
        return source.history([], CURVES)
    slots = [slot for row in made.rows for slot in row.slots if slot.finished or slot.diverged]
    drawn = [slot.run for slot in slots if slot.run]
    return source.history([*drawn, *made.pruned_runs], CURVES)


def measured_heads(made: Table, source: Source) -> heads.Found:
    """What finished trials have measured of their heads; nothing where the table has too many
    rows for pictures."""
    drawn = made.rows if len(made.rows) <= report.MOST_DRAWN else ()
    return {row.arm: () for row in made.rows} | {
        row.arm: tuple(one for run in row.runs for one in _heads(run, source)) for row in drawn
    }


def _heads(run: Run, source: Source) -> Iterator[heads.Measured]:
    with _left_out():
        record = Record(source.directory(run.digest))
        refuse_links(record.path)
        found = head_files.read(record)
        if found is not None:
            yield heads.Measured(run.seed, found)


def sections(
    made: Table,
    beside: Sequence[Table],
    curves: pd.DataFrame,
    measured: heads.Found,
    trials: Sequence[Trial],
    source: Source,
    wanted: Collection[str] = evidence.SECTIONS,
) -> list[Section]:
    """What the report has besides its main table, of the sections that are `wanted`.

    `beside`: the same study in other settings, for a study of PRINTED; `measured`: its heads.
    """
    printed = PRINTED.get(made.heading.study)
    scored = made.without_pruned
    counts = not OF_SENTENCES.isdisjoint(wanted)  # from older evidence they are counted anew
    read = sentence_counts.of_parts(made, trials, source) if counts else {}
    found = [
        printed([made, *beside], published.load()) if printed else None,
        steps.section(made),
        claims.section(made, published.load()) if made.paper_source else None,
        searches.section(made),
        extrapolation.section(scored, trials, source, read),
        lengths.section(scored, trials, source, read),
        *metrics.sections(scored, read),
        tokenizations.section(scored, source),
        costs.section(scored),
        views.section(scored, curves),
        heads.section(scored, measured),
    ]
    return [section for section in found if section is not None and section.name in wanted]


def write(
    made: Table,
    trials: Sequence[Trial],
    root: Path,
    width: int | None,
    beside: Sequence[Table],
    with_private_texts: bool = False,
) -> tuple[str, Mapping[str, Path]]:
    """The table for a terminal of `width` characters (None: any), and its files by format.

    `with_private_texts`: whether what models wrote of a user's own files goes into the evidence.
    A report of several settings has none: each setting's own report has.
    """
    source = Stored(root)
    # A plus sign is in no setting's name.
    names = "+".join(table.heading.setting for table in (made, *beside))
    folder = reports_path(root) / made.heading.study / names
    curves, found = histories(made, source), measured_heads(made, source)
    more = sections(made, beside, curves, found, trials, source)
    places = Places(TRACKER, Root(root.resolve()).trials)
    maps = _maps(trials, source) if len(made.rows) <= report.MOST_DRAWN else None
    samples = _samples(trials, source)
    files = report.write(made, curves, samples, maps, found, places, folder, more)
    if not beside:
        kept = folder / f"report{SUFFIX}"
        if _write_evidence(made, trials, source, kept, with_private_texts):
            files["evidence"] = kept
    return rendering.markdown(made, width, more), files


def _write_evidence(
    made: Table, trials: Sequence[Trial], source: Source, kept: Path, with_private_texts: bool
) -> bool:
    """Whether there is some: not of too many trials."""
    found = gather(made, trials, source, with_private_texts)
    if found is not None and evidence.write(found, kept):
        return True
    kept.unlink(missing_ok=True)  # that of another table would not verify this one
    _log.warning("no evidence beside the report: too many trials; --only and --seeds take fewer")
    return False


def _versions(trials: Sequence[Trial], source: Source) -> dict[str, str]:
    """Versions of the software behind the finished trials; several where they differ."""
    found: dict[str, set[str]] = {}
    for text, path in _environments(trials, source).items():
        with _left_out():
            about = read_object(text, path, {"python": str, "versions": dict})
            for name, version in {"python": about["python"], **about["versions"]}.items():
                found.setdefault(name, set()).add(str(version))
    return {name: ", ".join(sorted(versions)) for name, versions in sorted(found.items())}


def _environments(trials: Sequence[Trial], source: Source) -> dict[bytes, str]:
    """What the trials say of theirs: a few texts, however many trials there are, and a place of
    each."""
    found = dict[bytes, str]()
    for trial in trials:
        with _left_out():
            path = f"{source.directory(trial.digest)}/environment.json"
            text = read_own(path)
            if text is not None:
                found.setdefault(text, path)
    return found


@contextmanager
def _left_out() -> Iterator[None]:
    """What is damaged is told, and missing in the report."""
    try:
        yield
    except RecordError as error:
        _log.warning("left out: %s", printable(str(error)))


def _samples(trials: Sequence[Trial], source: Source) -> list[Sample]:
    """Translations of the first sentences on which some arm differs from base, of one seed."""
    first = min(trial.seed for trial in trials)
    texts: dict[str, list[str]] = {}
    valid: Part | None = None
    for trial in trials:
        if trial.seed != first:
            continue
        with _left_out():
            lines = _hypotheses(Record(source.directory(trial.digest)), "valid")
            if lines is not None:
                texts[trial.arm] = lines
                if trial.arm == BASE:
                    corpus = source.corpus(trial.config.data)
                    valid = corpus and corpus.parts["valid"]
    if valid is None:
        return []
    sources, references = valid.sources(), valid.targets()
    differing = (
        i
        for i, base in enumerate(texts[BASE][: len(sources)])
        if any(i < len(lines) and lines[i] != base for lines in texts.values())
    )
    return [
        Sample(arm, first, sources[i], references[i], lines[i])
        for i in islice(differing, SAMPLES)
        for arm, lines in texts.items()
        if i < len(lines) and (arm == BASE or lines[i] != texts[BASE][i])
    ]


def translations(
    record: Record, name: Scored, root: Path
) -> tuple[list[str], list[str], list[str]]:
    """Sources, references and what a finished trial wrote. ConfigError where there is none, or no
    longer the corpus."""
    config = read_own(record.config)
    if config is None:
        raise ConfigError(f"{record.path}: no trial; it has no config.yaml")
    data = parse(config.decode("utf-8", "replace"), record.config).data
    if data.task != "translation":
        raise ConfigError(f"{record.path}: BLEU is of translations, and data.corpus={data.corpus}")
    lines = _hypotheses(record, name)
    if lines is None:
        raise ConfigError(f"{record.path}: no translations of {name}; is the trial finished?")
    corpus = Stored(root).corpus(data)
    part = corpus and corpus.parts.get(name.partition(".")[0])
    if part is None or len(part) != len(lines):
        raise ConfigError(
            f"{record.path}: the sentences that it translated are no longer those of "
            f"data.corpus={data.corpus}; put its files back"
        )
    return part.sources(), part.targets(), lines


def _maps(trials: Sequence[Trial], source: Source) -> attention.Shown | None:
    """Attention maps of one seed."""
    first = min(trial.seed for trial in trials)
    found: dict[str, list[Sentence]] = {}
    for trial in trials:
        if trial.seed == first:
            found[trial.arm] = []
            with _left_out():
                record = Record(source.directory(trial.digest))
                refuse_links(record.path)
                found[trial.arm] = attention_maps.read(record)
    return attention.choose(found, first)


def _hypotheses(record: Record, name: Scored) -> list[str] | None:
    """None where there are none. RecordError where they are no text of the trial's own."""
    refuse_links(record.path)
    content = read_own(record.hypotheses / f"{name}.txt")
    try:
        return None if content is None else content.decode("utf-8").split("\n")[:-1]
    except UnicodeDecodeError:
        raise RecordError(f"{record.hypotheses}/{name}.txt: not UTF-8; {REMEDY}") from None
