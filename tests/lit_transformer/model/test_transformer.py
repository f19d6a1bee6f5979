import math
from copy import deepcopy
from itertools import product
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from lit_transformer.config import (
    AttentionKind,
    EmbeddingTie,
    MixingKind,
    ModelConfig,
    NormPlace,
    PositionKind,
)
from lit_transformer.model import window
from lit_transformer.model.attention import CrossAttention, SelfAttention
from lit_transformer.model.layers import DecoderLayer, EncoderLayer
from lit_transformer.model.packing import from_rectangle, to_rectangle
from lit_transformer.model.positions import sinusoids
from lit_transformer.model.transformer import Transformer

# B batch, S source tokens, T target tokens, D d_model
PAD, VOCAB = 0, 20
CFG = ModelConfig(
    layers=2, d_model=12, d_ff=16, heads=3, d_k=6, d_v=7, dropout=0.0, max_positions=40
)
SOURCE = torch.tensor([[5, 6, 7, 8, 3], [9, 8, 3, 0, 0], [4, 3, 0, 0, 0]])
TARGET = torch.tensor([[2, 11, 12, 13], [2, 14, 0, 0], [2, 15, 16, 0]])
FULL_TARGET = torch.tensor([[2, 11, 12, 13], [2, 14, 9, 8], [2, 15, 16, 5]])

choices = pytest.mark.parametrize(
    ("attention", "positions", "norm"),
    [*product(get_args(AttentionKind), get_args(PositionKind), get_args(NormPlace))],
)

mixings = pytest.mark.parametrize(
    ("encoder", "decoder", "norm"),
    [*product(get_args(MixingKind), get_args(MixingKind), get_args(NormPlace))],
)


def build(cfg: ModelConfig = CFG, **update: object) -> Transformer:
    """Every parameter random, so that none hides behind a zero or a one."""
    torch.manual_seed(0)
    model = Transformer(cfg.model_copy(update=update), VOCAB, PAD)
    for parameter in model.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter, mean=0.5)
    return model.eval()


def decode(model: Transformer, source_BS: Tensor, target_BT: Tensor) -> Tensor:
    """States (B, T, D), zeros at padding."""
    target = from_rectangle(target_BT, PAD)
    return to_rectangle(model(from_rectangle(source_BS, PAD), target), target.packing)


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def copy_attention(theirs: nn.MultiheadAttention, mine: SelfAttention | CrossAttention) -> None:
    if isinstance(mine, SelfAttention):
        parts = [mine.queries_keys_values.weight.data]
    else:
        parts = [mine.queries.weight.data, mine.keys_values.weight.data]
    theirs.in_proj_weight.data = torch.cat(parts)
    theirs.out_proj.load_state_dict({"weight": mine.attention.output.weight}, strict=False)
    nn.init.zeros_(theirs.in_proj_bias)
    nn.init.zeros_(theirs.out_proj.bias)


def copy_layer(
    theirs: nn.TransformerEncoderLayer | nn.TransformerDecoderLayer,
    mine: EncoderLayer | DecoderLayer,
) -> None:
    copy_attention(theirs.self_attn, mine.self_attention)
    if isinstance(theirs, nn.TransformerDecoderLayer) and isinstance(mine, DecoderLayer):
        copy_attention(theirs.multihead_attn, mine.cross_attention)
    theirs.linear1.load_state_dict(mine.feed_forward.inner.state_dict())
    theirs.linear2.load_state_dict(mine.feed_forward.outer.state_dict())
    for i, residual in enumerate(mine.residuals, start=1):
        getattr(theirs, f"norm{i}").load_state_dict(residual.norm.state_dict())


def torchs_copy(mine: Transformer, cfg: ModelConfig) -> nn.Transformer:
    shape = (cfg.d_model, cfg.heads, cfg.d_ff, 0.0)
    places = {"batch_first": True, "norm_first": cfg.norm == "pre"}
    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(*shape, **places), cfg.layers, enable_nested_tensor=False
    )
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(*shape, **places), cfg.layers)
    # This draws new weights for its parts, so they are copied afterwards.
    theirs = nn.Transformer(
        cfg.d_model, cfg.heads, custom_encoder=encoder, custom_decoder=decoder, batch_first=True
    )
    if cfg.norm == "pre":
        encoder.norm, decoder.norm = deepcopy(mine.encoder_norm), deepcopy(mine.decoder_norm)
    for stack, copied in ((mine.encoder, encoder), (mine.decoder, decoder)):
        for layer, copy in zip(stack, copied.layers, strict=True):
            copy_layer(copy, layer)
    return theirs


