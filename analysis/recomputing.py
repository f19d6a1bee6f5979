"""Whether evidence holds together: its scores against what was written, its digests against
configurations. What it states and what follows from the rest stand side by side."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from analysis.counting import by_trial, read_runs, slots
from analysis.evidence import Directory, EvidenceError
from analysis.gathering import STARTED
from analysis.runs import Found
from analysis.sources import Unpacked
from analysis.tables import BASE
from experiments.scaling import SCALED
from experiments.searched import Searched
from experiments.searched import parse as parse_search
from experiments.study import Trial
from experiments.tuning import BEST
from lit_transformer import parsing, scoring
from lit_transformer.config import DataConfig
from lit_transformer.config_io import digest, flatten, parse
from lit_transformer.data import corpora, translation, treebank, trees, vocab
from lit_transformer.data.cache import CorpusError
from lit_transformer.data.corpora import Corpus
from lit_transformer.model import cost
from lit_transformer.record import DAMAGE, Record, RecordError, write_bytes
from lit_transformer.scoring import Scored

How = Literal["hypotheses", "counts", "loss", "configuration", "copy", "nothing"]
"""From what a value was recomputed; loss: or a list of the sentences that it counts; nothing: it
was not."""
CLOSE = 1e-9
"""Part of a score by which processors differ in a logarithm's last digits."""
Counts = Mapping[str, Sequence[Sequence[float]]]


class Check(NamedTuple):
    """A value as it is stated, and as it was recomputed."""

    where: str
    stated: object
    recomputed: object
    how: How

    @property
    def holds(self) -> bool:
        a, b = self.stated, self.recomputed
        if self.how == "nothing":
            return True
        if isinstance(a, float) and isinstance(b, float):
            return math.isclose(a, b, rel_tol=CLOSE, abs_tol=CLOSE)
        return a == b


def checks(source: Unpacked) -> Iterator[Check]:
    """Every check of every trial that a table counts. EvidenceError where a file makes no sense."""
    evidence = source.evidence
    yield from _of_lengths(source)
    tracked = [Found(**run.model_dump()) for run in evidence.runs]
    pairs = [(run, found.row) for found in tracked for run in read_runs([found])]
    answers = by_trial(run for run, _ in pairs)  # as the table takes them
    for trial in source.trials:
        where = f"row {trial.arm}, seed {trial.seed}"
        directory = evidence.directories.get(trial.digest)
        (slot,) = slots([trial], answers)
        row = next((row for run, row in pairs if run is slot.run and slot.finished), None)
        ended = bool(directory is not None and directory.result)
        try:
            yield from _of_identity(trial, where)
            if row is not None and not ended:
                yield Check(where, "finished", "no evidence of it", "copy")
            elif row is None and ended and slot.state != "running":
                yield Check(where, slot.state, "finished in its directory", "copy")
            elif row is not None and directory is not None:
                yield from _of_trial(trial, directory, row, where)
                for name, content in directory.scores.items():
                    yield from _of_scores(source, trial, name, content, where)
        except RecordError as error:
            raise EvidenceError(f"evidence of {where}: {error}") from None
        except CorpusError:
            raise
        except DAMAGE as error:
            raise EvidenceError(
                f"evidence of {where}: damaged: {type(error).__name__}: {error}"
            ) from None
    for content in evidence.searched:
        yield from _of_search(source, parse_search(content))


def _of_identity(trial: Trial, where: str) -> Iterator[Check]:
    data = trial.config.data
    own = digest(trial.config, trial.checksums)
    yield Check(f"{where}, digest", trial.digest, own, "configuration")
    if data.corpus not in ("files", "treebank") and not (data.corpus == "wmt14" and data.folder):
        declared = corpora.checksums(data)
        stated = dict(trial.checksums)
        yield Check(f"{where}, checksums of {data.corpus}", stated, declared, "configuration")


