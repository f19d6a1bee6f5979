"""The page that `ablate bleu` writes, and what it prints."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from analysis import by_hand
from analysis.by_hand import ORDERS, Score, Sentence
from lit_transformer import attention_page, scoring
from lit_transformer.config_io import ConfigError
from lit_transformer.terminal import printable

TEMPLATES = Path(__file__).with_name("templates")


class Shown(NamedTuple):
    """Some sentences of a run and its whole part, by hand and by sacreBLEU."""

    title: str
    """Of whose sentences they are."""
    sentences: list[Sentence]
    some: Score
    some_sacrebleu: float
    whole: Score
    whole_sacrebleu: float
    size: int
    """Sentences of the part."""
    signature: str


def show(
    title: str,
    numbers: Sequence[int],
    sources: Sequence[str],
    references: Sequence[str],
    hypotheses: Sequence[str],
) -> Shown:
    """`numbers` from 1; none: those that `by_hand.choose` finds. ConfigError where there is no
    such sentence."""
    for number in numbers:
        if not 1 <= number <= len(hypotheses):
            raise ConfigError(
                f"--sentences {number}: the part has sentences 1 to {len(hypotheses)}"
            )
    chosen = list(numbers) or by_hand.choose(hypotheses, references)
    every = [
        by_hand.sentence(number, *one)
        for number, one in enumerate(zip(sources, references, hypotheses, strict=True), start=1)
    ]
    sentences = [every[number - 1] for number in chosen]
    some, whole = by_hand.score(sentences), by_hand.score(every)
    few = [[side[number - 1] for number in chosen] for side in (hypotheses, references)]
    return Shown(
        title,
        sentences,
        some,
        by_hand.checked(some, few[0], few[1]),
        whole,
        by_hand.checked(whole, hypotheses, references),
        len(every),
        scoring.score(few[0], few[1]).signatures["bleu"],
    )


def page(shown: Shown) -> str:
    """One file of HTML that needs no other."""
    pages = attention_page.environment(TEMPLATES)
    pages.filters["printable"] = printable
    styles = (
        attention_page.read_template("page.css"),
        (TEMPLATES / "report.css").read_text("utf-8"),
        (TEMPLATES / "bleu.css").read_text("utf-8"),
    )
    return pages.get_template("bleu.html.j2").render(
        shown=shown, orders=ORDERS, style=Markup("".join(styles))
    )


def lines(shown: Shown) -> list[str]:
    """The same arithmetic for a terminal."""
    numbers = ", ".join(str(one.number) for one in shown.sentences)
    return [
        f"sentences {numbers} of {printable(shown.title)}",
        *_arithmetic(shown.some, shown.some_sacrebleu),
        f"all {shown.size:,} sentences of the part",
        *_arithmetic(shown.whole, shown.whole_sacrebleu),
    ]


def _arithmetic(one: Score, sacrebleu: float) -> list[str]:
    found = []
    for precision in one.precisions:
        smoothed = f", counted as 1/{2**precision.halvings}" if precision.halvings else ""
        found.append(
            f"  {precision.order}-grams  {precision.found:,} of {precision.there:,} found{smoothed}"
            f": {100 * precision.value:.2f} %"
        )
    return [
        *found,
        f"  brevity penalty  {one.written:,} tokens for {one.wanted:,}: {one.brevity:.4f}",
        f"  BLEU  100 x {one.brevity:.4f} x {one.mean:.4f} = {one.bleu:.4f}; "
        f"sacreBLEU: {sacrebleu:.4f}",
    ]
