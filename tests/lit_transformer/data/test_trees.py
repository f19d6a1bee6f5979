"""Treebanks are read or refused by line, and a tree comes back from its symbols."""

import gzip
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_transformer.data.cache import CorpusError
from lit_transformer.data.trees import (
    ANY_TAG,
    DEEPEST,
    Linear,
    Tree,
    normalised,
    read,
    with_tags,
)
from tests.lit_transformer.treebank import TREES

HERE = Path("wsj_0001.mrg")
FORMS = [
    Linear(keeps_tags=kept, labels_closing=labelled, copies_words=copied)
    for kept, labelled, copied in product((False, True), repeat=3)
]
VINYALS = Linear(keeps_tags=False, labels_closing=True, copies_words=False)
TREEBANK = """
( (S
    (NP-SBJ-1 (NNP Ms.) (NNP Haag) )
    (VP (VBZ plays)
      (NP (-NONE- *-1) )
      (NP=2 (NNP Elianti) ))
    (. .) ))

((X (SYM *)))
( (NP (NN a)) (. .) )
"""


def one(text):
    (tree,) = read(text, HERE)
    return tree


def without_tags(tree):
    return with_tags(tree, [ANY_TAG] * len(tree.words))


# Reading


def test_a_treebank_is_read_over_lines_and_without_outer_brackets():
    first, second, third = read(TREEBANK, HERE)
    assert str(first).startswith("(S (NP-SBJ-1 (NNP Ms.) (NNP Haag)) (VP (VBZ plays) (NP (-NONE-")
    assert first.words == ["Ms.", "Haag", "plays", "*-1", "Elianti", "."]
    assert str(second) == "(X (SYM *))"
    assert str(third) == "(TOP (NP (NN a)) (. .))"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("\n(S (NN a)))", 2, "a closing bracket that nothing has opened"),
        (
            "(NN a)\n\n(S (NN b)\n\n",
            3,
            "the tree that begins here is not closed when the text ends",
        ),
        ("(S (NN a))\nword", 2, "'word' is outside of brackets"),
        ("(S\n(NP ))", 2, r"\(NP \) holds nothing"),
        ("(S (NN a)\n())", 2, r"\( \) holds nothing"),
        ("(S\n(NN a b))", 2, r"\(NN holds two words, 'a', 'b'"),
        ("(S\n(NP a (NN b)))", 2, r"\(NP holds the word 'a' and brackets"),
        ("(" * (DEEPEST + 1), 1, f"more than {DEEPEST} brackets are open"),
    ],
)
def test_what_is_no_treebank_is_refused_by_line(text, line, message):
    with pytest.raises(CorpusError, match=rf"^wsj_0001\.mrg:{line}: {message}"):
        list(read(text, HERE))


@given(TREES)
def test_a_tree_comes_back_from_its_brackets(tree):
    assert one(str(tree)) == tree
    assert one(f"(\n {str(tree).replace(')', ' ) ')} )") == tree


@given(st.text("()ab \n", max_size=30))
def test_any_text_is_read_or_refused(text):
    try:
        trees = list(read(text, HERE))
    except CorpusError:
        return
    assert all(tree.words for tree in trees)


# Normalising


def test_traces_function_tags_and_indices_go_and_chains_stay():
    first, *_ = read(TREEBANK, HERE)
    assert str(normalised(first)) == (
        "(S (NP (NNP Ms.) (NNP Haag)) (VP (VBZ plays) (NP (NNP Elianti))) (. .))"
    )
    chain = one("(S (VP (VP (NP-TMP (-LRB- -LRB-)))))")
    assert str(normalised(chain)) == "(S (VP (VP (NP (-LRB- -LRB-)))))"
    assert normalised(one("(S (NP (-NONE- *)) (VP (-NONE- *?*)))")) is None


@given(TREES)
def test_normalising_twice_is_normalising_once(tree):
    once = normalised(tree)
    assert once is not None
    assert normalised(once) == once


# Symbols


def test_symbols_are_brackets_with_labels_and_one_for_each_word():
    tree = one("(S (NP (NNP John)) (VP (VBZ has) (NP (DT a) (NN dog))) (. .))")
    assert " ".join(VINYALS.symbols(tree)) == "(S (NP XX )NP (VP XX (NP XX XX )NP )VP XX )S"
    plain = Linear(keeps_tags=True, labels_closing=False, copies_words=False)
    assert " ".join(plain.symbols(tree)) == "(S (NP NNP ) (VP VBZ (NP DT NN ) ) . )"


@pytest.mark.parametrize("form", FORMS)
@given(TREES)
def test_a_tree_comes_back_from_its_symbols(form, tree):
    symbols = form.symbols(tree)
    back = form.tree(symbols, tree.words)
    assert without_tags(back) == without_tags(tree)
    assert form.repaired(symbols, tree.words) == back
    assert with_tags(back, [leaf.label for leaf in tree.leaves()]) == tree


@pytest.mark.parametrize(
    ("symbols", "message"),
    [
        ("(S XX XX", "the tree is not closed"),
        ("", "the tree is not closed"),
        ("XX XX", "XX outside of brackets"),
        ("(S XX XX )S )S", r"\)S behind the end of the tree"),
        ("(S (NP XX )S XX )S", r"\)S closes \(NP"),
        ("(S XX XX (NP )NP )S", r"\(NP holds nothing"),
        ("(S XX )S", "fewer symbols of words than words"),
        ("(S XX XX XX )S", "more symbols of words than words"),
    ],
)
def test_what_writes_no_tree_says_why(symbols, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        VINYALS.tree(symbols.split(), ["a", "b"])


@pytest.mark.parametrize(
    ("symbols", "repaired"),
    [
        ("(S (NP XX", "(S (NP (XX a) (XX b)))"),
        ("", "(S (XX a) (XX b))"),
        ("(S XX )S (VP XX )VP", "(S (XX a) (VP (XX b)))"),
        ("(S (NP XX )S XX )S", "(S (NP (XX a)) (XX b))"),
        ("(S (NP )NP XX XX XX )S", "(S (XX a) (XX b))"),
        (")S )S (VP XX XX )VP", "(VP (XX a) (XX b))"),
        ("(S XX (VP XX )VP )S )S (NP", "(S (XX a) (VP (XX b)))"),
    ],
)
def test_a_broken_sequence_is_repaired(symbols, repaired):
    assert str(VINYALS.repaired(symbols.split(), ["a", "b"])) == repaired


SYMBOLS = st.lists(st.sampled_from(["(S", "(NP", ")S", ")NP", "XX"]), max_size=20)


@given(SYMBOLS, st.lists(st.sampled_from("abc"), min_size=1, max_size=6))
def test_a_repair_is_a_tree_over_exactly_the_words(symbols, words):
    tree = VINYALS.repaired(symbols, words)
    assert tree.words == words
    assert VINYALS.tree(VINYALS.symbols(tree), words) == tree


def test_every_tree_of_the_sample_comes_back(shared_data):
    count = 0
    for part in ("train", "dev"):
        path = shared_data / "wsj-sample" / f"{part}.mrg.gz"
        for raw in read(gzip.decompress(path.read_bytes()).decode(), path):
            tree = normalised(raw)
            assert tree is not None
            for form in FORMS:
                back = form.tree(form.symbols(tree), tree.words)
                assert with_tags(back, [leaf.label for leaf in tree.leaves()]) == tree
            count += 1
    assert count == 3_501


def test_a_leaf_is_a_word_under_its_tag():
    assert Tree("NN", (), "dog").words == ["dog"]
