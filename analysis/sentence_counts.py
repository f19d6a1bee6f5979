"""What each sentence of the trials' hypotheses counts for, as far as it is kept.

Trials keep the numbers that their scores are sums of (`counts/`). Where the code itself writes the
corpus, they follow from the hypotheses as well.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import assert_never

import numpy as np

from analysis.counting import Run
from analysis.gathering import counts_of
from analysis.sentences import MOST_RUNS, Floats, Scorer, against
from analysis.significance import Sentences
from analysis.sources import Source
from analysis.tables import Table
from experiments.study import Trial
from lit_transformer import parsing, scoring
from lit_transformer.config import Task
from lit_transformer.data import corpora
from lit_transformer.record import DAMAGE, Record, read_own, refuse_links
from lit_transformer.terminal import printable

_log = logging.getLogger(__name__)

NUMBERS: Mapping[Task, int] = {"translation": 10, "parsing": len(parsing.Counted._fields)}
"""That a sentence's counts consist of: sacreBLEU's for BLEU, and those of a tree."""
CLOSE = 1e-6
"""Points by which the sums' score may differ from the recorded one."""


def compared(table: Table, trials: Sequence[Trial], source: Source) -> Mapping[str, Sentences]:
    """Each arm's finished runs against base's over resampled sentences.

    Arms on another corpus than base's, and runs whose counts are gone or give another score than
    the recorded one, are left out; a table of more than MOST_RUNS runs has none.
    """
    if len(table.runs) > MOST_RUNS or len(table.rows) < 2:
        return {}
    of_base = next(trial for trial in trials if trial.arm == table.base.arm)
    same = {t.digest: t for t in trials if t.checksums == of_base.checksums}
    found = {
        row.arm: [
            counts
            for run in row.runs
            if run.digest in same and table.measure in run.scores
            for counts in _counts(table, run, same[run.digest], source)
        ]
        for row in table.rows
        if row.scores(table.measure)
    }
    length = max((len(one) for runs in found.values() for one in runs), default=0)
    whole = {arm: [one for one in runs if len(one) == length] for arm, runs in found.items()}
    return against(table.base.arm, whole, scorer(table.task))


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
    """Of `parsing.Counted`: status, then brackets matched, right and written."""
    both = sums[..., 2] + sums[..., 3]
    return np.where(both > 0, 200 * sums[..., 1] / np.maximum(both, 1), 0.0)


def _counts(table: Table, run: Run, trial: Trial, source: Source) -> Iterator[Floats]:
    """The run's, or nothing: not kept, damaged (then it is told), or not of this score."""
    record = Record(source.directory(run.digest))
    try:
        refuse_links(record.path)
        kept = counts_of(record, table.scored)
        counts = kept and kept.get(table.scorer)
        found = np.array(counts, dtype=np.float64) if counts else _counted(table, trial, source)
        if found is None:
            return
        if found.shape[1:] != (NUMBERS[table.task],):
            raise ValueError(f"counts of shape {found.shape}")
        ours = float(scorer(table.task)(found.sum(0)))
        if abs(ours - run.scores[table.measure]) <= CLOSE:
            yield found
        else:
            stated = run.scores[table.measure]
            _left_out(record, f"sentences give {ours:.4f}, the score is {stated:.4f}")
    except DAMAGE as error:
        _left_out(record, f"{type(error).__name__}: {error}")


def _counted(table: Table, trial: Trial, source: Source) -> Floats | None:
    """From the hypotheses, where the references are the code's own; None elsewhere."""
    data = trial.config.data
    file = Record(source.directory(trial.digest)).hypotheses / f"{table.scored}.txt"
    text = read_own(file)
    if text is None or table.task != "translation" or not corpora.is_generated(data):
        return None
    corpus = source.corpus(data)
    if corpus is None:
        return None
    references = corpus.parts[table.scored.partition(".")[0]].targets()
    return scoring.bleu_counts(text.decode("utf-8").split("\n")[:-1], references)


def _left_out(record: Record, why: str) -> None:
    _log.warning("sentences not resampled: %s", printable(f"{record.path}: {why}"[:500]))
