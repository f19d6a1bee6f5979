"""The decoder as a search runs it: one more token of every row at a time, without gradients.

The arithmetic is that of `Transformer.forward`; only the order of its additions may differ. What
is known before the first step is done there: weights laid out for the matrix library, the scale of
the scores taken into the queries' weights, keys and values of the source once per sentence.
"""

# B sentences, N beams of each, R = B * N rows, sentence by sentence, S source length, D d_model,
# C any channels, H heads, K d_k, V d_v or vocabulary, L tokens so far,
# P = L * N places: what every beam of a sentence has read, token by token

import math
from collections.abc import Callable, Sequence
from typing import assert_never, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from lit_transformer.config import NormPlace
from lit_transformer.model.attention import KeysValues, attend, padding_bias
from lit_transformer.model.layers import DecoderLayer, Residual
from lit_transformer.model.sight import Sight
from lit_transformer.model.transformer import Transformer

ROWS = 256
"""A typical number of rows, for which weights are laid out; others work as well."""


def lays_out(weight: Tensor) -> bool:
    """Whether oneDNN takes this weight in a layout of its own.

    On x86 that is 1.1 to 2 times as fast as a plain product, most of all for few rows.
    """
    return (
        weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
    )


@final
class Product:
    """x W^T + b, and what follows it at once."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight = weight.detach()
        self.bias = None if bias is None else bias.detach()
        self.laid_out: Tensor | None = None
        if lays_out(weight):
            self.laid_out = torch.ops.mkldnn._reorder_linear_weight(self.weight, ROWS)

    def __call__(self, x_RC: Tensor) -> Tensor:
        if self.laid_out is None:
            return functional.linear(x_RC, self.weight, self.bias)
        out: Tensor = torch.ops.mkldnn._linear_pointwise.default(
            x_RC, self.laid_out, self.bias, "none", [], ""
        )
        return out

    def relu(self, x_RC: Tensor) -> Tensor:
        """max(0, x W^T + b)."""
        if self.laid_out is None:
            return self(x_RC).relu_()
        out: Tensor = torch.ops.mkldnn._linear_pointwise.default(
            x_RC, self.laid_out, self.bias, "relu", [], ""
        )
        return out

    def plus(self, x_RC: Tensor, other: Tensor) -> Tensor:
        """x W^T + b + other."""
        if self.laid_out is None:
            return self(x_RC).add_(other)
        out: Tensor = torch.ops.mkldnn._linear_pointwise.binary(
            x_RC, other, self.laid_out, self.bias, "add"
        )
        return out


@final
class Past:
    """Keys and values of the tokens found so far, in one layer.

    Each row writes where it stands, and nothing moves when beams change places: all beams of a
    sentence are compared with all its keys, and a mask tells a beam its own past.
    """

    def __init__(self, room: int) -> None:
        self.room = room
        self.stores: list[Tensor] = []
        """Keys (B, H, room, N, K) and values (B, H, room, N, V)."""

    def append(self, place: int, new: Sequence[Tensor]) -> KeysValues:
        """Adds a token, (B, H, N, K) and (B, H, N, V) -> all, (B, H, P, K) and (B, H, P, V)."""
        if not self.stores:
            self.stores = [x.new_empty(*x.shape[:2], self.room, *x.shape[2:]) for x in new]
        for store, x in zip(self.stores, new, strict=True):
            store[:, :, place] = x
        return KeysValues(*(store[:, :, : place + 1].flatten(2, 3) for store in self.stores))


@final
class Cache:
    """What a search keeps between steps."""

    def __init__(
        self, memories: list[KeysValues], hidden: Tensor | None, pasts: list[Past], beams: int
    ) -> None:
        self.memories = memories
        self.hidden = hidden
        self.pasts = pasts
        self.beams = beams
        self.length = 0
        """Tokens taken so far; the place of the next one."""
        k_BHSK = memories[0].k_BHSK
        self.own_RP = k_BHSK.new_empty(len(k_BHSK) * beams, 0)
        """0 where a place is in a row's own past, minus infinity where not."""
        self.self_NN = k_BHSK.new_full((beams, beams), -math.inf).fill_diagonal_(0)

    def grow(self) -> Tensor | None:
        """Every row gets one more token -> its own past; None: there is one beam."""
        self.length += 1
        if self.beams == 1:
            return None
        count = len(self.own_RP) // self.beams
        self.own_RP = torch.cat((self.own_RP, self.self_NN.repeat(count, 1)), dim=1)
        return self.own_RP.view(count, 1, self.beams, -1)

    def reorder(self, rows_R: Tensor) -> None:
        """Row r continues what row `rows_R[r]` was; both belong to the same sentence."""
        self.own_RP = self.own_RP.index_select(0, rows_R)

    def keep(self, sentences: Sequence[int]) -> None:
        """Only these sentences stay, with all their rows, in this order.

        Only those are copied that change their place.
        """
        count = len(sentences)
        moves = [(place, old) for place, old in enumerate(sentences) if place != old]
        to, old = self.own_RP.new_tensor(moves, dtype=torch.long).view(-1, 2).unbind(1)

        def kept(x: Tensor, first: Tensor) -> Tensor:
            """`first` is the part of `x` that holds anything."""
            if moves:
                first.index_copy_(0, to, first.index_select(0, old))
            return x[:count]

        self.memories = [KeysValues(*(kept(x, x) for x in memory)) for memory in self.memories]
        for past in self.pasts:
            past.stores = [kept(store, store[:, :, : self.length]) for store in past.stores]
        if self.hidden is not None:
            self.hidden = kept(self.hidden, self.hidden)
        own = torch.unflatten(self.own_RP, 0, (-1, self.beams))
        self.own_RP = kept(own, own).flatten(0, 1)


