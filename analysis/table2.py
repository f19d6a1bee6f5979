"""The paper's Table 2, ours beside it: BLEU and the cost of training, by language pair."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from analysis.columns import (
    EMPTY,
    NOTHING,
    PUBLISHED,
    Cell,
    Column,
    Symbol,
    power,
    score,
)
from analysis.costs import COUNTED, cost_cell
from analysis.notes import OTHER_BLEU, Note, other_base, scored_words, summary
from analysis.published import Published, System
from analysis.rates import RATED
from analysis.sections import SPANNING, Section, measure_object
from analysis.tables import Row, Table, departures, settings
from lit_transformer.config import RunConfig
from lit_transformer.config_io import Scalar

PAIRS = {"en_de": "EN-DE", "en_fr": "EN-FR"}
"""The paper's language pairs, as its figures and its table name them."""
MARKS = ("§", "¶", "§§", "¶¶")
"""Of the settings, in their order."""
NAMED_LANGUAGES = ("multi30k", "wmt14")
"""Corpora whose languages are what the configuration says."""


class Line(NamedTuple):
    """A system of the paper, a row of ours, or both."""

    name: str
    system: System | None
    arm: str | None


class Place(NamedTuple):
    """One setting's columns."""

    table: Table
    mark: str
    pair: str | None
    """A key of PAIRS; None: another pair, or text whose languages nobody knows."""

    @property
    def head(self) -> str:
        return f"{PAIRS[self.pair] if self.pair else self.table.heading.setting} {self.mark}"

    def row(self, line: Line) -> Row | None:
        return next((row for row in self.table.rows if row.arm == line.arm), None)


def section(tables: Sequence[Table], published: Published) -> Section:
    """`tables`: the study in one setting or more, each with columns of its own."""
    places = [
        Place(table, MARKS[n % len(MARKS)], pair_of(table.base.settings))
        for n, table in enumerate(tables)
    ]
    lines = _lines(tables, published)
    known = len(published.table2.rows)
    return Section(
        name="table2",
        title="The paper's Table 2, and ours",
        leads=True,
        columns=tuple(_columns(lines, places, published)),
        blocks=_blocks(lines, known),
        notes=tuple(_notes(places, published)),
        content={
            "caption": published.table2.caption,
            "caveats": list(published.table2.caveats),
            "settings": [_place_content(place, published) for place in places],
            "rows": [_line_content(line, places) for line in lines],
        },
    )


def pair_of(base: Mapping[str, Scalar]) -> str | None:
    """The paper's language pair that a setting translates, if it is one."""
    pair = f"{base['data.source_language']}_{base['data.target_language']}"
    return pair if base["data.corpus"] in NAMED_LANGUAGES and pair in PAIRS else None


def reasons(place: Place, published: Published) -> list[str]:
    """Why a setting's figures and the paper's do not compare; at least one."""
    theirs = settings(RunConfig())
    if place.pair == "en_fr":
        facts = published.settings["wmt14-en-fr"].items()
        theirs |= {"data.target_language": "fr"}
        theirs |= {key: figure.value for key, figure in facts if key in theirs}
        # No key of ours has the paper's word for it.
        theirs["data.tokenizer"] = published.settings["wmt14-en-fr"]["tokenizer"].value
    found = other_base(departures(theirs, place.table.base.settings))
    found.append(OTHER_BLEU)
    if "averaged" not in place.table.scored:
        found.append("the paper's models are averaged, and ours are not")
    if not place.table.scored.startswith("test"):
        found.append("the paper's figures are of its test part, and ours are not")
    return found


def _lines(tables: Sequence[Table], published: Published) -> list[Line]:
    arms = dict.fromkeys(row.arm for table in tables for row in table.rows)
    systems = published.table2.rows.values()
    found = [Line(one.model, one, one.arm if one.arm in arms else None) for one in systems]
    named = {line.arm for line in found}
    labels = {row.arm: row.label or row.arm for table in tables for row in table.rows}
    return [*found, *(Line(labels[arm], None, arm) for arm in arms if arm not in named)]


def _blocks(lines: Sequence[Line], known: int) -> tuple[tuple[int, ...], ...]:
    """Ruled off as in the paper: single systems, ensembles, the Transformers; then other arms."""
    kinds = [
        3 if n >= known else 2 if line.system and line.system.arm else "Ensemble" in line.name
        for n, line in enumerate(lines)
    ]
    found = (tuple(n for n, kind in enumerate(kinds) if kind == number) for number in range(4))
    return tuple(block for block in found if block)


