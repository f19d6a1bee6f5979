"""The table of a study: expected trials, the runs that answer them and the paper's figures.

A `Table` is a value: arms in study order, each with what it changes, its scores over seeds, the
paper's figures, and what is missing, out of date or not comparable. `rendering.py` writes it as
Markdown, CSV, LaTeX and JSON; `report.py` as a page.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import NamedTuple

from analysis import counting, significance
from analysis.counting import ExpectedTrial, Measure, Run, Slot, Unused
from analysis.decisions import Decision, Decisions
from analysis.published import Published, Variation
from analysis.rates import Rate, priced
from analysis.runs import Found
from analysis.sequential import Design
from analysis.significance import MARGIN, Sentences, Verdict
from experiments.searched import Searched
from experiments.space import SUGGESTED, TUNED
from experiments.tuning import BEST
from lit_transformer.config import RunConfig, Task
from lit_transformer.config_io import Scalar, flatten
from lit_transformer.config_io import keys as schema_keys
from lit_transformer.data import corpora
from lit_transformer.scoring import MEASURES, Scored

PAPER_KEYS = (
    "model.layers",
    "model.d_model",
    "model.d_ff",
    "model.heads",
    "model.d_k",
    "model.d_v",
    "model.dropout",
    "optim.label_smoothing",
    "train.steps",
)
"""Table 3's columns of settings, in its order."""
PERPLEXITY, PARAMETERS = "valid.perplexity", "cost.parameters"
BASE = "base"


class Heading(NamedTuple):
    """What the table is of, and the command that completes it."""

    study: str
    version: str
    setting: str
    description: str
    command: str
    versions: Mapping[str, str]
    """Versions of the software that trained and scored."""


