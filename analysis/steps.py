"""A walk of rows, each against the row that it goes on from: what every single change is worth."""

from collections.abc import Iterator

from analysis import verdicts
from analysis.columns import (
    EMPTY,
    MISSING,
    NOTHING,
    Cell,
    Column,
    Symbol,
    main_columns,
    short,
    signed,
    value,
)
from analysis.notes import Note, count
from analysis.sections import Section
from analysis.significance import LEVEL, MARGIN, Verdict
from analysis.tables import Row, Table, judged

FIRST = "The walk begins here."


def section(table: Table) -> Section | None:
    """None where no row goes on from another of the table."""
    rows = {row.arm: row for row in table.rows}
    before = {row.arm: rows[row.after] for row in table.rows if row.after in rows}
    if not before:
        return None
    steps = [(rows[arm], other) for arm, other in before.items()]
    # A test that takes the seeds as fixed holds no level where scores chose their number.
    fixed = [pair for pair in steps if not any(table.decided(row) for row in pair)]
    found = judged(fixed, table.measure)
    begun = [row for row in table.rows if row.arm in before or row in before.values()]
    return Section(
        name="steps",
        title="Step by step",
        leads=True,
        columns=tuple(_columns(table, begun, before, found)),
        blocks=(tuple(range(len(begun))),),
        notes=tuple(Note("", text, "") for text in _told(table, begun, before, found)),
        content={
            "rows": [
                {
                    "arm": arm,
                    "after": other.arm,
                    "changed": {key: rows[arm].settings[key] for key in _changed(rows[arm], other)},
                    "difference": table.difference(rows[arm], table.measure, other),
                    "verdict": verdicts.verdict_object(found[arm]) if arm in found else None,
                }
                for arm, other in before.items()
            ]
        },
    )


def _changed(row: Row, other: Row) -> list[str]:
    """The keys of which one of two rows says something else than the other."""
    own = row.changed | other.changed
    return [key for key in row.settings if key in own and row.settings[key] != other.settings[key]]


def _columns(
    table: Table, rows: list[Row], before: dict[str, Row], found: dict[str, Verdict]
) -> list[Column]:
    name = table.scorer.upper()
    ours = next(column for column in main_columns(table) if column.name == table.measure)
    scores = {row.arm: cell for row, cell in zip(table.rows, ours.cells, strict=True)}

    def change(row: Row) -> Cell:
        other = before.get(row.arm)
        if other is None:
            return Cell(row.label, "", None, FIRST)
        words = (f"{short(key)} {value(row.settings[key])}" for key in _changed(row, other))
        return Cell(", ".join(words), "", None, row.label)

    def gain(row: Row) -> Cell:
        if row.arm not in before:
            return EMPTY
        number = table.difference(row, table.measure, before[row.arm])
        if number is None:
            return Cell(MISSING, "", None, "a row without a score, or of which a seed diverged")
        return Cell(signed(number, 2), "", number, f"less {before[row.arm].arm}'s")

    def interval(row: Row) -> Cell:
        test = found[row.arm].test if row.arm in found else None
        if test is None or test.interval is None:
            return EMPTY
        low, high = test.interval
        return Cell(f"{low:+.2f} to {high:+.2f}", "", None, "95 %, not corrected")

    def verdict(row: Row) -> Cell:
        if row.arm not in found:
            decided = "its seeds or the other row's were given until decided: no test"
            return EMPTY._replace(meaning=decided) if row.arm in before else EMPTY
        one = found[row.arm]
        return Cell(verdicts.word(one), "", one.p, verdicts.meaning(one))

    top = Symbol(f"Δ{name}", "", f"{name} less the row's before")
    return [
        Column("arm", "arm", NOTHING, NOTHING, tuple(Cell(r.arm, "", None, r.label) for r in rows)),
        Column("words", "change", NOTHING, Symbol("change", "", ""), tuple(map(change, rows))),
        Column("ours", "score", ours.top, ours.head, tuple(scores[row.arm] for row in rows)),
        Column("ours", "step", top, Symbol("to the row before", "", ""), tuple(map(gain, rows))),
        Column("ours", "interval", top, Symbol("95 %", "", ""), tuple(map(interval, rows))),
        Column("verdict", "verdict", NOTHING, Symbol("verdict", "", ""), tuple(map(verdict, rows))),
    ]


def _told(
    table: Table, rows: list[Row], before: dict[str, Row], found: dict[str, Verdict]
) -> list[str]:
    tested = sum(verdict.test is not None for verdict in found.values())
    text = "Each row has the changes of the row before it and its own, and is compared with it."
    if tested:
        text += (
            f" Verdicts: as in the study's rows, corrected over {count(tested, 'step')}, "
            f"level {100 * LEVEL:g} %, margin {MARGIN:g} points."
        )
    elif found:
        text += " Verdicts need two seeds of both rows."
    if len(found) < len(before):
        text += " Rows whose seeds were given until decided have no test here."
    told = [text]
    ends = [row for row in rows if row.arm not in {other.arm for other in before.values()}]
    for end in ends:
        steps = [*_walk(end, before)]
        start = before[steps[-1].arm] if steps else end
        whole = table.difference(end, table.measure, start)
        if whole is None:
            continue
        gains = [table.difference(row, table.measure, before[row.arm]) for row in steps]
        text = f"From {start.arm} to {end.arm}: {signed(whole, 2)} {table.scorer.upper()}"
        told.append(f"{text}." if None in gains else f"{text}; the steps between add up to it.")
    return told


def _walk(row: Row, before: dict[str, Row]) -> Iterator[Row]:
    """The rows with a row before them, from this one back."""
    while row.arm in before:
        yield row
        row = before[row.arm]
