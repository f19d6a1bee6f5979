"""The measured Table 1 as tables: growth, paths, and every cell."""

from collections.abc import Callable, Sequence

from analysis import published
from analysis.columns import MISSING, NOTHING, Cell, Column, Symbol
from analysis.complexity import (
    PUBLISHED,
    UNDISTURBED,
    Growth,
    Measure,
    Survey,
    crossings,
    fastest,
    in_length,
    in_width,
    longest_shared,
)
from analysis.notes import Note
from analysis.sections import Section
from lit_transformer.complexity.cells import Cell as Place
from lit_transformer.complexity.cells import LayerType

MEASURES: dict[str, tuple[str, Measure]] = {
    "counted": ("operations of matrix products, counted", lambda point: point.operations),
    "forward": ("seconds of a forward pass", lambda point: point.forward_s),
    "training": ("seconds of a forward and a backward pass", lambda point: point.training_s),
    "memory": (
        "bytes at the peak of a forward and a backward pass",
        lambda point: point.training_bytes,
    ),
}
MIB = 2**20


def growth_sections(survey: Survey) -> list[Section]:
    """Exponents of the length, in the narrowest and the widest layers, and of the width."""
    found = []
    for width in dict.fromkeys((survey.widths[0], survey.widths[-1])):
        columns = _growth_columns(survey, _of_length(survey, width))
        found.append(_section(f"n{width}", f"Exponents of n, where d = {width:,}", columns, ()))
    lengths = {layer: longest_shared(survey, layer) for layer in survey.layers}

    def of_width(layer: LayerType, measure: Measure) -> Growth | None:
        length = lengths[layer]
        return None if length is None else in_width(survey, layer, length, measure)

    names, paper, *exponents = _growth_columns(survey, of_width)
    at = Column(
        "ours", "n", NOTHING, Symbol("n", "", "length"), tuple(map(_count, lengths.values()))
    )
    title = "Exponents of d, at the longest n that was run at every d"
    notes = (*_warning(survey), *GROWTH)
    return [*found, _section("d", title, [names, paper, at, *exponents], notes)]


GROWTH = (
    "An exponent is the slope of a line through logarithms, by least squares, over the larger half "
    "of the sizes that were run, three at least; brackets have its 95 % interval, which is wide "
    "where the points lie on no line. It is blank where fewer sizes were run.",
    "Counted: operations of matrix products that the layer computes. Where their exponent and that "
    "of time differ, the machine is the reason, not the layer. Forward and training: seconds of a "
    "forward pass, and of one with its backward pass, the fastest repeat. Memory: bytes at the "
    "peak of the latter, as torch's allocator counts them, weights and input left out.",
    "The paper's column counts what is specific to a layer type. The projections of "
    "self-attention, which grow as n d², are no part of it: unprojected layers are without them.",
)


def paths_section(survey: Survey) -> Section:
    """Sequential operations and maximum path length, found by dependence."""
    layers = [layer for layer in survey.layers if any(layer == one for one, _ in survey.paths)]
    lengths = sorted({length for _, length in survey.paths})
    columns = [_names(layers)]
    for key, title, meaning in (
        ("sequential", "sequential operations", "steps of one layer that wait for each other"),
        ("longest", "maximum path length", "longest of the shortest paths between two tokens"),
    ):
        columns.append(
            _paper(layers, f"paper.{key}", "paper", PRINTED[key], Symbol(title, "", meaning))
        )
        columns += [
            Column(
                "ours",
                f"{key}.{length}",
                Symbol(title, "", meaning),
                Symbol(f"n = {length}", "", "found"),
                tuple(_count(survey.paths.get((layer, length), {}).get(key)) for layer in layers),
            )
            for length in lengths
        ]
    terms = survey.terms
    notes = (
        "Found by gradients, in float64: which output of a stack of layers depends on which input, "
        "and in how few layers all do. In recurrent layers also where, with the carried state cut "
        "between two tokens, the last output no longer depends on the first input.",
        f"Here r = {terms.window} tokens to each side and k = {terms.kernel}. The paper's log_k(n) "
        "is of dilated convolutions; these are contiguous, for which it says O(n/k).",
        "A feed-forward layer connects no two tokens.",
    )
    title = "Who waits for whom, and how far apart tokens are"
    return _section("paths", title, columns, notes)


PRINTED = {"sequential": "sequential_operations", "longest": "maximum_path_length"}
"""Of the paper's Table 1, the column of each of ours."""