def _of_trial(
    trial: Trial, directory: Directory, row: Mapping[str, Any], where: str
) -> Iterator[Check]:
    """The tracker's row against the directory, and the directory's files against each other."""
    result, training = directory.result, directory.training
    config = parse(directory.config, Path("config.yaml"))
    trained = digest(config, directory.trial["checksums"])
    yield Check(f"{where}, digest of config.yaml", trial.digest, trained, "configuration")
    size = cost.parameters(config.model, result["vocabulary_size"])
    sizes = {**size._asdict(), "total": size.total}
    yield Check(f"{where}, parameters", result["parameters"], sizes, "configuration")
    stated = result["scores"]["cost.parameters"]
    yield Check(f"{where}, cost.parameters", stated, float(size.total), "configuration")
    for name in ("scores", "signatures", "parameters"):
        for key in sorted({*row[name], *result[name]}):
            values = row[name].get(key), result[name].get(key)
            yield Check(f"{where}, {key} as tracked ({name})", *values, "copy")
    for name in STARTED:
        yield Check(f"{where}, {name}", row.get(name), directory.start.get(name), "copy")
    for name, key in (("device_name", "device"), ("devices", "devices")):
        if name in row:  # rows of before them have none
            yield Check(f"{where}, {name}", row[name], result.get(key), "copy")
    kept = {
        f"{n}.{key}": x for n, some in directory.scores.items() for key, x in some["scores"].items()
    }
    kept |= {f"cost.{key}": float(x) for key, x in training.items()}
    derived = ("cost.parameters", "cost.total_seconds")
    for key in sorted({*kept, *result["scores"]} - {*derived}):
        yield Check(
            f"{where}, {key} in result.json", result["scores"].get(key), kept.get(key), "copy"
        )
    for point in directory.curves:
        values = point["values"]
        if "valid.loss" in values and "valid.perplexity" in values:
            found = scoring.perplexity(float(values["valid.loss"]))
            place = f"{where}, valid.perplexity at step {point['step']}"
            yield Check(place, float(values["valid.perplexity"]), found, "loss")


def _of_scores(
    source: Unpacked, trial: Trial, name: Scored, content: Mapping[str, Any], where: str
) -> Iterator[Check]:
    """One model on one part."""
    found: dict[str, tuple[float, How]] = {}
    if "loss" in content:
        found["perplexity"] = scoring.perplexity(float(content["loss"])), "loss"
    if "truncated" in content:
        found["truncated"] = float(len({*content["truncated"]})), "loss"
    kept = _kept(source, trial, name)
    recounted = _recounted(source, trial, name, kept)
    if kept and recounted:
        yield Check(f"{where}, counts of {name}", _plain(kept), _plain(recounted), "hypotheses")
    if recounted and not kept:  # what evidence spares is laid out, so that it is counted once
        file = Record(source.directory(trial.digest)).counts / f"{name}.json"
        write_bytes(file, json.dumps(recounted).encode())
    counts, how = (recounted, "hypotheses") if recounted else (kept, "counts")
    if counts:
        scores, signatures = _scores(trial.config.data, counts)
        of: How = "hypotheses" if how == "hypotheses" else "counts"
        found |= {key: (value, of) for key, value in scores.items()}
        yield Check(f"{where}, signatures of {name}", content["signatures"], signatures, of)
    for key, stated in content["scores"].items():
        if key == "seconds_per_sentence":  # of a clock, as are costs: nothing else tells it
            continue
        value, of = found.get(key, (None, "nothing"))
        yield Check(f"{where}, {name}.{key}", float(stated), value, of)
    if "tokenized" in content and (lines := _written(source, trial, name)):
        found_sums = scoring.tokenized(*lines)
        sums = {key: one._asdict() for key, one in found_sums.items()}
        yield Check(f"{where}, {name} in other tokens", content["tokenized"], sums, "hypotheses")
    generated = corpora.is_generated(trial.config.data)
    if generated and not recounted:
        yield Check(f"{where}, {name}", "scored", "no hypotheses in the evidence", "copy")


def _of_search(source: Unpacked, search: Searched) -> Iterator[Check]:
    """What a search was told, against the trials that the evidence has."""
    evidence = source.evidence
    named = {(trial.arm, trial.digest): flatten(trial.config) for trial in source.trials}
    tasks = {trial.digest: trial.config.data.task for trial in source.trials}
    best = search.best
    for one in search.found:
        own = one.digest or ""
        if own not in tasks:
            continue
        where, task = f"search, {search.name(one)}", tasks[own]
        arms = [search.name(one), *([f"{search.row}{BEST}"] if one is best else [])]
        for trained in (named[arm, own] for arm in arms if (arm, own) in named):
            # What a setting scales is suggested in the paper's sizes, and trained in others.
            stated = {key: value for key, value in one.values.items() if key not in SCALED}
            found = {key: trained.get(key) for key in stated}
            yield Check(f"{where}, what was suggested", stated, found, "configuration")
        directory = evidence.directories.get(own)
        if directory is None:
            continue
        score = f"{evidence.about.score}.{scoring.MEASURES[task]}"
        names = [score if name == "score" else name for name in search.objectives]
        if one.end == "complete":
            scores = directory.result["scores"]
            yield Check(where, list(one.objectives), [scores.get(name) for name in names], "copy")
        name = f"valid.curve_{scoring.MEASURES[task]}"
        curve = [point["values"][name] for point in directory.curves if name in point["values"]]
        yield Check(f"{where}, its curve", list(one.points), curve[: len(one.points)], "copy")


