"""What the trials' hypotheses have in each sentence, counted once.

Counts of a text never change, so they are kept beside the corpora's: `mlruns/cache/sentences/`.
"""

import contextlib
import hashlib
import io
import logging
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import assert_never

import numpy as np

from analysis.sentences import MOST_ARMS, Floats, Scorer, against
from analysis.significance import Sentences
from analysis.tables import Table
from experiments.study import Trial
from experiments.sweep import Root
from lit_transformer import parsing, scoring
from lit_transformer.config import Task
from lit_transformer.data import corpora, treebank
from lit_transformer.data.cache import CorpusError
from lit_transformer.data.trees import read
from lit_transformer.record import Record, RecordError, read_own, refuse_links
from lit_transformer.scoring import Scored
from lit_transformer.terminal import printable

_log = logging.getLogger(__name__)

LAYOUT = 1
"""Raised when the counts change, so that old files are not read."""
CLOSE = 1e-6
"""Points by which the sums' score may differ from the recorded one."""

Count = Callable[[bytes], Floats]
"""Hypotheses, a line each -> (sentences, K)."""


def compared(table: Table, trials: Sequence[Trial], root: Path) -> Mapping[str, Sentences]:
    """Each arm's finished runs against base's over resampled sentences.

    Arms on another corpus than base's, and runs whose hypotheses are gone or give another score
    than the recorded one, are left out; a table of more than MOST_ARMS arms has none.
    """
    if len(table.rows) > MOST_ARMS or len(table.rows) < 2:
        return {}
    arm = table.base.arm
    of_base = next(trial for trial in trials if trial.arm == arm)
    same = {trial.digest for trial in trials if trial.checksums == of_base.checksums}
    counter = _Counter(of_base, Root(root), table.scored)
    found = {
        row.arm: [
            counts
            for run in row.runs
            if run.digest in same
            and table.measure in run.scores
            and (counts := counter.counts(run.digest, run.scores[table.measure])) is not None
        ]
        for row in table.rows
        if table.measure in row.measures and not row.measures[table.measure].withheld
    }
    length = max((len(one) for runs in found.values() for one in runs), default=0)
    whole = {arm: [one for one in runs if len(one) == length] for arm, runs in found.items()}
    return against(arm, whole, scorer(table.task))


def scorer(task: Task) -> Scorer:
    """Sums of counts -> the measure that a table is read for."""
    match task:
        case "translation":
            return scoring.bleu_of
        case "parsing":
            return _f1
        case _ as never:
            assert_never(never)


def _f1(sums: Floats) -> Floats:
    """Counts' matched, gold and test, as its `f1`."""
    both = sums[..., 1] + sums[..., 2]
    return np.where(both > 0, 200 * sums[..., 0] / np.maximum(both, 1), 0.0)


class _Counter:
    """Counts of hypotheses, from the cache where it has them; the references are read but once."""

    def __init__(self, trial: Trial, root: Root, scored: Scored) -> None:
        self._trial, self._root, self._scored = trial, root, scored
        self._folder = root.cache / "sentences"
        self._count: Count | None = None

    def counts(self, digest: str, score: float) -> Floats | None:
        """None: no hypotheses, no references, or not those that gave the score."""
        try:
            record = Record(self._root.trial(digest))
            refuse_links(record.path)
            file = record.hypotheses / f"{self._scored}.txt"
            text = read_own(file)
            found = None if text is None else self._cached(digest, text)
            if found is None:
                return None
            ours = float(scorer(self._trial.config.data.task)(found.sum(0)))
            if abs(ours - score) > CLOSE:
                raise RecordError(f"{file} scores {ours:.4f}, its record says {score:.4f}")
            return found
        except (RecordError, CorpusError, ValueError) as error:
            _log.warning("sentences not resampled: %s", printable(str(error)))
            return None

    def _cached(self, digest: str, text: bytes) -> Floats | None:
        key = hashlib.sha256(f"{LAYOUT} {digest} {self._scored}\n".encode() + text).hexdigest()[:32]
        path = self._folder / f"{key}.npy"
        with contextlib.suppress(OSError, ValueError, EOFError):
            kept: Floats = np.load(path, allow_pickle=False).astype(np.float64)
            return kept
        self._count = self._count or _count_of(self._trial, self._root, self._scored)
        found = self._count(text)
        with contextlib.suppress(OSError):  # a disk that is full costs time, not a report
            _keep(path, found.astype(np.int32))
        return found


def _count_of(trial: Trial, root: Root, scored: Scored) -> Count:
    """How hypotheses of a part are counted. CorpusError: it is no longer to be had."""
    corpus = corpora.prepare(trial.config.data, root.cache)
    part = scored.partition(".")[0]
    match trial.config.data.task:
        case "translation":
            references = corpus.parts[part].targets()
            return lambda text: scoring.sentence_statistics(_lines(text), references)
        case "parsing":
            path = corpus.trees[part]
            gold = treebank.load(path)

            def counted(text: bytes) -> Floats:
                trees = [tree for line in _lines(text) for tree in read(line, path)]
                return np.array(parsing.sentence_counts(gold, trees), dtype=np.float64)

            return counted
        case _ as never:
            assert_never(never)


def _lines(text: bytes) -> list[str]:
    return text.decode("utf-8").split("\n")[:-1]


def _keep(path: Path, counts: np.ndarray[tuple[int, int], np.dtype[np.int32]]) -> None:
    """The file is at no time half written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    np.save(content, counts, allow_pickle=False)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content.getvalue())
    os.replace(name, path)