@final
class Layer:
    """A decoder layer that takes steps."""

    def __init__(self, layer: DecoderLayer) -> None:
        own, cross, feed_forward = layer.self_attention, layer.cross_attention, layer.feed_forward
        self.heads, self.widths = own.heads, own.widths
        self.attention = own.attention, cross.attention
        self.kind = own.attention.kind
        scale = 1.0
        if self.kind == "scaled":
            self.kind, scale = "unscaled", own.head_widths[0] ** -0.5
        weight = own.queries_keys_values.weight.detach().clone()
        weight[: self.widths[0]] *= scale
        self.queries_keys_values = Product(weight, None)
        self.queries = Product(cross.queries.weight.detach() * scale, None)
        self.joins = [Product(attention.output.weight, None) for attention in self.attention]
        self.inner = Product(feed_forward.inner.weight, feed_forward.inner.bias)
        self.outer = Product(feed_forward.outer.weight, feed_forward.outer.bias)
        self.keys_values = Product(cross.keys_values.weight, None)
        self.residuals: list[tuple[nn.Module, NormPlace]] = []
        for residual in layer.residuals:
            assert isinstance(residual, Residual)
            self.residuals.append((residual.norm, residual.place))

    def remember(self, memory_BSD: Tensor) -> KeysValues:
        """Keys and values of the source, (B, H, S, K) and (B, H, S, V)."""
        parts = torch.split(self.keys_values(memory_BSD), self.widths[1:], dim=-1)
        return KeysValues(*(self._split(part).contiguous() for part in parts))

    def step(
        self,
        x_RD: Tensor,
        place: int,
        past: Past,
        sight: Sight,
        memory: KeysValues,
        hidden: Tensor | None,
    ) -> Tensor:
        """One more token of each row -> (R, D)."""
        shape = (len(memory.k_BHSK), -1)

        def look_back(x_RD: Tensor, other: Tensor) -> Tensor:
            joint = torch.unflatten(self.queries_keys_values(x_RD), 0, shape)
            qkv = torch.split(joint, self.widths, dim=-1)
            q_BHNK, k_BHNK, v_BHNV = (self._split(part) for part in qkv)
            kv = past.append(place, (sight.turn(k_BHNK), v_BHNV))
            return self._mix(0, sight.turn(q_BHNK), kv, sight.bias, other)

        def look_at_source(x_RD: Tensor, other: Tensor) -> Tensor:
            q_BHNK = self._split(torch.unflatten(self.queries(x_RD), 0, shape))
            return self._mix(1, q_BHNK, memory, hidden, other)

        def feed_forward(x_RD: Tensor, other: Tensor) -> Tensor:
            return self.outer.plus(self.inner.relu(x_RD), other)

        x_RD = self._around(0, x_RD, look_back)
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

    def _mix(
        self, place: int, q_BHNK: Tensor, kv: KeysValues, bias: Tensor | None, other: Tensor
    ) -> Tensor:
        attention = self.attention[place]
        mixed = attend(q_BHNK, *kv, bias, self.kind, attention.additive_HK, attention.drop)
        return self.joins[place].plus(mixed.transpose(1, 2).reshape(len(other), -1), other)

    def _split(self, x_BNC: Tensor) -> Tensor:
        """-> (B, H, N, C / H)."""
        return torch.unflatten(x_BNC, 2, (self.heads, -1)).transpose(1, 2)


@final
class Stepper:
    """A model in evaluation mode, as it is now: later changes of its weights are not seen."""

    @torch.no_grad()
    def __init__(self, model: Transformer) -> None:
        assert not model.training
        self.model = model
        self.layers = [Layer(layer) for layer in model.decoder_layers()]
        self.vocabulary = Product(model.embedding.weight, None)

    def encode(self, source_BS: Tensor) -> Tensor:
        """-> the memory (B, S, D) that the decoder looks at."""
        return self.model.encode(source_BS)

    @torch.no_grad()
    def start_cache(
        self, memory_BSD: Tensor, source_is_pad_BS: Tensor, max_length: int, beams: int
    ) -> Cache:
        """For a search of at most `max_length` steps."""
        memories = [layer.remember(memory_BSD) for layer in self.layers]
        pasts = [Past(max_length) for _ in self.layers]
        return Cache(memories, padding_bias(source_is_pad_BS), pasts, beams)

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
            x_RD = layer.step(x_RD, place, past, sight, memory, cache.hidden)
        out_RD: Tensor = self.model.decoder_norm(x_RD)
        return out_RD

    @torch.no_grad()
    def project(self, states: Tensor) -> Tensor:
        """Logits (..., V) of states (..., D)."""
        return self.vocabulary(states)
