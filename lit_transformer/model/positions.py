"""Ways of telling the model where a token is (section 3.5)."""

# T places, of queries where keys are S, D d_model, B batch, H heads, K d_k, N buckets

import math
from collections.abc import Callable
from typing import assert_never, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from lit_transformer.config import (
    POSITIONS_OF_ATTENTION,
    RELATIVE_BUCKETS,
    RELATIVE_REACH,
    ModelConfig,
)


class Positions(nn.Module):
    """Tells one stack where its tokens are, in any of three ways; a way that a kind does not go has
    no effect."""

    acts_inside = False
    """Whether attention itself knows them, by `turns` or `bias`."""

    def forward(self, x: Tensor, place: Tensor, length: int) -> Tensor:
        """Embeddings x (..., D), and what is added to them; each token's `place` in its sequence,
        from 0, is below `length`."""
        return x

    def turns(self, place_T: Tensor, length: int) -> Tensor | None:
        """How `turn` turns queries and keys of self-attention -> (T, K); None: they stay."""
        return None

    def bias(self, query_T: Tensor, key_S: Tensor) -> Tensor | None:
        """What is added to self-attention's scores, by the places of both -> (1, H, T, S)."""
        return None


@final
class NoPositions(Positions):
    """What the decoder's mask leaves to be known of order, and nothing more."""


def sinusoids(length: int, d_model: int) -> Tensor:
    """PE(pos, 2i) = sin(pos / 10000^(2i / d_model)), PE(pos, 2i + 1) = cos(same) -> (T, D)."""
    even = torch.arange(0, d_model, 2, dtype=torch.float64)
    angle = _places(length) / 10_000 ** (even / d_model)
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1).float()


