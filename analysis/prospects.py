"""What so many seeds can show, before they are paid for: `ablate plan`'s last part, as words."""

from collections.abc import Sequence

from rich.table import Table as Grid

from analysis.columns import MISSING
from analysis.power import MOST_SEEDS, POWER, Prospect, Spread, pilot, prospects
from analysis.significance import LEVEL
from analysis.tables import Table


def of(table: Table, seeds: int, assumed: float | None, difference: float | None) -> list[Prospect]:
    """Row by row; nothing where no row has two finished seeds and no spread is assumed.

    `assumed`: standard deviation over seeds; `difference`: looked for in every row, None: the
    paper's.
    """
    rows = [row.arm for row in table.rows]
    spreads = pilot(table) if assumed is None else dict.fromkeys(rows, Spread(assumed, 0))
    return prospects(table, spreads, seeds, difference) if spreads else []


def grid(found: Sequence[Prospect], seeds: int) -> Grid:
    """For a terminal."""
    shown = Grid(box=None, pad_edge=False, header_style="bold")
    shown.add_column("row")
    for head in ("spread", f"shown by {seeds} seeds", "looked for", "seeds for that"):
        shown.add_column(head, justify="right")
    for one in found:
        numbers = (one.spread.deviation, one.smallest, one.expected)
        words = (MISSING if number is None else f"{number:.2f}" for number in numbers)
        shown.add_row(one.arm, *words, _needed(one))
    return shown


def lines(found: Sequence[Prospect], seeds: int, table: Table) -> list[str]:
    """What the grid's numbers are, and which rows no sensible number of seeds decides."""
    scorer = table.scorer
    if len(table.rows) < 2:
        return [f"seeds show differences between rows, and {table.base.arm} is alone"]
    if not found:
        return [
            "what the seeds can show is not known: no row has two finished seeds; "
            f"--spread POINTS assumes a standard deviation of {scorer.upper()} over seeds"
        ]
    assumed = all(not one.spread.freedom for one in found)
    told = [
        f"differences of {scorer.upper()} from {table.base_name} that a test at {LEVEL:.0%}, "
        f"corrected for {len(found)} rows, finds {POWER:.0%} of the time; the spread over seeds is "
        f"{'assumed' if assumed else 'that of finished runs'}"
    ]
    lost = [one.arm for one in found if one.expected and one.seeds is None]
    if lost:
        told.append(
            f"not decided by {MOST_SEEDS} seeds, if the difference is as looked for: "
            f"{', '.join(lost)}"
        )
    if seeds < 2:
        told.append("one seed shows nothing: --seeds 2 or more")
    return told


def as_object(found: Sequence[Prospect]) -> list[dict[str, object]]:
    """As JSON has it."""
    return [
        {
            "arm": one.arm,
            "deviation": one.spread.deviation,
            "freedom": one.spread.freedom,
            "smallest": one.smallest,
            "expected": one.expected,
            "seeds": one.seeds,
        }
        for one in found
    ]


def _needed(one: Prospect) -> str:
    if not one.expected:
        return MISSING
    return f"over {MOST_SEEDS}" if one.seeds is None else str(one.seeds)
