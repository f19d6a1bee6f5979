"""Perplexity and translations of a part, against a sentence at a time."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional

from lit_transformer import evaluation
from lit_transformer.checkpoints import load_weights
from lit_transformer.data.datamodule import TranslationData
from lit_transformer.evaluation import cross_entropy, detokenized, evaluate, translate
from lit_transformer.model.packing import Sentences, pack
from lit_transformer.module import TransformerModule
from lit_transformer.record import Record
from lit_transformer.scoring import of_counts


@pytest.fixture(scope="module")
def data(trained):
    found = TranslationData(trained.config, trained.cache)
    found.prepare_data()
    found.setup("fit")
    return found


@pytest.fixture
def module(trained, data):
    """The trained model, in training mode as validation finds it."""
    made = TransformerModule(trained.config, len(data.vocab), data.vocab.pad)
    made.model.load_state_dict(load_weights(Record(trained.directory).weights))
    return made.train()


def one_by_one(module, data, pairs, count):
    """Mean loss of each target token, by PyTorch, a sentence at a time."""
    losses = []
    for i in range(count):
        source = torch.tensor(pairs.source(i)).long()
        target = torch.tensor(pairs.target(i)).long()
        shifted = torch.cat((torch.tensor([data.vocab.bos]), target[:-1]))
        sides = [Sentences(ids, pack([len(ids)])) for ids in (source, shifted)]
        states_TD = module.eval().model(*sides)
        logits_TV = states_TD @ module.model.output_weight.T
        losses.append(functional.cross_entropy(logits_TV, target, reduction="none"))
    return float(torch.cat(losses).mean())


@torch.no_grad()
def test_cross_entropy_is_the_mean_over_tokens(module, data, trained):
    expected = one_by_one(module, data, data.parts["valid"], len(data.parts["valid"]))
    found = cross_entropy(module.train(), data, "valid")
    assert found == pytest.approx(expected, rel=1e-5)
    assert np.exp(found) == pytest.approx(trained.result.scores["valid.perplexity"], rel=1e-5)


@pytest.mark.parametrize("micro_tokens", [40, 60, 5_000])
def test_the_size_of_batches_does_not_matter(module, data, tiny, micro_tokens):
    expected = cross_entropy(module, data, "valid")
    other = SimpleNamespace(
        config=tiny({"train.micro_tokens": micro_tokens}), parts=data.parts, vocab=data.vocab
    )
    assert cross_entropy(module, other, "valid") == pytest.approx(expected, rel=1e-5)


@torch.no_grad()
def test_a_target_longer_than_a_batch_is_scored_whole(module, data):
    ids = [np.array([4 + i % 40 for i in range(n)] + [data.vocab.eos], np.int32) for n in (200, 3)]
    lengths = np.array([201, 4], np.int32)
    part = SimpleNamespace(
        source=lambda i: ids[1],
        target=lambda i: ids[i],
        source_lengths=np.array([4, 4], np.int32),
        target_lengths=lengths,
    )
    other = SimpleNamespace(config=data.config, parts={"valid": part}, vocab=data.vocab)
    assert data.config.train.tokens_per_batch < 201
    expected = one_by_one(module, data, part, 2)
    assert cross_entropy(module, other, "valid") == pytest.approx(expected, rel=1e-5)


def test_translations_are_in_order_and_as_many_as_asked_for(module, data):
    whole = translate(module, data, "valid", 1, None, None)
    assert len(whole) == len(data.parts["valid"])
    assert [found.ids for found in translate(module, data, "valid", 1, 5, None)] == [
        found.ids for found in whole[:5]
    ]
    assert translate(module, data, "valid", 1, 999, None) == whole


def test_the_beam_is_the_callers(module, data, monkeypatch):
    beams = []

    def search(model, sources, decode, **others):
        beams.append((decode.beam, decode.alpha))
        return []

    monkeypatch.setattr(evaluation, "search", search)
    translate(module, data, "valid", 1, 5, None)
    assert beams == [(1, data.config.decode.alpha)]


def test_a_translation_is_one_line(data, monkeypatch):
    monkeypatch.setattr(type(data.vocab), "decode", lambda self, ids: ["a \n b\u2028c ", ""])
    assert detokenized(data, []) == ["a b c", ""]


def test_evaluation_repeats_what_the_trial_said(module, data, trained):
    shown = []
    found = evaluate(module, data, "test", lambda *at: shown.append(at), "decoding test")
    scores = trained.result.scores
    said = {
        name.removeprefix("test."): value
        for name, value in scores.items()
        if name.startswith("test.") and "averaged" not in name
    }
    assert said.pop("seconds_per_sentence") > 0
    told = dict(found.scores)
    assert told.pop("seconds_per_sentence") > 0  # of another clock
    assert told == said
    path = Record(trained.directory).hypotheses / "test.txt"
    assert found.hypotheses == path.read_text().splitlines()
    total = len(data.parts["test"])
    assert shown[0] == ("decoding test", 0, total)
    assert shown[-1] == ("decoding test", total, total)
    assert [done for _, done, _ in shown] == sorted(done for _, done, _ in shown)


def test_what_is_counted_is_told_sentence_by_sentence(module, data, trained):
    kept = Record(trained.directory).read_json("scores/test.json", loss=float, truncated=list)
    scores = trained.result.scores
    assert np.exp(kept["loss"]) == scores["test.perplexity"]
    counts = Record(trained.directory).read_json("counts/test.json", bleu=list)
    assert of_counts(counts).chrf == scores["test.chrf"]
    assert len(kept["truncated"]) == scores["test.truncated"]
