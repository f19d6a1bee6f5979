"""A table as Markdown, CSV and JSON: pure functions of the table. LaTeX is in `latex.py`.

Names of studies, settings and arms are the user's; each writer escapes them for its format.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby, islice

import msgspec
from rich.cells import cell_len

from analysis import verdicts
from analysis.columns import (
    NOTHING,
    PUBLISHED,
    Cell,
    Column,
    Symbol,
    beside_columns,
    changes,
    groups,
    main_columns,
    plain,
)
from analysis.counting import Measure, Unused
from analysis.decisions import as_object as decisions_object
from analysis.notes import Note, notes, summary
from analysis.sections import Section, measure_object
from analysis.significance import MARGIN
from analysis.tables import Row, Table
from lit_transformer.config_io import Scalar

JSON_FORMAT = 1
"""Raised when a key of the JSON object is renamed or removed."""

_MARKDOWN = {ord(sign): "\\" + sign for sign in "\\`*_[]<>|~#&"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001


def markdown(table: Table, width: int | None, sections: Sequence[Section] = ()) -> str:
    """The table and its notes, aligned; with `width`, the widest layout that fits a terminal."""
    heading, kept = table.heading, table.without_pruned
    beside = beside_columns(kept)
    leading = [section for section in sections if section.leads]
    parts = [
        f"# {_md(heading.study)} in {_md(heading.setting)}",
        f"Version {_md(heading.version)}. {summary(table)}.",
        *(part for section in leading for part in section_text(section, width)),
        *(["## The study's rows"] if leading else []),
        _fitting(table, width),
        _listed(notes(table, spanned=False)),
        *(["## Other scores", grid(beside, _blocks(kept))] if beside else []),
        *(part for s in sections if not s.leads for part in section_text(s, width)),
    ]
    return "\n\n".join(parts) + "\n"


def overview(table: Table, limit: int) -> str:
    """The table as a run's description in MLflow: the widest layout of at most `limit` characters,
    and the commands behind it."""
    heading = table.heading
    head = f"Version {_md(heading.version)} in setting {_md(heading.setting)}. {summary(table)}."
    commands = _md_note(Note("", "Run it:", heading.command))
    rest = f"{commands}\n\nWhole, with curves and every note: artifact `report.html`."
    for columns in islice(_layouts(table), 3, None):  # MLflow's column is narrow
        text = f"{head}\n\n{grid(columns, _blocks(table))}\n\n{rest}\n"
        if len(text) <= limit:
            return text
    return f"{head}\n\n{rest}\n"[:limit]


def csv_text(table: Table) -> str:
    """One line an arm, raw numbers. A spreadsheet reads no cell of ours as a formula."""
    metrics = sorted({name for row in table.rows for name in row.measures})
    records = [_record(table, row, metrics) for row in table.rows]
    names = list(dict.fromkeys(name for record in records for name in record))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([_guarded(name) for name in names])
    writer.writerows([[_guarded(record.get(name)) for name in names] for record in records])
    return stream.getvalue()


def json_text(table: Table, sections: Sequence[Section] = ()) -> str:
    """`as_object` as UTF-8 text, indented."""
    return as_text(as_object(table, sections))


def as_text(content: dict[str, object]) -> str:
    """As json.dumps(content, indent=2) writes it, which is slow."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return msgspec.json.format(text, indent=2) + "\n"


