"""BLEU by hand: every number between a few sentences and their score.

The counting and the arithmetic here are written out as a reader would do them; what they come to is
held against sacreBLEU's, sums and score, before it is shown.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lit_transformer import scoring

ORDERS = (1, 2, 3, 4)
SHOWN = 3
"""Sentences that are chosen where none are named."""
CLOSE = 1e-9

NGram = tuple[str, ...]


class Counted(NamedTuple):
    """One n-gram of a hypothesis."""

    words: NGram
    written: int
    wanted: int
    """How often the reference has it."""

    @property
    def found(self) -> int:
        """Clipped: at most as often as the reference has it."""
        return min(self.written, self.wanted)


class Token(NamedTuple):
    """A token of the hypothesis."""

    text: str
    longest: int
    """Of the found n-grams that it stands in; 0: in none."""


class Sentence(NamedTuple):
    """A sentence, cut into BLEU's tokens and counted."""

    number: int
    """In the part, from 1."""
    source: str
    reference: tuple[str, ...]
    hypothesis: tuple[Token, ...]
    orders: tuple[tuple[Counted, ...], ...]
    """For each of ORDERS its n-grams, in the order of the hypothesis."""


class Precision(NamedTuple):
    """Of one order, over all sentences."""

    order: int
    found: int
    there: int
    halvings: int
    """Smoothing: the k-th order of which nothing is found counts as 1 / 2^k; 0: not needed."""

    @property
    def value(self) -> float:
        return (self.found or 0.5**self.halvings) / self.there if self.there else 0.0


class Score(NamedTuple):
    """Of some sentences together."""

    precisions: tuple[Precision, ...]
    written: int
    """Tokens of the hypotheses."""
    wanted: int
    """Tokens of the references."""

    @property
    def brevity(self) -> float:
        """The penalty."""
        if self.written >= self.wanted:
            return 1.0
        return math.exp(1 - self.wanted / self.written) if self.written else 0.0

    @property
    def mean(self) -> float:
        """The geometric mean of the precisions."""
        values = [precision.value for precision in self.precisions]
        if not any(precision.found for precision in self.precisions) or not all(values):
            return 0.0
        return math.exp(sum(map(math.log, values)) / len(values))

    @property
    def bleu(self) -> float:
        return 100 * self.brevity * self.mean


def sentence(number: int, source: str, reference: str, hypothesis: str) -> Sentence:
    """Counts one sentence."""
    wanted, written = scoring.tokens(reference), scoring.tokens(hypothesis)
    orders = tuple(_counted(written, wanted, order) for order in ORDERS)
    longest = [0] * len(written)
    for order, counted in zip(ORDERS, orders, strict=True):
        left = {one.words: one.found for one in counted}
        for place, words in enumerate(_ngrams(written, order)):
            if left[words]:
                left[words] -= 1
                longest[place : place + order] = [order] * order
    tokens = tuple(Token(*one) for one in zip(written, longest, strict=True))
    return Sentence(number, source, tuple(wanted), tokens, orders)


def score(sentences: Sequence[Sentence]) -> Score:
    """Their counts, added up."""
    precisions, missing = list[Precision](), 0
    for place, order in enumerate(ORDERS):
        found = sum(one.found for s in sentences for one in s.orders[place])
        there = sum(one.written for s in sentences for one in s.orders[place])
        missing += not found
        precisions.append(Precision(order, found, there, 0 if found else missing))
    return Score(
        tuple(precisions),
        sum(len(s.hypothesis) for s in sentences),
        sum(len(s.reference) for s in sentences),
    )


def checked(made: Score, hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """sacreBLEU's BLEU of the same sentences. AssertionError where a sum or the score differs."""
    theirs = scoring.sentence_statistics(hypotheses, references).sum(0)
    found, there = zip(*((one.found, one.there) for one in made.precisions), strict=True)
    ours = np.array([made.written, made.wanted, *found, *there], dtype=np.float64)
    assert np.array_equal(ours, theirs), f"counted {ours}, sacreBLEU {theirs}"
    bleu = scoring.bleu(hypotheses, references)
    assert math.isclose(bleu, made.bleu, rel_tol=CLOSE, abs_tol=CLOSE), (made.bleu, bleu)
    return bleu


def choose(hypotheses: Sequence[str], references: Sequence[str]) -> list[int]:
    """Numbers, from 1, of the first sentences that have something to show: some 4-gram is found,
    and some word is not. The first ones of all where there are too few."""
    statistics = scoring.sentence_statistics(hypotheses, references)
    telling = np.flatnonzero((statistics[:, 5] > 0) & (statistics[:, 2] < statistics[:, 6]))
    rest = [place for place in range(len(hypotheses)) if place not in {*telling.tolist()}]
    return sorted(int(place) + 1 for place in [*telling.tolist(), *rest][:SHOWN])


def _ngrams(tokens: Sequence[str], order: int) -> list[NGram]:
    return [tuple(tokens[start : start + order]) for start in range(len(tokens) - order + 1)]


def _counted(written: Sequence[str], wanted: Sequence[str], order: int) -> tuple[Counted, ...]:
    there = Counter(_ngrams(wanted, order))
    ours = Counter(_ngrams(written, order))
    return tuple(Counted(words, count, there[words]) for words, count in ours.items())
