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
    AttentionKind,
    EmbeddingTie,
    MixingKind,
    ModelConfig,
    NormPlace,
    PositionKind,
)
from lit_transformer.data.batching import make_batch
from lit_transformer.model import attention, window
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
