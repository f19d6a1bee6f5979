"""What searches found: the best configurations of one, or a study's rows at their best."""

from collections.abc import Callable, Mapping, Sequence

from analysis.columns import (
    MISSING,
    NOTHING,
    Cell,
    Column,
    Symbol,
    power,
    score,
    score_cell,
    short,
    signed,
    value,
)
from analysis.costs import COUNTED
from analysis.notes import Note
from analysis.sections import Section
from analysis.tables import Row, Table
from experiments.searched import Searched, Suggestion, best_first, front
from experiments.tuning import BEST
from lit_transformer.config_io import Scalar

SHOWN = 10
"""Of a search's configurations; the table has all."""
IN_PAPERS_SIZES = (
    "Values are in the paper's sizes, as the space is; in the first table they are this setting's."
)
_CHOSEN = Symbol("chosen", "", "what the row has at its best")


def section(table: Table) -> Section | None:
    """None where nothing was searched, or nothing has finished yet."""
    if not table.searched:
        return None
    if table.is_search:
        return _best(table, table.searched[0])
    return _tuned(table)


def objective_names(table: Table, search: Searched) -> list[str]:
    """The metrics that it was for."""
    return [table.measure if name == "score" else name for name in search.objectives]


def _best(table: Table, search: Searched) -> Section | None:
    """The configurations that no other beats, and the next ones."""
    finished = [one for one in best_first(search) if one.end == "complete"]
    leading = {one.number for one in front(search)}
    several = len(search.objectives) > 1
    shown = finished[: max(SHOWN, len(leading) if several else 0)]
    if not shown:
        return None
    arms = tuple(Cell(search.name(one), "", float(n), "") for n, one in enumerate(shown))
    columns = [Column("arm", "arm", NOTHING, NOTHING, arms)]
    for number, name in enumerate(objective_names(table, search)):
        cells = tuple(_objective(one.objectives[number], name) for one in shown)
        columns.append(Column("ours", name, NOTHING, Symbol(name, "", name), cells))
    if several:
        told = tuple(Cell("yes" if one.number in leading else "", "", None, "") for one in shown)
        meaning = "no other is better in every objective"
        columns.append(Column("words", "front", NOTHING, Symbol("front", "", meaning), told))
    columns += [_values(key, [one.values.get(key) for one in shown]) for key in _keys(search)]
    return Section(
        name="search",
        title="The Pareto front" if several else "Best configurations",
        leads=False,
        columns=tuple(columns),
        blocks=(tuple(range(len(shown))),),
        notes=tuple(_best_notes(table, search, shown)),
        content={"searches": [search.as_object()]},
    )


def _tuned(table: Table) -> Section:
    """Each row as it stands and at its best."""
    rows = {row.arm: row for row in table.rows}
    searches = {search.row: search for search in table.searched}
    shown = [
        (rows[arm], rows.get(f"{arm}{BEST}"), searches[arm]) for arm in searches if arm in rows
    ]
    arms = tuple(Cell(row.arm, "", float(n), row.label) for n, (row, _, _) in enumerate(shown))
    scorer = Symbol(table.scorer.upper(), "", table.measure)

    def column(name: str, top: Symbol, head: str, cell: Callable[[int], Cell]) -> Column:
        cells = tuple(cell(number) for number in range(len(shown)))
        return Column("ours", name, top, Symbol(head, "", ""), cells)

    def scored(row: Row | None) -> Cell:
        return score_cell(None, 2) if row is None else score(row, table.measure, 2)

    def gain(number: int) -> Cell:
        row, best, _ = shown[number]
        gained = None if best is None else table.difference(best, table.measure, row)
        if gained is None:
            return Cell(MISSING, "", None, "a row without a score, or of which a seed diverged")
        return Cell(signed(gained, 2), "", gained, "")

    keys = dict.fromkeys(key for search in table.searched for key in _keys(search))
    return Section(
        name="tuning",
        title="As they stand, and at their best",
        leads=False,
        columns=(
            Column("arm", "arm", NOTHING, NOTHING, arms),
            column("as_it_stands", scorer, "as it stands", lambda n: scored(shown[n][0])),
            column("at_its_best", scorer, "at its best", lambda n: scored(shown[n][1])),
            column("gain", scorer, "gain", gain),
            *(_chosen(key, shown) for key in keys),
            column("tuning", NOTHING, "when tuned", lambda n: _when_tuned(shown[n][2])),
            column("trials", NOTHING, "trials", lambda n: Cell(_ends(shown[n][2]), "", None, "")),
        ),
        blocks=(tuple(range(len(shown))),),
        notes=tuple(_tuned_notes(table, [search for _, _, search in shown])),
        content={"searches": [search.as_object() for search in table.searched]},
    )


