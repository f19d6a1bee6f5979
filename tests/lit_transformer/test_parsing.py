"""What a model writes becomes a tree over the sentence's words, and is scored, whatever it is."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_transformer import parsing
from lit_transformer.data.trees import Linear, Tree
from lit_transformer.data.trees import read as read_trees
from tests.lit_transformer.treebank import TREES

FORM = Linear(keeps_tags=False, labels_closing=True, copies_words=False)


def one(text: str) -> Tree:
    (tree,) = read_trees(text, Path("trees"))
    return tree


GOLD = one("(S (NP (DT the) (NN dog)) (VP (VBZ barks)) (. .))")
WORDS = GOLD.words


def test_a_well_formed_output_is_read_as_it_is() -> None:
    found = parsing.read(FORM, FORM.symbols(GOLD), WORDS)
    assert (found.is_well_formed, found.has_its_length) == (True, True)
    assert str(found.tree) == "(S (NP (XX the) (XX dog)) (VP (XX barks)) (XX .))"


@pytest.mark.parametrize(
    ("symbols", "has_its_length"),
    [("(S XX XX XX XX", True), ("(S XX )S", False), ("", False), ("(S  XX XX XX XX )NP", True)],
)
def test_what_is_no_tree_is_repaired_and_counted(symbols: str, has_its_length: bool) -> None:
    found = parsing.read(FORM, symbols.split(" "), WORDS)
    assert (found.is_well_formed, found.has_its_length) == (False, has_its_length)
    assert found.tree.words == WORDS


def test_scores_count_what_was_repaired_what_was_not_found_and_what_evalb_would_drop() -> None:
    right = parsing.read(FORM, FORM.symbols(GOLD), WORDS)
    flat = parsing.read(FORM, ["(S", "XX", "XX", "XX", "XX"], WORDS)
    found = parsing.score([GOLD, GOLD], [right, flat])
    # Brackets: 3 of 3 in the first; S alone of 3 in the second, which wrote 1. No tags are asked.
    assert (found.recall, found.precision) == (pytest.approx(400 / 6), 100)
    assert found.f1 == pytest.approx(2 * 4 / (6 + 4) * 100)
    assert found.f1_strict == pytest.approx(2 * 3 / (6 + 3) * 100)
    assert found.f1_evalb == 100
    assert (found.well_formed, found.repaired, found.wrong_length) == (1, 1, 0)


def test_counts_of_sentences_add_up_to_f1() -> None:
    outputs = [
        parsing.read(FORM, symbols, WORDS)
        for symbols in (FORM.symbols(GOLD), ["(S", "XX", "XX", "XX", "XX"])
    ]
    found = [one.counts for one in parsing.counts([GOLD, GOLD], outputs)]
    assert found == [(3, 3, 3), (1, 3, 1)]


@given(st.lists(TREES, min_size=1, max_size=4))
def test_the_right_trees_score_100(trees: list[Tree]) -> None:
    outputs = [parsing.read(FORM, FORM.symbols(tree), tree.words) for tree in trees]
    found = parsing.score(trees, outputs)
    scored = any(leaf.label not in (",", ".") for tree in trees for leaf in tree.leaves())
    assert found.f1 == (100 if scored else 0)
    assert (found.well_formed, found.repaired) == (len(trees), 0)