def as_object(table: Table, sections: Sequence[Section] = ()) -> dict[str, object]:
    """The table as one JSON object.

    format; study, version, setting, description; score (what it is read for); trials, finished,
    seeds; columns (keys); rows; margin; missing; not_counted; paper (source, caveats, departures);
    signatures; checksums; versions; command; sequential (sweeps until decided); notes; sections
    (name -> its content and notes). A row: arm, group, label, settings (all keys), changed, paper
    (ppl, bleu, params in millions, place), ours (metric -> seeds, values, mean, deviation,
    interval, withheld), difference (metric -> mean less base's), verdict, trials (seed, digest,
    state, run_id, experiment_id, commit, dirty, device, trained_as).
    """
    heading = table.heading
    return {
        "format": JSON_FORMAT,
        "study": heading.study,
        "version": heading.version,
        "setting": heading.setting,
        "description": heading.description,
        "score": table.measure,
        "trials": table.trials,
        "finished": table.finished,
        "seeds": list(table.seeds),
        "columns": list(table.keys),
        "rows": [_row_object(table, row) for row in table.rows],
        "margin": MARGIN,
        "missing": [
            {"arm": arm, "seed": slot.seed, "digest": slot.digest, "state": slot.state}
            for arm, slot in table.missing
        ],
        "not_counted": [_unused_object(unused) for unused in table.unused],
        "paper": {
            "source": table.paper_source,
            "caveats": list(table.caveats),
            "departures": {
                key: {"paper": a, "ours": b} for key, (a, b) in table.departures.items()
            },
        },
        "signatures": dict(table.signatures),
        "checksums": [{"name": name, "checksum": value} for name, value in table.checksums],
        "versions": dict(heading.versions),
        "command": heading.command,
        "sequential": [decisions_object(one) for one in table.sequential],
        "notes": [_plain_note(note) for note in notes(table, spanned=False)],
        "sections": {
            section.name: {**section.content, "notes": [_plain_note(n) for n in section.notes]}
            for section in sections
        },
    }


def _layouts(table: Table) -> Iterator[Sequence[Column]]:
    """From the paper's columns to ours alone: each is narrower than the one before."""
    columns, words = main_columns(table), changes_column(table)
    yield columns
    arms, *rest = [column for column in columns if column.kind != "setting"]
    yield [arms, words, *rest]
    rest = [column for column in rest if "param" not in column.name]
    yield [arms, words, *rest]
    rest = [column for column in rest if column.name not in ("paper.ppl", "paper.bleu")]
    yield [arms, words, *rest]
    yield [arms, *rest]
    rest = [column for column in rest if column.kind != "paper"]
    yield [arms, *rest]
    yield [arms, *(column for column in rest if column.name != table.perplexity)]


def _fitting(table: Table, width: int | None) -> str:
    text = ""
    for columns in _layouts(table):
        text = grid(columns, _blocks(table))
        if width is None or cell_len(text.partition("\n")[0]) <= width:
            break
    return text


def changes_column(table: Table) -> Column:
    """What each row changes, in words."""
    words = [
        "" if row is table.base else ", ".join(changes(table, row, hidden=False))
        for row in table.rows
    ]
    cells = tuple(Cell(word, "", None, "") for word in words)
    return Column("words", "changes", NOTHING, Symbol("changes", "", ""), cells)


def section_text(section: Section, width: int | None) -> list[str]:
    """Heading, table and notes; what does not fit `width` is set below, its first column again."""
    first, *rest = section.columns
    shown = [first]
    grids = []
    for _, some in groupby(rest, key=lambda column: column.top):
        members = list(some)
        wider = grid([*shown, *members], section.blocks)
        if width is not None and len(shown) > 1 and cell_len(wider.partition("\n")[0]) > width:
            grids.append(grid(shown, section.blocks))
            shown = [first]
        shown += members
    grids.append(grid(shown, section.blocks))
    listed = [_listed(section.notes)] if section.notes else []
    return [f"## {_md(section.title)}", *grids, *listed]


def _listed(some: Sequence[Note]) -> str:
    return "\n".join(f"- {_md_note(note)}" for note in some)


def _blocks(table: Table) -> list[list[int]]:
    return [numbers for _, numbers in groups(table)]


def grid(columns: Sequence[Column], blocks: Sequence[Sequence[int]]) -> str:
    """A GFM table, padded so that it reads as text; blocks of rows are set apart by a blank row."""
    body = [_md_cells(column) for column in columns]
    heads = [_md(_head(column)) for column in columns]
    widths = [
        max(3, cell_len(head), *map(cell_len, cells))
        for head, cells in zip(heads, body, strict=True)
    ]
    left = [column.kind in ("arm", "words", "verdict", "trials") for column in columns]

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(map(_pad, cells, widths, left))} |"

    rules = ["-" * (width - 1) + ("-" if a else ":") for width, a in zip(widths, left, strict=True)]
    texts = [
        "\n".join(line([cells[number] for cells in body]) for number in numbers)
        for numbers in blocks
    ]
    blank = line([""] * len(columns))
    return "\n".join([line(heads), line(rules), f"\n{blank}\n".join(texts)])


def _head(column: Column) -> str:
    if column.head.text == f"paper{PUBLISHED}":
        return f"{column.top.text}{PUBLISHED}"
    below = f"_{column.head.below}" if column.head.below else ""
    return f"{column.top.text} {column.head.text}{below}".strip()


