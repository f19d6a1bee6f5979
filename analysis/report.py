"""A table as a page, and all of its files.

The page needs nothing from outside: style, script and pictures are in it, and its policy lets the
browser load nothing else. The same table gives the same bytes.
"""

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from itertools import chain, groupby
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from jinja2 import Environment
from markupsafe import Markup

from analysis import (
    frontier,
    head_plots,
    latex,
    listing,
    plots,
    rendering,
    search_plots,
    searches,
    svg,
)
from analysis.attention import Shown
from analysis.columns import (
    Column,
    beside_columns,
    changes,
    groups,
    main_columns,
    plain,
    spanning,
)
from analysis.heads import Found
from analysis.listing import Places
from analysis.notes import departures, notes, summary
from analysis.sections import Section
from analysis.tables import Table
from lit_transformer import attention_page

TEMPLATES = Path(__file__).with_name("templates")
OVERVIEW_LIMIT = 4500
"""Characters of an overview: less than MLflow shows as a description."""
LONGEST_NAME = 60
"""Characters of a picture's name among files."""
MOST_DRAWN = 60
"""Rows of a table that still has pictures: more of them show nothing, and take seconds to draw."""


class Sample(NamedTuple):
    """One sentence of the valid part as a trial translated it."""

    arm: str
    seed: int
    source: str
    reference: str
    hypothesis: str


class Pictures(NamedTuple):
    """Of a page; each with its title."""

    differences: list[tuple[str, Markup]]
    searches: list[search_plots.Plot]
    frontiers: list[tuple[str, Markup]]
    curves: list[tuple[str, list[plots.Panel]]]
    heads: list[plots.Panel]
    of_sections: Mapping[str, list[tuple[str, list[plots.Panel]]]]
    """Section's name -> its pictures."""


def write(
    table: Table,
    histories: pd.DataFrame,
    samples: Sequence[Sample],
    maps: Shown | None,
    heads: Found,
    places: Places,
    folder: Path,
    sections: Sequence[Section] = (),
) -> dict[str, Path]:
    """Writes report.md, .csv, .tex, .json and .html, each whole or not at all -> format: file.

    Beside them, for MLflow: overview.md, and figures/ with each picture of the page.
    """
    pictures = _pictures(table, histories, heads, sections)
    texts = {
        "md": rendering.markdown(table, None, sections),
        "csv": rendering.csv_text(table),
        "tex": latex.document(table, sections),
        "json": rendering.json_text(table, sections),
        "html": _page(table, pictures, samples, maps, places, folder, sections),
    }
    folder.mkdir(parents=True, exist_ok=True)
    replace(folder / "overview.md", rendering.overview(table, OVERVIEW_LIMIT))
    _write_figures(folder / "figures", pictures)
    return {kind: replace(folder / f"report.{kind}", text) for kind, text in texts.items()}


def page(
    table: Table,
    histories: pd.DataFrame,
    samples: Sequence[Sample],
    maps: Shown | None,
    heads: Found,
    places: Places,
    folder: Path,
    sections: Sequence[Section] = (),
) -> str:
    """The page, as it stands in `folder`; `histories` are those of `runs.history`."""
    pictures = _pictures(table, histories, heads, sections)
    return _page(table, pictures, samples, maps, places, folder, sections)


def _page(
    table: Table,
    pictures: Pictures,
    samples: Sequence[Sample],
    maps: Shown | None,
    places: Places,
    folder: Path,
    sections: Sequence[Section],
) -> str:
    script = attention_page.read_template("attention.js") + template_text("report.js")
    styles = [attention_page.read_template(name) for name in ("page.css", "attention.css")]
    kept = table.without_pruned
    main, beside = main_columns(table), beside_columns(kept)
    firsts = {numbers[0] for _, numbers in groups(table)}
    here = places.seen_from(folder)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            table=table,
            heading=table.heading,
            summary=summary(table),
            notes=notes(table, spanned=True),
            main=main,
            tops=tops(main),
            beside=beside,
            kept=kept,
            kept_firsts={numbers[0] for _, numbers in groups(kept)},
            numbers={row.arm: number for number, row in enumerate(table.rows)},
            beside_tops=tops(beside),
            spreads={c.name for c in (*main, *beside) if any(cell.spread for cell in c.cells)},
            firsts=firsts,
            spans=[spanning(table, row) for row in table.rows],
            changes=[changes(table, row, hidden=False) for row in table.rows],
            seeds=[listing.seeds(row, here) for row in table.rows],
            lines=[
                listing.lines(row, n, n in firsts, table.measure, here)
                for n, row in enumerate(table.rows)
            ],
            leading=[(one, tops(one.columns)) for one in sections if one.leads],
            sections=[(one, tops(one.columns)) for one in sections if not one.leads],
            differences=pictures.differences,
            searches=pictures.searches,
            frontiers=pictures.frontiers,
            curves=pictures.curves,
            heads=pictures.heads,
            of_sections=pictures.of_sections,
            most_drawn=MOST_DRAWN,
            departures=departures(table),
            provenance=_provenance(table),
            samples=_samples(samples),
            attention=maps,
            style=Markup(styles[0] + template_text("report.css") + styles[1]),
            script=Markup(script),
            script_hash=attention_page.script_hash(script),
        )
    )


