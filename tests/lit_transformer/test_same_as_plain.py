"""The trained path (packed tokens, joint projections, projection and loss in chunks) against the
plain one: for every row of Table 3, and for every choice of the configuration."""

import math
from itertools import product
from typing import get_args

import pytest
import torch
from torch import nn

from experiments.study import expand, load_setting, load_study
from lit_transformer import objective
from lit_transformer.config import (
    POSITIONS_OF_ATTENTION,
    AttentionKind,
    EmbeddingTie,
    MixingKind,
    ModelConfig,
    NormPlace,
    PositionKind,
)
from lit_transformer.data.batching import make_batch
from lit_transformer.model import attention, varlen, window
from lit_transformer.model.transformer import Transformer
from lit_transformer.objective import smoothed_loss
from tests.lit_transformer.plain import Plain

BOS, EOS, VOCAB = 2, 3, 50

ROWS = {
    trial.arm: trial.config
    for trial in expand(load_study("table3"), load_setting("grammar"), [1], [], {})
}
CHOICES = [*product(get_args(AttentionKind), get_args(PositionKind), get_args(NormPlace))]


class Made:
    """Pairs of unequal lengths."""

    def __init__(self):
        generator = torch.Generator().manual_seed(0)

        def row(length):
            ids = torch.randint(4, VOCAB, (length - 1,), generator=generator)
            return torch.cat((ids, torch.tensor([EOS]))).int().numpy()

        self.pairs = [(row(s), row(t)) for s, t in ((5, 3), (1, 7), (9, 1), (4, 4), (2, 6))]

    def source(self, index):
        return self.pairs[index][0]

    def target(self, index):
        return self.pairs[index][1]


def build(cfg):
    torch.manual_seed(0)
    model = Transformer(cfg, VOCAB, 0)
    for parameter in model.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter, mean=0.5)
    return model


def both(model, cfg, label_smoothing):
    """Loss and gradients, the trained path's and the plain one's."""
    made = Made()
    batch = make_batch(made, range(len(made.pairs)), BOS)
    fast, _ = smoothed_loss(
        model(batch.source, batch.target), model.output_weight, batch.wanted_N, label_smoothing
    )
    plain = Plain(model, cfg)
    slow = sum(
        plain.loss(source.tolist(), [BOS, *target.tolist()[:-1]], target.tolist(), label_smoothing)
        for source, target in made.pairs
    )
    return [
        (loss.item(), torch.autograd.grad(loss, [*model.parameters()])) for loss in (fast, slow)
    ]


def compare(cfg, label_smoothing):
    model = build(cfg).eval()
    (loss, gradients), (expected, expected_gradients) = both(model, cfg, label_smoothing)
    assert loss == pytest.approx(expected, rel=1e-6)
    whole, expected_whole = (
        torch.cat([*map(torch.flatten, g)]) for g in (gradients, expected_gradients)
    )
    assert (whole - expected_whole).norm() <= 1e-5 * expected_whole.norm()
    # Single parameters may hold little but the rounding of large terms that cancel: not so here.
    (loss, gradients), (expected, expected_gradients) = both(model.double(), cfg, label_smoothing)
    assert loss == pytest.approx(expected, rel=1e-12)
    for a, b in zip(gradients, expected_gradients, strict=True):
        assert (a - b).norm() <= 1e-9 * b.norm()


@pytest.mark.parametrize("arm", ROWS)
def test_every_row_of_table_3(arm, monkeypatch):
    monkeypatch.setattr(objective, "CPU_CHUNK", 8)  # so that there are several
    compare(ROWS[arm].model, ROWS[arm].optim.label_smoothing)


@pytest.mark.parametrize("arm", ROWS)
def test_every_row_with_torchs_own_kernel(arm, monkeypatch):
    """What a GPU uses; here on a CPU."""
    monkeypatch.setattr(attention, "fuses", lambda q_BHTK, kind: kind != "additive")
    compare(ROWS[arm].model, ROWS[arm].optim.label_smoothing)


@pytest.mark.parametrize(("kind", "positions", "norm"), CHOICES)
def test_every_choice(kind, positions, norm):
    shape = {"layers": 2, "d_model": 12, "d_ff": 16, "heads": 3, "d_k": 6, "d_v": 7}
    kinds = {"attention": kind, "positions": positions, "norm": norm}
    compare(ModelConfig(**shape, **kinds, max_positions=40), 0.1)


@pytest.mark.parametrize("tie", get_args(EmbeddingTie))
def test_every_tie(tie):
    shape = {"layers": 2, "d_model": 12, "d_ff": 16, "heads": 3, "d_k": 6, "d_v": 7}
    compare(ModelConfig(**shape, tied_embeddings=tie), 0.1)