def _kept(source: Unpacked, trial: Trial, name: Scored) -> Counts:
    counted = source.evidence.counts.get(name)
    if counted is None or trial.digest not in counted.trials:
        return {}
    return counted.counts[counted.trials.index(trial.digest)]


def _recounted(source: Unpacked, trial: Trial, name: Scored, kept: Counts) -> Counts:
    """From what was written and the references, as far as both are here."""
    file = Record(source.directory(trial.digest)).hypotheses / f"{name}.txt"
    corpus = source.corpus(trial.config.data)
    if corpus is None or not file.is_file():
        return {}
    written = file.read_text("utf-8").split("\n")[:-1]
    return count(source.counter, trial.config.data, corpus, name, written, kept)


def _written(source: Unpacked, trial: Trial, name: Scored) -> tuple[list[str], list[str]] | None:
    """A translation and its references, as far as both are here."""
    file = Record(source.directory(trial.digest)).hypotheses / f"{name}.txt"
    corpus = source.corpus(trial.config.data)
    if trial.config.data.task == "parsing" or corpus is None or not file.is_file():
        return None
    references = corpus.parts[name.partition(".")[0]].targets()
    return file.read_text("utf-8").split("\n")[:-1], references


def _of_lengths(source: Unpacked) -> Iterator[Check]:
    """Sentences counted again, where the corpus is generated and its vocabulary trained here is
    the very one that the trials had."""
    base = next((trial for trial in source.trials if trial.arm == BASE), source.trials[0])
    directory = source.evidence.directories.get(base.digest)
    corpus = source.corpus(base.config.data) if corpora.is_generated(base.config.data) else None
    known = directory and directory.result.get("vocabulary_sha256")
    if not source.evidence.lengths or known is None or corpus is None:
        return
    words = vocab.train(corpus, base.config.data, source.cache)
    for part, stated in source.evidence.lengths.items():
        found = translation.lengths(corpus, words, base.config.data, part)
        how: How = "configuration" if words.checksum == known else "nothing"
        yield Check(f"lengths of {part}", stated, found, how)


def count(
    counter: scoring.Counter,
    data: DataConfig,
    corpus: Corpus,
    name: Scored,
    written: Sequence[str],
    kept: Counts,
) -> Counts:
    """What the scores are computed from: scorer -> the numbers of each sentence.

    Whether a tree was well formed and of its sentence's length no longer shows in it, so that is
    taken from `kept`. ValueError where lines and references are not one for one.
    """
    part = name.partition(".")[0]
    if data.task == "translation":
        return counter.counts(written, corpus.parts[part].targets())
    if "f1" not in kept:
        return {}
    marks = [parsing.Counted(*one) for one in kept["f1"]]  # type: ignore[arg-type]
    outputs = [
        parsing.Output(tree, bool(mark.is_well_formed), bool(mark.has_its_length))
        for line, mark in zip(written, marks, strict=True)
        for tree in trees.read(line, Path(name))
    ]
    return {"f1": parsing.counts(treebank.load(corpus.trees[part]), outputs)}


def _scores(data: DataConfig, counts: Counts) -> tuple[dict[str, float], dict[str, str]]:
    """The measures, and their signatures."""
    if data.task == "translation":
        scores = scoring.of_counts(counts)
        return {"bleu": scores.bleu, "chrf": scores.chrf, "ter": scores.ter}, scores.signatures
    counted = [parsing.Counted(*one) for one in counts["f1"]]  # type: ignore[arg-type]
    found = parsing.of_counts(counted)
    return found._asdict(), dict.fromkeys(parsing.SIGNED, parsing.SIGNATURE)


def _plain(counts: Counts) -> dict[str, list[list[float]]]:
    return {scorer: [[float(x) for x in one] for one in some] for scorer, some in counts.items()}
