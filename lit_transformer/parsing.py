"""What a model has written of trees: read, repaired where it must be, and scored."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from lit_transformer import brackets
from lit_transformer.brackets import COLLINS
from lit_transformer.data.trees import Linear, Tree, is_of_a_word, with_tags

SIGNATURE = "evalb:COLLINS|tags:gold|malformed:repaired"
"""How F1 was computed: EVALB's brackets under COLLINS.prm, part-of-speech tags (which say what is
punctuation) from the right tree, and outputs that are no tree repaired, never dropped."""


SIGNED = ("precision", "recall", "f1", "f1_strict", "f1_evalb")
"""The scores that this is the signature of."""


class Output(NamedTuple):
    """A tree over exactly the sentence's words."""

    tree: Tree
    is_well_formed: bool
    """Whether the symbols wrote it; it was repaired otherwise."""
    has_its_length: bool
    """Whether there was a symbol for each word."""


class Counted(NamedTuple):
    """An output, compared with the right tree."""

    status: brackets.Status
    matched: int
    gold: int
    test: int
    is_well_formed: bool
    has_its_length: bool

    @property
    def counts(self) -> brackets.Counts:
        return brackets.Counts(self.matched, self.gold, self.test)


class Scores(NamedTuple):
    """Corpus scores, in percent, and counts of sentences."""

    precision: float
    recall: float
    f1: float
    f1_strict: float
    """Where an output that is no tree counts as one of which nothing was found."""
    f1_evalb: float
    """Where such an output is dropped, as EVALB does with sentences whose words differ."""
    well_formed: float
    repaired: float
    wrong_length: float


def read(form: Linear, symbols: Sequence[str], words: Sequence[str]) -> Output:
    """The tree of a sentence's symbols."""
    has_its_length = sum(is_of_a_word(symbol) for symbol in symbols) == len(words)
    try:
        return Output(form.tree(symbols, words), True, has_its_length)
    except ValueError:
        return Output(form.repaired(symbols, words), False, has_its_length)


def score(gold: Sequence[Tree], outputs: Sequence[Output]) -> Scores:
    """Outputs against the right trees, one for one."""
    return of_counts(counts(gold, outputs))


def counts(gold: Sequence[Tree], outputs: Sequence[Output]) -> list[Counted]:
    """What the scores are computed from, sentence by sentence."""
    return [_counted(right, output) for right, output in zip(gold, outputs, strict=True)]


def of_counts(counted: Sequence[Counted]) -> Scores:
    """The scores of sentences that have been counted."""
    valid = [one for one in counted if one.is_well_formed and one.status == 0]
    whole = _total(one.counts for one in counted)
    strict = _total(
        one.counts if one.is_well_formed else one.counts._replace(matched=0, test=0)
        for one in counted
    )
    well_formed = sum(one.is_well_formed for one in counted)
    return Scores(
        precision=whole.precision,
        recall=whole.recall,
        f1=whole.f1,
        f1_strict=strict.f1,
        f1_evalb=_total(one.counts for one in valid).f1,
        well_formed=float(well_formed),
        repaired=float(len(counted) - well_formed),
        wrong_length=float(sum(not one.has_its_length for one in counted)),
    )


def _counted(right: Tree, output: Output) -> Counted:
    found = brackets.compare([right], [_with_tags_of(right, output.tree)], COLLINS)
    return Counted(found.status, *found.counts, output.is_well_formed, output.has_its_length)


def _total(counted: Iterable[brackets.Counts]) -> brackets.Counts:
    sums = [sum(column) for column in zip(*counted, strict=True)]
    return brackets.Counts(*sums) if sums else brackets.NOTHING


def _with_tags_of(right: Tree, tree: Tree) -> Tree:
    return with_tags(tree, [leaf.label for leaf in right.leaves()])
