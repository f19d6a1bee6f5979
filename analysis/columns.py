"""A table's columns as words: headers and cells, before any markup.

Every writer (Markdown, LaTeX, HTML) walks the same columns, so that they show the same digits.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from analysis import decisions, verdicts
from analysis.counting import Measure
from analysis.tables import PARAMETERS, Row, Table
from lit_transformer.config_io import Scalar

MISSING = "–"
WITHHELD = "‡"
DIVERGED = "§"
PUBLISHED = "†"

Kind = Literal["arm", "setting", "words", "paper", "ours", "verdict", "trials"]


class Symbol(NamedTuple):
    """A header: what is printed, what hangs below its line, what it means."""

    text: str
    below: str
    meaning: str


class Cell(NamedTuple):
    """A number or word; `spread` follows it, `order` sorts it (None: last)."""

    text: str
    spread: str
    order: float | str | None
    meaning: str


class Column(NamedTuple):
    """Cells of one column, in the table's order; neighbours of one `top` share a header."""

    kind: Kind
    name: str
    top: Symbol
    head: Symbol
    cells: tuple[Cell, ...]


SYMBOLS = {
    "model.layers": Symbol("N", "", "layers of each stack"),
    "model.d_model": Symbol("d", "model", "width of the model"),
    "model.d_ff": Symbol("d", "ff", "inner width of the feed-forward layers"),
    "model.heads": Symbol("h", "", "attention heads"),
    "model.d_k": Symbol("d", "k", "width of a key"),
    "model.d_v": Symbol("d", "v", "width of a value"),
    "model.dropout": Symbol("P", "drop", "dropout"),
    "optim.label_smoothing": Symbol("ε", "ls", "label smoothing"),
    "train.steps": Symbol("steps", "", "optimizer updates"),
}
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
NOTHING = Symbol("", "", "")
EMPTY = Cell("", "", None, "")

_PPL = Symbol("PPL", "", "perplexity per word-piece, without label smoothing; lower is better")
_SCORERS = {
    "bleu": Symbol("BLEU", "", "sacreBLEU; higher is better"),
    "f1": Symbol("F1", "", "labelled bracketing F1 in percent; higher is better"),
}
_PARAMS = Symbol("10⁶ params", "", "weights, embeddings included")
BESIDE = (
    ("valid.perplexity", "last step", "PPL valid", 2),
    ("valid.bleu", "last step", "BLEU valid", 2),
    ("valid.f1", "last step", "F1 valid", 2),
    ("valid.averaged.perplexity", "averaged", "PPL valid", 2),
    ("valid.averaged.bleu", "averaged", "BLEU valid", 2),
    ("test.perplexity", "last step", "PPL test", 2),
    ("test.bleu", "last step", "BLEU test", 2),
    ("test.averaged.perplexity", "averaged", "PPL test", 2),
    ("test.averaged.bleu", "averaged", "BLEU test", 2),
    ("valid.chrf", "last step", "chrF valid", 2),
    ("test.chrf", "last step", "chrF test", 2),
    ("valid.averaged.f1", "averaged", "F1 valid", 2),
    ("test.f1", "last step", "F1 test", 2),
    ("test.averaged.f1", "averaged", "F1 test", 2),
    ("valid.f1_strict", "last step", "F1 valid, strict", 2),
    ("valid.f1_evalb", "last step", "F1 valid, EVALB's", 2),
    ("valid.well_formed", "last step", "well formed, valid", 1),
    ("valid.wrong_length", "last step", "of another length, valid", 1),
)


@lru_cache(maxsize=2)  # every writer asks for them
def main_columns(table: Table) -> tuple[Column, ...]:
    """The table as the paper prints it, ours beside its figures."""
    columns = [_arms(table), *(_setting(table, key) for key in table.keys)]
    columns += _pair(table, "ppl", table.perplexity, _PPL, 2)
    columns += _pair(table, "bleu", table.measure, _SCORERS[table.scorer], 1)
    columns += _gains(table)
    columns += [] if table.is_search else [_verdicts(table)]
    columns += _parameters(table)
    return (*columns, _trials(table))


@lru_cache(maxsize=2)
def beside_columns(table: Table) -> tuple[Column, ...]:
    """Averaged model, test part and further measures, each a column that some row has."""
    found = [
        Column(
            "ours", name, Symbol(top, "", ""), Symbol(head, "", ""), _scores(table, name, places)
        )
        for name, top, head, places in BESIDE
        if name not in (table.perplexity, table.measure)
        and any(name in row.measures for row in table.rows)
    ]
    found.sort(key=lambda column: column.top.text != "last step")
    return (_arms(table), *found) if found else ()


