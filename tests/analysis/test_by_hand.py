"""BLEU by hand: the counts of a textbook sentence, clipped; sums and scores are sacreBLEU's."""

import math
import random

import pytest

from analysis import by_hand, by_hand_page
from analysis.by_hand import checked, choose, score, sentence
from lit_transformer import scoring
from lit_transformer.config_io import ConfigError

WORDS = ["der", "die", "hund", "katze", "sieht", "mag", ",", ".", "Haus-Tür"]


def texts(count: int, seed: int) -> tuple[list[str], list[str]]:
    """References, and hypotheses that lose, double and add words."""
    chance = random.Random(seed)
    references = [" ".join(chance.choices(WORDS, k=chance.randint(1, 12))) for _ in range(count)]
    hypotheses = [
        " ".join(w for word in line.split() for w in [word] * chance.choice([0, 1, 1, 1, 2]))
        for line in references
    ]
    return hypotheses, references


def test_clipping_is_papineni_s_example():
    """Papineni et al. 2002, section 2.1: seven times `the`, of which the reference has two."""
    one = sentence(1, "", "The cat is on the mat", "the the the the the the the")
    (the,) = one.orders[0]
    assert (the.written, the.wanted, the.found) == (7, 1, 1)  # `The` is another token
    one = sentence(1, "", "the cat is on the mat", "the the the the the the the")
    (the,) = one.orders[0]
    assert (the.written, the.wanted, the.found) == (7, 2, 2)
    assert [token.longest for token in one.hypothesis] == [1, 1, 0, 0, 0, 0, 0]


def test_precisions_penalty_and_mean_of_two_sentences():
    pairs = [
        ("the cat sat on a mat", "the cat sat on the mat"),
        ("he reads the book today", "he reads a book"),
    ]
    made = score([sentence(n, "", *pair) for n, pair in enumerate(pairs, 1)])
    assert [(p.found, p.there) for p in made.precisions] == [(8, 10), (4, 8), (2, 6), (1, 4)]
    assert made.brevity == pytest.approx(math.exp(1 - 11 / 10))
    assert made.mean == pytest.approx((8 / 10 * 4 / 8 * 2 / 6 * 1 / 4) ** 0.25)


def test_tokens_are_shaded_by_the_longest_run_that_was_found():
    one = sentence(1, "", "a b c d e f", "a b x c d e f")
    assert [token.longest for token in one.hypothesis] == [2, 2, 0, 4, 4, 4, 4]


@pytest.mark.parametrize("seed", range(8))
def test_sums_and_score_are_sacrebleu_s(seed: int):
    hypotheses, references = texts(1 + 3 * seed, seed)
    every = [
        sentence(n, "", r, h)
        for n, (r, h) in enumerate(zip(references, hypotheses, strict=True), 1)
    ]
    assert checked(score(every), hypotheses, references) == scoring.bleu(hypotheses, references)


@pytest.mark.parametrize("hypotheses", [["", ""], ["x y z", "z"], ["a", ""], ["a b q r s", "c q"]])
def test_little_that_is_found_is_smoothed_as_sacrebleu_does(hypotheses: list[str]):
    references = ["a b c d e", "c d"]
    every = [
        sentence(n, "", r, h)
        for n, (r, h) in enumerate(zip(references, hypotheses, strict=True), 1)
    ]
    assert checked(score(every), hypotheses, references) == scoring.bleu(hypotheses, references)


def test_another_count_than_sacrebleu_s_is_never_shown():
    made = score([sentence(1, "", "a b c d e", "a b c d e")])
    with pytest.raises(AssertionError, match="sacreBLEU"):
        checked(made, ["a b c d"], ["a b c d e"])


def test_sentences_are_chosen_that_show_something():
    references = ["a b c d", "a b c d e", "a b", "c d e f g", "a b c d e f"]
    hypotheses = ["a b c d", "a b c d x", "x", "c d e f", "q a b c d e"]
    assert choose(hypotheses, references) == [1, 2, 5]  # 2 and 5 show something, 1 fills up
    assert choose(["x"], ["a"]) == [1]


def test_the_page_has_the_numbers_and_nothing_runs_in_it():
    hypotheses, references = texts(6, 3)
    hypotheses[1] = "<script>alert(1)</script> \x1b[31m der"
    sources = [f"source {n}" for n in range(6)]
    shown = by_hand_page.show("a run", [2, 4], sources, references, hypotheses)
    page = by_hand_page.page(shown)
    assert "<script>" not in page
    assert "\x1b" not in page
    assert f"{scoring.bleu(hypotheses, references):.4f}" in page
    two = [[side[n] for n in (1, 3)] for side in (hypotheses, references)]
    assert f"sacreBLEU says {scoring.bleu(*two):.4f}" in page
    assert [one.number for one in shown.sentences] == [2, 4]
    assert sum("sacreBLEU" in line for line in by_hand_page.lines(shown)) == 2


def test_a_sentence_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match="--sentences 7: the part has sentences 1 to 6"):
        by_hand_page.show("a run", [7], ["s"] * 6, *texts(6, 3))


def test_sentences_are_counted_from_one():
    assert len(choose(*texts(9, 1))) == by_hand.SHOWN
