"""The metrics' names, units and directions, and scores of translations by sacreBLEU.

Whoever writes a number and whoever reads one uses the names in METRICS.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, final

from lit_transformer.config import Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Metric(NamedTuple):
    """What a number is called and how to read it."""

    name: str
    unit: str
    higher_is_better: bool | None
    """None: neither direction is better."""
    meaning: str
    task: Task | None = None
    """What it is of; None: of both."""


Scored = Literal["valid", "valid.averaged", "test", "test.averaged"]
"""A part of the corpus, scored with the last step's model or with the averaged one."""
MEASURES: Mapping[Task, str] = {"translation": "bleu", "parsing": "f1"}
"""The measure that a table of a task is read for, behind one of `Scored`."""


Counts = Mapping[str, Sequence[Sequence[float]]]
"""`bleu`, `chrf`, `ter`: for each sentence the numbers that sacreBLEU adds up."""


TOKENIZATIONS: Mapping[str, str] = {
    "13a": "sacreBLEU's default, as mteval-v13a.pl cuts",
    "intl": "by Unicode's classes of signs, as mteval-v14.pl --international-tokenization",
    "char": "every character a token",
    "none": "at spaces alone, punctuation left on words",
    "compounds": "13a's tokens, then words split at hyphens as in the paper's get_ende_bleu.sh",
}
"""How sentences may be cut into BLEU's tokens. The paper's own are Moses's, which nothing here
has; its compound split is all that `compounds` shares with it."""


class Tokenized(NamedTuple):
    """A part's BLEU under one of TOKENIZATIONS."""

    sums: list[float]
    """Of all sentences, as `sentence_statistics` has them."""
    signature: str


class Scores(NamedTuple):
    """Corpus scores, each from 0; BLEU and chrF reach at most 100, TER may exceed it."""

    bleu: float
    chrf: float
    ter: float
    signatures: dict[str, str]
    """sacreBLEU's signature of each, under its field's name."""


def score(hypotheses: Sequence[str], references: Sequence[str]) -> Scores:
    """BLEU (13a tokens, exponential smoothing), chrF2 and TER of detokenized sentences.

    Empty hypotheses are allowed: where all are, BLEU and chrF are 0 and TER is 100.
    """
    return of_counts(counts(hypotheses, references))


def counts(hypotheses: Sequence[str], references: Sequence[str]) -> Counts:
    """What the scores are computed from. ValueError where the two are not one for one."""
    if len(hypotheses) != len(references):
        raise ValueError(
            f"{len(hypotheses)} hypotheses for {len(references)} references; "
            "each hypothesis needs exactly one reference, in the same order"
        )
    if not references:
        raise ValueError("no sentences to score; give at least one hypothesis and its reference")
    # sacreBLEU's own tests of significance resample what these two calls pass on.
    return {
        name: metric._extract_corpus_statistics(hypotheses, [references])
        for name, metric in _metrics().items()
    }


@final
class Counter:
    """Counts many translations, a sentence and its reference once however often the two recur."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], dict[str, Sequence[float]]] = {}

    def counts(self, hypotheses: Sequence[str], references: Sequence[str]) -> Counts:
        """As the function of this name."""
        if len(hypotheses) != len(references) or not references:
            return counts(hypotheses, references)  # which says what is wrong
        pairs = [*zip(hypotheses, references, strict=True)]
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self._known]
        if new:
            found = counts(*zip(*new, strict=True))
            for place, pair in enumerate(new):
                self._known[pair] = {name: found[name][place] for name in found}
        return {name: [self._known[pair][name] for pair in pairs] for name in self._known[pairs[0]]}


def of_counts(counted: Counts) -> Scores:
    """The scores of sentences that have been counted."""
    metrics = _metrics()
    values = {
        name: float(metric._aggregate_and_compute(counted[name]).score)
        for name, metric in metrics.items()
    }
    signatures = {name: str(metric.get_signature()) for name, metric in metrics.items()}
    return Scores(**values, signatures=signatures)


def _metrics() -> dict[str, Any]:
    """sacreBLEU's metrics for sentences with one reference each."""
    # Here, since the names above are needed in places where sacreBLEU's import is felt.
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.metrics.ter import TER

    metrics: dict[str, Any] = {"bleu": BLEU(), "chrf": CHRF(), "ter": TER()}
    for metric in metrics.values():
        metric.num_refs = 1  # is part of a signature, and told with the references only
    return metrics


