"""The decoder as a search runs it: one more token of every row at a time, without gradients.

The arithmetic is that of `Transformer.forward`; only the order of its additions may differ. What
is known before the first step is done there: weights laid out for the matrix library, the scale of
the scores taken into the queries' weights, keys and values of the source once per sentence.
"""

# B sentences, N beams of each, R = B * N rows, sentence by sentence, S source length, D d_model,
# C any channels, H heads, K d_k, V d_v or vocabulary

from collections.abc import Callable
from typing import assert_never, final

import torch
from torch import Tensor, nn

from lit_transformer.config import NormPlace
from lit_transformer.model.attention import (
    KeysValues,
    MultiHeadAttention,
    SelfAttention,
    attend,
    padding_bias,
)
from lit_transformer.model.cache import Cache, Carried, Past
from lit_transformer.model.layers import DecoderLayer, Residual, Rival
from lit_transformer.model.products import Product
from lit_transformer.model.sight import Sight
from lit_transformer.model.transformer import Transformer


@final
class Mix:
    """Heads of one attention, and the projection that joins them."""

    def __init__(self, attention: MultiHeadAttention, heads: int, key_width: int) -> None:
        self.attention, self.heads = attention, heads
        self.kind, self.scale = attention.kind, 1.0
        if self.kind == "scaled":
            self.kind, self.scale = "unscaled", key_width**-0.5
        self.join = Product(attention.output.weight, None)

    def __call__(
        self, q_BHNK: Tensor, kv: KeysValues, bias: Tensor | None, other: Tensor
    ) -> Tensor:
        """Of queries that have the scale in them; `other` is added."""
        attention = self.attention
        mixed = attend(q_BHNK, *kv, bias, self.kind, attention.additive_HK, attention.drop)
        return self.join.plus(mixed.transpose(1, 2).reshape(len(other), -1), other)

    def split(self, x_BNC: Tensor) -> Tensor:
        """-> (B, H, N, C / H)."""
        return torch.unflatten(x_BNC, 2, (self.heads, -1)).transpose(1, 2)


@final
class LookBack:
    """Self-attention, by steps."""

    def __init__(self, own: SelfAttention) -> None:
        self.widths = own.widths
        self.mix = Mix(own.attention, own.heads, own.head_widths[0])
        weight = own.queries_keys_values.weight.detach().clone()
        weight[: self.widths[0]] *= self.mix.scale
        self.queries_keys_values = Product(weight, None)

    def past(self, room: int, window: int | None) -> Past:
        return Past(room, window)

    def step(
        self,
        x_RD: Tensor,
        other: Tensor,
        past: Past | Carried,
        sight: Sight,
        sentences: int,
    ) -> Tensor:
        """One more token of each row, and `other` -> (R, D)."""
        assert isinstance(past, Past)
        joint = torch.unflatten(self.queries_keys_values(x_RD), 0, (sentences, -1))
        qkv = torch.split(joint, self.widths, dim=-1)
        q_BHNK, k_BHNK, v_BHNV = (self.mix.split(part) for part in qkv)
        kv = past.append((sight.turn(k_BHNK), v_BHNV))
        return self.mix(sight.turn(q_BHNK), kv, sight.bias, other)


@final
class Carry:
    """What stands in its place, by steps."""

    def __init__(self, rival: Rival) -> None:
        self.rival = rival

    def past(self, room: int, window: int | None) -> Carried:
        return Carried()

    def step(
        self,
        x_RD: Tensor,
        other: Tensor,
        past: Past | Carried,
        sight: Sight,
        sentences: int,
    ) -> Tensor:
        assert isinstance(past, Carried)
        state = past.state or self.rival.begin(x_RD)
        out_RD, past.state = self.rival.step(x_RD, state)
        return out_RD + other


