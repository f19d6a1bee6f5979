"""The measured Table 1 as files: text, page, pictures and data."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from analysis import published, rendering, report, svg
from analysis.complexity import Point, Survey, crossings
from analysis.complexity_sections import (
    MEASURES,
    cells_section,
    growth_sections,
    paths_section,
    winners,
)
from analysis.plots import Panel
from analysis.sections import Section
from analysis.svg import FAINT, HAIR, LINES, VARIABLES
from lit_transformer import attention_page
from lit_transformer.complexity.cells import LayerType

JSON_FORMAT = 1
DRAWN: dict[LayerType, tuple[str, bool]] = {
    "self-attention": (LINES[0], False),
    "self-attention-restricted": (LINES[1], False),
    "recurrent-lstm": (LINES[2], False),
    "recurrent-gru": (LINES[3], False),
    "convolutional": (LINES[4], False),
    "feed-forward": (LINES[5], False),
    "self-attention-unprojected": (LINES[0], True),
    "self-attention-restricted-unprojected": (LINES[1], True),
}
"""Colour, and whether dashed."""
PICTURES = {
    "training": "Milliseconds of a forward and a backward pass, by n; upright line: n = d",
    "memory": "MiB at the peak of a forward and a backward pass, by n; upright line: n = d",
}
SCALES = {"training": 1e3, "memory": 2.0**-20}


def text(survey: Survey, width: int | None) -> str:
    """As Markdown; with `width`, set for a terminal."""
    parts = ["# Table 1, measured", summary(survey)]
    for section in (*growth_sections(survey), paths_section(survey)):
        parts += rendering.section_text(section, width)
    parts += ["## Where n crosses d", "\n".join(f"- {line}" for line in winners(survey))]
    parts += rendering.section_text(cells_section(survey), width)
    return "\n\n".join(parts) + "\n"


def write(survey: Survey, folder: Path) -> dict[str, Path]:
    """complexity.md, .csv, .json, .html and a picture for each measure -> format: file."""
    pictures = {name: panels(survey, name) for name in PICTURES}
    texts = {
        "md": text(survey, None),
        "csv": csv_text(survey),
        "json": rendering.as_text(as_object(survey)),
        "html": _page(survey, pictures),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, drawn in pictures.items():
        for panel in drawn:
            title = f"{PICTURES[name]}; {panel.title}"
            words = re.sub(r"[^a-z0-9]+", "-", f"{name}-{panel.title}".lower())
            report.replace(folder / f"{words}.svg", svg.alone(panel.svg, title, panel.key))
    return {kind: report.replace(folder / f"complexity.{kind}", one) for kind, one in texts.items()}


def summary(survey: Survey) -> str:
    terms, about = survey.terms, survey.environment
    return (
        f"{len(survey.points)} cells, {len(survey.left_out)} left out. {about['device']}, "
        f"threads: {about['threads']}, torch {about['versions']['torch']}, float32; "
        f"{terms.sentences} sequence{'s' * (terms.sentences > 1)} at a time, heads of width "
        f"{terms.head_width}, r = {terms.window} to each side, k = {terms.kernel}."
    )


def csv_text(survey: Survey) -> str:
    """One line a cell; raw numbers."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    names = [name for name in Point._fields if name != "cell"]
    writer.writerow(["layer", "length", "width", *names, "left_out", "estimate"])
    for cell in sorted({*survey.points, *survey.left_out}):
        point, why = survey.points.get(cell), survey.left_out.get(cell)
        numbers = [None] * len(names) if point is None else list(point[1:])
        writer.writerow([*cell, *numbers, *((None, None) if why is None else why)])
    return stream.getvalue()


def as_object(survey: Survey) -> dict[str, object]:
    """format, runs, environment, terms, cells, left_out, growth, paths, crossings, paper."""
    paper = published.load()
    return {
        "format": JSON_FORMAT,
        "runs": [dict(one) for one in survey.runs],
        "environment": dict(survey.environment),
        "terms": survey.terms._asdict(),
        "cells": [{**p.cell._asdict(), **_numbers(p)} for p in survey.points.values()],
        "left_out": [{**cell._asdict(), **why._asdict()} for cell, why in survey.left_out.items()],
        "growth": {one.name: _growth_object(one) for one in growth_sections(survey)},
        "paths": [*survey.paths.values()],
        "winners": winners(survey),
        "crossings": [one._asdict() for one in crossings(survey)],
        "paper": {
            name: {**row.model_dump(mode="json"), "cited": paper.cite(row)}
            for name, row in paper.table1.rows.items()
        },
    }