def changes(table: Table, row: Row, hidden: bool) -> list[str]:
    """What a row changes, in words; with `hidden` only what no column shows."""
    keys = [key for key in row.settings if key in row.changed]
    return [
        f"{short(key)} {value(row.settings[key])}"
        for key in keys
        if not (hidden and key in table.keys)
    ]


def spanning(table: Table, row: Row) -> str:
    """Row (E)'s words, which stand across the columns of settings; empty for other rows."""
    if row.printed & {*table.keys}:
        return ""
    return row.label or ", ".join(changes(table, row, hidden=True))


def short(key: str) -> str:
    """The symbol of one of Table 3's columns, else the key's last part."""
    symbol = SYMBOLS.get(key)
    if symbol is None:
        return key.rpartition(".")[2]
    return f"{symbol.text}_{symbol.below}" if symbol.below else symbol.text


def value(scalar: Scalar) -> str:
    """A setting as the paper prints it: 100K steps, 0.0 for none, yes and no."""
    match scalar:
        case None:
            return "none"
        case bool():
            return "yes" if scalar else "no"
        case int() if scalar >= 10_000 and scalar % 1_000 == 0:
            return f"{scalar // 1_000}K"
        case _:
            return str(scalar)


def decimals(number: float) -> int:
    """Places that show three digits: 168, 65.1, 0.352. Small and large models stay apart."""
    return 0 if number < 1e-9 else max(0, min(6, 2 - math.floor(math.log10(number))))


def power(number: float) -> str:
    """Two digits and a power of ten, as the paper prints costs: 2.3·10¹⁹."""
    mantissa, _, exponent = f"{number:.1e}".partition("e")
    return f"{mantissa}·10{str(int(exponent)).translate(_RAISED)}"


def signed(number: float, places: int) -> str:
    """+0.4, -0.9; what rounds to nothing has no sign."""
    text = f"{number:+.{places}f}"
    return text[1:] if float(text) == 0 else text


def unfinished(row: Row) -> str:
    """`diverged 1, not run 1`; empty where all trials finished."""
    states = Counter(slot.state.replace("_", " ") for slot in row.slots if not slot.finished)
    return ", ".join(f"{state} {count}" for state, count in sorted(states.items()))


def _finished(row: Row) -> str:
    """`3`, or `1 of 3, diverged 1, not run 1`."""
    of = f"{len(row.runs)} of " if unfinished(row) else ""
    return ", ".join(filter(None, [f"{of}{len(row.slots)}", unfinished(row)]))


def _column(
    table: Table, kind: Kind, name: str, heads: tuple[Symbol, Symbol], cell: Callable[[Row], Cell]
) -> Column:
    return Column(kind, name, *heads, tuple(cell(row) for row in table.rows))


def _arms(table: Table) -> Column:
    places = {row.arm: float(place) for place, row in enumerate(table.rows)}
    return _column(
        table,
        "arm",
        "arm",
        (NOTHING, NOTHING),
        lambda row: Cell(row.arm, "", places[row.arm], row.label),
    )


def _setting(table: Table, key: str) -> Column:
    lasts = [other.rpartition(".")[2] for other in table.keys]
    last = key.rpartition(".")[2]
    symbol = SYMBOLS.get(key, Symbol(last if lasts.count(last) == 1 else key, "", key))

    def cell(row: Row) -> Cell:
        scalar = row.settings.get(key)
        number = float(scalar) if isinstance(scalar, int | float) else None
        shown = key in row.printed
        return Cell(
            value(scalar) if shown else "", "", str(scalar) if number is None else number, ""
        )

    return _column(table, "setting", key, (NOTHING, symbol), cell)


def _pair(table: Table, figure: str, metric: str, top: Symbol, places: int) -> list[Column]:
    def published(row: Row) -> Cell:
        number = getattr(row.paper, figure, None)
        return EMPTY if number is None else Cell(f"{number:.{places}f}", "", number, row.cited)

    ours = Column("ours", metric, top, Symbol("ours", "", ""), _scores(table, metric, 2))
    return [*_published(table, f"paper.{figure}", top, published), ours]


def _gains(table: Table) -> list[Column]:
    def published(row: Row) -> Cell:
        number = table.paper_difference(row, "bleu")
        if number is None or row is table.base_of(row):
            return EMPTY
        return Cell(signed(number, 1), "", number, "")

    def ours(row: Row) -> Cell:
        number = table.difference(row, table.measure)
        if row is table.base_of(row):
            return EMPTY
        return (
            Cell(MISSING, "", None, "")
            if number is None
            else Cell(signed(number, 2), "", number, "")
        )

    name = _SCORERS[table.scorer].text
    top, head = Symbol(f"Δ{name}", "", f"{name} less {table.base_name}'s"), Symbol("ours", "", "")
    column = _column(table, "ours", f"difference.{table.scorer}", (top, head), ours)
    return [*_published(table, "paper.difference.bleu", top, published), column]


