"""Self-attention within a window, block by block, against a mask over all pairs."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import get_args

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lit_transformer.config import AttentionKind, ModelConfig, PositionKind
from lit_transformer.model import attention, window
from lit_transformer.model.blocks import hidden_outside, join, split_keys, split_queries, whole
from lit_transformer.model.looking import look
from lit_transformer.model.packing import Sentences, pack
from lit_transformer.model.transformer import Transformer
from lit_transformer.model.window import Blocks, divide

# B sentences, H heads, T places, C channels
PAD, VOCAB = 0, 20
INF = math.inf
CFG = ModelConfig(
    layers=2, d_model=12, d_ff=16, heads=3, d_k=6, d_v=7, dropout=0.0, max_positions=400
)
CHOICES = [*product(get_args(AttentionKind), get_args(PositionKind))]


@contextmanager
def always(worth: float, smallest: int = 1) -> Iterator[None]:
    """Blocks from so many times their keys on: 0, always; infinity, never."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(window, "WORTH", worth)
        patch.setattr(window, "SMALLEST_BLOCK", smallest)
        yield


def build(**update: object) -> Transformer:
    """Larger weights than a new model's, so that it matters who looks where."""
    torch.manual_seed(0)
    model = Transformer(CFG.model_copy(update=update), VOCAB, PAD)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def sentences(lengths: list[int]) -> Sentences:
    return Sentences(torch.randint(4, VOCAB, (sum(lengths),)), pack(lengths))


def states_and_gradients(
    model: Transformer, source: Sentences, target: Sentences
) -> tuple[Tensor, list[Tensor]]:
    states_ND = model(source, target)
    torch.manual_seed(1)
    loss = (states_ND * torch.randn_like(states_ND)).sum()
    return states_ND, [*torch.autograd.grad(loss, [*model.parameters()], materialize_grads=True)]


def check(model: Transformer, smallest: int, lengths: tuple[list[int], list[int]]) -> None:
    torch.manual_seed(2)
    pairs = sentences(lengths[0]), sentences(lengths[1])
    with always(0, smallest):
        mine, my_gradients = states_and_gradients(model, *pairs)
    with always(INF):
        masked, gradients = states_and_gradients(model, *pairs)
    torch.testing.assert_close(mine, masked, rtol=1e-6, atol=1e-6)
    whole, expected = (torch.cat([*map(torch.flatten, g)]) for g in (my_gradients, gradients))
    assert (whole - expected).norm() <= 1e-6 * expected.norm()


@pytest.mark.parametrize(("kind", "positions"), CHOICES)
@pytest.mark.parametrize("reach", [1, 3])
def test_blocks_are_a_mask(kind: AttentionKind, positions: PositionKind, reach: int) -> None:
    """Among sentences with so much padding that some blocks have nothing else."""
    model = build(attention=kind, positions=positions, window=reach)
    check(model, 1, ([1, 13, 5, 24], [17, 2, 19, 6]))


@pytest.mark.parametrize("reach", [2, 9])
@pytest.mark.parametrize("length", [96, 161, 300])
def test_so_they_are_in_their_own_size(reach: int, length: int) -> None:
    model = build(window=reach, positions="relative")
    check(model, window.SMALLEST_BLOCK, ([length, 40], [length - 1, 3]))


