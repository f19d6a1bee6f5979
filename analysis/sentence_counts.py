"""What the trials' hypotheses have in each sentence, as the trials counted it."""

import logging
from collections.abc import Mapping, Sequence
from typing import get_args

import numpy as np

from analysis.sentences import MOST_RUNS, Floats, Scorer, against
from analysis.significance import Sentences
from analysis.sources import Source
from analysis.tables import Table
from experiments.study import Trial
from lit_transformer import scoring
from lit_transformer.data import corpora
from lit_transformer.record import DAMAGE, Record, RecordError, read_own, refuse_links
from lit_transformer.scoring import Scored
from lit_transformer.terminal import printable

_log = logging.getLogger(__name__)

Counts = Mapping[str, Floats]
"""Of one run: scorer -> (sentences, K)."""
Runs = Mapping[str, Mapping[int, Counts]]
"""Arm -> seed -> counts of the sentences of a part."""
CLOSE = 1e-6
"""Points by which the sums' score may differ from the recorded one."""


def compared(table: Table, trials: Sequence[Trial], source: Source) -> Mapping[str, Sentences]:
    """Each arm's finished runs against its base's over resampled sentences.

    Arms on another corpus than base's, and runs whose hypotheses are gone or give another score
    than the recorded one, are left out; a table of more than MOST_RUNS runs has none.
    """
    if len(table.rows) < 2:
        return {}
    found = counted(table, trials, source, table.scored, [table.scorer])
    runs = {arm: [one[table.scorer] for one in some.values()] for arm, some in found.items()}
    compared: dict[str, Sentences] = {}
    for base in dict.fromkeys(table.base_of(row).arm for row in table.rows):
        own = {row.arm for row in table.rows if table.base_of(row).arm == base}
        some = {arm: one for arm, one in runs.items() if arm in own}
        compared |= against(base, some, SCORERS[table.scorer])
    return compared


def counted(
    table: Table, trials: Sequence[Trial], source: Source, name: Scored, scorers: Sequence[str]
) -> dict[str, dict[int, Counts]]:
    """Each arm's finished runs by seed, of which the counts are here and give every one of the
    `scorers`; all of base's corpus and of equally many sentences. None of too large a table."""
    if len(table.runs) > MOST_RUNS:
        return {}
    of_base = next(trial for trial in trials if trial.arm == table.base.arm)
    same = {trial.digest for trial in trials if trial.checksums == of_base.checksums}
    counter, metrics = _Counter(of_base, source, name), [f"{name}.{one}" for one in scorers]
    found: dict[str, dict[int, Counts]] = {}
    for row in table.rows:
        if any(m not in row.measures or row.measures[m].withheld for m in metrics):
            continue
        for run in row.runs:
            if run.digest in same and all(metric in run.scores for metric in metrics):
                scores = {one: run.scores[f"{name}.{one}"] for one in scorers}
                counts = counter.counts(run.digest, scores)
                if counts is not None:
                    found.setdefault(row.arm, {})[run.seed] = counts
    sizes = [sentences(one) for runs in found.values() for one in runs.values()]
    return {
        arm: {seed: one for seed, one in runs.items() if sentences(one) == max(sizes)}
        for arm, runs in found.items()
    }


def of_parts(table: Table, trials: Sequence[Trial], source: Source) -> dict[Scored, Runs]:
    """The model that the table is read for, on both parts, by every scorer of sentences."""
    averaged = table.scored.endswith(".averaged")
    names: list[Scored] = [
        name for name in get_args(Scored) if name.endswith(".averaged") == averaged
    ]
    scorers = ["bleu", "chrf", "ter"] if table.task == "translation" else ["f1"]
    found = {name: counted(table, trials, source, name, scorers) for name in names}
    return {name: runs for name, runs in found.items() if any(runs.values())}


def sentences(counts: Counts) -> int:
    """How many there are."""
    return len(next(iter(counts.values())))


def _f1(sums: Floats) -> Floats:
    """Counts' matched, gold and test, as its `f1`."""
    both = sums[..., 1] + sums[..., 2]
    return np.where(both > 0, 200 * sums[..., 0] / np.maximum(both, 1), 0.0)


SCORERS: Mapping[str, Scorer] = {
    "bleu": scoring.bleu_of,
    "chrf": scoring.chrf_of,
    "ter": scoring.ter_of,
    "f1": _f1,
}
"""Sums of a scorer's counts -> its score."""
COLUMNS = {"bleu": 10, "chrf": 18, "ter": 2, "f1": 6}
"""Numbers that a scorer counts in each sentence."""


class _Counter:
    """Counts of hypotheses: as the trials kept them, or counted now; references are read once."""

    def __init__(self, trial: Trial, source: Source, scored: Scored) -> None:
        self._source, self._scored = source, scored
        self._data, self._references = trial.config.data, list[str]()

    def counts(self, digest: str, scores: Mapping[str, float]) -> Counts | None:
        """Of each scorer of `scores`. None: no counts and no hypotheses, or not those that gave
        the scores."""
        record = Record(self._source.directory(digest))
        try:
            refuse_links(record.path)
            kept = record.read_json(f"counts/{self._scored}.json") or self._recounted(record)
            if kept is None:
                return None
            found = {name: _table(name, kept[name]) for name in scores}
            for name, score in scores.items():
                ours = float(SCORERS[name](found[name].sum(0)))
                if abs(ours - score) > CLOSE:
                    told = f"its sentences give {ours:.4f}, not {score:.4f}"
                    raise RecordError(f"{record.path}: {told}")
            return found
        except DAMAGE as error:
            what = str(error) if isinstance(error, RecordError) else f"{record.path}: {error!r}"
            _log.warning("sentences not resampled: %s", printable(what[:500]))
            return None

    def _recounted(self, record: Record) -> scoring.Counts | None:
        """From the hypotheses, where whoever verifies has the references too: the evidence of a
        built-in corpus spares the counts."""
        text = read_own(record.hypotheses / f"{self._scored}.txt")
        if text is None or self._data.task == "parsing" or not corpora.is_generated(self._data):
            return None
        if not self._references:
            corpus = self._source.corpus(self._data)
            if corpus is None:
                return None
            self._references = corpus.parts[self._scored.partition(".")[0]].targets()
        return scoring.counts(text.decode("utf-8").split("\n")[:-1], self._references)


def _table(scorer: str, rows: object) -> Floats:
    """ValueError where they are no numbers in as many columns as the scorer has."""
    found: Floats = np.array(rows, dtype=np.float64)
    columns = COLUMNS[scorer]
    if found.ndim != 2 or found.shape[1] != columns or not np.isfinite(found).all():
        raise ValueError(f"counts of another shape than sentences x {columns}")
    return found[:, 1:4] if scorer == "f1" else found
