"""The paper's Table 4, ours beside it: parsers by what they were trained on."""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from analysis.columns import EMPTY, MISSING, NOTHING, PUBLISHED, Cell, Column, Symbol, score
from analysis.notes import Note, summary
from analysis.published import Parser, Published
from analysis.sections import Section, measure_object
from analysis.tables import Row, Table

PARTS = {"valid.f1": "valid", "test.f1": "test"}
"""F1 of the last step's model by part; section 23 is a test part."""


class Line(NamedTuple):
    """A parser of the paper, an arm of ours in a setting, or both."""

    name: str
    training: str
    parser: Parser | None
    row: Row | None


def section(tables: Sequence[Table], published: Published) -> Section:
    """`tables`: the study in one setting or more, all in the same columns."""
    lines = _lines(tables, published)
    return Section(
        name="table4",
        title="The paper's Table 4, and ours",
        leads=True,
        columns=tuple(_columns(lines, published)),
        blocks=tuple(
            tuple(n for n, _ in some)
            for _, some in groupby(enumerate(lines), key=lambda pair: pair[1].training)
        ),
        notes=tuple(_notes(tables, published)),
        content={
            "caption": published.table4.caption,
            "caveats": list(published.table4.caveats),
            "settings": [
                {
                    "setting": table.heading.setting,
                    "version": table.heading.version,
                    "trials": table.trials,
                    "finished": table.finished,
                    "not_comparable": reasons(table),
                    "command": table.heading.command,
                }
                for table in tables
            ],
            "rows": [_content(line) for line in lines],
        },
    )


def reasons(table: Table) -> list[str]:
    """Why a setting's F1 and the paper's do not compare; the last holds for every setting."""
    found = []
    if table.origin:
        found.append(table.origin)
    if table.base.settings["data.corpus"] == "treebank":
        found.append("the trees are the user's own, as they came")
    return [*found, "the paper does not say how outputs that are no tree were counted"]


def _lines(tables: Sequence[Table], published: Published) -> list[Line]:
    ours = {(table.heading.setting, row.arm): row for table in tables for row in table.rows}
    found = [
        Line(one.parser, one.training, one, ours.pop((one.setting or "", one.arm or ""), None))
        for one in published.table4.rows.values()
    ]
    rest = (Line(row.label or row.arm, setting, None, row) for (setting, _), row in ours.items())
    return [*found, *rest]


def _columns(lines: Sequence[Line], published: Published) -> list[Column]:
    names = tuple(Cell(line.name, "", float(n), "") for n, line in enumerate(lines))
    trainings = tuple(Cell(line.training, "", line.training, "") for line in lines)
    top = Symbol("F1", "", published.table4.caption)
    printed = tuple(
        EMPTY
        if line.parser is None
        else Cell(f"{line.parser.f1:.1f}", "", line.parser.f1, published.cite(line.parser))
        for line in lines
    )
    columns = [
        Column("words", "parser", NOTHING, Symbol("parser", "", ""), names),
        Column("words", "training", NOTHING, Symbol("training", "", ""), trainings),
        Column("paper", "paper.f1", top, Symbol(f"paper{PUBLISHED}", "", ""), printed),
    ]
    for metric, part in PARTS.items():
        cells = tuple(_ours(line.row, metric) for line in lines)
        columns.append(Column("ours", metric, top, Symbol(f"ours, {part}", "", metric), cells))
    return columns


def _ours(row: Row | None, metric: str) -> Cell:
    if row is None:
        return EMPTY
    if row.runs and metric not in row.measures:
        return Cell(MISSING, "", None, "the setting has no such part")
    return score(row, metric, 2)


def _notes(tables: Sequence[Table], published: Published) -> list[Note]:
    table4 = published.table4
    found = [Note(PUBLISHED, f"Table 4: {table4.caption} {' '.join(table4.caveats)}", "")]
    for table in tables:
        told = f"Setting {table.heading.setting}, last step, not averaged. Not comparable with the"
        found.append(Note("", f"{told} paper's: {'; '.join(reasons(table))}.", ""))
        if table.missing:
            found.append(Note("", f"{summary(table)}. This completes it:", table.heading.command))
    return found


def _content(line: Line) -> dict[str, object]:
    return {
        "parser": line.name,
        "training": line.training,
        "paper": line.parser and line.parser.model_dump(include={"f1", "place", "editions"}),
        "ours": line.row
        and {
            name: measure_object(line.row.measures[name])
            for name in PARTS
            if name in line.row.measures
        },
    }