@pytest.mark.parametrize("norm", get_args(NormPlace))
def test_the_whole_model_is_torchs_with_the_same_weights(norm: NormPlace) -> None:
    cfg = CFG.model_copy(update={"d_k": None, "d_v": None, "norm": norm})
    mine = build(cfg).train()
    theirs = torchs_copy(mine, cfg)

    def embed(tokens: Tensor) -> Tensor:
        return mine.embedding.weight[tokens] * 12**0.5 + sinusoids(tokens.size(1), 12)

    later = torch.ones(TARGET.size(1), TARGET.size(1), dtype=torch.bool).triu(1)
    is_pad = SOURCE == PAD
    expected = theirs(
        embed(SOURCE),
        embed(TARGET),
        tgt_mask=later,
        src_key_padding_mask=is_pad,
        memory_key_padding_mask=is_pad,
    )
    states = decode(mine, SOURCE, TARGET)
    is_token = TARGET != PAD
    close(states[is_token], expected[is_token])
    ours, reference = mine.encoder[0].self_attention, theirs.encoder.layers[0].self_attn
    gradients = [
        torch.autograd.grad((out * torch.linspace(-1, 1, 12))[is_token].sum(), weight)[0]
        for out, weight in (
            (states, ours.queries_keys_values.weight),
            (expected, reference.in_proj_weight),
        )
    ]
    close(*gradients)


@choices
def test_a_batch_of_one_is_a_batch_of_many(
    attention: AttentionKind, positions: PositionKind, norm: NormPlace
) -> None:
    model = build(attention=attention, positions=positions, norm=norm)
    together = decode(model, SOURCE, TARGET)
    for source, target, states in zip(SOURCE, TARGET, together, strict=True):
        source, target = source[source != PAD], target[target != PAD]
        close(decode(model, source[None], target[None])[0], states[: len(target)])


@choices
def test_a_later_token_changes_no_earlier_state(
    attention: AttentionKind, positions: PositionKind, norm: NormPlace
) -> None:
    model = build(attention=attention, positions=positions, norm=norm)
    states = decode(model, SOURCE, FULL_TARGET)
    for t in range(1, FULL_TARGET.size(1)):
        changed = FULL_TARGET.clone()
        changed[:, t] = 17
        now = decode(model, SOURCE, changed)
        assert torch.equal(now[:, :t], states[:, :t])
        assert not torch.isclose(now[:, t], states[:, t]).all(dim=-1).any()


@mixings
def test_whatever_mixes_sentences_keep_to_themselves_and_nobody_looks_ahead(
    encoder: MixingKind, decoder: MixingKind, norm: NormPlace
) -> None:
    model = build(encoder_mixing=encoder, decoder_mixing=decoder, norm=norm)
    together = decode(model, SOURCE, TARGET)
    for source, target, states in zip(SOURCE, TARGET, together, strict=True):
        source, target = source[source != PAD], target[target != PAD]
        close(decode(model, source[None], target[None])[0], states[: len(target)])
    states = decode(model, SOURCE, FULL_TARGET)
    for t in range(1, FULL_TARGET.size(1)):
        changed = FULL_TARGET.clone()
        changed[:, t] = 17
        now = decode(model, SOURCE, changed)
        assert torch.equal(now[:, :t], states[:, :t])
        assert not torch.isclose(now[:, t], states[:, t]).all(dim=-1).any()