def concatenated_sinusoids(length: int, d_model: int) -> Tensor:
    """PE(pos, i) = sin(pos / 10000^(i / (d_model / 2 - 1))), PE(pos, d_model / 2 + i) = cos(same)
    -> (T, D), as in tensor2tensor.

    Unlike section 3.5's, the slowest wave is exactly 10000 times as long as the fastest.
    """
    i = torch.arange(d_model // 2, dtype=torch.float64)
    angle = _places(length) / 10_000 ** (i / max(d_model // 2 - 1, 1))
    return torch.cat((angle.sin(), angle.cos()), dim=-1).float()


def _places(length: int) -> Tensor:
    return torch.arange(length, dtype=torch.float64)[:, None]


@final
class Waves:
    """A table (T, width) that grows; no length is the last.

    Not a buffer of a module: processes that train together would compare its shapes.
    """

    def __init__(self, form: Callable[[int, int], Tensor], width: int) -> None:
        self.form, self.width = form, width
        self.table_TD = form(128, width)

    def at(self, place: Tensor, length: int) -> Tensor:
        """-> (..., width), for places below `length`."""
        table_TD = self.table_TD  # a search in another thread may replace it meanwhile
        if length > len(table_TD):
            table_TD = self.table_TD = self.form(2 * length, self.width)
        if table_TD.device != place.device:
            table_TD = self.table_TD = table_TD.to(place.device)
        return functional.embedding(place, table_TD)


@final
class SinusoidalPositions(Positions):
    """Fixed waves."""

    def __init__(self, form: Callable[[int, int], Tensor], cfg: ModelConfig) -> None:
        super().__init__()
        self.waves = Waves(form, cfg.d_model)

    def forward(self, x: Tensor, place: Tensor, length: int) -> Tensor:
        return x + self.waves.at(place, length)


@final
class LearnedPositions(Positions):
    """A table with a row for each place (row E of Table 3)."""

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        # As small as the token embeddings before their factor sqrt(d_model), as in the code the
        # paper came from: a place that training never visits stays near zero.
        self.table_TD = nn.Parameter(torch.randn(cfg.max_positions, cfg.d_model))
        self.table_TD.data.mul_(cfg.d_model**-0.5)

    def forward(self, x: Tensor, place: Tensor, length: int) -> Tensor:
        if length > len(self.table_TD):
            raise ValueError(
                f"a sequence of {length} tokens, but model.max_positions={len(self.table_TD)}: "
                "learned positions end there; raise model.max_positions or cut the sequence"
            )
        return x + functional.embedding(place, self.table_TD)


@final
class RotaryPositions(Positions):
    """Turns queries and keys by angles that grow with their places, so that a product of the two
    depends on their distance (Su et al. 2021, RoFormer)."""

    acts_inside = True

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.waves = Waves(sinusoids, cfg.key_width)  # of the same frequencies

    def turns(self, place_T: Tensor, length: int) -> Tensor:
        return self.waves.at(place_T, length)


def turn(x_BHTK: Tensor, turns_TK: Tensor) -> Tensor:
    """Channels 2i and 2i + 1 as a complex number, times e^(i angle).

    `turns_TK` has an angle's sine and cosine in these two places.
    """
    sin, cos = turns_TK[:, 0::2], turns_TK[:, 1::2]
    real, imaginary = x_BHTK[..., 0::2], x_BHTK[..., 1::2]
    pairs = torch.stack((real * cos - imaginary * sin, real * sin + imaginary * cos), dim=-1)
    return pairs.flatten(-2).to(x_BHTK.dtype)


def slopes(heads: int) -> list[float]:
    """Of ALiBi, as in its authors' code: 2^(-8 i / n), i from 1 to n, for a power of two; further
    heads take every other slope of the next power."""
    power = 1 << (heads.bit_length() - 1)
    further = [2 ** (-8 * i / (2 * power)) for i in range(1, 2 * power, 2)]
    return [2 ** (-8 * i / power) for i in range(1, power + 1)] + further[: heads - power]


@final
class AlibiPositions(Positions):
    """Scores fall with distance, in each head by a slope of its own (Press et al. 2022).

    Theirs is a decoder alone; in the encoder it falls to both sides.
    """

    acts_inside = True
    slope_H: Tensor

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.register_buffer("slope_H", torch.tensor(slopes(cfg.heads)), persistent=False)

    def bias(self, query_T: Tensor, key_S: Tensor) -> Tensor:
        distance_TS = (query_T[:, None] - key_S).abs()
        return (-self.slope_H[:, None, None] * distance_TS)[None]


def bucket(offset: Tensor, causal: bool) -> Tensor:
    """Of keys so many places right of their query (Raffel et al. 2020, as in T5's code).

    Half of the buckets have one distance each, the others distances that grow geometrically up to
    RELATIVE_REACH; the last has all beyond. Each side has half of the buckets, unless `causal`.
    """
    buckets = RELATIVE_BUCKETS if causal else RELATIVE_BUCKETS // 2
    distance = -offset.clamp(max=0) if causal else offset.abs()
    near = buckets // 2
    # Base 2, in which the logarithms of powers of two are exact.
    octaves = (distance.double() / near).clamp(min=1).log2()
    far = near + (octaves * (buckets - near) / math.log2(RELATIVE_REACH / near)).long()
    found = torch.where(distance < near, distance, far.clamp(max=buckets - 1))
    return found if causal else found + buckets * (offset > 0)


@final
class RelativePositions(Positions):
    """A learned number for each head and bucket of distances, shared by a stack's layers
    (Raffel et al. 2020)."""

    acts_inside = True

    def __init__(self, cfg: ModelConfig, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.table_NH = nn.Parameter(torch.randn(RELATIVE_BUCKETS, cfg.heads))
        self.table_NH.data.mul_(cfg.d_model**-0.5)

    def bias(self, query_T: Tensor, key_S: Tensor) -> Tensor:
        bucket_TS = bucket(key_S - query_T[:, None], self.causal)
        bias_TSH = functional.embedding(bucket_TS, self.table_NH)
        return bias_TSH.permute(2, 0, 1).contiguous()[None]


def build_positions(cfg: ModelConfig, causal: bool) -> Positions:
    """Of one stack; `causal`: its tokens look back only."""
    mixing = cfg.decoder_mixing if causal else cfg.encoder_mixing
    if mixing != "attention" and cfg.positions in POSITIONS_OF_ATTENTION:
        return NoPositions()
    match cfg.positions:
        case "sinusoidal":
            return SinusoidalPositions(sinusoids, cfg)
        case "learned":
            return LearnedPositions(cfg)
        case "none":
            return NoPositions()
        case "concatenated":
            return SinusoidalPositions(concatenated_sinusoids, cfg)
        case "rotary":
            return RotaryPositions(cfg)
        case "alibi":
            return AlibiPositions(cfg)
        case "relative":
            return RelativePositions(cfg, causal)
        case _ as never:
            assert_never(never)