def _numbers(point: Point) -> dict[str, object]:
    return {name: value for name, value in point._asdict().items() if name != "cell"}


def _growth_object(section: Section) -> list[dict[str, object]]:
    """A row for each layer type: column -> exponent or word, and the interval of an exponent."""
    rows: list[dict[str, object]] = []
    for number in section.blocks[0]:
        row: dict[str, object] = {}
        for column in section.columns:
            cell = column.cells[number]
            row[column.name] = cell.order
            if cell.spread:
                row[f"{column.name}.interval"] = cell.spread
        rows.append(row)
    return rows


def _page(survey: Survey, pictures: dict[str, list[Panel]]) -> str:
    leading = [*growth_sections(survey), paths_section(survey)]
    cells = cells_section(survey)
    script = report.template_text("report.js")
    about = survey.environment
    return (
        report.environment()
        .get_template("complexity.html.j2")
        .render(
            summary=summary(survey),
            leading=[(one, report.tops(one.columns)) for one in leading],
            others=[(cells, report.tops(cells.columns))],
            winners=winners(survey),
            pictures=[
                (PICTURES[name], [panel._replace(svg=Markup(panel.svg)) for panel in drawn])
                for name, drawn in pictures.items()
                if drawn
            ],
            provenance={
                "Commands": "; ".join(dict.fromkeys(one["command"] for one in survey.runs)),
                "Device": str(about["device"]),
                "Threads": str(about["threads"]),
                "Platform": f"{about['platform']}, Python {about['python']}",
                "Commits": ", ".join(dict.fromkeys(one["commit"] for one in survey.runs)),
                "Versions": ", ".join(f"{name} {one}" for name, one in about["versions"].items()),
                "Paper": published.load().cite(published.load().table1["self-attention"]),
            },
            style=Markup(
                attention_page.read_template("page.css") + report.template_text("report.css")
            ),
            script=Markup(script),
            script_hash=attention_page.script_hash(script),
        )
    )


def panels(survey: Survey, name: str) -> list[Panel]:
    """Of a name of PICTURES: one for each width, on the same scales and with the same key."""
    drawn = [p for p in survey.points.values() if MEASURES[name][1](p) > 0]
    values = [MEASURES[name][1](point) * SCALES[name] for point in drawn]
    if not values:
        return []
    limits = min(values) / 1.5, max(values) * 1.5
    return [_panel(survey, width, name, limits) for width in survey.widths]


def _panel(survey: Survey, width: int, name: str, limits: tuple[float, float]) -> Panel:
    measure = MEASURES[name][1]
    key = []
    with svg.style(f"complexity {name} {width}"):
        drawing = Figure(figsize=(3.3, 2.6))
        axes = drawing.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.axvline(width, color=FAINT, linewidth=0.6, zorder=1)
        for layer, (colour, dashed) in DRAWN.items():
            points = survey.by_length(layer, width)
            if layer in survey.layers:
                key.append((VARIABLES[colour], dashed, str(layer)))
            axes.plot(
                [point.cell.length for point in points],
                [measure(point) * SCALES[name] for point in points],
                color=colour,
                lw=1.2,
                ls="--" if dashed else "-",
                marker="o",
                ms=2.2,
                zorder=3,
            )
        _scales(axes, survey.lengths, limits)
        title = f"d = {width:,}"
        return Panel(title, svg.inline(drawing, f"{PICTURES[name]}, {title}"), tuple(key))


def _scales(axes: Axes, lengths: Sequence[int], limits: tuple[float, float]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlim(lengths[0] / 1.2, lengths[-1] * 1.2)
    axes.set_ylim(*limits)
    shown = lengths[:: max(1, len(lengths) // 5)]
    axes.set_xticks(shown, [f"{length:,}" for length in shown])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,g}"))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="minor", length=0)
    axes.grid(axis="y", color=HAIR, linewidth=0.5)
    axes.set_axisbelow(True)