def cells_section(survey: Survey) -> Section:
    """Milliseconds and MiB of every cell; what was not run, with the reason."""
    rows = [(layer, width) for layer in survey.layers for width in survey.widths]
    columns = [
        _words("layer", [layer for layer, _ in rows]),
        Column(
            "setting", "width", NOTHING, Symbol("d", "", "width"), tuple(_count(d) for _, d in rows)
        ),
    ]
    for length in survey.lengths:
        top = Symbol(f"n = {length:,}", "", "length")
        columns += [
            Column(
                "ours",
                f"n{length}.{name}",
                top,
                Symbol(unit, "", meaning),
                tuple(_cell(survey, layer, length, width, name) for layer, width in rows),
            )
            for name, unit, meaning in (
                ("training", "ms", MEASURES["training"][0]),
                ("memory", "MiB", MEASURES["memory"][0]),
            )
        ]
    blocks = [
        tuple(n for n, (layer, _) in enumerate(rows) if layer == name) for name in survey.layers
    ]
    note = "Not run: m, more memory than there was by the estimate; t, more time than allowed."
    return Section(
        "cells", "Every cell", False, tuple(columns), tuple(blocks), (Note("", note, ""),), {}
    )


def winners(survey: Survey) -> list[str]:
    """Who is fastest, sentence by sentence."""
    told = []
    for width in survey.widths:
        spans = [f"{layer} {_span(first, last)}" for layer, first, last in fastest(survey, width)]
        crossed = [
            f"{one.faster} about n = {one.length:,.0f}"
            for one in crossings(survey)
            if one.width == width
        ]
        text = f"d = {width:,}. Fastest: {', '.join(spans) or 'too few were run'}."
        if crossed:
            text += f" Self-attention is slower for good from: {', '.join(crossed)}."
        told.append(text)
    return told


def _span(first: int, last: int) -> str:
    return f"(n = {first:,})" if first == last else f"(n = {first:,} to {last:,})"


def _warning(survey: Survey) -> list[str]:
    if not survey.disturbed:
        return []
    return [
        f"Beside {survey.disturbed} of {len(survey.points)} cells other work took more than "
        f"{100 * (1 - UNDISTURBED):.0f} % of the processor: their times, and exponents of times, "
        "say little. Counts, memory and paths are not touched by that. Measure again on a quiet "
        "machine."
    ]


def _of_length(survey: Survey, width: int) -> Callable[[LayerType, Measure], Growth | None]:
    return lambda layer, measure: in_length(survey, layer, width, measure)


def _growth_columns(
    survey: Survey, fitted: Callable[[LayerType, Measure], Growth | None]
) -> list[Column]:
    layers = survey.layers
    return [
        _names(layers),
        _paper(layers, "complexity", "paper", "complexity"),
        *(
            _growths([fitted(layer, measure) for layer in layers], name, Symbol(name, "", meaning))
            for name, (meaning, measure) in MEASURES.items()
        ),
    ]


def _section(name: str, title: str, columns: Sequence[Column], notes: Sequence[str]) -> Section:
    rows = tuple(range(len(columns[0].cells)))
    told = tuple(Note("", text, "") for text in notes)
    return Section(name, title, True, tuple(columns), (rows,), told, {})


def _names(layers: Sequence[LayerType]) -> Column:
    return _words("layer", layers)


def _words(name: str, words: Sequence[str]) -> Column:
    cells = tuple(Cell(word, "", word, "") for word in words)
    return Column("words", name, NOTHING, Symbol(name, "", "layer type"), cells)


def _paper(
    layers: Sequence[LayerType], name: str, head: str, field: str, top: Symbol = NOTHING
) -> Column:
    table = published.load().table1
    cells = []
    for layer in layers:
        row = table.rows.get(PUBLISHED.get(layer, ""))
        text = MISSING if row is None else str(getattr(row, field)).replace("^2", "²")
        place = "" if row is None else published.load().cite(row)
        cells.append(Cell(text, "", text, place))
    return Column("paper", name, top, Symbol(head, "", "as the paper prints it"), tuple(cells))


def _growths(found: Sequence[Growth | None], name: str, head: Symbol) -> Column:
    return Column("ours", name, NOTHING, head, tuple(map(_growth, found)))


def _growth(found: Growth | None) -> Cell:
    if found is None:
        return Cell(MISSING, "", None, "fewer than three sizes were run")
    spread = f"({found.low:.2f}, {found.high:.2f})"
    return Cell(f"{found.exponent:.2f}", spread, found.exponent, f"of {found.points} sizes")


def _count(number: int | None) -> Cell:
    return Cell(MISSING, "", None, "") if number is None else Cell(f"{number:,}", "", number, "")


def _cell(survey: Survey, layer: LayerType, length: int, width: int, name: str) -> Cell:
    place = Place(layer, length, width)
    if point := survey.points.get(place):
        value = 1000 * point.training_s if name == "training" else point.training_bytes / MIB
        return Cell(f"{value:,.3g}" if value < 1000 else f"{value:,.0f}", "", value, "")
    why = survey.left_out.get(place)
    if why is None:
        return Cell(MISSING, "", None, "not asked for")
    return Cell(why.reason[0], "", None, why.words)