@pytest.mark.parametrize("positions", ["sinusoidal", "relative", "rotary", "alibi"])
@pytest.mark.parametrize("reach", [1, 3])
@pytest.mark.parametrize("worth", [0, math.inf], ids=["blocks", "mask"])
def test_a_window(worth, reach, positions, monkeypatch):
    """Of pairs with so much padding that some of its queries have no token in their window."""
    monkeypatch.setattr(window, "WORTH", worth)
    monkeypatch.setattr(window, "SMALLEST_BLOCK", 1)
    shape = {"layers": 2, "d_model": 12, "d_ff": 16, "heads": 3, "d_k": 6, "d_v": 7}
    compare(ModelConfig(**shape, positions=positions, window=reach), 0.1)


@pytest.mark.parametrize(("encoder", "decoder"), [*product(get_args(MixingKind), repeat=2)])
@pytest.mark.parametrize("norm", get_args(NormPlace))
def test_whatever_mixes(encoder, decoder, norm):
    sizes = {"layers": 2, "d_model": 12, "d_ff": 16, "heads": 3, "norm": norm, "kernel": 5}
    compare(ModelConfig(**sizes, encoder_mixing=encoder, decoder_mixing=decoder), 0.1)


def mixed_one_by_one(q_NHK, k_MHK, v_MHV, queries, keys, kind, reach):
    """What varlen.mix does, sentence by sentence."""
    out = []
    for first, end, first_key, end_key in zip(
        queries.after_B1[:-1],
        queries.after_B1[1:],
        keys.after_B1[:-1],
        keys.after_B1[1:],
        strict=True,
    ):
        q_HTK, k_HSK, v_HSV = (
            x.transpose(0, 1)
            for x in (q_NHK[first:end], k_MHK[first_key:end_key], v_MHV[first_key:end_key])
        )
        scores_HTS = q_HTK @ k_HSK.mT * (q_HTK.size(-1) ** -0.5 if kind == "scaled" else 1)
        ahead_TS = torch.arange(k_HSK.size(1)) - torch.arange(q_HTK.size(1))[:, None]
        hidden_TS = (reach.on >= 0) & (ahead_TS > reach.on)
        hidden_TS |= (reach.back >= 0) & (-ahead_TS > reach.back)
        weights_HTS = scores_HTS.masked_fill(hidden_TS, -math.inf).softmax(dim=-1)
        out.append((weights_HTS @ v_HSV).transpose(0, 1))
    for ends in (queries, keys):
        assert int(ends.after_B1.diff().max()) == ends.longest
    return torch.cat(out)


@pytest.mark.parametrize("kind", ["scaled", "unscaled"])
@pytest.mark.parametrize("positions", get_args(PositionKind))
@pytest.mark.parametrize("reach", [None, 2])
def test_sentences_that_lie_end_to_end(kind, positions, reach, monkeypatch):
    """A GPU's way in half precision; here on a CPU, its kernel written out."""
    calls = []

    def mix(*arguments):
        calls.append(arguments)
        return mixed_one_by_one(*arguments)

    monkeypatch.setattr(varlen, "runs_on", lambda x_NC: True)
    monkeypatch.setattr(varlen, "mix", mix)
    kinds = {"attention": kind, "positions": positions, "window": reach}
    cfg = ModelConfig(layers=2, d_model=12, d_ff=16, heads=3, d_k=8, d_v=8, **kinds)
    compare(cfg, 0.1)
    own = positions not in POSITIONS_OF_ATTENTION
    assert len(calls) == 2 * cfg.layers * (3 if own else 1)  # in both precisions


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"attention": "additive"}, "model.attention=additive"),
        ({"d_v": 16}, "d_k=8 and d_v=16 differ"),
        ({"d_k": 12, "d_v": 12}, "d_k=12 is over 256 or no multiple of 8"),
        ({"attention_dropout": 0.1}, "model.attention_dropout is not 0"),
        ({"positions": "alibi"}, "positions act inside attention"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_kernel_does_not_know_is_told(changed, told, monkeypatch, caplog):
    monkeypatch.setattr(varlen, "runs_on", lambda x_NC: True)
    monkeypatch.setattr(varlen, "mix", mixed_one_by_one)
    attention._say_once.cache_clear()
    cfg = ModelConfig(**{"layers": 1, "d_model": 16, "heads": 2, "d_k": 8, "d_v": 8, **changed})
    made, model = Made(), build(cfg)
    batch = make_batch(made, range(5), BOS)
    model(batch.source, batch.target)
    assert [record.message.partition(":")[0] for record in caplog.records] == [told]