@final
class Layer:
    """A decoder layer that takes steps."""

    def __init__(self, layer: DecoderLayer) -> None:
        own, cross, feed_forward = layer.self_attention, layer.cross_attention, layer.feed_forward
        self.mixing: LookBack | Carry
        if own is not None:
            self.mixing = LookBack(own)
        else:
            assert layer.rival is not None
            self.mixing = Carry(layer.rival)
        self.widths = cross.widths
        self.mix = Mix(cross.attention, cross.heads, cross.head_widths[0])
        self.queries = Product(cross.queries.weight.detach() * self.mix.scale, None)
        self.inner = Product(feed_forward.inner.weight, feed_forward.inner.bias)
        self.outer = Product(feed_forward.outer.weight, feed_forward.outer.bias)
        self.keys_values = Product(cross.keys_values.weight, None)
        self.residuals: list[tuple[nn.Module, NormPlace]] = []
        for residual in layer.residuals:
            assert isinstance(residual, Residual)
            self.residuals.append((residual.norm, residual.place))

    def remember(self, memory_BSD: Tensor) -> KeysValues:
        """Keys and values of the source, (B, H, S, K) and (B, H, S, V)."""
        parts = torch.split(self.keys_values(memory_BSD), self.widths, dim=-1)
        return KeysValues(*(self.mix.split(part).contiguous() for part in parts))

    def step(
        self,
        x_RD: Tensor,
        past: Past | Carried,
        sight: Sight,
        memory: KeysValues,
        hidden: Tensor | None,
    ) -> Tensor:
        """One more token of each row -> (R, D)."""
        sentences = len(memory.k_BHSK)

        def mix(x_RD: Tensor, other: Tensor) -> Tensor:
            return self.mixing.step(x_RD, other, past, sight, sentences)

        def look_at_source(x_RD: Tensor, other: Tensor) -> Tensor:
            q_BHNK = self.mix.split(torch.unflatten(self.queries(x_RD), 0, (sentences, -1)))
            return self.mix(q_BHNK, memory, hidden, other)

        def feed_forward(x_RD: Tensor, other: Tensor) -> Tensor:
            return self.outer.plus(self.inner.relu(x_RD), other)

        x_RD = self._around(0, x_RD, mix)
        x_RD = self._around(1, x_RD, look_at_source)
        return self._around(2, x_RD, feed_forward)

    def _around(
        self, place: int, x_RD: Tensor, sublayer: Callable[[Tensor, Tensor], Tensor]
    ) -> Tensor:
        """A residual; the sub-layer adds its second argument to what it makes of its first."""
        norm, kind = self.residuals[place]
        out: Tensor
        match kind:
            case "post":
                out = norm(sublayer(x_RD, x_RD))
            case "pre":
                out = sublayer(norm(x_RD), x_RD)
            case _ as never:
                assert_never(never)
        return out


@final
class Stepper:
    """A model in evaluation mode, as it is now: later changes of its weights are not seen."""

    @torch.no_grad()
    def __init__(self, model: Transformer) -> None:
        assert not model.training
        self.model = model
        self.layers = [Layer(layer) for layer in model.decoder_layers()]
        self.vocabulary = Product(model.output_weight, None)

    def encode(self, source_BS: Tensor) -> Tensor:
        """-> the memory (B, S, D) that the decoder looks at."""
        return self.model.encode(source_BS)

    @torch.no_grad()
    def start_cache(
        self, memory_BSD: Tensor, source_is_pad_BS: Tensor, max_length: int, beams: int
    ) -> Cache:
        """For a search of at most `max_length` steps."""
        memories = [layer.remember(memory_BSD) for layer in self.layers]
        window = self.model.window
        pasts = [layer.mixing.past(max_length, window) for layer in self.layers]
        return Cache(memories, padding_bias(source_is_pad_BS), pasts, beams, window)

    @torch.no_grad()
    def step(self, token_R: Tensor, cache: Cache) -> Tensor:
        """States (R, D) after one more token of each row, which `cache` then holds too."""
        place = cache.length
        x_RD = self.model.embed_one(token_R, place)
        sight = self.model.look_back(place)
        if sight.bias is not None:  # each place has a key of every beam
            sight = sight._replace(bias=sight.bias.repeat_interleave(cache.beams, dim=-1))
        sight = sight.hiding(cache.grow())
        for layer, past, memory in zip(self.layers, cache.pasts, cache.memories, strict=True):
            x_RD = layer.step(x_RD, past, sight, memory, cache.hidden)
        out_RD: Tensor = self.model.decoder_norm(x_RD)
        return out_RD

    @torch.no_grad()
    def project(self, states: Tensor) -> Tensor:
        """Logits (..., V) of states (..., D)."""
        return self.vocabulary(states)
