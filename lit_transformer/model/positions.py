"""Ways of telling the model where a token is (section 3.5)."""

# T positions, D d_model

from abc import ABC, abstractmethod
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


def sinusoids(length: int, d_model: int) -> Tensor:
    """PE(pos, 2i) = sin(pos / 10000^(2i / d_model)), PE(pos, 2i + 1) = cos(same) -> (T, D)."""
    position_T1 = torch.arange(length, dtype=torch.float64)[:, None]
    even = torch.arange(0, d_model, 2, dtype=torch.float64)
    angle = position_T1 / 10_000 ** (even / d_model)
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1).float()


@final
class SinusoidalPositions(Positions):
    """Fixed waves; no length is the last."""

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        # Not a buffer: it grows, and processes that train together would compare its shapes.
        self.table_TD = sinusoids(128, cfg.d_model)

    def forward(self, x: Tensor, place: Tensor, length: int) -> Tensor:
        table_TD = self.table_TD  # a search in another thread may replace it meanwhile
        if length > len(table_TD):
            table_TD = self.table_TD = sinusoids(2 * length, x.size(-1))
        if table_TD.device != x.device:
            table_TD = self.table_TD = table_TD.to(x.device)
        return x + functional.embedding(place, table_TD)


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
            return SinusoidalPositions(cfg)
        case "learned":
            return LearnedPositions(cfg)
        case _ as never:
            assert_never(never)
