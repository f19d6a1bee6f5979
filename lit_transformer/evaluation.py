"""Perplexity and translations of a part of the corpus, by one model."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, assert_never

import numpy as np
import torch
from lightning_fabric.utilities import move_data_to_device

from lit_transformer import parsing, scoring
from lit_transformer.config import RunConfig
from lit_transformer.data import treebank
from lit_transformer.data.batching import cut, make_batch
from lit_transformer.data.datamodule import TranslationData
from lit_transformer.decoding import Hypothesis, search
from lit_transformer.model.stepping import Stepper
from lit_transformer.module import TransformerModule
from lit_transformer.wellformed import TreesOnly

Progress = Callable[[str, int, int], None]
"""Told the phase, how much of it is done, and of how much."""


class Evaluation(NamedTuple):
    """One model on one part."""

    scores: dict[str, float]
    """Metric -> value: perplexity, truncated, seconds_per_sentence, and the task's measures."""
    signatures: dict[str, str]
    hypotheses: list[str]
    """Detokenized text, or trees in brackets, one a sentence, in the corpus's order."""
    found: list[Hypothesis]
    """The same as the search has it."""
    loss: float
    """What the perplexity is of, in nats per token."""
    truncated: list[int]
    """Which sentences, from 0, were."""
    counts: scoring.Counts
    """What the task's measures are computed from."""
    tokenized: Mapping[str, scoring.Tokenized]
    """BLEU's sums under other ways of cutting sentences; none of trees."""


class Scored(NamedTuple):
    """Hypotheses as a task has them."""

    scores: dict[str, float]
    signatures: dict[str, str]
    texts: list[str]
    counts: scoring.Counts
    tokenized: Mapping[str, scoring.Tokenized]


@torch.inference_mode()
def cross_entropy(module: TransformerModule, data: TranslationData, part: str) -> float:
    """Unsmoothed loss of every target token of a part, in nats per token (word-piece)."""
    pairs = data.parts[part]
    order = np.lexsort((pairs.source_lengths, pairs.target_lengths))
    config = data.config
    tokens = config.train.micro_tokens or config.train.tokens_per_batch
    longest = int(max(pairs.source_lengths.max(), pairs.target_lengths.max()))
    module.eval()
    pieces = cut(order, pairs.source_lengths, pairs.target_lengths, max(tokens, longest))
    sums = []
    for piece in module.peers.share(pieces):
        batch = move_data_to_device(make_batch(pairs, piece, data.vocab.bos), module.device)
        sums.append(float(module.loss(batch, 0.0)[1]))
    return sum(module.peers.collect(sums)) / int(pairs.target_lengths.sum())


def translate(
    module: TransformerModule,
    data: TranslationData,
    part: str,
    beam: int,
    sentences: int | None,
    progress: Callable[[int], None] | None,
) -> list[Hypothesis]:
    """Translations of the first `sentences` of a part (None: all), in order."""
    pairs = data.parts[part]
    count = len(pairs) if sentences is None else min(sentences, len(pairs))
    module.eval()
    return search(
        Stepper(module.model),
        [pairs.source(index).tolist() for index in range(count)],
        data.config.decode.model_copy(update={"beam": beam}),
        pad=data.vocab.pad,
        bos=data.vocab.bos,
        eos=data.vocab.eos,
        device=module.device,
        progress=progress,
        constraint=constraint(data, part, range(count), module.device),
        peers=module.peers,
    )


def constraint(
    data: TranslationData, part: str, places: Sequence[int], device: torch.device
) -> TreesOnly | None:
    """What these sentences of a part hold their outputs to; None: nothing."""
    match data.config.decode.constraint:
        case "none":
            return None
        case "trees":
            sources = data.corpus.parts[part].sources()
            form = treebank.linear(data.config.data)
            return TreesOnly(data.vocab, form, [sources[place] for place in places], device)
        case _ as never:
            assert_never(never)


def detokenized(data: TranslationData, hypotheses: list[Hypothesis]) -> list[str]:
    texts = data.vocab.decode([hypothesis.ids for hypothesis in hypotheses])
    return [" ".join(text.split()) for text in texts]  # a line each, whatever was generated


def evaluate(
    module: TransformerModule, data: TranslationData, part: str, progress: Progress, phase: str
) -> Evaluation:
    """Everything that a result says of one model on one part."""
    config: RunConfig = data.config
    total = len(data.parts[part])
    progress(phase, 0, total)
    began_s = time.perf_counter()
    found = translate(
        module, data, part, config.decode.beam, None, lambda done: progress(phase, done, total)
    )
    search_s = time.perf_counter() - began_s
    made = module.peers.once(lambda: scored(data, part, found))
    loss = cross_entropy(module, data, part)
    truncated = [place for place, hypothesis in enumerate(found) if hypothesis.truncated]
    return Evaluation(
        {
            "perplexity": scoring.perplexity(loss),
            **made.scores,
            "truncated": float(len(truncated)),
            "seconds_per_sentence": search_s / total,
        },
        made.signatures,
        made.texts,
        found,
        loss,
        truncated,
        made.counts,
        made.tokenized,
    )


def scored(data: TranslationData, part: str, found: list[Hypothesis]) -> Scored:
    """Every measure of a part's outputs."""
    match data.config.data.task:
        case "translation":
            texts = detokenized(data, found)
            references = data.corpus.parts[part].targets()
            counts = scoring.counts(texts, references)
            scores = scoring.of_counts(counts)
            measures = {"bleu": scores.bleu, "chrf": scores.chrf, "ter": scores.ter}
            others = scoring.tokenized(texts, references)
            return Scored(measures, scores.signatures, texts, counts, others)
        case "parsing":
            outputs = parsed(data, part, found)
            counted = parsing.counts(treebank.load(data.corpus.trees[part]), outputs)
            measures = parsing.of_counts(counted)._asdict()
            signatures = dict.fromkeys(parsing.SIGNED, parsing.SIGNATURE)
            texts = [str(output.tree) for output in outputs]
            return Scored(measures, signatures, texts, {"f1": counted}, {})
        case _ as never:
            assert_never(never)


def measure(data: TranslationData, part: str, found: list[Hypothesis]) -> float:
    """The task's own measure alone, of the first sentences of a part."""
    match data.config.data.task:
        case "translation":
            references = data.corpus.parts[part].targets()[: len(found)]
            return scoring.bleu(detokenized(data, found), references)
        case "parsing":
            gold = treebank.load(data.corpus.trees[part])[: len(found)]
            return parsing.score(gold, parsed(data, part, found)).f1
        case _ as never:
            assert_never(never)


def parsed(data: TranslationData, part: str, found: list[Hypothesis]) -> list[parsing.Output]:
    """The trees of the first sentences of a part."""
    form = treebank.linear(data.config.data)
    sources = data.corpus.parts[part].sources()[: len(found)]
    return [
        parsing.read(form, data.vocab.decode_symbols(hypothesis.ids), source.split())
        for hypothesis, source in zip(found, sources, strict=True)
    ]
