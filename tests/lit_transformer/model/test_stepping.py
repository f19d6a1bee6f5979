"""One token at a time against the whole sequence at once, which knows no cache."""

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
from lit_transformer.model import products
from lit_transformer.model.packing import from_rectangle
from lit_transformer.model.products import Product
from lit_transformer.model.stepping import Stepper
from lit_transformer.model.transformer import Transformer

# B sentences, S source tokens, T tokens so far, D d_model, R rows of a search
PAD, BOS, VOCAB = 0, 2, 20
CFG = ModelConfig(
    layers=2, d_model=12, d_ff=16, heads=3, d_k=6, d_v=7, dropout=0.3, max_positions=40
)
SOURCE = torch.tensor([[5, 6, 7, 8, 3], [9, 8, 3, 0, 0], [4, 3, 0, 0, 0], [3, 0, 0, 0, 0]])
SHAPES = [{"heads": 1, "d_k": 12, "d_v": 12}, {"heads": 6, "d_k": 2, "d_v": 2}, {"d_k": 1}]
"""As rows A and B of Table 3 change them."""


@pytest.fixture(params=[True, False], ids=["laid out", "plain"])
def _layout(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(products, "lays_out", lambda weight: False)
    elif not products.lays_out(torch.empty(1)):
        pytest.skip("oneDNN lays weights out on x86 alone")


def build(**update: object) -> Transformer:
    """Every parameter random, so that none hides behind a zero or a one."""
    torch.manual_seed(0)
    model = Transformer(CFG.model_copy(update=update), VOCAB, PAD)
    for parameter in model.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter, mean=0.5)
    return model.eval()


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def last_states(model: Transformer, source_RS: Tensor, found_RT: Tensor) -> Tensor:
    """Of each row's last token, by one pass over all of them -> (R, D)."""
    states_ND = model(from_rectangle(source_RS, PAD), from_rectangle(found_RT, PAD))
    return states_ND.view(*found_RT.shape, -1)[:, -1]


def check_steps(model: Transformer, beams: int) -> None:
    """Through exchanges of beams, departures and sentences that take another's place."""
    stepper, source = Stepper(model), SOURCE
    cache = stepper.start_cache(stepper.encode(source), source == PAD, 9, beams)
    found_RT = torch.empty(len(source) * beams, 0, dtype=torch.long)
    for t in range(9):
        token_R = torch.randint(4, VOCAB, (len(found_RT),)) if t else torch.full((4 * beams,), BOS)
        assert cache.length == t
        state_RD = stepper.step(token_R, cache)
        found_RT = torch.cat((found_RT, token_R[:, None]), dim=1)
        each = source.repeat_interleave(beams, dim=0)
        close(state_RD, last_states(model, each, found_RT))
        if stay := {2: [3, 1, 2], 4: [0, 1], 6: [1, 0], 7: [1]}.get(t):
            cache.keep(stay)
            source = source[stay]
            found_RT = found_RT.view(-1, beams, t + 1)[stay].flatten(0, 1)
        if t != 3:
            parent_BK = torch.randint(beams, (len(source), beams))
            rows = (torch.arange(len(source))[:, None] * beams + parent_BK).flatten()
            cache.reorder(rows)
            found_RT = found_RT[rows]


@pytest.mark.usefixtures("_layout")
@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.parametrize(
    ("attention", "positions", "norm"),
    [
        *product(get_args(AttentionKind), get_args(PositionKind), ["post"]),
        *product(get_args(AttentionKind), ["sinusoidal"], ["pre"]),
    ],
)
def test_a_token_at_a_time_equals_all_at_once(
    attention: AttentionKind, positions: PositionKind, norm: NormPlace, beams: int
) -> None:
    check_steps(build(attention=attention, positions=positions, norm=norm), beams)


@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.parametrize("attention", get_args(AttentionKind))
@pytest.mark.parametrize("shape", SHAPES)
def test_so_it_does_in_heads_of_any_shape(
    shape: dict[str, int], attention: AttentionKind, beams: int
) -> None:
    check_steps(build(attention=attention, **shape), beams)


@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.parametrize("positions", get_args(PositionKind))
def test_so_it_does_within_a_window(positions: PositionKind, beams: int) -> None:
    check_steps(build(positions=positions, window=2), beams)


@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.parametrize("norm", get_args(NormPlace))
@pytest.mark.parametrize(("encoder", "decoder"), [*product(get_args(MixingKind), repeat=2)])
def test_so_it_does_whatever_mixes(
    encoder: MixingKind, decoder: MixingKind, norm: NormPlace, beams: int
) -> None:
    check_steps(build(encoder_mixing=encoder, decoder_mixing=decoder, norm=norm), beams)


@pytest.mark.parametrize("kernel", [1, 2, 5, 12])
def test_so_it_does_with_a_kernel_of_any_width(kernel: int) -> None:
    check_steps(build(decoder_mixing="convolution", kernel=kernel), 2)


@pytest.mark.usefixtures("_layout")
@pytest.mark.parametrize("tie", get_args(EmbeddingTie))
def test_logits_are_the_model_s(tie: EmbeddingTie) -> None:
    model, states = build(tied_embeddings=tie), torch.randn(7, 12)
    check_steps(model, 2)
    close(Stepper(model).project(states), model.project(states).detach())


@pytest.mark.usefixtures("_layout")
@pytest.mark.parametrize("rows", [1, 3, 300])
def test_a_product_and_what_follows_it(rows: int) -> None:
    linear = nn.Linear(24, 40)
    x, other = torch.randn(rows, 24), torch.randn(rows, 40)
    product = Product(linear.weight, linear.bias)
    close(product(x), linear(x).detach())
    close(product.relu(x), linear(x).detach().relu())
    close(product.plus(x, other), linear(x).detach() + other)
    close(Product(linear.weight, None)(x), (x @ linear.weight.T).detach())


def test_source_padding_is_never_looked_at() -> None:
    stepper = Stepper(build())
    memory, is_pad = stepper.encode(SOURCE), SOURCE == PAD
    token_R = torch.full((len(SOURCE),), BOS)
    first, second = (
        stepper.step(token_R, stepper.start_cache(given, is_pad, 1, 1))
        for given in (memory, memory.masked_fill(is_pad[..., None], 1e3))
    )
    assert torch.equal(first, second)


def test_the_last_sentence_may_leave() -> None:
    stepper = Stepper(build())
    cache = stepper.start_cache(stepper.encode(SOURCE), SOURCE == PAD, 3, 2)
    stepper.step(torch.full((8,), BOS), cache)
    cache.keep([])
    assert cache.length == 1


def test_it_changes_no_weight_and_needs_evaluation_mode() -> None:
    model = build()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    check_steps(model, 2)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    with pytest.raises(AssertionError):
        Stepper(model.train())
