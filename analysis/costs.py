"""What training cost, by both definitions: the paper's Table 2, and counted operations."""

from collections.abc import Callable

from analysis.columns import (
    MISSING,
    NOTHING,
    Cell,
    Column,
    Symbol,
    decimals,
    groups,
    marked,
    power,
    score,
)
from analysis.notes import Note
from analysis.rates import DEVICE_SECONDS, RATED, SECONDS, Rate, of
from analysis.sections import Section
from analysis.tables import Row, Table

COUNTED, TOKENS = "cost.flops", "cost.target_tokens"
_TIME = Symbol("training time", "", "seconds in training steps, without validation and decoding")
_PACE = Symbol(
    "milliseconds of",
    "",
    "training time over updates; beam search over sentences, several side by side",
)
_SENTENCE = " A sentence's time is its share of the beam search of the whole part."
_OPERATIONS = Symbol("operations", "", "floating-point operations of training")


def section(table: Table) -> Section | None:
    """The cost of every row; None where no run has finished."""
    if not table.runs:
        return None
    return Section(
        name="costs",
        title="Training cost",
        leads=False,
        columns=tuple(_columns(table)),
        blocks=tuple(tuple(numbers) for _, numbers in groups(table)),
        notes=tuple(_notes(table)),
        content={
            "rates": [rate._asdict() for rate in _used(table)],
            "devices": sorted({run.device_name for run in table.runs} - {""}),
            "definitions": {
                DEVICE_SECONDS: "training time x devices, in seconds",
                RATED: "training time x devices x sustained rate, as in the paper's Table 2",
                COUNTED: "counted floating-point operations, forward and backward",
            },
        },
    )


def cost_cell(row: Row, metric: str) -> Cell:
    """A mean cost as a power of ten."""
    mean = row.mean(metric)
    if mean is None:
        return _marked(Cell(MISSING, "", None, ""), row, metric)
    return _marked(Cell(power(mean), "", mean, f"{mean:,.0f}"), row, metric)


def _columns(table: Table) -> list[Column]:
    def column(top: Symbol, head: str, metric: str, cell: Callable[[Row], Cell]) -> Column:
        cells = tuple(cell(row) for row in table.rows)
        return Column("ours", metric, top, Symbol(head, "", metric), cells)

    arms = Column(
        "arm",
        "arm",
        NOTHING,
        NOTHING,
        tuple(Cell(row.arm, "", float(n), row.label) for n, row in enumerate(table.rows)),
    )
    return [
        arms,
        column(_TIME, "seconds", SECONDS, lambda row: score(row, SECONDS, 0)),
        column(
            _TIME,
            "× devices",
            DEVICE_SECONDS,
            lambda row: score(row, DEVICE_SECONDS, 0),
        ),
        *(column(_PACE, *pace) for pace in _paces(table)),
        column(_OPERATIONS, "time × rate", RATED, lambda row: cost_cell(row, RATED)),
        column(_OPERATIONS, "counted", COUNTED, lambda row: cost_cell(row, COUNTED)),
        column(
            _OPERATIONS,
            f"times {table.base_name}'s",
            f"{COUNTED}.ratio",
            lambda row: _ratio(table, row),
        ),
        column(
            Symbol("target tokens", "", "trained on"),
            "seen",
            TOKENS,
            lambda row: cost_cell(row, TOKENS),
        ),
    ]


def _paces(table: Table) -> list[tuple[str, str, Callable[[Row], Cell]]]:
    """Columns of what an update and a searched sentence take; none where no run has noted that."""
    searched = f"{table.scored}.seconds_per_sentence"
    if not any(searched in row.measures for row in table.rows):
        return []
    return [
        ("an update", f"{SECONDS}.per_update", _update),
        ("a sentence", searched, lambda row: _milliseconds(row, searched, 1)),
    ]


def _update(row: Row) -> Cell:
    steps = row.settings["train.steps"]
    assert isinstance(steps, int)
    return _milliseconds(row, SECONDS, steps)


def _milliseconds(row: Row, metric: str, count: int) -> Cell:
    """Of one of so many that take the metric's seconds."""
    whole = row.mean(metric)
    if whole is None:
        return _marked(Cell(MISSING, "", None, ""), row, metric)
    one = whole / count
    cell = Cell(f"{1e3 * one:.{decimals(1e3 * one)}f}", "", one, f"{one:.6f} s")
    return _marked(cell, row, metric)


def _ratio(table: Table, row: Row) -> Cell:
    ours, base = row.mean(COUNTED), table.base.mean(COUNTED)
    if ours is None or not base:
        return _marked(Cell(MISSING, "", None, ""), row, COUNTED)
    cell = Cell(
        f"{ours / base:.2f}", "", ours / base, f"counted operations over {table.base_name}'s"
    )
    return _marked(cell, row, COUNTED)


def _marked(cell: Cell, row: Row, metric: str) -> Cell:
    return marked(cell, row, row.measures.get(metric))


def _notes(table: Table) -> list[Note]:
    found = [
        Note("", _rated(table), ""),
        Note(
            "",
            "Counted: multiplications and additions of matrix products and of queries with keys, "
            "forward and backward, without padding. Time is of training steps, by the clock: "
            "trials that ran side by side slowed each other."
            + (_SENTENCE if _paces(table) else ""),
            "",
        ),
    ]
    names = {run.device_name for run in table.runs if run.devices is not None}
    unrated = sorted(name for name in names if of(name, table.rates) is None)
    if unrated:
        text = f"No rate is stated for {', '.join(unrated)}, so time × rate is blank there; with"
        found.append(Note("", text, f"ablate report ... --rate '{unrated[0]}=TFLOPS'"))
    silent = sum(run.devices is None for run in table.runs)
    if silent:
        text = f"{silent} of {len(table.runs)} runs do not tell their devices; this sends it:"
        found.append(Note("", text, "ablate sync"))
    return found


def _rated(table: Table) -> str:
    text = (
        "Time × rate is the paper's definition (Table 2): training time × devices × the rate that "
        "one device is taken to sustain"
    )
    rates = [f"{rate.device} {rate.tflops:g} TFLOPS, {rate.source}" for rate in _used(table)]
    return f"{text}{': ' if rates else ''}{'; '.join(rates)}."


def _used(table: Table) -> list[Rate]:
    names = sorted({run.device_name for run in table.runs})
    found = (of(name, table.rates) for name in names)
    return list(dict.fromkeys(rate for rate in found if rate is not None))