def test_so_they_are_by_torchs_own_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU uses; here on a CPU."""
    monkeypatch.setattr(attention, "fuses", lambda q_BHTK, kind: True)
    check(build(window=2, positions="alibi"), 1, ([4, 13], [17, 2]))


@pytest.mark.parametrize("positions", get_args(PositionKind))
def test_weights_of_blocks_are_those_of_the_whole(positions: PositionKind) -> None:
    model = build(window=2, positions=positions).eval()
    source, target = torch.randint(4, VOCAB, (2, 15)).tolist()
    with always(0):
        mine = look(model, source, target)
    with always(INF):
        masked = look(model, source, target)
    for a, b in zip(mine, masked, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("blocks", [Blocks(7, 2, 2, 2), Blocks(7, 3, 2, 0), Blocks(6, 3, 1, 1)])
def test_blocks_by_hand(blocks: Blocks) -> None:
    x_BHTC = torch.arange(2.0 * blocks.length).view(2, 1, -1, 1)
    own, seen = split_queries(x_BHTC, blocks), split_keys(x_BHTC, blocks, -1.0)
    for number in range(blocks.number):
        for sentence in range(2):
            row = sentence * blocks.number + number
            inside = [number * blocks.size + i for i in range(blocks.size)]
            around = [inside[0] - blocks.before + i for i in range(blocks.keys)]
            values = [sentence * blocks.length + place for place in range(blocks.length)]
            expected = [values[p] if 0 <= p < blocks.length else -1 for p in around]
            assert seen[row].flatten().tolist() == expected
            expected = [values[p] if p < blocks.length else 0 for p in inside]
            assert own[row].flatten().tolist() == expected
    assert torch.equal(join(own, blocks), x_BHTC)


def test_weights_stand_at_the_places_of_their_keys() -> None:
    blocks = Blocks(5, 2, 1, 1)
    weight = torch.arange(1.0, 3 * 2 * 4 + 1).view(3, 1, 2, 4)
    assert whole(weight, blocks)[0, 0].tolist() == [
        [2, 3, 4, 0, 0],
        [6, 7, 8, 0, 0],
        [0, 9, 10, 11, 12],
        [0, 13, 14, 15, 16],
        [0, 0, 0, 17, 18],
    ]


def test_what_is_no_key_is_seen_by_itself_alone() -> None:
    hidden = hidden_outside(torch.tensor([[0.0, 0.0, -INF]]), Blocks(3, 2, 1, 1))
    assert hidden[:, 0].tolist() == [
        [[-INF, 0, 0, -INF], [-INF, 0, 0, -INF]],
        [[0, 0, -INF, -INF], [0, -INF, 0, -INF]],
    ]


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("reach", [1, 8, 16, 17, 100])
def test_a_sequence_is_divided_where_its_blocks_see_at_most_half_of_it(
    reach: int, causal: bool
) -> None:
    keys = max(32, 2 * reach) + (1 if causal else 2) * reach
    assert divide(reach, 2 * keys - 1, causal) is None
    assert divide(None, 2 * keys, causal) is None
    blocks = divide(reach, 2 * keys, causal)
    assert blocks is not None
    assert (blocks.keys, blocks.before) == (keys, reach)
    assert blocks.before <= blocks.size


def test_sentences_of_the_grammar_are_not_divided() -> None:
    """So that what its trials compute stays the same to the bit: they have 65 tokens at most."""
    for reach in range(1, 65):
        assert divide(reach, 65, causal=True) is None
        assert divide(reach, 65, causal=False) is None


def operations(length: int) -> int:
    model = build(window=8)
    one = sentences([length])
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.encode(one.ids_N[None])
    return counter.get_total_flops()


def test_operations_grow_with_the_length() -> None:
    """Where a mask's have a part that grows with its square."""
    first, second, third = (operations(32 * count) for count in (8, 16, 24))
    assert third - second == second - first
    with always(INF):
        first, second, third = (operations(32 * count) for count in (8, 16, 24))
    assert third - second > second - first


def largest_kept(model: Transformer, length: int) -> int:
    """Bytes of the largest tensor that the encoder keeps for a backward pass."""
    kept: list[int] = []

    def keep(x: Tensor) -> Tensor:
        kept.append(x.untyped_storage().nbytes())
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        model.encode(sentences([length]).ids_N[None])
    return max(kept)


def test_memory_grows_with_the_length() -> None:
    model = build(window=8)
    small, large = (largest_kept(model, length) for length in (256, 1024))
    assert large == 4 * small
    with always(INF):
        small, large = (largest_kept(model, length) for length in (256, 1024))
        assert large == 16 * small
