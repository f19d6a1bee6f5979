"""What the trials' hypotheses have in each sentence, as the trials counted it."""

import logging
from collections.abc import Mapping, Sequence
from typing import assert_never

import numpy as np

from analysis.sentences import MOST_RUNS, Floats, Scorer, against
from analysis.significance import Sentences
from analysis.sources import Source
from analysis.tables import Table
from experiments.study import Trial
from lit_transformer import scoring
from lit_transformer.config import Task
from lit_transformer.data import corpora
from lit_transformer.record import DAMAGE, Record, RecordError, read_own, refuse_links
from lit_transformer.scoring import Scored
from lit_transformer.terminal import printable

_log = logging.getLogger(__name__)

CLOSE = 1e-6
"""Points by which the sums' score may differ from the recorded one."""


def compared(table: Table, trials: Sequence[Trial], source: Source) -> Mapping[str, Sentences]:
    """Each arm's finished runs against base's over resampled sentences.

    Arms on another corpus than base's, and runs whose hypotheses are gone or give another score
    than the recorded one, are left out; a table of more than MOST_RUNS runs has none.
    """
    if len(table.runs) > MOST_RUNS or len(table.rows) < 2:
        return {}
    arm = table.base.arm
    of_base = next(trial for trial in trials if trial.arm == arm)
    same = {trial.digest for trial in trials if trial.checksums == of_base.checksums}
    counter = _Counter(of_base, source, table.scored)
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
    """Counts of hypotheses: as the trials kept them, or counted now; references are read once."""

    def __init__(self, trial: Trial, source: Source, scored: Scored) -> None:
        self._source, self._scored = source, scored
        self._data, self._references = trial.config.data, list[str]()

    def counts(self, digest: str, score: float) -> Floats | None:
        """None: no counts and no hypotheses, or not those that gave the score."""
        record = Record(self._source.directory(digest))
        try:
            refuse_links(record.path)
            found = self._kept(record)
            if found is None:
                return None
            ours = float(scorer(self._data.task)(found.sum(0)))
            if abs(ours - score) > CLOSE:
                raise RecordError(f"{record.path}: its sentences give {ours:.4f}, not {score:.4f}")
            return found
        except DAMAGE as error:
            what = str(error) if isinstance(error, RecordError) else f"{record.path}: {error!r}"
            _log.warning("sentences not resampled: %s", printable(what[:500]))
            return None

    def _kept(self, record: Record) -> Floats | None:
        kept = record.read_json(f"counts/{self._scored}.json")
        match self._data.task:
            case "translation":
                return _table(kept["bleu"], 10) if kept else self._counted(record)
            case "parsing":
                return _table(kept["f1"], 6)[:, 1:4] if kept else None
            case _ as never:
                assert_never(never)

    def _counted(self, record: Record) -> Floats | None:
        """From the hypotheses, where whoever verifies has the references too: the evidence of a
        built-in corpus spares the counts."""
        text = read_own(record.hypotheses / f"{self._scored}.txt")
        if text is None or not corpora.is_generated(self._data):
            return None
        if not self._references:
            corpus = self._source.corpus(self._data)
            if corpus is None:
                return None
            self._references = corpus.parts[self._scored.partition(".")[0]].targets()
        lines = text.decode("utf-8").split("\n")[:-1]
        return scoring.sentence_statistics(lines, self._references)


def _table(rows: object, columns: int) -> Floats:
    """ValueError where they are no numbers in so many columns."""
    found: Floats = np.array(rows, dtype=np.float64)
    if found.ndim != 2 or found.shape[1] != columns or not np.isfinite(found).all():
        raise ValueError(f"counts of another shape than sentences x {columns}")
    return found