@mixings
def test_whatever_mixes_gradients_reach_every_parameter(
    encoder: MixingKind, decoder: MixingKind, norm: NormPlace
) -> None:
    model = build(encoder_mixing=encoder, decoder_mixing=decoder, norm=norm).train()
    states_ND = model(from_rectangle(SOURCE, PAD), from_rectangle(TARGET, PAD))
    torch.nn.functional.cross_entropy(model.project(states_ND), torch.arange(9)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_a_convolution_s_layers_see_a_kernel_each(kernel: int) -> None:
    """Two layers, so twice as far; in the decoder from behind, while the source is seen."""
    model = build(encoder_mixing="convolution", decoder_mixing="convolution", kernel=kernel)
    source, target = torch.arange(4, 13)[None], torch.arange(2, 11)[None]
    memory, states = model.encode(source), decode(model, source, target)
    for place in range(9):
        changed, reach = torch.tensor([place]), (torch.arange(9) - place)
        seen = ~torch.isclose(model.encode(source.index_fill(1, changed, 17)), memory).all(dim=-1)
        assert torch.equal(seen[0], reach.abs() <= 2 * (kernel // 2))
        now = decode(model, source, target.index_fill(1, changed, 17))
        moved = ~torch.isclose(now, states).all(dim=-1)[0]
        assert torch.equal(moved, (reach >= 0) & (reach <= 2 * (kernel - 1)))


@pytest.mark.parametrize("mixing", ["lstm", "gru"])
def test_a_recurrence_sees_both_sides_in_the_encoder_and_all_before_in_the_decoder(
    mixing: MixingKind,
) -> None:
    model = build(encoder_mixing=mixing, decoder_mixing=mixing)
    source, target = torch.arange(4, 10)[None], torch.arange(2, 8)[None]
    memory, states = model.encode(source), decode(model, source, target)
    for place in range(6):
        changed = torch.tensor([place])
        now = model.encode(source.index_fill(1, changed, 17))
        assert not torch.eq(now, memory).all(dim=-1).any()
        now = decode(model, source, target.index_fill(1, changed, 17))
        assert torch.equal(~torch.eq(now, states).all(dim=-1)[0], torch.arange(6) >= place)


@pytest.mark.parametrize("mixing", get_args(MixingKind))
def test_positions_of_attention_are_nothing_where_there_is_none(mixing: MixingKind) -> None:
    model = build(encoder_mixing=mixing, positions="relative")
    names = [name for name, _ in model.named_parameters() if "positions" in name]
    assert ("source_positions.table_NH" in names) == (mixing == "attention")
    assert "target_positions.table_NH" in names


def test_attention_keeps_the_names_that_older_weights_have() -> None:
    names = {name for name, _ in build().named_parameters() if name.startswith("encoder.0.")}
    assert "encoder.0.self_attention.queries_keys_values.weight" in names
    assert not any("rival" in name for name in names)


def test_without_positions_the_encoder_sees_a_set_and_the_decoder_an_order() -> None:
    model = build(positions="none")
    order = torch.tensor([3, 1, 0, 4, 2])
    close(model.encode(SOURCE[:1, order]), model.encode(SOURCE[:1])[:, order])
    assert not torch.allclose(
        build().encode(SOURCE[:1, order]), build().encode(SOURCE[:1])[:, order]
    )
    first, second = (
        decode(model, SOURCE[:1], torch.tensor([target]))[0, -1]
        for target in ([2, 11, 12, 13], [2, 12, 11, 13])
    )
    assert not torch.allclose(first, second)


@pytest.mark.parametrize("positions", get_args(PositionKind))
def test_a_window_that_reaches_all_changes_no_bit(positions: PositionKind) -> None:
    whole, wide = (build(positions=positions, window=reach) for reach in (None, 4))
    assert torch.equal(decode(wide, SOURCE, TARGET), decode(whole, SOURCE, TARGET))


@pytest.mark.parametrize("worth", [0, math.inf], ids=["blocks", "mask"])
@pytest.mark.parametrize("positions", get_args(PositionKind))
def test_nothing_comes_from_beyond_the_window(
    positions: PositionKind, worth: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In two layers, from twice as far; in the decoder from behind, while the source is seen."""
    monkeypatch.setattr(window, "WORTH", worth)
    monkeypatch.setattr(window, "SMALLEST_BLOCK", 1)
    model = build(positions=positions, window=1)
    source, target = torch.arange(4, 13)[None], torch.arange(2, 11)[None]
    memory, states = model.encode(source), decode(model, source, target)
    for place in range(9):
        changed, reach = torch.tensor([place]), (torch.arange(9) - place)
        seen = ~torch.isclose(model.encode(source.index_fill(1, changed, 17)), memory).all(dim=-1)
        assert torch.equal(seen[0], reach.abs() <= 2)
        now = decode(model, source, target.index_fill(1, changed, 17))
        assert torch.equal(~torch.isclose(now, states).all(dim=-1)[0], (reach >= 0) & (reach <= 2))


@pytest.mark.parametrize("worth", [0, math.inf], ids=["blocks", "mask"])
def test_padding_in_a_window_leaves_finite_gradients(
    worth: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "WORTH", worth)
    monkeypatch.setattr(window, "SMALLEST_BLOCK", 1)
    model = build(window=1).train()
    model(from_rectangle(SOURCE, PAD), from_rectangle(TARGET, PAD)).sin().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_padding_is_never_looked_at() -> None:
    model = build()
    memory = model.encode(SOURCE)
    with torch.no_grad():
        model.embedding.weight[PAD] += 1
    assert torch.equal(model.encode(SOURCE), memory)
    assert not memory[SOURCE == PAD].any()


def test_a_sentence_without_a_token_is_a_mistake() -> None:
    with pytest.raises(AssertionError, match="end mark"):
        build().encode(torch.cat((SOURCE, torch.zeros_like(SOURCE[:1]))))


@choices
def test_gradients_reach_every_parameter(
    attention: AttentionKind, positions: PositionKind, norm: NormPlace
) -> None:
    model = build(attention=attention, positions=positions, norm=norm).train()
    states_ND = model(from_rectangle(SOURCE, PAD), from_rectangle(TARGET, PAD))
    torch.nn.functional.cross_entropy(model.project(states_ND), torch.arange(9)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_without_dropout_training_is_evaluation() -> None:
    model = build()
    states = decode(model, SOURCE, TARGET)
    assert torch.equal(decode(model.train(), SOURCE, TARGET), states)


@pytest.mark.parametrize("rate", ["dropout", "attention_dropout", "relu_dropout"])
def test_each_dropout_is_random_in_training_alone(rate: str) -> None:
    model = build(**{rate: 0.5})
    assert torch.equal(decode(model, SOURCE, TARGET), decode(build(), SOURCE, TARGET))
    model.train()
    assert not torch.equal(decode(model, SOURCE, TARGET), decode(model, SOURCE, TARGET))


def test_dropout_takes_the_sums_of_embeddings_and_positions() -> None:
    model = build(dropout=1 - 1e-9, norm="pre").train()
    model.encoder_norm = nn.Identity()
    assert not model.encode(SOURCE).any()


@pytest.mark.parametrize("tie", get_args(EmbeddingTie))
def test_what_is_tied_is_one_matrix(tie: EmbeddingTie) -> None:
    """Each of the three uses changes with its own matrix, and with no other."""
    model, states = build(tied_embeddings=tie), torch.randn(3, 12)
    close(model.project(states), states @ model.output_weight.T)
    matrices = [p for p in model.parameters() if VOCAB in p.shape]
    uses = (model.embedding.weight, model.target_embedding.weight, model.output_weight)
    parts = [[next(i for i, m in enumerate(matrices) if m is use) for use in uses]]
    expected = {"all": [0, 0, 0], "inputs": [0, 0, 1], "decoder": [0, 1, 1], "none": [0, 1, 2]}
    assert parts == [expected[tie]]
    assert len(matrices) == model_matrices(tie)
    memory, decoded = model.encode(SOURCE), decode(model, SOURCE, TARGET)
    with torch.no_grad():
        model.output_weight.add_(1)
    assert torch.equal(model.encode(SOURCE), memory) == (tie != "all")
    assert torch.equal(decode(model, SOURCE, TARGET), decoded) == (tie in ("inputs", "none"))


def model_matrices(tie: EmbeddingTie) -> int:
    return {"all": 1, "inputs": 2, "decoder": 2, "none": 3}[tie]


@pytest.mark.parametrize("tie", get_args(EmbeddingTie))
def test_gradients_reach_every_matrix(tie: EmbeddingTie) -> None:
    model = build(tied_embeddings=tie).train()
    states_ND = model(from_rectangle(SOURCE, PAD), from_rectangle(TARGET, PAD))
    torch.nn.functional.cross_entropy(model.project(states_ND), torch.arange(9)).backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_untied_matrices_begin_unequal_and_as_large() -> None:
    model = Transformer(ModelConfig(layers=1, d_model=64, heads=2, tied_embeddings="none"), 4000, 0)
    first, second, third = (p for p in model.parameters() if 4000 in p.shape)
    assert not torch.isclose(first, second).all()
    assert not torch.isclose(second, third).all()
    for matrix in (first, second, third):
        assert matrix.std().item() == pytest.approx(64**-0.5, rel=0.01)


def test_embeddings_start_at_variance_one_after_their_scale() -> None:
    model = Transformer(ModelConfig(layers=1, d_model=64, heads=2), 4000, PAD)
    scaled = model.embedding.weight.detach() * 64**0.5
    assert scaled.std().item() == pytest.approx(1.0, abs=0.01)


def test_a_state_dict_goes_into_another_model() -> None:
    first, second = build(), Transformer(CFG, VOCAB, PAD).eval()
    second.load_state_dict(first.state_dict())
    assert torch.equal(decode(first, SOURCE, TARGET), decode(second, SOURCE, TARGET))
