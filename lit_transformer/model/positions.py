"""Ways of telling the model where a token is (section 3.5)."""

# T positions, D d_model

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import assert_never, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from lit_transformer.config import ModelConfig


class Positions(nn.Module, ABC):
    """Adds to the embeddings of tokens what tells their places apart."""

    @abstractmethod
    def forward(self, x: Tensor, place: Tensor, length: int) -> Tensor:
        """The sum. x (..., D); each token's `place` in its sequence, from 0, is below `length`."""


@final
class NoPositions(Positions):
    """What the decoder's mask leaves to be known of order, and nothing more."""

    def forward(self, x: Tensor, place: Tensor, length: int) -> Tensor:
        return x


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


def build_positions(cfg: ModelConfig) -> Positions:
    match cfg.positions:
        case "sinusoidal":
            return SinusoidalPositions(sinusoids, cfg)
        case "learned":
            return LearnedPositions(cfg)
        case "none":
            return NoPositions()
        case "concatenated":
            return SinusoidalPositions(concatenated_sinusoids, cfg)
        case _ as never:
            assert_never(never)