@dataclass(frozen=True)
class Row:
    """One arm: what it changes, what it scored and what the paper printed."""

    arm: str
    group: str
    label: str
    after: str
    """The arm that it goes on from; empty: it is base and its own changes."""
    settings: Mapping[str, Scalar]
    """Every key; d_k and d_v as the model has them, derived or not."""
    changed: frozenset[str]
    printed: frozenset[str]
    """Keys whose cell is filled: all of base's, what the arm changes, what the paper prints."""
    slots: tuple[Slot, ...]
    measures: Mapping[str, Measure]
    paper: Variation | None
    cited: str
    """Place and editions of the paper's figures."""
    verdict: Verdict | None
    """Against base, of what the table is read for; None: it is base, was
    decided at looks, or a search suggested it."""

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The finished runs, by seed."""
        return tuple(slot.run for slot in self.slots if slot.run is not None and slot.finished)

    @cached_property
    def diverged(self) -> tuple[int, ...]:
        """The seeds that diverged: results without a score."""
        return tuple(slot.seed for slot in self.slots if slot.diverged)

    def scores(self, metric: str) -> tuple[float, ...]:
        """Over seeds; none where the measure is withheld, or where a seed diverged: those that
        are left are no sample of all."""
        measure = self.measures.get(metric)
        if measure is None or measure.withheld or self.diverged:
            return ()
        return measure.values

    def by_seed(self, metric: str) -> dict[int, float]:
        """`scores`, by their seeds."""
        values = self.scores(metric)
        return dict(zip(self.measures[metric].seeds, values, strict=True)) if values else {}

    def mean(self, metric: str) -> float | None:
        return self.measures[metric].mean if metric in self.measures else None


@dataclass(frozen=True, eq=False)
class Table:
    """A study in a setting, as far as it has been run; equal to itself alone."""

    heading: Heading
    task: Task
    keys: tuple[str, ...]
    rows: tuple[Row, ...]
    unused: tuple[Unused, ...]
    paper_source: str
    caveats: tuple[str, ...]
    """Where the published figures compare with no others."""
    departures: Mapping[str, tuple[Scalar, Scalar]]
    """Keys in which this setting's base is not the paper's: (paper's, ours)."""
    signatures: Mapping[str, str]
    """The signature of each scorer that the columns hold."""
    checksums: tuple[tuple[str, str], ...]
    """Of the corpora that the trials use: (name, checksum)."""
    origin: str
    """What must be said of the corpus wherever it is named; empty: nothing."""
    scored: Scored
    """The model and the part that it is read for."""
    rates: tuple[Rate, ...]
    """What devices are taken to sustain, for the paper's definition of training cost."""
    sequential: tuple[Decisions, ...]
    """Sweeps that gave these rows their seeds until decided."""
    searched: tuple[Searched, ...]
    """The search that suggested the rows, or those that tuned them."""
    tracked: tuple[Found, ...]
    """What the tracker held when the table was built; a sweep may go on meanwhile."""

    @cached_property
    def base(self) -> Row:
        return next((row for row in self.rows if row.arm == BASE), self.rows[0])

    @property
    def is_search(self) -> bool:
        """Whether its rows are a search's suggestions, best first: they have no base row."""
        return all(row.group == SUGGESTED for row in self.rows)

    @property
    def base_name(self) -> str:
        """What rows are compared with: `base`; of a search its best, `t4`; of rows without base
        the first."""
        return self.base.arm

    def base_of(self, row: Row) -> Row:
        """What the row is compared with: of rows at their best, base at its best; itself where
        that is not in the table."""
        return _base_of(row, self.rows)

    @property
    def scorer(self) -> str:
        """`bleu` or `f1`: what the table is read for."""
        return MEASURES[self.task]

    @property
    def measure(self) -> str:
        """The metric of that: valid.bleu, valid.f1, test.averaged.bleu."""
        return f"{self.scored}.{self.scorer}"

    @property
    def perplexity(self) -> str:
        """The same model's perplexity on the same part."""
        return f"{self.scored}.perplexity"

    @property
    def trials(self) -> int:
        return sum(len(row.slots) for row in self.rows)

    @property
    def finished(self) -> int:
        return sum(len(row.runs) for row in self.rows)

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(sorted({slot.seed for row in self.rows for slot in row.slots}))

    @property
    def missing(self) -> tuple[tuple[str, Slot], ...]:
        """What the command would train: not what diverged, and not what a search has pruned."""
        return tuple(
            (row.arm, slot)
            for row in self.rows
            for slot in row.slots
            if not (slot.finished or slot.diverged or _is_given_up(row, slot))
        )

    @property
    def pruned(self) -> tuple[tuple[str, Slot], ...]:
        """Suggestions that their search has given up."""
        return tuple(
            (row.arm, slot) for row in self.rows for slot in row.slots if _is_given_up(row, slot)
        )

    @cached_property
    def without_pruned(self) -> "Table":
        """The same without the suggestions that their search has given up, which have no score;
        itself where it has no other rows."""
        gone = {arm for arm, _ in self.pruned}
        rows = tuple(row for row in self.rows if row.arm not in gone)
        return replace(self, rows=rows) if gone and rows else self

    @property
    def pruned_runs(self) -> tuple[Run, ...]:
        """The runs of those: they have curves and no score."""
        given_up = [slot for _, slot in self.pruned]
        return tuple(slot.run for slot in given_up if slot.run is not None)

    @property
    def runs(self) -> tuple[Run, ...]:
        """The finished runs behind the numbers, in the table's order."""
        return tuple(run for row in self.rows for run in row.runs)

    def decided(self, row: Row) -> tuple[Decision, Design] | None:
        """How the row stands in the sweep that gave it its seeds until decided."""
        return _decided(row, self.sequential)

    @property
    def diverged(self) -> tuple[tuple[str, int], ...]:
        """Arm and seed of what diverged."""
        return tuple((row.arm, seed) for row in self.rows for seed in row.diverged)

    def difference(self, row: Row, metric: str, other: Row | None = None) -> float | None:
        """The row's mean less its base's, or less the `other` row's; None as well where a seed of
        one diverged."""
        rows = row, other or self.base_of(row)
        ours, theirs = (None if one.diverged else one.mean(metric) for one in rows)
        return None if ours is None or theirs is None else ours - theirs

    def with_sentences(self, found: Mapping[str, Sentences]) -> "Table":
        """The same with what resampled sentences say of each arm."""
        rows = tuple(
            replace(row, verdict=row.verdict._replace(sentences=found[row.arm]))
            if row.verdict and row.verdict.word != "diverged" and row.arm in found
            else row
            for row in self.rows
        )
        return replace(self, rows=rows)

    def paper_difference(self, row: Row, figure: str) -> float | None:
        """The same, of the published `ppl` or `bleu`."""
        if row.paper is None or self.base.paper is None:
            return None
        theirs, base = getattr(row.paper, figure), getattr(self.base.paper, figure)
        return None if theirs is None or base is None else theirs - base


def build(
    heading: Heading,
    trials: Sequence[ExpectedTrial],
    found: Iterable[Found],
    published: Published | None,
    scored: Scored = "valid",
    rates: Sequence[Rate] = (),
    sequential: Sequence[Decisions] = (),
    searched: Sequence[Searched] = (),
) -> Table:
    """Sets the runs of `runs.rows` against the trials that `study.expand` lists now.

    With `published` the columns are Table 3's; without, the keys that some row changes.
    """
    if not trials:
        raise ValueError(
            f"study {heading.study} in setting {heading.setting} lists no trial: "
            "a table needs at least one row and one seed"
        )
    tracked = tuple(found)
    known = [priced(run, rates) for run in counting.read_runs(tracked)]
    answers = counting.by_trial(known)
    arms: dict[str, list[ExpectedTrial]] = {}
    for trial in trials:
        arms.setdefault(trial.arm, []).append(trial)
    pruned = {
        search.name(one) for search in searched for one in search.found if one.end == "pruned"
    }
    base = arms.get(BASE, next(iter(arms.values())))[0].config
    bare = [
        _row(
            members[0],
            _as_searched(counting.slots(members, answers), arm in pruned),
            base,
            published,
        )
        for arm, members in arms.items()
    ]
    if BASE not in arms:  # a blank cell would mean a row that does not say so of itself
        bare = [replace(row, printed=frozenset(_identity())) for row in bare]
    signatures = counting.signatures([run for row in bare for run in row.runs])
    task = base.data.task
    measured = [replace(row, measures=counting.measures(row.runs, signatures)) for row in bare]
    rows = _judged(measured, f"{scored}.{MEASURES[task]}", sequential)
    return Table(
        heading=heading,
        task=task,
        keys=PAPER_KEYS if published else _changed_keys(rows),
        rows=rows,
        unused=counting.unused(known, trials),
        paper_source=f"Table 3 ({'; '.join(published.editions.values())})" if published else "",
        caveats=tuple(published.table3.caveats) if published else (),
        departures=departures(settings(RunConfig()), settings(base)) if published else {},
        signatures=signatures,
        checksums=tuple(sorted({pair for trial in trials for pair in trial.checksums.items()})),
        origin=corpora.origin(base.data),
        scored=scored,
        rates=tuple(rates),
        sequential=tuple(sequential),
        searched=tuple(searched),
        tracked=tracked,
    )


def _as_searched(slots: tuple[Slot, ...], is_pruned: bool) -> tuple[Slot, ...]:
    """What a search has pruned stays so in its table, whatever was trained of it since: the search
    chose without that score."""
    if not is_pruned:
        return slots
    runs = [slot.run and slot.run._replace(kind="pruned") for slot in slots]
    return tuple(slot._replace(run=run) for slot, run in zip(slots, runs, strict=True))


def _is_given_up(row: Row, slot: Slot) -> bool:
    return slot.state == "pruned" and row.group == SUGGESTED


def _judged(rows: Sequence[Row], metric: str, sequential: Sequence[Decisions]) -> tuple[Row, ...]:
    """The rows with their verdicts; those that were decided at looks have no other.

    A test that takes the seeds as fixed beforehand holds no level where scores chose their number.
    """
    families: dict[str, list[tuple[Row, Row]]] = {}
    for row in rows:
        base = _base_of(row, rows)
        if row is not base and row.group != SUGGESTED and not _decided(row, sequential):
            families.setdefault(base.arm, []).append((row, base))
    found: dict[str, Verdict] = {}
    for pairs in families.values():
        found |= judged(pairs, metric)
    return tuple(replace(row, verdict=found.get(row.arm)) for row in rows)


def judged(pairs: Sequence[tuple[Row, Row]], metric: str) -> dict[str, Verdict]:
    """By arm, the first row of each pair against the second, corrected over the pairs."""
    scores = {row.arm: (row.scores(metric), other.scores(metric)) for row, other in pairs}
    found = significance.of_pairs(scores, MARGIN)
    lost = {row.arm for row, other in pairs if row.diverged or other.diverged}
    return found | dict.fromkeys(lost, Verdict("diverged", None, None, None, None))


def _base_of(row: Row, rows: Sequence[Row]) -> Row:
    first = next((one for one in rows if one.arm == BASE), rows[0])
    if row.group != TUNED:
        return first
    return next((one for one in rows if one.arm == f"{first.arm}{BEST}"), row)


def _decided(row: Row, sequential: Sequence[Decisions]) -> tuple[Decision, Design] | None:
    digests = {slot.digest for slot in row.slots}
    found = [
        (decision, one.design)
        for one in sequential
        for decision in one.rows
        if decision.arm == row.arm and digests & {*one.given[row.arm]}
    ]
    return found[-1] if found else None


def settings(config: RunConfig) -> dict[str, Scalar]:
    """Every key of a configuration, with d_k and d_v as the model has them."""
    derived = {"model.d_k": config.model.key_width, "model.d_v": config.model.value_width}
    return flatten(config) | derived


@cache
def _identity() -> tuple[str, ...]:
    """Keys that can change a score, in the schema's order, apart from the seed."""
    return tuple(key.name for key in schema_keys() if key.identity and key.name != "train.seed")


def _row(
    trial: ExpectedTrial,
    slots: tuple[Slot, ...],
    base: RunConfig,
    published: Published | None,
) -> Row:
    # Table 3 shows d_k and d_v even where they only follow d_model or h; other studies do not.
    of = settings if published else flatten
    ours, theirs = of(trial.config), of(base)
    changed = frozenset(key for key in _identity() if ours.get(key) != theirs.get(key))
    paper = published.table3.rows.get(trial.arm) if published else None
    return Row(
        arm=trial.arm,
        group=trial.group or "",
        label=trial.label or "",
        after=trial.after or "",
        settings=settings(trial.config),
        changed=changed,
        printed=frozenset(_identity()) if trial.arm == BASE else changed | _printed(paper),
        slots=slots,
        measures={},
        paper=paper,
        cited=published.cite(paper) if published and paper else "",
        verdict=None,
    )


def _printed(paper: Variation | None) -> frozenset[str]:
    """Columns that the paper fills in this row: big's N, though it is base's."""
    if paper is None:
        return frozenset()
    cells = paper.cells.model_dump()
    return frozenset(key for key in PAPER_KEYS if cells[key.rpartition(".")[2]] is not None)


def _changed_keys(rows: Sequence[Row]) -> tuple[str, ...]:
    changed = frozenset[str]().union(*(row.changed for row in rows))
    return tuple(key for key in _identity() if key in changed)


def departures(
    theirs: Mapping[str, Scalar], ours: Mapping[str, Scalar]
) -> dict[str, tuple[Scalar, Scalar]]:
    """Keys that can change a score in which our base is not the paper's: (paper's, ours)."""
    pairs = {key: (theirs.get(key), ours.get(key)) for key in _identity()}
    return {key: (before, after) for key, (before, after) in pairs.items() if before != after}