def _chosen(key: str, shown: Sequence[tuple[Row, Row | None, Searched]]) -> Column:
    """What was chosen of a key; a row that names it itself shows nothing."""
    values = [
        search.best.values.get(key) if best is not None and search.best is not None else None
        for _, best, search in shown
    ]
    return _values(key, values, _CHOSEN)


def _values(key: str, values: Sequence[Scalar], top: Symbol = NOTHING) -> Column:
    cells = tuple(
        Cell("", "", None, "")
        if one is None
        else Cell(value(one), "", one if isinstance(one, str) else float(one), "")
        for one in values
    )
    return Column("ours", key, top, Symbol(short(key), "", key), cells)


def _objective(number: float, name: str) -> Cell:
    if name == COUNTED:
        return Cell(power(number), "", number, f"{number:,.0f}")
    return Cell(f"{number:,.0f}" if name.startswith("cost.") else f"{number:.2f}", "", number, "")


def _when_tuned(search: Searched) -> Cell:
    best = search.best
    if best is None:
        return Cell(MISSING, "", None, "")
    return Cell(f"{best.objectives[0]:.2f}", "", best.objectives[0], f"seed {search.seed}")


def _keys(search: Searched) -> list[str]:
    return [dimension["key"] for dimension in search.about["space"]]


def _ends(search: Searched) -> str:
    """`8: 5 finished, 3 pruned`."""
    return ": ".join(filter(None, [str(len(search.found)), _counts(search)]))


def _counts(search: Searched) -> str:
    counts = [(word, sum(one.end == end for one in search.found)) for word, end in _WORDS.items()]
    return ", ".join(f"{count} {word}" for word, count in counts if count)


_WORDS = {"finished": "complete", "pruned": "pruned", "failed": "fail", "under way": None}


def _best_notes(table: Table, search: Searched, shown: Sequence[Suggestion]) -> list[Note]:
    rows = {row.arm: row for row in table.rows}
    scaled = any(_is_scaled(one.values, rows.get(search.name(one))) for one in shown)
    texts = [_how(search, objective_names(table, search)), *([IN_PAPERS_SIZES] if scaled else [])]
    return [Note("", text, "") for text in texts]


def _is_scaled(values: Mapping[str, Scalar], row: Row | None) -> bool:
    """Whether the setting has made something else of what was suggested."""
    return row is not None and any(row.settings.get(key) != one for key, one in values.items())


def _how(search: Searched, names: Sequence[str]) -> str:
    sampler, pruner = search.about["sampler"]["name"], search.about["pruner"]
    pruned = f", pruned by {pruner['name']}" if pruner else ""
    return (
        f"{len(search.found)} suggestions of {sampler} for {' and '.join(names)}{pruned}, trained "
        f"with seed {search.seed}: {_counts(search)}."
    )


def _tuned_notes(table: Table, searches: Sequence[Searched]) -> list[Note]:
    if not searches:
        return []
    first = searches[0]
    text = (
        f"Each row was searched with {first.budget['trials']:g} trials of seed {first.seed}, its "
        "own values first where they can be suggested; what scored best then is trained with the "
        "table's seeds. What a row names itself is not searched in it. The score when tuned is "
        "the best of a row's trials, and so too high."
    )
    found = [Note("", text, "")]
    rows = {row.arm: row for row in table.rows}
    chosen = [(one.best, rows.get(f"{one.row}{BEST}")) for one in searches]
    if any(best is not None and _is_scaled(best.values, row) for best, row in chosen):
        found.append(Note("", IN_PAPERS_SIZES, ""))
    late = [search.row for search in searches if not search.is_done]
    if late:
        found.append(Note("", f"Still being searched: {', '.join(late)}.", ""))
    return found
