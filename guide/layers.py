"""The measured Table 1 as Markdown, in one of the guide's languages.

Which layer type is ahead is computed here as in the report, so that no page states it by itself.
"""

from collections.abc import Sequence

from analysis import columns, complexity, rendering
from analysis.columns import Column, Symbol
from analysis.complexity import RIVALS, Survey
from analysis.complexity_sections import growth_sections, paths_section
from guide.reports import GuideError
from guide.words import EN, Words
from lit_transformer.complexity.cells import LayerType


def exponents(survey: Survey, section: str, names: Sequence[str], words: Words) -> str:
    """A table of fitted exponents with their intervals, beside the paper's O(.).

    `section`: n64, the exponents of n in layers of width 64, and so on, or d. GuideError for one
    that is not there, or a column.
    """
    found = {one.name: one for one in growth_sections(survey)}
    if section not in found:
        raise GuideError(f"no exponents {section}; there are {', '.join(found)}")
    known = {column.name: column for column in found[section].columns}
    missing = [name for name in names if name not in known]
    if missing:
        raise GuideError(f"no column {missing[0]}; there are {', '.join(known)}")
    shown = [_named(known[name], words.growth[name]) for name in names or known]
    return rendering.grid(shown, found[section].blocks)


def paths(survey: Survey, words: Words) -> str:
    """Sequential operations and maximum path length, the paper's and those found."""
    section = paths_section(survey)
    tops = dict(zip(EN.layers, words.layers, strict=True))
    heads = {"layer": words.growth["layer"], "paper": words.growth["complexity"]}
    shown = [
        column._replace(
            top=Symbol(tops.get(column.top.text, ""), "", ""),
            head=Symbol(heads.get(column.head.text, column.head.text), "", ""),
        )
        for column in section.columns
    ]
    return rendering.grid(shown, section.blocks)


def crossings(survey: Survey, words: Words) -> str:
    """By width, the n from which on each rival is faster than self-attention."""
    lines = [["d", *RIVALS], ["---:", *("---:" for _ in RIVALS)]]
    for width in survey.widths:
        crossed = [_crossing(survey, width, rival, words) for rival in RIVALS]
        lines.append([f"{width:,}", *crossed])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def fastest(survey: Survey) -> str:
    """By width, who is fastest from which n to which."""
    lines = []
    for width in survey.widths:
        spans = [
            f"`{layer}` {first:,}" + (f"–{last:,}" if last > first else "")
            for layer, first, last in complexity.fastest(survey, width)
        ]
        lines.append(f"- $d = {width}$: {', '.join(spans) or columns.MISSING}")
    return "\n".join(lines)


def provenance(survey: Survey, words: Words) -> str:
    """What was measured, on what, with which commit, and how quiet the machine was."""
    about = survey.environment
    return words.measured.format(
        cells=len(survey.points),
        device=about["device"],
        threads=about["threads"],
        torch=about["versions"]["torch"],
        commits=", ".join(dict.fromkeys(run["commit"][:7] for run in survey.runs)),
        disturbed=survey.disturbed,
    )


def _crossing(survey: Survey, width: int, rival: LayerType, words: Words) -> str:
    found = [
        one.length
        for one in complexity.crossings(survey)
        if (one.width, one.faster) == (width, rival)
    ]
    if found:
        return f"{found[0]:,.0f}"
    theirs = {p.cell.length: p.training_s for p in survey.by_length(rival, width)}
    ahead = {
        p.cell.length: p.training_s <= theirs[p.cell.length]
        for p in survey.by_length("self-attention", width)
        if p.cell.length in theirs
    }
    if ahead and all(ahead.values()):
        return words.not_until.format(length=max(ahead))
    return words.always if ahead and not any(ahead.values()) else columns.MISSING


def _named(column: Column, head: str) -> Column:
    return column._replace(top=columns.NOTHING, head=Symbol(head, "", ""))
