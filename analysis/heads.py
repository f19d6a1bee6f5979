"""What heads do and what they are needed for, arm by arm, over seeds."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from analysis.columns import MISSING, NOTHING, Cell, Column, Symbol, groups, marked, score_cell
from analysis.counting import Measure
from analysis.notes import Note
from analysis.sections import Section, measure_object
from analysis.tables import Row, Table
from lit_transformer.attention_maps import PARTS, Part
from lit_transformer.heads import Heads

GROWTHS = (0.01, 0.1)
"""By less than so many nats per token the loss grows while heads are removed."""
NAMES: Mapping[Part, str] = {
    "encoder": "encoder",
    "decoder": "decoder",
    "cross": "decoder to encoder",
}
KEY = "model.heads"


class Measured(NamedTuple):
    """The heads of one finished trial."""

    seed: int
    heads: Heads


Found = Mapping[str, tuple[Measured, ...]]
"""By arm, for each of the table's rows."""


def section(table: Table, found: Found) -> Section | None:
    """None where no trial has measured its heads."""
    if not any(found.values()):
        return None
    return Section(
        name="heads",
        title="Heads",
        leads=False,
        columns=tuple(_columns(table, found)),
        blocks=tuple(tuple(numbers) for _, numbers in groups(table)),
        notes=tuple(_notes(table, found)),
        content={
            "growths": list(GROWTHS),
            "rows": [
                {
                    "arm": row.arm,
                    "heads": counts[0] if len(counts := _counts(found[row.arm])) == 1 else None,
                    "sentences": sorted({one.heads.sentences for one in found[row.arm]}),
                    "measures": {
                        name: measure_object(measure)
                        for name, measure in measures(found[row.arm]).items()
                    },
                }
                for row in table.rows
            ],
        },
    )


def measures(some: Iterable[Measured]) -> dict[str, Measure]:
    """Means over a trial's heads, and how many per cent of them can go; none of no trial."""
    values: dict[str, list[tuple[int, float]]] = {}
    for seed, heads in some:
        for name, value in _of_trial(heads).items():
            values.setdefault(name, []).append((seed, value))
    return {
        name: Measure(tuple(seed for seed, _ in own), tuple(value for _, value in own), "")
        for name, own in values.items()
    }


def _of_trial(heads: Heads) -> dict[str, float]:
    found = {}
    for part, numbers in heads.parts.items():
        found[f"{part}.entropy"] = float(numbers.entropy_LH.mean())
        found[f"{part}.distance"] = float(numbers.distance_LH.mean())
    importance = np.concatenate([one.importance_LH.ravel() for one in heads.parts.values()])
    found["importance.median"] = float(np.median(importance))
    found["importance.largest"] = float(importance.max())
    for growth in GROWTHS:
        found[f"removable.{growth}"] = 100 * heads.removable(growth) / heads.total
    return found


def _columns(table: Table, found: Found) -> list[Column]:
    arms = tuple(Cell(row.arm, "", float(n), row.label) for n, row in enumerate(table.rows))
    read = {row.arm: measures(found[row.arm]) for row in table.rows}

    def column(top: Symbol, head: Symbol, name: str, places: int) -> Column:
        cells = tuple(
            _cell(row, read[row.arm][name], places) if name in read[row.arm] else _missing(row)
            for row in table.rows
        )
        return Column("ours", name, top, head, cells)

    counted = tuple(_count(row, found[row.arm]) for row in table.rows)
    columns = [
        Column("arm", "arm", NOTHING, NOTHING, arms),
        Column("ours", "heads", NOTHING, Symbol("heads", "", "of all layers"), counted),
    ]
    entropy = Symbol("entropy", "", "of a row of weights in nats, mean over tokens and heads")
    distance = Symbol("distance", "", "from a row's own place in tokens, mean over heads")
    for part in PARTS:
        if any(f"{part}.entropy" in one for one in read.values()):
            top = Symbol(NAMES[part], "", "")
            columns.append(column(top, entropy, f"{part}.entropy", 2))
            columns.append(column(top, distance, f"{part}.distance", 1))
    top = Symbol("loss without a head", "", "growth in nats per token, over single heads")
    columns.append(column(top, Symbol("median", "", ""), "importance.median", 4))
    columns.append(column(top, Symbol("largest", "", ""), "importance.largest", 3))
    meaning = "per cent of heads, the least important ones, removed together"
    for growth in GROWTHS:
        top = Symbol("heads to spare", "", meaning)
        head = Symbol(f"% at {growth:g} nats", "", f"while the loss grows by less than {growth:g}")
        columns.append(column(top, head, f"removable.{growth}", 0))
    return columns


def _counts(some: Iterable[Measured]) -> list[int]:
    return sorted({one.heads.total for one in some})


def _count(row: Row, some: Iterable[Measured]) -> Cell:
    counts = _counts(some)
    if not counts:
        return _missing(row)
    return Cell(" or ".join(map(str, counts)), "", float(counts[0]), "")


def _cell(row: Row, measure: Measure, places: int) -> Cell:
    return marked(score_cell(measure, places), row, measure)


def _missing(row: Row) -> Cell:
    meaning = "heads were not measured" if row.runs else "no finished run"
    return marked(Cell(MISSING, "", None, meaning), row, None)


def _notes(table: Table, found: Found) -> list[Note]:
    sentences = sorted({one.heads.sentences for some in found.values() for one in some})
    of = " or ".join(map(str, sentences))
    text = (
        f"On the first {of} sentences of the valid part with their references, by the last "
        "weights. A head is removed by zeroing its output, without training again. Heads to spare "
        "are removed together, the least important first, at most 16 steps from none to all; "
        "another order may spare more."
    )
    notes = [Note("", text, "")]
    if len(sentences) > 1:
        notes.append(Note("", "Arms on unlike numbers of sentences do not compare exactly.", ""))
    lacking = [row.arm for row in table.rows if row.runs and len(found[row.arm]) < len(row.runs)]
    if lacking:
        told = f"Some runs have not measured theirs: {', '.join(lacking)}. For each:"
        notes.append(Note("", told, "ablate heads RUN_ID"))
    return notes
