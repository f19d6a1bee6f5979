"""From a study to its table: trials, runs, published figures, curves and samples together."""

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from analysis import published, rendering, report, runs
from analysis.listing import Places
from analysis.report import Sample
from analysis.tables import BASE, Heading, Table, build
from experiments import store
from experiments.study import Setting, Study, Trial
from experiments.sweep import Root
from lit_transformer import config_io
from lit_transformer.data import corpora
from lit_transformer.data.cache import CorpusError
from lit_transformer.data.text import Part
from lit_transformer.record import Record

PAPERS_STUDY = "table3"
"""The study whose rows the paper printed."""
TRACKER = "http://127.0.0.1:5000"
"""Where `ablate ui` shows the runs unless told otherwise."""
SAMPLES = 5
"""Sentences whose translations are shown."""
CURVES = ("valid.perplexity", "valid.curve_bleu")


def table(
    study: Study, setting: Setting, trials: Sequence[Trial], root: Path, command: str
) -> Table:
    """The study's table as far as it has been run; `command` is what completes it."""
    found = runs.rows(store.uri(root), study.name, setting.name)
    heading = Heading(
        study=study.name,
        version=str(study.version),
        setting=setting.name,
        description=setting.description,
        command=command,
        versions=_versions(trials, root),
    )
    figures = published.load() if study.name == PAPERS_STUDY else None
    return build(heading, trials, found, figures)


def write(
    made: Table, trials: Sequence[Trial], root: Path, width: int | None
) -> tuple[str, Mapping[str, Path]]:
    """The table for a terminal of `width` characters (None: any), and its files by format."""
    folder = root / "mlruns" / "reports" / made.heading.study / made.heading.setting
    ids = [run.run_id for run in made.runs]
    histories = runs.history(store.uri(root), ids, CURVES)
    places = Places(TRACKER, Root(root.resolve()).trials)
    files = report.write(made, histories, _samples(trials, root), places, folder.resolve())
    return rendering.markdown(made, width), files


def _versions(trials: Sequence[Trial], root: Path) -> dict[str, str]:
    """Versions of the software behind the finished trials; several where they differ."""
    found: dict[str, set[str]] = {}
    for text in _environments(trials, root):
        about = json.loads(text)
        for name, version in {"python": about.get("python"), **about.get("versions", {})}.items():
            if version:
                found.setdefault(name, set()).add(version)
    return {name: ", ".join(sorted(versions)) for name, versions in sorted(found.items())}


def _environments(trials: Sequence[Trial], root: Path) -> set[bytes]:
    """What the trials say of theirs: a few texts, however many trials there are."""
    folder, found = Root(root).trials, set()
    for trial in trials:
        try:
            with open(f"{folder}/{trial.digest}/environment.json", "rb", buffering=0) as file:
                found.add(file.read())
        except FileNotFoundError:
            continue
    return found


def _samples(trials: Sequence[Trial], root: Path) -> list[Sample]:
    """Translations of the first sentences on which some arm differs from base, of one seed."""
    first = min(trial.seed for trial in trials)
    texts: dict[str, list[str]] = {}
    valid: Part | None = None
    for trial in trials:
        if trial.seed != first:
            continue
        record = Record(Root(root).trial(trial.digest))
        file = record.hypotheses / "valid.txt"
        if file.exists():
            texts[trial.arm] = file.read_text("utf-8").split("\n")[:-1]
            if trial.arm == BASE:
                valid = _valid_part(record, root)
    if valid is None:
        return []
    sources, references = valid.sources(), valid.targets()
    differing = (
        i
        for i, base in enumerate(texts[BASE])
        if any(i < len(lines) and lines[i] != base for lines in texts.values())
    )
    return [
        Sample(arm, first, sources[i], references[i], lines[i])
        for i in islice(differing, SAMPLES)
        for arm, lines in texts.items()
        if i < len(lines) and (arm == BASE or lines[i] != texts[BASE][i])
    ]


def _valid_part(record: Record, root: Path) -> Part | None:
    """The part as the trial read it; None where it is no longer to be had."""
    try:
        return corpora.prepare(config_io.load(record.config).data, Root(root).cache).parts["valid"]
    except CorpusError:
        return None
