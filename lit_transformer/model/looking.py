"""What every head looks at, in one sentence: attention weights as the model's own pass has them."""

# H heads, L layers, S source tokens, T tokens that the decoder reads

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lit_transformer.model.attention import KeysValues, MultiHeadAttention, SelfAttention, weigh
from lit_transformer.model.packing import Sentences, from_rectangle
from lit_transformer.model.transformer import Transformer


class Looks(NamedTuple):
    """Weights of each layer and head; a row is of one query, and its sum is 1."""

    encoder_LHSS: Tensor | None
    """None: the stack has no self-attention."""
    decoder_LHTT: Tensor | None
    """Zero right of the diagonal; None: the same."""
    cross_LHTS: Tensor


@torch.no_grad()
def look(model: Transformer, source: Sequence[int], target: Sequence[int]) -> Looks:
    """Of a model in evaluation mode, on `source` with its end mark and `target` with its start
    mark. The weights are written out from the queries and keys of an ordinary pass, whatever kernel
    that pass uses itself, so nothing is asked of training or of a search.
    """
    assert not model.training
    encoder = _heads(layer.self_attention for layer in model.encoder_layers())
    decoder = _heads(layer.self_attention for layer in model.decoder_layers())
    cross = [layer.cross_attention.attention for layer in model.decoder_layers()]
    seen: dict[nn.Module, Tensor] = {}

    def note(
        module: nn.Module, arguments: tuple[Tensor, KeysValues, Tensor | None, object]
    ) -> None:
        assert isinstance(module, MultiHeadAttention)
        q_BHTK, kv, bias, _ = arguments
        weight_BHTS = weigh(q_BHTK, kv.k_BHSK, bias, module.kind, module.additive_HK)
        seen[module] = weight_BHTS.squeeze(0)

    hooks = [one.register_forward_pre_hook(note) for one in (*encoder, *decoder, *cross)]
    try:
        model(_alone(source, model), _alone(target, model))
    finally:
        for hook in hooks:
            hook.remove()

    def weights(stack: Sequence[nn.Module]) -> Tensor:
        return torch.stack([seen[one] for one in stack])

    return Looks(
        weights(encoder) if encoder else None,
        weights(decoder) if decoder else None,
        weights(cross),
    )


def _heads(stack: Iterable[SelfAttention | None]) -> list[MultiHeadAttention]:
    return [own.attention for own in stack if own is not None]


def _alone(ids: Sequence[int], model: Transformer) -> Sentences:
    ids_1T = torch.tensor([list(ids)], device=model.embedding.weight.device)
    return from_rectangle(ids_1T, model.pad)
