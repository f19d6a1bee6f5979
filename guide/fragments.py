"""A report's tables and sentences as Markdown, in one of the guide's languages.

What they say of rows is taken from the report's own verdicts, so that a page never states an
outcome by itself.
"""

from collections.abc import Mapping, Sequence

from analysis import columns, published, rendering
from analysis.columns import Column, Symbol
from analysis.rebuilding import Rebuilt
from analysis.significance import MARGIN
from analysis.tables import Row, Table
from guide.reports import GuideError
from guide.words import Words, translated

DEFAULT = ("arm", "changes", "ppl", "score", "difference", "verdict", "seeds")
"""Columns of a table that names none."""


def table(report: Rebuilt, names: Sequence[str], arms: Sequence[str], words: Words) -> str:
    """The columns of these names, of these arms; no arms: all. GuideError for unknown ones."""
    made = report.table
    known = _columns(made)
    numbers = [number for number, _ in _rows(made, arms)]
    missing = [name for name in names if name not in known]
    if missing:
        raise GuideError(f"no column {missing[0]}; there are {', '.join(known)}")
    shown = [_headed(known[name], name, made, words) for name in names]
    return rendering.grid(shown, [numbers])


def section(report: Rebuilt, name: str, optional: bool, words: Words) -> str:
    """A table that stands beside the main one. GuideError where the report has none so called,
    unless it is `optional`: then a sentence says so."""
    found = {one.name: one for one in report.sections}
    if name not in found and optional:
        return words.no_section
    if name not in found:
        raise GuideError(f"no section {name}; there are {', '.join(found) or 'none'}")
    shown = [_headed_beside(column, words) for column in found[name].columns]
    rows = [number for block in found[name].blocks for number in block]
    return rendering.grid([_translated(column, words) for column in shown], [rows])


def outcome(report: Rebuilt, arms: Sequence[str], words: Words) -> str:
    """Base's score, then the rows by verdict, each with its difference."""
    made = report.table
    base = made.base
    if base.mean(made.measure) is None:
        return words.none
    verdicts = _columns(made)["verdict"].cells
    found: dict[str, list[str]] = {}
    for number, row in _rows(made, arms):
        if row is not base:
            difference = made.difference(row, made.measure)
            apart = "" if difference is None else f" ({columns.signed(difference, 2)})"
            found.setdefault(verdicts[number].text, []).append(f"`{row.arm}`{apart}")
    several = len(base.runs) > 1
    head = (words.base if several else words.one_seed).format(
        arm=base.arm, score=_score(base, made), scorer=_scorer(made), seeds=len(base.runs)
    )
    told = [
        f"- **{translated(words.verdicts, word)}**: {', '.join(rows)}"
        for word, rows in found.items()
    ]
    unsure = [words.unsure.format(margin=MARGIN)] if "cannot tell" in found else []
    return "\n".join([head, "", *told, "", *unsure])


def claims(report: Rebuilt, words: Words) -> str:
    """The paper's sentences about its rows, and how each fares in these runs."""
    found = [one for one in report.sections if one.name == "claims"]
    if not found:
        raise GuideError("the report has no sentences of the paper; a report of table3 has")
    sentences = found[0].content["sentences"]
    assert isinstance(sentences, list)
    return "\n".join(
        f"- “{one['sentence']}” ({words.paper_says.format(place=one['place'])}): "
        f"**{translated(words.outcomes, one['outcome'])}**"
        for one in sentences
    )


def provenance(report: Rebuilt, words: Words) -> str:
    """What was run, how long it took, on what and with which commit."""
    made = report.table
    runs = made.runs
    seconds = sum(sum(row.measures["cost.total_seconds"].values) for row in made.rows if row.runs)
    return words.provenance.format(
        finished=made.finished,
        trials=made.trials,
        rows=len(made.rows),
        seeds=len(made.seeds),
        minutes=seconds / 60,
        devices=", ".join(sorted({run.device for run in runs})),
        commits=", ".join(sorted({run.commit[:7] for run in runs})),
    )


