"""What a model has written of trees: read, repaired where it must be, and scored."""

from collections.abc import Sequence
from typing import NamedTuple

from lit_transformer import brackets
from lit_transformer.brackets import COLLINS
from lit_transformer.data.trees import Linear, Tree, with_tags

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
    has_its_length = sum(_is_of_a_word(symbol) for symbol in symbols) == len(words)
    try:
        return Output(form.tree(symbols, words), True, has_its_length)
    except ValueError:
        return Output(form.repaired(symbols, words), False, has_its_length)


def score(gold: Sequence[Tree], outputs: Sequence[Output]) -> Scores:
    """Outputs against the right trees, one for one."""
    compared = [
        brackets.compare([right], [_with_tags_of(right, output.tree)], COLLINS)
        for right, output in zip(gold, outputs, strict=True)
    ]
    strict = [
        one if output.is_well_formed else brackets.compare([right], [], COLLINS)
        for one, right, output in zip(compared, gold, outputs, strict=True)
    ]
    whole = brackets.total(compared)
    well_formed = sum(output.is_well_formed for output in outputs)
    return Scores(
        precision=whole.precision,
        recall=whole.recall,
        f1=whole.f1,
        f1_strict=brackets.total(strict).f1,
        f1_evalb=brackets.total_of_valid(strict).f1,
        well_formed=float(well_formed),
        repaired=float(len(outputs) - well_formed),
        wrong_length=float(sum(not output.has_its_length for output in outputs)),
    )


def sentence_counts(gold: Sequence[Tree], trees: Sequence[Tree]) -> list[brackets.Counts]:
    """Of each sentence, the brackets of whose sums F1 is made."""
    return [
        brackets.compare([right], [_with_tags_of(right, tree)], COLLINS).counts
        for right, tree in zip(gold, trees, strict=True)
    ]


def _with_tags_of(right: Tree, tree: Tree) -> Tree:
    return with_tags(tree, [leaf.label for leaf in right.leaves()])


def _is_of_a_word(symbol: str) -> bool:
    return bool(symbol) and symbol[0] not in "()"