def perplexity(nats_per_token: float) -> float:
    """Per word-piece, of an unsmoothed loss; infinite where that overflows."""
    return math.exp(nats_per_token) if nats_per_token < 700 else math.inf


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """The BLEU of `score` alone, which takes a tenth of its time."""
    from sacrebleu.metrics.bleu import BLEU

    return float(BLEU().corpus_score(hypotheses, [references]).score)


def sentence_statistics(
    hypotheses: Sequence[str], references: Sequence[str]
) -> npt.NDArray[np.float64]:
    """What sacreBLEU counts in each sentence (sentences, 10), of which BLEU takes sums.

    Lengths of hypothesis and reference, then n-grams found and there are, each of 1 to 4 tokens.
    """
    import numpy as np

    counted = _metrics()["bleu"]._extract_corpus_statistics(hypotheses, [references])
    return np.array(counted, dtype=np.float64)


def bleu_of(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The BLEU of `score` for sums of `sentence_statistics`: (..., 10) -> (...)."""
    import numpy as np

    lengths, references = sums[..., 0], sums[..., 1]
    found, there = sums[..., 2:6], sums[..., 6:10]
    # Exponential smoothing: the k-th order of which nothing is found counts as 1 / 2^k found.
    smoothed = np.where(found == 0, 0.5 ** np.cumsum(found == 0, axis=-1), found)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.exp(np.log(smoothed / there).mean(-1))
        score = 100 * precision * np.exp(np.minimum(0.0, 1 - references / lengths))
    return np.where((found.sum(-1) == 0) | (there == 0).any(-1), 0.0, score)


def chrf_of(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The chrF2 of `score` for sums of its counts: (..., 18) -> (...).

    For each of 1 to 6 characters: n-grams of the hypothesis, of the reference, and common to both.
    """
    import numpy as np

    hypothesis, reference, common = (sums[..., first::3] for first in range(3))
    counted = (hypothesis > 0) & (reference > 0)
    orders = np.maximum(counted.sum(-1), 1)
    precision = (common / np.maximum(hypothesis, 1) * counted).sum(-1) / orders
    recall = (common / np.maximum(reference, 1) * counted).sum(-1) / orders
    below = 4 * precision + recall
    return np.where(below > 0, 500 * precision * recall / np.where(below > 0, below, 1), 0.0)


def ter_of(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The TER of `score` for sums of its counts, edits and reference's words: (..., 2) -> (...)."""
    import numpy as np

    edits, words = sums[..., 0], sums[..., 1]
    return np.where(words > 0, 100 * edits / np.where(words > 0, words, 1), 100.0 * (edits > 0))


def tokens(line: str) -> list[str]:
    """A sentence as the BLEU of `score` cuts it."""
    found: list[str] = _metrics()["bleu"].tokenizer(line.rstrip()).split()
    return found


def tokenized(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, Tokenized]:
    """BLEU under each of TOKENIZATIONS."""
    from sacrebleu.metrics.bleu import BLEU

    found = {}
    for name in TOKENIZATIONS:
        # force: no warning of full stops that are tokens, which is what some of these make of them
        metric: Any = BLEU(tokenize="none" if name == "compounds" else name, force=True)
        metric.num_refs = 1
        signature = str(metric.get_signature())
        sides = [hypotheses, references]
        if name == "compounds":
            sides = [[_split_compounds(line) for line in side] for side in sides]
            signature = signature.replace("tok:none", "tok:13a+compounds")
        counted = metric._extract_corpus_statistics(sides[0], [sides[1]])
        found[name] = Tokenized([float(sum(one)) for one in zip(*counted, strict=True)], signature)
    return found


def _split_compounds(line: str) -> str:
    """A word's hyphens become tokens, by the expression of tensor2tensor's get_ende_bleu.sh."""
    return re.sub(r"(\S)-(\S)", r"\1 ##AT##-##AT## \2", " ".join(tokens(line)))


def p_value(
    before: Sequence[str], after: Sequence[str], references: Sequence[str], samples: int
) -> float:
    """How often chance alone makes the BLEU of two translations differ as much (two-sided).

    Paired approximate randomization of sacreBLEU: each sentence's two translations change sides
    or not, `samples` times. It counts ties as rarer, so where few sentences differ it is too low,
    and where the two score the same it is not asked.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.significance import PairedTest, Result

    named = [("before", before), ("after", after)]
    test = PairedTest(named, {"bleu": BLEU()}, [references], test_type="ar", n_samples=samples)
    _, scores = test()
    first, result = scores["BLEU"]
    assert isinstance(first, Result)
    assert isinstance(result, Result)
    if first.score == result.score:
        return 1.0
    assert result.p_value is not None
    return result.p_value


_CURVES = (
    Metric("train.loss", "nats/token", False, "label-smoothed loss on training targets"),
    Metric("train.perplexity", "", False, "perplexity per word-piece on training targets"),
    Metric("train.learning_rate", "", None, "learning rate of the update"),
    Metric("train.target_tokens_per_second", "tokens/s", True, "target tokens trained on"),
    Metric("train.gradient_norm", "", None, "norm of the whole gradient, before any clipping"),
    Metric("valid.loss", "nats/token", False, "loss on the validation part, without smoothing"),
    Metric(
        *("valid.curve_bleu", "BLEU", True, "greedy BLEU on the first validation sentences"),
        task="translation",
    ),
    Metric(
        *("valid.curve_f1", "%", True, "greedy bracketing F1 on the first validation sentences"),
        task="parsing",
    ),
)

_USAGE = (
    Metric("system/cpu_utilization_percentage", "%", None, "cores in use; 100 is one core"),
    Metric("system/system_memory_usage_megabytes", "MiB", None, "memory of the trial's process"),
    Metric("system/gpu_0_memory_usage_megabytes", "MiB", None, "most that tensors took so far"),
)

_COSTS = (
    Metric("cost.train_seconds", "s", False, "time spent in training steps"),
    Metric("cost.total_seconds", "s", False, "time from start to result"),
    Metric("cost.parameters", "", False, "trained numbers in the model"),
    Metric("cost.flops", "FLOP", False, "floating-point operations of training, counted"),
    Metric("cost.source_tokens", "tokens", None, "source tokens trained on"),
    Metric("cost.target_tokens", "tokens", None, "target tokens trained on"),
)


_OF_TRANSLATION = (
    ("bleu", "BLEU", True, "sacreBLEU of beam search"),
    ("chrf", "chrF2", True, "character n-gram F-score"),
    ("ter", "TER", False, "translation edit rate"),
)
_OF_PARSING = (
    ("f1", "%", True, "labelled bracketing F1, outputs that are no tree repaired"),
    ("precision", "%", True, "labelled bracketing precision"),
    ("recall", "%", True, "labelled bracketing recall"),
    ("f1_strict", "%", True, "F1 where an output that is no tree has found nothing"),
    ("f1_evalb", "%", True, "F1 without outputs that are no tree"),
    ("well_formed", "sentences", True, "outputs that are trees over the sentence's words"),
    ("repaired", "sentences", False, "outputs that had to be made trees"),
    ("wrong_length", "sentences", False, "outputs with too few or too many words"),
)


def _finals(prefix: str, of: str) -> Iterator[Metric]:
    """The scores of one model on one part of the corpus."""
    yield Metric(
        f"{prefix}.perplexity", "", False, f"perplexity per word-piece, without smoothing, {of}"
    )
    for name, unit, higher, meaning in _OF_TRANSLATION:
        yield Metric(f"{prefix}.{name}", unit, higher, f"{meaning}, {of}", "translation")
    for name, unit, higher, meaning in _OF_PARSING:
        yield Metric(f"{prefix}.{name}", unit, higher, f"{meaning}, {of}", "parsing")
    yield Metric(
        f"{prefix}.truncated", "sentences", False, f"outputs cut at the length limit, {of}"
    )
    yield Metric(
        f"{prefix}.seconds_per_sentence", "s", False, f"time of the search over its sentences, {of}"
    )


def _all_metrics() -> Iterator[Metric]:
    yield from _CURVES
    for part, where in (("valid", "validation part"), ("test", "test part")):
        yield from _finals(part, f"last model, {where}")
        yield from _finals(f"{part}.averaged", f"averaged model, {where}")
    yield from _COSTS
    yield from _USAGE


METRICS: dict[str, Metric] = {metric.name: metric for metric in _all_metrics()}
"""Every metric by its name, the curves first, then the scores, then the costs."""
