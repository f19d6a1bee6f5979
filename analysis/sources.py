"""Where a table's runs, trials and texts are read: where they were made, or from evidence."""

import json
import logging
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Protocol, final

import pandas as pd

from analysis import decisions, runs
from analysis.counting import Run
from analysis.deciding import recomputed
from analysis.decisions import Decisions
from analysis.evidence import Directory, Evidence, EvidenceError, Lines
from analysis.runs import Found
from experiments import store, sweep
from experiments.study import Trial
from experiments.sweep import Root
from lit_transformer import config_io, scoring
from lit_transformer.config import DataConfig, RunConfig
from lit_transformer.config_io import ConfigError, Given, flatten
from lit_transformer.data import corpora, translation, vocab
from lit_transformer.data.cache import CorpusError
from lit_transformer.data.corpora import Corpus
from lit_transformer.data.trees import Linear
from lit_transformer.record import DAMAGE, Record, RecordError, refuse_links, write_bytes
from lit_transformer.terminal import printable

_log = logging.getLogger(__name__)

SHAPES = Linear(keeps_tags=True, labels_closing=False, copies_words=False)
"""How trees are written without their words."""
PATHS = ("data.folder", "data.files", "data.trees")
"""Keys that lead to files; those that stand in evidence are not followed."""


class Source(Protocol):
    """What a table is made of."""

    def runs(self, study: str, setting: str) -> list[Found]: ...
    def history(self, wanted: Sequence[Run], metrics: Sequence[str]) -> pd.DataFrame:
        """As `runs.history`."""

    def directory(self, digest: str) -> Path: ...
    def corpus(self, data: DataConfig) -> Corpus | None:
        """The texts as the trials read them; None where they are no longer to be had."""

    def lengths(self, trial: Trial, part: str) -> list[tuple[int, int]] | None:
        """Tokens of each sentence's source and target, with the end mark, as the trial's
        vocabulary cuts them; None where there is no such part, text or vocabulary."""

    def sequential(self, study: str, setting: str, trials: Sequence[Trial]) -> list[Decisions]:
        """Sweeps until decided that some of these trials belong to."""


@final
class Stored:
    """The tracker and the trials' directories of a root."""

    def __init__(self, root: Path) -> None:
        self._uri, self._owner, self._root = store.uri(root), store.owner(root), Root(root)

    def sequential(self, study: str, setting: str, trials: Sequence[Trial]) -> list[Decisions]:
        return decisions.read(self._root.path, study, setting, trials)

    def runs(self, study: str, setting: str) -> list[Found]:
        return runs.rows(self._uri, study, setting, self._owner)

    def history(self, wanted: Sequence[Run], metrics: Sequence[str]) -> pd.DataFrame:
        return runs.history(self._uri, [run.run_id for run in wanted], metrics)

    def directory(self, digest: str) -> Path:
        return self._root.trial(digest)

    def corpus(self, data: DataConfig) -> Corpus | None:
        try:
            return corpora.prepare(data, self._root.cache)
        except CorpusError:
            return None

    def lengths(self, trial: Trial, part: str) -> list[tuple[int, int]] | None:
        file = Record(self.directory(trial.digest)).vocabulary
        corpus = self.corpus(trial.config.data) if file.is_file() else None
        if corpus is None or part not in corpus.parts:
            return None
        try:
            refuse_links(file.parent)
            return translation.lengths(corpus, vocab.load(file), trial.config.data, part)
        except (CorpusError, RecordError) as error:
            _log.warning("no lengths of sentences: %s", printable(str(error)))
            return None