def layer_types(words: Words) -> str:
    """The paper's Table 1."""
    lines = [words.layers, ("---",) * len(words.layers)]
    for row in published.load().table1.rows.values():
        growth = (row.complexity, row.sequential_operations, row.maximum_path_length)
        formulas = [one.replace("log", r"\log") for one in growth]
        lines.append((row.layer, *(f"${formula}$" for formula in formulas)))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def value(report: Rebuilt, arm: str, name: str, places: int | None) -> str:
    """One number or word of a row: a column's name, a metric, or a key of the configuration.

    `places`: digits behind the point of a metric; None: two, and one of a difference.
    """
    made = report.table
    ((number, row),) = _rows(made, [arm])
    if name == "difference":
        difference = made.difference(row, made.measure)
        return (
            columns.MISSING
            if difference is None
            else columns.signed(difference, 1 if places is None else places)
        )
    metric = {"score": made.measure, "ppl": made.perplexity}.get(name, name)
    if metric in row.measures:
        return columns.score_cell(row.measures[metric], 2 if places is None else places).text
    if name in row.settings:
        return columns.value(row.settings[name])
    known = _columns(made)
    if name in known:
        return known[name].cells[number].text
    raise GuideError(f"row {arm} has no {name}: no column, no metric and no key of this name")


def _rows(made: Table, arms: Sequence[str]) -> list[tuple[int, Row]]:
    """With their numbers. GuideError for an arm that is not there."""
    known = [row.arm for row in made.rows]
    missing = [arm for arm in arms if arm not in known]
    if missing:
        study = made.heading.study
        raise GuideError(f"{study} has no row {missing[0]}; there are {', '.join(known)}")
    return [(n, row) for n, row in enumerate(made.rows) if not arms or row.arm in arms]


def _columns(made: Table) -> dict[str, Column]:
    """By the names that pages use; metrics of the second table by their own."""
    main = {column.name: column for column in columns.main_columns(made)}
    beside = {column.name: column for column in columns.beside_columns(made)}
    named = {
        "arm": main["arm"],
        "changes": rendering.changes_column(made),
        "label": _labels(made),
        "ppl": main[made.perplexity],
        "score": main[made.measure],
        "difference": main[f"difference.{made.scorer}"],
        "verdict": main["verdict"],
        "seeds": main["seeds"],
    }
    published = {"paper.difference": main.get("paper.difference.bleu")}
    return (
        named
        | {name: column for name, column in published.items() if column is not None}
        | {name: column for name, column in {**main, **beside}.items() if name not in named}
        | _measured(made, {*main, *beside})
    )


def _measured(made: Table, others: set[str]) -> dict[str, Column]:
    """Metrics that no table of the report has a column for."""
    names = sorted({name for row in made.rows for name in row.measures} - others)
    return {
        name: Column(
            "ours",
            name,
            columns.NOTHING,
            Symbol(name, "", ""),
            tuple(columns.score_cell(row.measures.get(name), 2) for row in made.rows),
        )
        for name in names
    }


def _labels(made: Table) -> Column:
    cells = tuple(columns.Cell(row.label, "", None, "") for row in made.rows)
    return Column("words", "label", columns.NOTHING, Symbol("label", "", ""), cells)


def _headed(column: Column, name: str, made: Table, words: Words) -> Column:
    """With the head that the language has for it, else with its own."""
    text = words.heads.get(name, "").format(scorer=_scorer(made))
    if not text:
        return _translated(column, words)
    return _translated(_titled(column, text), words)


def _headed_beside(column: Column, words: Words) -> Column:
    """The same of a column that stands in no main table: one of a name, or of a bucket of it."""
    heads = {**words.beside, "arm": words.heads["arm"]}
    name, _, bucket = column.name.rpartition(".")
    side, _, length = column.head.text.partition(" ")
    if column.name in heads:
        return _titled(column, heads[column.name])
    if name in words.buckets and bucket.isdigit() and side in words.bounds:
        bound = words.bounds[side].format(length=length)
        return _titled(column, words.buckets[name].format(bound=bound))
    return column


def _titled(column: Column, text: str) -> Column:
    return column._replace(top=columns.NOTHING, head=Symbol(text, "", ""))


def _translated(column: Column, words: Words) -> Column:
    """Its verdicts and outcomes in the language."""
    known: Mapping[str, str] = {**words.verdicts, **words.outcomes}
    if column.kind not in ("verdict", "words") or not known:
        return column
    cells = tuple(cell._replace(text=translated(known, cell.text)) for cell in column.cells)
    return column._replace(cells=cells)


def _scorer(made: Table) -> str:
    return made.scorer.upper()


def _score(row: Row, made: Table) -> str:
    cell = columns.score_cell(row.measures[made.measure], 2)
    return f"{cell.text} {cell.spread}".strip()
