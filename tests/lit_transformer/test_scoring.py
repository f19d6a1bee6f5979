"""Scores against hand arithmetic and sacreBLEU itself; the metrics' names."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from lit_transformer import scoring
from lit_transformer.scoring import (
    MEASURES,
    METRICS,
    TOKENIZATIONS,
    Counter,
    bleu,
    bleu_of,
    chrf_of,
    counts,
    of_counts,
    perplexity,
    score,
    sentence_statistics,
    ter_of,
    tokenized,
    tokens,
)

HYPOTHESES = ["the cat sat on the mat", "he reads a book"]
REFERENCES = ["the cat sat on a mat", "he reads the book today"]


def test_bleu_of_two_sentences_by_hand():
    # Matches over n-grams of the hypotheses, both sentences together ("the" counts once):
    # 1: 5/6 and 3/4 -> 8/10    2: 3/5 and 1/3 -> 4/8    3: 2/4 and 0/2 -> 2/6    4: 1/3, 0/1 -> 1/4
    precisions = 8 / 10 * 4 / 8 * 2 / 6 * 1 / 4
    brevity = math.exp(1 - 11 / 10)  # 10 tokens against the references' 11
    expected = 100 * brevity * precisions ** (1 / 4)
    assert expected == pytest.approx(38.66, abs=0.01)
    assert score(HYPOTHESES, REFERENCES).bleu == pytest.approx(expected)


def test_ter_of_two_sentences_by_hand():
    # One substitution in the first; one substitution and one insertion in the second; 11 words.
    assert score(HYPOTHESES, REFERENCES).ter == pytest.approx(100 * 3 / 11)


def test_scores_are_sacrebleu_s_own_defaults():
    hypotheses = ["Ein Hund läuft, schnell!", "", "Two men (in red) talk."]
    references = ["Ein Hund rennt, schnell!", "Nichts da.", "Two men in red are talking."]
    got = score(hypotheses, references)
    for value, metric in ((got.bleu, BLEU()), (got.chrf, CHRF()), (got.ter, TER())):
        assert value == metric.corpus_score(hypotheses, [references]).score


def test_references_score_perfectly():
    got = score(REFERENCES, REFERENCES)
    assert (got.bleu, got.chrf, got.ter) == pytest.approx((100, 100, 0))


def test_empty_hypotheses_score_nothing():
    got = score(["", ""], REFERENCES)
    assert (got.bleu, got.chrf, got.ter) == (0, 0, 100)


def test_signatures_say_how_each_score_was_computed():
    signatures = score(HYPOTHESES, REFERENCES).signatures
    assert set(signatures) == {"bleu", "chrf", "ter"}
    fields = {
        name: dict(part.split(":", 1) for part in signature.split("|"))
        for name, signature in signatures.items()
    }
    assert fields["bleu"].items() >= {"nrefs": "1", "case": "mixed", "tok": "13a"}.items()
    assert fields["bleu"].items() >= {"eff": "no", "smooth": "exp"}.items()
    assert fields["chrf"].items() >= {"nc": "6", "nw": "0"}.items()
    assert fields["ter"]["tok"] == "tercom"
    assert len({field["version"] for field in fields.values()}) == 1


def test_unequal_lists_are_refused():
    with pytest.raises(ValueError, match="2 hypotheses for 1 references"):
        score(HYPOTHESES, REFERENCES[:1])


def test_nothing_to_score_is_refused():
    with pytest.raises(ValueError, match="no sentences to score"):
        score([], [])


def test_a_counter_counts_what_recurs_once(monkeypatch):
    counted = []

    def count(hypotheses, references):
        counted.extend(zip(hypotheses, references, strict=False))
        return counts(hypotheses, references)

    expected = counts([*HYPOTHESES, *HYPOTHESES], [*REFERENCES, *REFERENCES[::-1]])
    monkeypatch.setattr(scoring, "counts", count)
    counter = Counter()
    assert counter.counts(HYPOTHESES * 2, REFERENCES * 2)["bleu"] == expected["bleu"][:2] * 2
    assert len(counted) == 2
    assert counter.counts(HYPOTHESES * 2, [*REFERENCES, *REFERENCES[::-1]]) == expected
    assert len(counted) == 4
    with pytest.raises(ValueError, match="2 hypotheses for 1 references"):
        counter.counts(HYPOTHESES, REFERENCES[:1])
    with pytest.raises(ValueError, match="no sentences to score"):
        counter.counts([], [])


def test_every_metric_is_named():
    curves = (
        "train.loss train.perplexity train.learning_rate train.target_tokens_per_second "
        "train.gradient_norm valid.loss valid.curve_bleu valid.curve_f1"
    )
    finals = [
        f"{part}.{name}"
        for part in ("valid", "test", "valid.averaged", "test.averaged")
        for name in (
            *("perplexity", "truncated", "seconds_per_sentence", "bleu", "chrf", "ter", "f1"),
            *(
                "precision",
                "recall",
                "f1_strict",
                "f1_evalb",
                "well_formed",
                "repaired",
                "wrong_length",
            ),
        )
    ]
    costs = "train_seconds total_seconds parameters flops source_tokens target_tokens"
    usage = "cpu_utilization_percentage system_memory_usage_megabytes gpu_0_memory_usage_megabytes"
    expected = {*curves.split(), *finals, *(f"cost.{name}" for name in costs.split())}
    expected |= {f"system/{name}" for name in usage.split()}
    assert set(METRICS) == expected
    assert all(name == metric.name and metric.meaning for name, metric in METRICS.items())
    assert {METRICS[f"valid.{name}"].task for name in MEASURES.values()} == {*MEASURES}


@pytest.mark.parametrize(
    ("name", "higher_is_better"),
    [
        ("test.averaged.bleu", True),
        ("valid.chrf", True),
        ("valid.curve_bleu", True),
        ("valid.ter", False),
        ("valid.perplexity", False),
        ("test.truncated", False),
        ("cost.flops", False),
        ("train.learning_rate", None),
    ],
)
def test_direction(name, higher_is_better):
    assert METRICS[name].higher_is_better is higher_is_better


def test_the_names_cost_no_heavy_import():
    code = "import sys, lit_transformer.scoring; print({'torch', 'sacrebleu'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_bleu_alone_is_the_same_bleu():
    hypotheses, references = ["a b c d e", "", "x y"], ["a b c d f", "g", "x y z"]
    assert bleu(hypotheses, references) == score(hypotheses, references).bleu


def test_perplexity_is_the_number_of_equally_likely_words() -> None:
    assert perplexity(math.log(50)) == pytest.approx(50)
    assert perplexity(1e9) == math.inf


def test_scores_are_of_counts_that_may_be_kept_as_json():
    kept = json.loads(json.dumps(counts(HYPOTHESES, REFERENCES)))
    assert of_counts(kept) == score(HYPOTHESES, REFERENCES)
    assert kept["bleu"][1][:3] == [4, 5, 3]  # words of the two sides, and those they share


def test_bleu_of_the_sentences_sums_is_sacrebleus():
    """Of a real text, of one that nothing matches, of short ones, and of all of them together."""
    references = ["the cat sat on the mat .", "a dog ran home quickly today", "no", "yes it is so"]
    for hypotheses in (
        ["the cat sat on a mat .", "a dog ran to home today", "no", "yes it is so"],
        ["the cat", "a dog", "no", ""],
        ["nothing", "matches", "here", "at all and longer than that"],
        ["", "", "", ""],
    ):
        statistics = sentence_statistics(hypotheses, references)
        assert statistics.shape == (4, 10)
        ours = bleu_of(np.stack([statistics.sum(0), statistics[:2].sum(0)]))
        assert ours[0] == pytest.approx(bleu(hypotheses, references))
        assert ours[1] == pytest.approx(bleu(hypotheses[:2], references[:2]))


TEXTS = (
    ["the cat sat on a mat .", "a dog ran to home today", "no", "yes it is so"],
    ["the cat", "a dog", "no", ""],
    ["nothing", "matches", "here", "at all and longer than that"],
    ["", "", "", ""],
)


@pytest.mark.parametrize("hypotheses", TEXTS)
@pytest.mark.parametrize(("name", "of_sums"), [("chrf", chrf_of), ("ter", ter_of)])
def test_chrf_and_ter_of_the_sentences_sums_are_sacrebleus(name, of_sums, hypotheses):
    references = ["the cat sat on the mat .", "a dog ran home quickly today", "no", "yes it is so"]
    counted = np.array(counts(hypotheses, references)[name], dtype=float)
    ours = of_sums(np.stack([counted.sum(0), counted[:2].sum(0)]))
    assert ours[0] == pytest.approx(getattr(score(hypotheses, references), name))
    assert ours[1] == pytest.approx(getattr(score(hypotheses[:2], references[:2]), name))


def test_ter_without_words_to_reach():
    assert ter_of(np.array([[0.0, 0.0], [3.0, 0.0]])).tolist() == [0, 100]


def test_bleu_under_other_tokens_is_sacrebleus():
    hypotheses = ["Die Haus-Tür ist zu, sagt er.", "2-mal „genau“ so!"]
    references = ["Die Haus-Tür ist offen, sagt er.", "2-mal „genau“ das!"]
    found = tokenized(hypotheses, references)
    assert found.keys() == TOKENIZATIONS.keys()
    for name in ("13a", "intl", "char", "none"):
        metric = BLEU(tokenize=name, force=True)
        wanted = metric.corpus_score(hypotheses, [references]).score
        assert float(bleu_of(np.array(found[name].sums))) == pytest.approx(wanted)
        assert found[name].signature == str(metric.get_signature())


def test_compounds_are_split_as_the_papers_script_splits_them():
    (hypothesis, reference) = "Die Haus-Tür ist zu .", "Die Keller-Tür ist zu ."
    (words,) = {one.sums[0] for one in [tokenized([hypothesis], [reference])["compounds"]]}
    assert tokens(hypothesis) == ["Die", "Haus-Tür", "ist", "zu", "."]
    assert words == 7  # Die Haus ##AT##-##AT## Tür ist zu .
    found = tokenized([hypothesis], [reference])
    assert found["compounds"].sums[2] == 6  # all but Haus; unsplit, all of five but one word
    assert found["13a"].sums[2] == 4
    assert "tok:13a+compounds" in found["compounds"].signature