@final
class Unpacked:
    """Evidence, laid out in an empty folder as the directories of its trials; nothing is fetched.

    `given` are keys of `data.` that lead to the corpus's files here, `cache` may hold it.
    """

    def __init__(
        self, evidence: Evidence, folder: Path, given: Mapping[str, Given], cache: Path
    ) -> None:
        self.evidence, self._root = evidence, Root(folder)
        self._given, self.cache = given, cache
        self._corpora: dict[str, Corpus | None] = {}
        self.counter = scoring.Counter()
        self.trials = [_trial(evidence, number) for number in range(len(evidence.trials))]
        for digest, directory in evidence.directories.items():
            _lay_out(directory, Record(self.directory(digest)))
        for name, counted in evidence.counts.items():
            for digest, counts in zip(counted.trials, counted.counts, strict=True):
                file = Record(self.directory(digest)).counts / f"{name}.json"
                write_bytes(file, json.dumps(counts).encode())
        for name, texts in evidence.hypotheses.items():
            for digest, lines in self._texts(name, texts).items():
                content = "".join(f"{line}\n" for line in lines)
                file = Record(self.directory(digest)).hypotheses / f"{name}.txt"
                write_bytes(file, content.encode())

    def runs(self, study: str, setting: str) -> list[Found]:
        return [Found(**run.model_dump()) for run in self.evidence.runs]

    def history(self, wanted: Sequence[Run], metrics: Sequence[str]) -> pd.DataFrame:
        points: list[runs.Point] = [
            (run.run_id, name, int(point["step"]), float(value), 0)
            for run in wanted
            if run.digest in self.evidence.directories
            for point in self.evidence.directories[run.digest].curves
            for name, value in point["values"].items()
            if name in metrics
        ]
        return runs.as_curves(points)

    def directory(self, digest: str) -> Path:
        return self._root.trial(digest)

    def sequential(self, study: str, setting: str, trials: Sequence[Trial]) -> list[Decisions]:
        """Their verdicts follow anew from the trials' scores."""
        planned = sweep.plan(trials, self._root)
        try:
            stored = [decisions.parse(content) for content in self.evidence.sequential]
            return [recomputed(one, planned) for one in stored]
        except DAMAGE as error:
            raise EvidenceError(f"evidence: sequential: {error}") from None

    def lengths(self, trial: Trial, part: str) -> list[tuple[int, int]] | None:
        return self.evidence.lengths.get(part)

    def corpus(self, data: DataConfig) -> Corpus | None:
        key = data.model_dump_json()
        if key not in self._corpora:
            self._corpora[key] = self._corpus(data)
        return self._corpora[key]

    def _corpus(self, data: DataConfig) -> Corpus | None:
        kept = {f"data.{name}": Given(leaf, "evidence") for name, leaf in flatten(data).items()}
        bare = {n: leaf for n, leaf in kept.items() if not n.startswith(PATHS)}
        if data.corpus in ("files", "treebank") and not self._given:
            return None
        local = corpora.at_hand(config_io.build({**bare, **self._given}).data, self.cache)
        if local is None:
            return None
        corpora.check(local)
        asked = corpora.checksums(local)
        known = next(t.checksums for t in self.trials if t.config.data == data)
        for name, checksum in known.items():
            if asked.get(name) != checksum:
                raise CorpusError(
                    f"{name}: what is here has checksum {asked.get(name)}, and the report's trials "
                    f"read {checksum}; correct --set data.folder, or leave it out"
                )
        return corpora.prepare(local, self.cache)

    def _texts(self, name: str, texts: Lines) -> dict[str, list[str]]:
        """The lines of each trial; of trees without words none, where there are no words here."""
        configs = {trial.digest: trial.config for trial in self.trials}
        found = {}
        for number, digest in enumerate(texts.trials):
            of_trial = takewhile(
                lambda line: line is not None, (row[number] for row in texts.lines)
            )
            lines = [line for line in of_trial if line is not None]
            if digest not in configs or digest not in self.evidence.directories:
                raise EvidenceError(f"evidence: {name} has lines of {digest}, which is no trial")
            if configs[digest].data.task == "parsing":
                words = self._words(configs[digest], name)
                lines = with_words(lines, words) if words is not None else []
            found[digest] = lines
        return {digest: lines for digest, lines in found.items() if lines}

    def _words(self, config: RunConfig, name: str) -> Sequence[str] | None:
        corpus = self.corpus(config.data)
        return None if corpus is None else corpus.parts[name.partition(".")[0]].sources()


def without_words(lines: Sequence[str]) -> list[str]:
    """Trees in brackets -> their symbols: what is left names no word of the sentence."""
    from lit_transformer.data.trees import read

    trees = (read(line, Path("hypotheses"), number) for number, line in enumerate(lines, 1))
    return [" ".join(SHAPES.symbols(tree)) for (tree,) in trees]


def with_words(shapes: Sequence[str], sources: Sequence[str]) -> list[str]:
    """The trees again. EvidenceError where they are not over these sentences."""
    if len(shapes) != len(sources):
        raise EvidenceError(f"evidence: {len(shapes)} trees for {len(sources)} sentences")
    try:
        return [
            str(SHAPES.tree(shape.split(" "), source.split()))
            for shape, source in zip(shapes, sources, strict=True)
        ]
    except ValueError as error:
        raise EvidenceError(f"evidence: a tree is none over its sentence: {error}") from None


def _trial(evidence: Evidence, number: int) -> Trial:
    expected, about = evidence.trials[number], evidence.about
    where = f"trials.{number}"
    given = {key: Given(leaf, f"evidence, {where}") for key, leaf in expected.config.items()}
    try:
        config = config_io.build(given)
    except ConfigError as error:
        raise EvidenceError(f"evidence: a configuration that cannot be: {error}") from None
    return Trial(
        study=about.study,
        version=about.version,
        setting=about.setting,
        config=config,
        **expected.model_dump(exclude={"config"}),
    )


def _lay_out(directory: Directory, record: Record) -> None:
    write_bytes(record.config, directory.config.encode())
    record.write_json("trial.json", directory.trial)
    record.write_json("environment.json", directory.environment)
    start = {"event": "start", "time": 0.0, **directory.start}
    points = [{"time": 0.0, **point} for point in directory.curves]
    for path, lines in ((record.attempts, [start]), (record.metrics, points)):
        write_bytes(path, "".join(f"{json.dumps(line)}\n" for line in lines).encode())
    for name, scores in directory.scores.items():
        record.write_json(f"scores/{name}.json", scores)
    if directory.heads:
        record.write_json("attention/heads.json", directory.heads)
    if directory.training:
        record.write_json("training.json", directory.training)
    if directory.result:
        write_bytes(record.result_file, json.dumps(directory.result).encode())