def environment() -> Environment:
    """Of all pages' templates."""
    made = attention_page.environment(TEMPLATES)
    made.filters["plain"] = plain
    return made


def template_text(name: str) -> str:
    return (TEMPLATES / name).read_text("utf-8")


def tops(columns: Sequence[Column]) -> list[tuple[Column, int]]:
    """The upper header: the first column under each of its cells, and how many share it."""
    found = []
    for _, members in groupby(columns, key=lambda column: column.top.text or column.name):
        some = list(members)
        found.append((some[0], len(some)))
    return found


def _pictures(
    table: Table, histories: pd.DataFrame, heads: Found, sections: Sequence[Section]
) -> Pictures:
    if len(table.rows) > MOST_DRAWN:
        return Pictures([], [], [], [], [], {})
    return Pictures(
        _differences(table),
        _searches(table),
        _frontiers(table, histories),
        _curves(table, histories),
        _marked(head_plots.pictures(table, heads)),
        {section.name: _of_section(table, section) for section in sections},
    )


def _differences(table: Table) -> list[tuple[str, Markup]]:
    drawn = [
        (
            f"{table.scorer.upper()}, points from {table.base_name}",
            plots.differences(table, table.measure, "bleu"),
        ),
        (
            f"Perplexity, per cent from {table.base_name}",
            plots.differences(table, table.perplexity, "ppl"),
        ),
    ]
    return [(title, Markup(picture)) for title, picture in drawn if picture]


def _searches(table: Table) -> list[search_plots.Plot]:
    found: list[search_plots.Plot] = []
    for search in table.searched:
        names = searches.objective_names(table, search)
        found += (
            search_plots.slices(search, names[0])
            if search.row
            else search_plots.pictures(search, names)
        )
    return [plot._replace(svg=Markup(plot.svg)) for plot in found]


def _frontiers(table: Table, histories: pd.DataFrame) -> list[tuple[str, Markup]]:
    return [(title, Markup(drawn)) for title, drawn in frontier.pictures(table, histories)]


def _curves(table: Table, histories: pd.DataFrame) -> list[tuple[str, list[plots.Panel]]]:
    drawn = [
        (title, _marked(plots.curves(table, histories, metric)))
        for metric, title in plots.CURVES.items()
    ]
    return [(title, panels) for title, panels in drawn if panels]


def _of_section(table: Table, section: Section) -> list[tuple[str, list[plots.Panel]]]:
    drawn = [
        (title, _marked(plots.panels(table, found, f"{section.name} {title}", title)))
        for title, found in section.curves.items()
    ]
    return [(title, panels) for title, panels in drawn if panels]


def _marked(panels: Sequence[plots.Panel]) -> list[plots.Panel]:
    return [panel._replace(svg=Markup(panel.svg)) for panel in panels]


def _write_figures(folder: Path, pictures: Pictures) -> None:
    """Each picture as an SVG file; those of an earlier report are removed."""
    searched = [(plot.title, plot.svg) for plot in pictures.searches]
    alone = (*pictures.differences, *searched, *pictures.frontiers)
    panels = [plots.Panel(title, picture, ()) for title, picture in alone]
    for title, some in (*pictures.curves, *chain(*pictures.of_sections.values())):
        panels += [panel._replace(title=f"{title}, {panel.title}") for panel in some]
    panels += [panel._replace(title=f"Heads: {panel.title}") for panel in pictures.heads]
    folder.mkdir(exist_ok=True)
    names = set()
    for number, (title, picture, key) in enumerate(panels, start=1):
        words = re.sub(r"[^A-Za-z0-9.]+", "-", title).strip("-").lower()[:LONGEST_NAME]
        names.add(f"{number:02}-{words}.svg")
        replace(folder / f"{number:02}-{words}.svg", svg.alone(str(picture), title, key))
    for path in folder.glob("*.svg"):
        if path.name not in names:
            path.unlink()


def _provenance(table: Table) -> Mapping[str, list[str]]:
    """What the numbers come from; a fact that no run tells is left out."""
    heading, runs = table.heading, table.runs
    commits = {run.commit + (" with uncommitted changes" if run.dirty else "") for run in runs}
    facts = {
        "Study": [f"{heading.study}, version {heading.version}"],
        "Setting": [heading.setting],
        "Seeds": [", ".join(map(str, table.seeds))],
        "Command": [heading.command],
        "Commits": sorted(commits - {""}),
        "Devices": sorted({run.device for run in runs} - {""}),
        "Data": [f"{name}: {checksum}" for name, checksum in table.checksums],
        "Signatures": [f"{name}: {text}" for name, text in sorted(table.signatures.items())],
        "Versions": [", ".join(f"{name} {text}" for name, text in heading.versions.items())],
    }
    return {name: lines for name, lines in facts.items() if any(lines)}


def _samples(samples: Sequence[Sample]) -> list[tuple[str, str, list[Sample]]]:
    """By sentence: source, reference and every translation of it."""
    found: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        found.setdefault((sample.source, sample.reference), []).append(sample)
    return [(source, reference, some) for (source, reference), some in found.items()]


def replace(path: Path, text: str) -> Path:
    """The file is at no time half written."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path
