"""A report's pictures as figures of a page, drawn by the code that draws them for reports."""

from collections.abc import Sequence
from html import escape
from typing import Literal, assert_never

from analysis import complexity_report, frontier, plots
from analysis.complexity import Survey
from analysis.plots import Panel
from analysis.rebuilding import Rebuilt
from guide import maps
from guide.maps import Maps
from guide.reports import GuideError
from guide.words import Words
from lit_transformer.attention_maps import Part

Kind = Literal["differences", "perplexities", "curves", "perplexity-curves", "frontier"]


def figures(report: Rebuilt, kind: Kind, panels: Sequence[str], words: Words) -> str:
    """As HTML. `panels`: titles of those curves that are shown; none: all.

    GuideError where the report has nothing to draw.
    """
    made = report.table
    scorer = made.scorer.upper()
    drawn: list[Panel]
    match kind:
        case "differences":
            title = words.differences["score"].format(scorer=scorer)
            drawn = [Panel("", plots.differences(made, made.measure, "bleu"), ())]
        case "perplexities":
            title = words.differences["ppl"]
            drawn = [Panel("", plots.differences(made, made.perplexity, "ppl"), ())]
        case "curves" | "perplexity-curves":
            metric = f"valid.curve_{made.scorer}" if kind == "curves" else "valid.perplexity"
            title = words.curves[metric]
            found = plots.curves(made, report.curves, metric)
            drawn = _chosen(found, panels)
            if len(found) == 1:
                drawn = [panel._replace(title="") for panel in drawn]
        case "frontier":
            title = words.frontier.format(scorer=scorer)
            found_frontiers = frontier.pictures(made, report.curves)[:1]
            drawn = [Panel("", picture, ()) for _, picture in found_frontiers]
        case _ as never:
            assert_never(never)
    drawn = [panel for panel in drawn if panel.svg]
    if not drawn:
        raise GuideError(f"the report of {made.heading.study} has nothing to draw as {kind}")
    return framed(title, "", drawn)


def layer_times(survey: Survey, panels: Sequence[str], words: Words) -> str:
    """What layer types take by length, a panel a width, as HTML; one key for all.

    `panels`: titles of those that are shown; none: all.
    """
    drawn = _chosen(complexity_report.panels(survey, "training"), panels)
    key = "".join(_named(*one) for one in drawn[0].key)
    return framed(words.layer_times, key, [panel._replace(key=()) for panel in drawn])


def attention(found: Maps, arm: str, part: Part, words: Words) -> str:
    """Every head small, and the one of the lowest entropy with its words, as HTML."""
    layer, head = found.sharpest
    name = words.one_head.format(layer=layer + 1, head=head + 1)
    title = words.maps[part].format(sentence=found.sentence, arm=arm, seed=found.seed)
    drawn = [
        Panel(words.all_heads, maps.heads(found, words), ()),
        Panel(name, maps.chosen(found, layer, head, name), ()),
    ]
    return framed(title, "", drawn)


def framed(title: str, key: str, drawn: Sequence[Panel]) -> str:
    """Panels side by side below their title; `key` is HTML."""
    inner = "\n".join(_figure(panel) for panel in drawn)
    keys = f'<p class="picture-key">{key}</p>\n' if key else ""
    return (
        f'<p class="picture-title">{escape(title)}</p>\n{keys}'
        f'<div class="pictures">\n{inner}\n</div>\n'
    )


def _chosen(found: Sequence[Panel], panels: Sequence[str]) -> list[Panel]:
    known = [panel.title for panel in found]
    missing = [title for title in panels if title not in known]
    if missing:
        raise GuideError(f"no panel {missing[0]}; there are {', '.join(known)}")
    return [panel for panel in found if not panels or panel.title in panels]


def _figure(panel: Panel) -> str:
    named = "".join(_named(*one) for one in panel.key)
    head = f"<b>{escape(panel.title)}</b>" if panel.title else ""
    caption = f"<figcaption>{head}{named}</figcaption>\n" if head or named else ""
    return f'<figure class="picture">\n{caption}{panel.svg}\n</figure>'


def _named(colour: str, dashed: bool, arm: str) -> str:
    dash = ' stroke-dasharray="6 4"' if dashed else ""
    line = f'<path d="M0 6H26" stroke="var({colour})" stroke-width="3"{dash}/>'
    mark = f'<svg viewBox="0 0 26 12" aria-hidden="true">{line}</svg>'
    return f' <span class="key">{mark}{escape(arm)}</span>'