def _verdicts(table: Table) -> Column:
    def cell(row: Row) -> Cell:
        if decided := table.decided(row):
            decision, design = decided
            told = decisions.meaning(decision, design)
            return Cell(decisions.word(decision, design), "", None, told)
        verdict = row.verdict
        if verdict is None:
            return EMPTY
        return Cell(verdicts.word(verdict), "", verdict.p, verdicts.meaning(verdict))

    name = _SCORERS[table.scorer].text
    head = Symbol("verdict", "", f"{name} against {table.base_name}'s, over seeds; sorted by p")
    return _column(table, "verdict", "verdict", (NOTHING, head), cell)


def _parameters(table: Table) -> list[Column]:
    def published(row: Row) -> Cell:
        number = row.paper.params if row.paper else None
        return EMPTY if number is None else Cell(f"{number:.0f}", "", number, row.cited)

    counts = [count for row in table.rows if (count := row.mean(PARAMETERS)) is not None]
    places = decimals(counts[0] / 1e6) if counts else 0

    def ours(row: Row) -> Cell:
        number = row.mean(PARAMETERS)
        if number is None:
            return Cell(MISSING, "", None, "")
        return Cell(f"{number / 1e6:.{places}f}", "", number, f"{number:,.0f}")

    column = _column(table, "ours", PARAMETERS, (_PARAMS, Symbol("ours", "", "")), ours)
    return [*_published(table, "paper.params", _PARAMS, published), column]


def _published(table: Table, name: str, top: Symbol, cell: Callable[[Row], Cell]) -> list[Column]:
    if not table.paper_source:
        return []
    head = Symbol("paper" + PUBLISHED, "", table.paper_source)
    return [_column(table, "paper", name, (top, head), cell)]


def _scores(table: Table, metric: str, places: int) -> tuple[Cell, ...]:
    return tuple(score(row, metric, places) for row in table.rows)


def score(row: Row, metric: str, places: int) -> Cell:
    """The mean over the seeds that have a score; marked where others diverged."""
    measure = row.measures.get(metric)
    return marked(score_cell(measure, places), row, measure)


def marked(cell: Cell, row: Row, measure: Measure | None) -> Cell:
    """A cell of the row's measure, marked where seeds diverged that are not in it."""
    if not row.diverged:
        return cell
    seeds = f"seed{'s' if len(row.diverged) > 1 else ''} {', '.join(map(str, row.diverged))}"
    if not row.runs:
        return cell._replace(text="diverged", meaning=f"{cell.meaning}; {seeds} diverged")
    if measure is None or not measure.values:
        return cell
    of = f"mean of {len(measure.values)} of {len(row.slots)} seeds"
    return cell._replace(
        text=f"{cell.text}{DIVERGED}", meaning=f"{cell.meaning}; {of}, {seeds} diverged"
    )


def score_cell(measure: Measure | None, places: int) -> Cell:
    """A mean over seeds with its deviation."""
    if measure is None:
        return Cell(MISSING, "", None, "no finished run")
    mean, deviation, interval = measure.mean, measure.deviation, measure.interval
    if mean is None:
        return Cell(WITHHELD, "", None, measure.withheld)
    seeds = f"seed {measure.seeds[0]} alone: no interval"
    if interval is not None:
        seeds = (
            f"{len(measure.values)} seeds, 95 % t-interval "
            f"{interval[0]:.{places}f} to {interval[1]:.{places}f}"
        )
    spread = "" if deviation is None else f"± {deviation:.{places}f}"
    return Cell(f"{mean:.{places}f}", spread, mean, seeds)


def _trials(table: Table) -> Column:
    return _column(
        table,
        "trials",
        "seeds",
        (NOTHING, Symbol("seeds", "", "finished trials")),
        lambda row: Cell(_finished(row), "", float(len(row.runs)), unfinished(row)),
    )


def plain(text: str) -> str:
    """One line, without characters that steer a terminal."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else " " for sign in text)


def groups(table: Table) -> Sequence[tuple[str, list[int]]]:
    """Runs of neighbouring rows of one group -> (group, row numbers); each is ruled off."""
    found: list[tuple[str, list[int]]] = []
    for number, row in enumerate(table.rows):
        if found and found[-1][0] == row.group and row.group:
            found[-1][1].append(number)
        else:
            found.append((row.group, [number]))
    return found