def _columns(lines: Sequence[Line], places: Sequence[Place], published: Published) -> list[Column]:
    names = tuple(Cell(line.name, "", float(n), line.arm or "") for n, line in enumerate(lines))
    columns = [Column("words", "system", NOTHING, Symbol("model", "", ""), names)]
    for figure, title in (("bleu", "BLEU"), ("flops", "training FLOPs")):
        top = Symbol(f"{title} paper{PUBLISHED}", "", published.table2.caption)
        for pair, head in PAIRS.items():
            cells = tuple(_printed(line.system, figure, pair, published) for line in lines)
            column = f"paper.{figure}_{pair}"
            columns.append(Column("paper", column, top, Symbol(head, "", ""), cells))
    for metric, title in (
        ("", "BLEU ours"),
        (RATED, "time × rate ours"),
        (COUNTED, "counted ours"),
    ):
        for place in places:
            cells = tuple(_ours(place, line, metric) for line in lines)
            name = f"{place.table.heading.setting}.{metric or place.table.measure}"
            top = Symbol(title, "", metric or place.table.measure)
            columns.append(Column("ours", name, top, Symbol(place.head, "", ""), cells))
    return columns


def _printed(system: System | None, figure: str, pair: str, published: Published) -> Cell:
    if system is None:
        return EMPTY
    if figure == "flops" and system.flops_both is not None:
        return Cell(power(system.flops_both), "", system.flops_both, SPANNING)
    figures = system.figures(f"{figure}_{pair}")
    if not figures:
        return EMPTY
    values = list(dict.fromkeys(float(one.value) for one in figures))
    texts = [power(v) if figure == "flops" else _as_printed(v) for v in values]
    return Cell(" / ".join(texts), "", values[0], published.cite(system))


def _as_printed(bleu: float) -> str:
    """One place, or two where the paper has two."""
    return f"{bleu:.1f}" if round(bleu, 1) == bleu else f"{bleu:.2f}"


def _ours(place: Place, line: Line, metric: str) -> Cell:
    row = place.row(line)
    if row is None:
        return EMPTY
    if metric:
        return cost_cell(row, metric)
    return score(row, place.table.measure, 2)


def _notes(places: Sequence[Place], published: Published) -> list[Note]:
    table2 = published.table2
    found = [Note(PUBLISHED, f"Table 2: {table2.caption} {' '.join(table2.caveats)}", "")]
    found.append(
        Note("", "For each Transformer the paper prints one cost across both languages.", "")
    )
    for system in table2.rows.values():
        for column, figures in system.disputed.items():
            told = "; ".join(f"{one.value} in {published.cite(one)}" for one in figures)
            pair = PAIRS[column.partition("_")[2]]
            found.append(Note("", f"{system.model}, {pair}: {told}.", ""))
    for place in places:
        found += _of_place(place, published)
    return found


def _of_place(place: Place, published: Published) -> list[Note]:
    table = place.table
    text = (
        f"Setting {table.heading.setting}: BLEU of {scored_words(table)}; "
        f"{_averaging(table)}. Not comparable with the paper's: "
        f"{'; '.join(reasons(place, published))}."
    )
    found = [Note(place.mark, text, table.signatures.get(table.scorer, ""))]
    if table.missing:
        text = f"{summary(table)}. This completes it:"
        found.append(Note(place.mark, text, table.heading.command))
    return found


def _averaging(table: Table) -> str:
    told = (f"the last {row.settings['train.average_last']} of {row.arm}" for row in table.rows)
    every = table.base.settings["train.average_every"]
    return f"checkpoints averaged: {', '.join(told)}, every {every} updates (the paper: 10 minutes)"


def _place_content(place: Place, published: Published) -> dict[str, object]:
    heading = place.table.heading
    return {
        "setting": heading.setting,
        "version": heading.version,
        "pair": place.pair and PAIRS[place.pair],
        "measure": place.table.measure,
        "signature": place.table.signatures.get(place.table.scorer, ""),
        "trials": place.table.trials,
        "finished": place.table.finished,
        "not_comparable": reasons(place, published),
        "command": heading.command,
    }


def _line_content(line: Line, places: Sequence[Place]) -> dict[str, object]:
    ours = {place.table.heading.setting: place.row(line) for place in places}
    return {
        "name": line.name,
        "arm": line.arm,
        "paper": line.system and line.system.model_dump(exclude={"model", "arm"}, mode="json"),
        "ours": {
            place.table.heading.setting: {
                name: measure_object(row.measures[name])
                for name in (place.table.measure, RATED, COUNTED)
                if name in row.measures
            }
            for place in places
            if (row := ours[place.table.heading.setting]) is not None
        },
    }
