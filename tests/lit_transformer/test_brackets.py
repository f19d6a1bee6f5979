"""Bracketing scores: the C program's own sample line by line, hand numbers, and properties."""

import random
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_transformer import brackets
from lit_transformer.brackets import COLLINS, Counts, Rules, compare
from lit_transformer.data.cache import CorpusError
from lit_transformer.data.trees import Tree, read, with_tags
from tests.lit_transformer.treebank import TREES

HERE = Path("trees")
EVERYTHING = Rules(deleted=frozenset(), no_length=frozenset())


def trees(text):
    return list(read(text, HERE))


def counts(gold, test, rules=COLLINS):
    return compare(trees(gold), trees(test), rules)


# The C program


def sample(folder, rules):
    def lines(name):
        text = (folder / name).read_text().splitlines()
        return [list(read(line, folder / name, number)) for number, line in enumerate(text, 1)]

    both = zip(lines("sample.gld"), lines("sample.tst"), strict=True)
    return [compare(gold, test, rules) for gold, test in both]


def test_evalb_s_own_sample_comes_out_line_by_line(shared_data):
    folder = shared_data / "evalb-sample"
    rules = brackets.read_rules(folder / "sample.prm")
    found = sample(folder, rules)
    assert brackets.text(found, rules) == (folder / "sample.rsl").read_text()
    assert brackets.total_of_valid(found) == Counts(86, 98, 95)


def test_under_collins_rules_the_sample_s_sentence_19_is_an_error(shared_data):
    folder = shared_data / "evalb-sample"
    assert brackets.read_rules(folder / "COLLINS.prm") == COLLINS
    plain = sample(folder, brackets.read_rules(folder / "sample.prm"))
    found = sample(folder, COLLINS)
    assert [one.status for one in plain][18] == 0
    assert [one.status for one in found][18] == 1


@pytest.mark.skipif(shutil.which("evalb") is None, reason="no evalb on the PATH")
def test_the_user_s_own_evalb_agrees(shared_data):
    folder = shared_data / "evalb-sample"
    words = ["evalb", "-p", folder / "COLLINS.prm", folder / "sample.gld", folder / "sample.tst"]
    said = subprocess.run(words, capture_output=True, text=True).stdout
    assert brackets.text(sample(folder, COLLINS), COLLINS) == said


# By hand


def test_brackets_are_matched_by_label_and_span():
    gold = "(S (NP (DT the) (NN dog)) (VP (VBZ barks) (ADVP (RB loudly))))"
    test = "(S (NP (DT the)) (VP (NN dog) (VBZ barks) (PRT (RB loudly))))"
    found = counts(gold, test)
    assert found == (4, 0, Counts(2, 4, 4), 1, 4, 4)  # S, and ADVP is PRT; VP crosses NP
    assert (found.counts.recall, found.counts.precision, found.counts.f1) == (50, 50, 50)
    assert counts(gold, test, Rules(labelled=False)).counts.matched == 2


def test_one_bracket_answers_one_bracket():
    assert counts("(S (NP (NP (NN a))))", "(S (NP (NN a)))").counts == (2, 3, 2)
    assert counts("(S (NP (NN a)))", "(S (NP (NP (NP (NN a)))))").counts == (2, 2, 4)


def test_punctuation_and_top_are_left_out_and_spans_close_up():
    gold = "(TOP (S (NP (NN a) (, ,)) (VP (VB b)) (. .)))"
    test = "(S (NP (NN a)) (, ,) (VP (VB b) (. .)))"
    assert counts(gold, test).counts == (3, 3, 3)
    assert counts(gold, test).words == 2
    assert counts("(S (X (, ,)) (NN a))", "(S (NN a))").counts == (1, 1, 1)


def test_a_failed_sentence_is_one_of_which_nothing_was_found():
    right = counts("(S (NP (NN a)))", "(S (NP (NN a)))")
    longer = counts("(S (NP (NN a)))", "(S (NP (NN a) (NN b)))")
    other = counts("(S (NP (NN a)))", "(S (NP (NN b)))")
    empty = counts("(S (NP (NN a)))", "")
    assert [one.status for one in (right, longer, other, empty)] == [0, 1, 1, 2]
    assert brackets.total([right, longer, other, empty]) == Counts(2, 8, 6)
    assert brackets.total_of_valid([right, longer, other, empty]) == Counts(2, 2, 2)
    assert brackets.total([]) == Counts(0, 0, 0)
    assert (Counts(0, 0, 0).f1, Counts(0, 3, 0).precision) == (0, 0)


@pytest.mark.parametrize(
    "line", ["LABELED 2", "CUTOFF_LEN long", "EQ_LABEL ADVP", "DELETE NP", "NP"]
)
def test_what_is_no_parameter_is_refused_by_line(tmp_path, line):
    path = tmp_path / "my.prm"
    path.write_text(f"# mine\nDEBUG 0\n{line}\n")
    with pytest.raises(CorpusError, match=rf"my\.prm:3: '{line}' is no parameter of EVALB"):
        brackets.read_rules(path)


# Properties


@given(TREES)
def test_a_tree_is_right_about_itself(tree):
    found = compare([tree], [tree], EVERYTHING)
    assert found.status == 0
    assert found.counts.matched == found.counts.gold == found.counts.test > 0
    assert (found.crossing, found.words, found.tags) == (0, len(tree.words), len(tree.words))


@given(TREES, TREES)
def test_gold_and_test_may_change_places(one, other):
    words = ["w"] * min(len(one.words), len(other.words))
    if len(one.words) == len(other.words):
        one, other = with_words(one, words), with_words(other, words)
    found, turned = compare([one], [other], EVERYTHING), compare([other], [one], EVERYTHING)
    assert found.status == turned.status
    matched, gold, test = found.counts
    assert turned.counts == (matched, test, gold)
    assert 0 <= matched <= min(gold, test)
    assert found.tags == turned.tags


@given(TREES, st.integers(0, 10**6))
def test_another_label_costs_its_bracket_alone(tree, seed):
    places = list(constituents(tree))
    changed = relabelled(tree, random.Random(seed).randrange(len(places)))
    found = compare([tree], [changed], EVERYTHING).counts
    assert found.gold == found.test == found.matched + 1


@given(TREES)
def test_tags_count_for_nothing_but_themselves(tree):
    found = compare([tree], [with_tags(tree, ["OTHER"] * len(tree.words))], EVERYTHING)
    assert found.counts.matched == found.counts.gold
    assert found.tags == 0


def with_words(tree, words):
    left = iter(words)

    def again(tree):
        if tree.word is not None:
            return Tree(tree.label, (), next(left))
        return Tree(tree.label, tuple(map(again, tree.children)))

    return again(tree)


def constituents(tree):
    if tree.word is None:
        yield tree
        for child in tree.children:
            yield from constituents(child)


def relabelled(tree, place):
    numbers = iter(range(10**6))

    def again(tree):
        if tree.word is not None:
            return tree
        label = "ELSE" if next(numbers) == place else tree.label
        return Tree(label, tuple(map(again, tree.children)))

    return again(tree)
