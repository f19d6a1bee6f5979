"""A GPU against a CPU: the same losses, gradients, translations and curves, whatever the choice.

A CPU's path is held against a plain model in test_same_as_plain.py.
"""

import copy
import math
from itertools import product
from typing import get_args

import pytest
import torch

from lit_transformer.callbacks import InterruptedTrialError
from lit_transformer.config import (
    AttentionKind,
    DecodeConfig,
    MixingKind,
    ModelConfig,
    NormPlace,
    PositionKind,
)
from lit_transformer.data.batching import make_batch
from lit_transformer.decoding import search
from lit_transformer.model import window
from lit_transformer.model.stepping import Stepper
from lit_transformer.objective import smoothed_loss
from lit_transformer.record import Record
from lit_transformer.training import train
from tests.lit_transformer.test_decoding import EOS, FAR, LONGER, PAD, Rolled
from tests.lit_transformer.test_same_as_plain import BOS, ROWS, Made, build
from tests.lit_transformer.test_training import curve, outcome_without_maps, stop_after

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
]

SHAPE = {"layers": 2, "d_model": 12, "d_ff": 16, "heads": 3, "d_k": 6, "d_v": 7}
CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


def loss_and_gradient(model, device, label_smoothing):
    made = Made()
    batch = make_batch(made, range(len(made.pairs)), BOS)
    source, target = (
        type(one)(one.ids_N.to(device), type(one.packing)(*(x.to(device) for x in one.packing)))
        for one in (batch.source, batch.target)
    )
    loss, _ = smoothed_loss(
        model(source, target), model.output_weight, batch.wanted_N.to(device), label_smoothing
    )
    gradients = torch.autograd.grad(loss, [*model.parameters()])
    return loss.item(), torch.cat([gradient.flatten().cpu() for gradient in gradients])


def compare(cfg, label_smoothing=0.1):
    model = build(cfg).eval()
    for kind, loss_rel, gradient_rel in ((torch.float64, 1e-12, 1e-9), (torch.float32, 1e-5, 1e-4)):
        model = model.to(kind)
        expected, expected_gradient = loss_and_gradient(model, CPU, label_smoothing)
        loss, gradient = loss_and_gradient(copy.deepcopy(model).to(GPU), GPU, label_smoothing)
        assert loss == pytest.approx(expected, rel=loss_rel)
        assert (gradient - expected_gradient).norm() <= gradient_rel * expected_gradient.norm()


@pytest.mark.parametrize("arm", ROWS)
def test_every_row_of_table_3(arm):
    compare(ROWS[arm].model, ROWS[arm].optim.label_smoothing)


@pytest.mark.parametrize(
    ("kind", "positions", "norm"),
    [*product(get_args(AttentionKind), get_args(PositionKind), get_args(NormPlace))],
)
def test_every_choice(kind, positions, norm):
    kinds = {"attention": kind, "positions": positions, "norm": norm}
    compare(ModelConfig(**SHAPE, **kinds, max_positions=40))


@pytest.mark.parametrize("worth", [0, math.inf], ids=["blocks", "mask"])
def test_a_window(worth, monkeypatch):
    monkeypatch.setattr(window, "WORTH", worth)
    monkeypatch.setattr(window, "SMALLEST_BLOCK", 1)
    compare(ModelConfig(**SHAPE, window=2))


@pytest.mark.parametrize(("encoder", "decoder"), [*product(get_args(MixingKind), repeat=2)])
def test_whatever_mixes(encoder, decoder):
    sizes = {"layers": 2, "d_model": 12, "d_ff": 16, "heads": 3, "kernel": 5}
    compare(ModelConfig(**sizes, encoder_mixing=encoder, decoder_mixing=decoder))


@pytest.mark.parametrize(
    "cfg",
    [
        *(ROWS[arm].model for arm in ("base", "A1", "B1", "E")),
        *(
            ModelConfig(layers=2, d_model=16, d_ff=16, heads=2, **kind)
            for kind in ({"window": 2}, {"attention": "unscaled"}, {"positions": "alibi"})
        ),
    ],
    ids=["base", "A1", "B1", "E", "window", "unscaled", "alibi"],
)
def test_bfloat16_is_near_float32(cfg):
    model = build(cfg).eval().to(GPU)
    expected, expected_gradient = loss_and_gradient(model, GPU, 0.1)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        loss, gradient = loss_and_gradient(model, GPU, 0.1)
    assert loss == pytest.approx(expected, rel=0.02)
    assert (gradient - expected_gradient).norm() <= 0.1 * expected_gradient.norm()


def translations(device, beam, **kinds):
    model = Rolled(**kinds)
    stepper = Stepper(model.transformer.to(device))  # lays weights out for its device
    model.stepper, model.encode = stepper, stepper.encode
    model.start_cache, model.step = stepper.start_cache, stepper.step
    marks = {"pad": PAD, "bos": BOS, "eos": EOS}
    decode = DecodeConfig(beam=beam, **FAR)
    return search(model, LONGER, decode, **marks, device=device, progress=None)


@pytest.mark.parametrize("attention", get_args(AttentionKind))
@pytest.mark.parametrize("positions", get_args(PositionKind))
@pytest.mark.parametrize("beam", [1, 4])
def test_translations(attention, positions, beam):
    kinds = {"attention": attention, "positions": positions}
    there, here = (translations(device, beam, **kinds) for device in (GPU, CPU))
    for got, expected in zip(there, here, strict=True):
        assert (got.ids, got.truncated) == (expected.ids, expected.truncated)
        assert got.score == pytest.approx(expected.score, abs=1e-4)


def run(config, directory, cache, device=GPU, should_stop=lambda: False):
    return train(config, directory, cache, device=device, threads=1, should_stop=should_stop)


def test_training_follows_a_cpu_s(tiny, cache, tmp_path):
    config = tiny({"model.dropout": 0.0})
    for name, device in (("gpu", GPU), ("cpu", CPU)):
        run(config, tmp_path / name, cache, device)
    there, here = (curve(Record(tmp_path / name), "train.loss") for name in ("gpu", "cpu"))
    assert [step for step, _ in there] == [step for step, _ in here]
    assert [x for _, x in there] == pytest.approx([x for _, x in here], rel=1e-3)
    assert torch.cuda.get_device_name(GPU) in (tmp_path / "gpu" / "environment.json").read_text()


def test_a_trial_that_was_stopped_ends_in_the_same_bits(tiny, cache, tmp_path):
    config = tiny({"train.deterministic": True})
    try:
        run(config, tmp_path / "whole", cache)
        with pytest.raises(InterruptedTrialError, match="after update"):
            run(config, tmp_path / "again", cache, should_stop=stop_after(9))
        run(config, tmp_path / "again", cache)
    finally:
        torch.use_deterministic_algorithms(False)
    assert outcome_without_maps(tmp_path / "again") == outcome_without_maps(tmp_path / "whole")


def test_training_in_bfloat16(tiny, cache, tmp_path):
    run(tiny({"train.precision": "bfloat16"}), tmp_path, cache)
    losses = [loss for _, loss in curve(Record(tmp_path), "train.loss")]
    assert losses[-1] < losses[0]