def _md_cells(column: Column) -> list[str]:
    spread = max((cell_len(cell.spread) for cell in column.cells), default=0)
    if not spread:
        return [_md(cell.text) for cell in column.cells]
    return [f"{_md(cell.text)} {_pad(cell.spread, spread, True)}" for cell in column.cells]


def _pad(text: str, width: int, at_left: bool) -> str:
    room = " " * (width - cell_len(text))
    return text + room if at_left else room + text


@lru_cache(maxsize=2**16)  # layouts show the same cells
def _md(text: str) -> str:
    escaped = plain(text).translate(_MARKDOWN)
    # Between letters an underscore starts no emphasis: d_model stays readable on a terminal.
    return re.sub(r"(?<=[^\W_])\\_(?=[^\W_])", "_", escaped)


def _plain_note(note: Note) -> str:
    return f"{note.mark} {note.text} {note.code}".strip()


def _md_note(note: Note) -> str:
    # A code span ends at its own fence: one backtick more than any run inside it.
    code = plain(note.code)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", code)), default=0))
    space = " " if "`" in code else ""
    return " ".join(
        part
        for part in (
            note.mark,
            _md(note.text),
            f"{fence}{space}{code}{space}{fence}" if code else "",
        )
        if part
    )


def _record(table: Table, row: Row, metrics: Sequence[str]) -> dict[str, Scalar]:
    record: dict[str, Scalar] = {"arm": row.arm, "group": row.group, "label": row.label}
    record |= {key: row.settings.get(key) for key in table.keys}
    record["changed"] = " ".join(sorted(row.changed))
    record |= {"trials": len(row.slots), "finished": len(row.runs)}
    if row.verdict:
        test = row.verdict.test
        low, high = (test and verdicts.interval(test)) or (None, None)
        p, p_same = map(verdicts.digits, (row.verdict.p, row.verdict.p_same))
        record |= {"verdict": row.verdict.word, "verdict.p": p, "verdict.p_same": p_same}
        record |= {"verdict.low": low, "verdict.high": high}
    for figure in ("ppl", "bleu", "params") if table.paper_source else ():
        record[f"paper.{figure}"] = getattr(row.paper, figure, None)
    for name in metrics:
        measure = row.measures.get(name, Measure((), (), ""))
        low, high = measure.interval or (None, None)
        record[f"{name}.mean"] = measure.mean
        record[f"{name}.deviation"] = measure.deviation
        record[f"{name}.low"], record[f"{name}.high"] = low, high
        record[f"{name}.seeds"] = len(measure.values)
        record[f"{name}.difference"] = table.difference(row, name)
    return record


def _guarded(cell: Scalar) -> Scalar:
    """OWASP's rule: a text that a spreadsheet would run gets an apostrophe in front."""
    if isinstance(cell, str) and cell.lstrip(" ").startswith(_FORMULA):
        return "'" + cell
    return cell


def _row_object(table: Table, row: Row) -> dict[str, object]:
    paper = row.paper
    return {
        "arm": row.arm,
        "group": row.group,
        "label": row.label,
        "settings": dict(row.settings),
        "changed": sorted(row.changed),
        "paper": paper
        and {"ppl": paper.ppl, "bleu": paper.bleu, "params": paper.params, "place": row.cited},
        "ours": {name: measure_object(row.measures[name]) for name in sorted(row.measures)},
        "difference": {name: table.difference(row, name) for name in sorted(row.measures)},
        "verdict": row.verdict and verdicts.verdict_object(row.verdict),
        "trials": [
            {
                "seed": slot.seed,
                "digest": slot.digest,
                "state": slot.state,
                "run_id": slot.run and slot.run.run_id,
                "experiment_id": slot.run and slot.run.experiment_id,
                "commit": slot.run and slot.run.commit,
                "dirty": slot.run and slot.run.dirty,
                "device": slot.run and slot.run.device,
                "trained_as": slot.run and slot.run.trained_as,
            }
            for slot in row.slots
        ],
    }


def _unused_object(unused: Unused) -> dict[str, object]:
    run = unused.run
    return {
        "arm": run.arm,
        "seed": run.seed,
        "digest": run.digest,
        "run_id": run.run_id,
        "reason": unused.reason,
    }
