"""The layers whose costs are measured, each on sequences of one length."""

# B sentences, T tokens of each, N = B * T, D d_model, K d_k

from collections.abc import Callable
from typing import NamedTuple, assert_never

import torch
from torch import Tensor, nn

from lit_transformer.complexity.cells import INNER, LayerType, Terms, is_restricted
from lit_transformer.config import ModelConfig
from lit_transformer.model.attention import KeysValues, SelfAttention, attend
from lit_transformer.model.blocks import join, split_keys, split_queries
from lit_transformer.model.convolution import Convolution
from lit_transformer.model.dropout import Dropout
from lit_transformer.model.layers import FeedForward
from lit_transformer.model.packing import Packing, Rectangles, pack
from lit_transformer.model.positions import NoPositions
from lit_transformer.model.recurrent import Recurrence, RecurrentKind
from lit_transformer.model.sight import Sight, see

NO_DROPOUT = Dropout(0.0)


class Built(NamedTuple):
    """A layer, and what it does with tokens (N, D), sentence after sentence, to give as many."""

    module: nn.Module
    apply: Callable[[Tensor], Tensor]


def build(
    layer: LayerType, length: int, width: int, terms: Terms, sentences: int, device: torch.device
) -> Built:
    """With weights as they are before training, float32."""
    tokens = Rectangles(Packing(*(x.to(device) for x in pack([length] * sentences))))
    cfg = ModelConfig(
        d_model=width, d_ff=INNER * width, heads=width // terms.head_width, dropout=0.0
    )
    window = terms.window if is_restricted(layer) else None
    sight = see(NoPositions(), window, tokens, causal=False, hidden=None)
    with device:
        match layer:
            case "self-attention" | "self-attention-restricted":
                own = SelfAttention(cfg)
                return Built(own, lambda x: own(x, sight, tokens))
            case "self-attention-unprojected" | "self-attention-restricted-unprojected":
                heads = (sentences, length, cfg.heads, terms.head_width)
                return Built(nn.Identity(), lambda x: _unprojected(x.view(heads), sight))
            case "recurrent-lstm" | "recurrent-gru":
                kind: RecurrentKind = "lstm" if layer == "recurrent-lstm" else "gru"
                recurrence = Recurrence(width, kind, causal=True)
                return Built(recurrence, lambda x: recurrence(x, tokens))
            case "convolutional":
                convolution = Convolution(width, terms.kernel, causal=False)
                return Built(convolution, lambda x: convolution(x, tokens))
            case "feed-forward":
                inner = FeedForward(cfg)
                return Built(inner, inner)
            case _ as never:
                assert_never(never)


def _unprojected(x_BTHK: Tensor, sight: Sight) -> Tensor:
    """The input is queries, keys and values at once."""
    x_BHTK = x_BTHK.transpose(1, 2)
    if sight.blocks is None:
        kv = KeysValues(x_BHTK, x_BHTK)
        mixed = attend(x_BHTK, *kv, sight.bias, "scaled", None, NO_DROPOUT)
    else:
        own, seen = split_queries(x_BHTK, sight.blocks), split_keys(x_BHTK, sight.blocks)
        mixed = join(attend(own, seen, seen, sight.bias, "scaled", None, NO_DROPOUT), sight.blocks)
    return mixed.transpose(1, 2).flatten(2, 3).flatten(0, 1)
