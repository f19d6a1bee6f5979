"""The layers of section 3.1: feed-forward, residual with dropout and norm, encoder, decoder."""

# B batch, S source tokens, T target tokens, D d_model, R rows of a search

from collections.abc import Callable
from typing import assert_never, final

from torch import Tensor, nn
from torch.nn import functional

from lit_transformer.config import ModelConfig
from lit_transformer.model.attention import (
    CrossAttention,
    KeysValues,
    Mask,
    Past,
    SelfAttention,
)
from lit_transformer.model.dropout import Dropout


@final
class FeedForward(nn.Module):
    """max(0, x W1 + b1) W2 + b2, eq. (2)."""

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.inner = nn.Linear(cfg.d_model, cfg.d_ff)
        self.outer = nn.Linear(cfg.d_ff, cfg.d_model)
        for linear in (self.inner, self.outer):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)
        self.drop = Dropout(cfg.relu_dropout)

    def forward(self, x_BTD: Tensor) -> Tensor:
        inner = functional.relu(self.inner(x_BTD), inplace=True)
        out_BTD: Tensor = self.outer(self.drop(inner))
        return out_BTD


@final
class Residual(nn.Module):
    """A sub-layer's dropout, its addition to what came in, and their layer norm (section 5.4)."""

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.place = cfg.norm
        self.norm = nn.LayerNorm(cfg.d_model)
        self.drop = Dropout(cfg.dropout)

    def forward(self, x: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        out: Tensor
        match self.place:
            case "post":
                out = self.norm(x + self.drop(sublayer(x)))
            case "pre":
                out = x + self.drop(sublayer(self.norm(x)))
            case _ as never:
                assert_never(never)
        return out


@final
class EncoderLayer(nn.Module):
    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.self_attention = SelfAttention(cfg)
        self.feed_forward = FeedForward(cfg)
        self.residuals = nn.ModuleList(Residual(cfg) for _ in range(2))

    def forward(self, x_BSD: Tensor, mask: Mask | None) -> Tensor:
        around_attention, around_feed_forward = self.residuals
        x_BSD = around_attention(x_BSD, lambda x: self.self_attention(x, mask))
        out_BSD: Tensor = around_feed_forward(x_BSD, self.feed_forward)
        return out_BSD


@final
class DecoderLayer(nn.Module):
    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.self_attention = SelfAttention(cfg)
        self.cross_attention = CrossAttention(cfg)
        self.feed_forward = FeedForward(cfg)
        self.residuals = nn.ModuleList(Residual(cfg) for _ in range(3))

    def forward(
        self, x_BTD: Tensor, causal: Mask, memory_BSD: Tensor, memory_mask: Mask | None
    ) -> Tensor:
        around_self, around_cross, around_feed_forward = self.residuals
        memory = self.cross_attention.project(memory_BSD)
        x_BTD = around_self(x_BTD, lambda x: self.self_attention(x, causal))
        x_BTD = around_cross(x_BTD, lambda x: self.cross_attention(x, memory, memory_mask))
        out_BTD: Tensor = around_feed_forward(x_BTD, self.feed_forward)
        return out_BTD

    def step(
        self, x_RD: Tensor, past: Past, memory: KeysValues, memory_mask: Mask | None
    ) -> Tensor:
        """One token of each row -> (R, D); a sentence's rows are one query axis of its memory."""

        def cross(x_RD: Tensor) -> Tensor:
            x_BTD = x_RD.view(memory.k_BHSK.size(0), -1, x_RD.size(1))
            out_BTD: Tensor = self.cross_attention(x_BTD, memory, memory_mask)
            return out_BTD.flatten(0, 1)

        around_self, around_cross, around_feed_forward = self.residuals
        x_RD = around_self(x_RD, lambda x: self.self_attention.step(x, past))
        x_RD = around_cross(x_RD, cross)
        out_RD: Tensor = around_feed_forward(x_RD, self.feed_forward)
        return out_RD
