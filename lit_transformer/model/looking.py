"""What every head looks at: attention weights as the model's own pass has them, and a model without
some of its heads."""

# B batch, H heads, L layers, S source tokens, T tokens that look, N the same without padding

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lit_transformer.model.attention import KeysValues, MultiHeadAttention, SelfAttention, weigh
from lit_transformer.model.blocks import split_keys, split_queries, whole
from lit_transformer.model.packing import Rectangles, Sentences, from_rectangle
from lit_transformer.model.transformer import Transformer
from lit_transformer.model.window import Blocks


class Looks(NamedTuple):
    """Weights of each layer and head; a row is of one query, and its sum is 1."""

    encoder_LHSS: Tensor | None
    """None: the stack has no self-attention."""
    decoder_LHTT: Tensor | None
    """Zero right of the diagonal; None: the same."""
    cross_LHTS: Tensor


def attentions(model: Transformer) -> tuple[list[MultiHeadAttention], ...]:
    """The encoder's self-attention, the decoder's, and its look at the source; each by layer, and
    none where a stack mixes otherwise."""
    return (
        _heads(layer.self_attention for layer in model.encoder_layers()),
        _heads(layer.self_attention for layer in model.decoder_layers()),
        [layer.cross_attention.attention for layer in model.decoder_layers()],
    )


@torch.no_grad()
def look(model: Transformer, source: Sequence[int], target: Sequence[int]) -> Looks:
    """Of a model in evaluation mode, on `source` with its end mark and `target` with its start
    mark. The weights are written out from the queries and keys of an ordinary pass, whatever kernel
    that pass uses itself, so nothing is asked of training or of a search.
    """
    seen: dict[MultiHeadAttention, Tensor] = {}

    def note(module: MultiHeadAttention, weight_BHTS: Tensor, queries: Rectangles) -> None:
        seen[module] = weight_BHTS.squeeze(0)

    _pass(model, _alone(source, model), _alone(target, model), note)

    def weights(stack: Sequence[MultiHeadAttention]) -> Tensor:
        return torch.stack([seen[one] for one in stack])

    encoder, decoder, cross = attentions(model)
    return Looks(
        weights(encoder) if encoder else None,
        weights(decoder) if decoder else None,
        weights(cross),
    )


@torch.no_grad()
def spreads(
    model: Transformer, source: Sentences, target: Sentences
) -> dict[MultiHeadAttention, Tensor]:
    """Entropy (nats) and distance (tokens) of each head's weights, summed over the tokens that look
    -> (H, 2), float64. Padding neither looks nor is looked at. Of a model in evaluation mode."""
    sums: dict[MultiHeadAttention, Tensor] = {}

    def note(module: MultiHeadAttention, weight_BHTS: Tensor, queries: Rectangles) -> None:
        places_TS = [torch.arange(n, device=weight_BHTS.device) for n in weight_BHTS.shape[-2:]]
        far_TS = (places_TS[0][:, None] - places_TS[1]).abs()
        entropy_BHT = torch.special.entr(weight_BHTS).sum(dim=-1)
        distance_BHT = (weight_BHTS * far_TS).sum(dim=-1)
        both_NC = queries.gather(torch.stack((entropy_BHT, distance_BHT), dim=-1))
        sums[module] = both_NC.double().sum(dim=0).view(-1, 2)

    _pass(model, source, target, note)
    return sums


@contextmanager
def without(heads: Mapping[MultiHeadAttention, Sequence[int]]) -> Iterator[None]:
    """In this block the outputs of these heads are zeros, as if their rows of W^O were."""

    def silence(attention: MultiHeadAttention, numbers: Sequence[int]) -> Callable[..., Tensor]:
        width = attention.output.in_features // attention.heads
        kept_H = torch.ones(attention.heads, device=attention.output.weight.device)
        kept_H[list(numbers)] = 0
        kept_C = kept_H.repeat_interleave(width)

        def hook(module: nn.Module, arguments: tuple[Tensor]) -> Tensor:
            return arguments[0] * kept_C

        return hook

    hooks = [
        attention.output.register_forward_pre_hook(silence(attention, numbers))
        for attention, numbers in heads.items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _pass(
    model: Transformer,
    source: Sentences,
    target: Sentences,
    note: Callable[[MultiHeadAttention, Tensor, Rectangles], None],
) -> None:
    """An ordinary pass, in which every attention's weights (B, H, T, S) are noted."""
    assert not model.training

    def weights(
        module: nn.Module,
        arguments: tuple[Tensor, KeysValues, Tensor | None, Rectangles, Blocks | None],
    ) -> None:
        assert isinstance(module, MultiHeadAttention)
        q_BHTK, kv, bias, queries, blocks = arguments
        if blocks is None:
            weight_BHTS = weigh(q_BHTK, kv.k_BHSK, bias, module.kind, module.additive_HK)
        else:
            parts = split_queries(q_BHTK, blocks), split_keys(kv.k_BHSK, blocks)
            weight_BHTS = whole(weigh(*parts, bias, module.kind, module.additive_HK), blocks)
        note(module, weight_BHTS, queries)

    hooks = [one.register_forward_pre_hook(weights) for stack in attentions(model) for one in stack]
    try:
        model(source, target)
    finally:
        for hook in hooks:
            hook.remove()


def _heads(stack: Iterable[SelfAttention | None]) -> list[MultiHeadAttention]:
    return [own.attention for own in stack if own is not None]


def _alone(ids: Sequence[int], model: Transformer) -> Sentences:
    ids_1T = torch.tensor([list(ids)], device=model.embedding.weight.device)
    return from_rectangle(ids_1T, model.pad)
