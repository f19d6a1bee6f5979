"""Attention weights of a sentence, held against the same from scratch and against what they do."""

from itertools import product
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from lit_transformer.config import (
    AttentionKind,
    MixingKind,
    ModelConfig,
    NormPlace,
    PositionKind,
)
from lit_transformer.model import attention
from lit_transformer.model.attention import KeysValues, MultiHeadAttention
from lit_transformer.model.looking import look
from lit_transformer.model.packing import from_rectangle
from lit_transformer.model.transformer import Transformer
from tests.lit_transformer.plain import Plain

# L layers, H heads, T tokens read, S source tokens
PAD, VOCAB = 0, 20
CFG = ModelConfig(
    layers=2, d_model=12, d_ff=16, heads=3, d_k=6, d_v=7, dropout=0.5, attention_dropout=0.5
)
SOURCE, TARGET = [5, 6, 7, 8, 3], [2, 11, 12, 13, 14, 9]


def build(**update: object) -> Transformer:
    """Larger weights than a new model's, so that heads differ."""
    torch.manual_seed(0)
    model = Transformer(CFG.model_copy(update=update), VOCAB, PAD)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model.eval()


def states(model: Transformer, source_BS: Tensor, target_BT: Tensor) -> Tensor:
    return model(from_rectangle(source_BS, PAD), from_rectangle(target_BT, PAD))


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


choices = pytest.mark.parametrize(
    ("kind", "positions", "norm"),
    [*product(get_args(AttentionKind), get_args(PositionKind), get_args(NormPlace))],
)


@choices
def test_weights_are_those_of_the_model_written_as_the_paper_has_it(
    kind: AttentionKind, positions: PositionKind, norm: NormPlace
) -> None:
    changes = {"attention": kind, "positions": positions, "norm": norm}
    model = build(**changes)
    plain = Plain(model, CFG.model_copy(update=changes))
    plain.states(SOURCE, TARGET)
    found = look(model, SOURCE, TARGET)
    for name, weights in (
        ("encoder.{}.self_attention", found.encoder_LHSS),
        ("decoder.{}.self_attention", found.decoder_LHTT),
        ("decoder.{}.cross_attention", found.cross_LHTS),
    ):
        for layer, weights_HTS in enumerate(weights):
            expected = torch.stack(plain.weights[f"{name.format(layer)}.attention"])
            close(weights_HTS, expected)


@pytest.mark.parametrize(("encoder", "decoder"), [*product(get_args(MixingKind), repeat=2)])
def test_a_stack_without_self_attention_has_no_weights_of_it(
    encoder: MixingKind, decoder: MixingKind
) -> None:
    changes = {"encoder_mixing": encoder, "decoder_mixing": decoder}
    model = build(**changes)
    plain = Plain(model, CFG.model_copy(update=changes))
    plain.states(SOURCE, TARGET)
    found = look(model, SOURCE, TARGET)
    assert (found.encoder_LHSS is not None) == (encoder == "attention")
    assert (found.decoder_LHTT is not None) == (decoder == "attention")
    for layer, weights_HTS in enumerate(found.cross_LHTS):
        expected = plain.weights[f"decoder.{layer}.cross_attention.attention"]
        close(weights_HTS, torch.stack(expected))


@pytest.mark.parametrize("kind", get_args(AttentionKind))
def test_rows_sum_to_one_and_nobody_looks_ahead(kind: AttentionKind) -> None:
    found = look(build(attention=kind), SOURCE, TARGET)
    shapes = [tuple(weights.shape) for weights in found]
    assert shapes == [(2, 3, 5, 5), (2, 3, 6, 6), (2, 3, 6, 5)]
    for weights in found:
        assert (weights >= 0).all()
        close(weights.sum(dim=-1), torch.ones(weights.shape[:-1]))
    assert not found.decoder_LHTT.triu(diagonal=1).any()


@pytest.mark.parametrize("kind", get_args(AttentionKind))
def test_heads_that_mix_their_values_so_give_what_the_layer_gives(kind: AttentionKind) -> None:
    model = build(attention=kind)
    seen: list[tuple[MultiHeadAttention, KeysValues, Tensor]] = []

    def note(module: nn.Module, arguments: tuple[Tensor, KeysValues], out: Tensor) -> None:
        assert isinstance(module, MultiHeadAttention)
        seen.append((module, arguments[1], out))

    for module in model.modules():
        if isinstance(module, MultiHeadAttention):
            module.register_forward_hook(note)
    found = look(model, SOURCE, TARGET)
    looks = {
        model_part: weights_HTS
        for model_part, weights_HTS in zip(
            [layer.self_attention.attention for layer in model.encoder_layers()]
            + [layer.self_attention.attention for layer in model.decoder_layers()]
            + [layer.cross_attention.attention for layer in model.decoder_layers()],
            [*found.encoder_LHSS, *found.decoder_LHTT, *found.cross_LHTS],
            strict=True,
        )
    }
    assert len(seen) == 6
    for module, kv, out_TD in seen:
        joined_TC = (looks[module] @ kv.v_BHSV[0]).transpose(0, 1).flatten(1)
        close(joined_TC @ module.output.weight.T, out_TD)


def test_a_fused_kernel_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU's pass, which gives no weights; here on a CPU."""
    model = build()
    plainly = look(model, SOURCE, TARGET)
    monkeypatch.setattr(attention, "fuses", lambda q_BHTK, kind: True)
    for mine, theirs in zip(look(model, SOURCE, TARGET), plainly, strict=True):
        close(mine, theirs)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", get_args(AttentionKind))
def test_a_gpu_looks_where_a_cpu_does(kind: AttentionKind) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    model = build(attention=kind)
    on_cpu = look(model, SOURCE, TARGET)
    on_gpu = look(model.cuda(), SOURCE, TARGET)
    for mine, theirs in zip(on_gpu, on_cpu, strict=True):
        torch.testing.assert_close(mine.cpu(), theirs, rtol=1e-3, atol=1e-3)


def test_the_model_is_as_it_was() -> None:
    """Two sentences of unequal length still give the same bits, and nothing listens any more."""
    model = build()
    rows = torch.tensor([[*SOURCE], [9, 3, 0, 0, 0]]), torch.tensor([[*TARGET], [2, 4, 0, 0, 0, 0]])
    before = states(model, *rows)
    look(model, SOURCE, TARGET)
    assert torch.equal(states(model, *rows), before)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_pass_that_fails_leaves_no_listener() -> None:
    model = build(positions="learned", max_positions=5)
    with pytest.raises(ValueError, match="max_positions=5"):
        look(model, SOURCE, TARGET)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_sentence_of_one_token_looks_at_itself() -> None:
    found = look(build(), [3], [2])
    assert all(torch.equal(weights, torch.ones(2, 3, 1, 1)) for weights in found)
