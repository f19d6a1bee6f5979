"""The layers of section 3.1: feed-forward, residual with dropout and norm, encoder, decoder."""

# B batch, N tokens without padding, M those of the source, D d_model

from collections.abc import Callable
from typing import assert_never, final

from torch import Tensor, nn
from torch.nn import functional

from lit_transformer.config import MixingKind, ModelConfig
from lit_transformer.model.attention import CrossAttention, SelfAttention
from lit_transformer.model.convolution import Convolution
from lit_transformer.model.dropout import Dropout
from lit_transformer.model.packing import Rectangles
from lit_transformer.model.recurrent import Recurrence
from lit_transformer.model.sight import Sight


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

    def forward(self, x_ND: Tensor) -> Tensor:
        inner = functional.relu(self.inner(x_ND), inplace=True)
        out_ND: Tensor = self.outer(self.drop(inner))
        return out_ND


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


Rival = Recurrence | Convolution


def build_rival(cfg: ModelConfig, mixing: MixingKind, causal: bool) -> Rival | None:
    """What stands in the place of self-attention; None: that itself does."""
    match mixing:
        case "attention":
            return None
        case "lstm" | "gru":
            return Recurrence(cfg.d_model, mixing, causal)
        case "convolution":
            return Convolution(cfg.d_model, cfg.kernel, causal)
        case _ as never:
            assert_never(never)


class Layer(nn.Module):
    """What mixes a sequence, of which a layer has one of two."""

    def __init__(self, cfg: ModelConfig, mixing: MixingKind, causal: bool) -> None:
        super().__init__()
        self.self_attention = SelfAttention(cfg) if mixing == "attention" else None
        self.rival = build_rival(cfg, mixing, causal)

    def mix(self, x_ND: Tensor, sight: Sight, tokens: Rectangles) -> Tensor:
        """Each token with those of its sentence that it may know -> (N, D)."""
        mixed_ND: Tensor
        if self.self_attention is not None:
            mixed_ND = self.self_attention(x_ND, sight, tokens)
        else:
            assert self.rival is not None
            mixed_ND = self.rival(x_ND, tokens)
        return mixed_ND


@final
class EncoderLayer(Layer):
    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__(cfg, cfg.encoder_mixing, causal=False)
        self.feed_forward = FeedForward(cfg)
        self.residuals = nn.ModuleList(Residual(cfg) for _ in range(2))

    def forward(self, x_MD: Tensor, sight: Sight, source: Rectangles) -> Tensor:
        around_mixing, around_feed_forward = self.residuals
        x_MD = around_mixing(x_MD, lambda x: self.mix(x, sight, source))
        out_MD: Tensor = around_feed_forward(x_MD, self.feed_forward)
        return out_MD


@final
class DecoderLayer(Layer):
    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__(cfg, cfg.decoder_mixing, causal=True)
        self.cross_attention = CrossAttention(cfg)
        self.feed_forward = FeedForward(cfg)
        self.residuals = nn.ModuleList(Residual(cfg) for _ in range(3))

    def forward(
        self,
        x_ND: Tensor,
        sight: Sight,
        memory_MD: Tensor,
        hidden: Tensor | None,
        target: Rectangles,
        source: Rectangles,
    ) -> Tensor:
        around_mixing, around_cross, around_feed_forward = self.residuals
        x_ND = around_mixing(x_ND, lambda x: self.mix(x, sight, target))
        x_ND = around_cross(
            x_ND, lambda x: self.cross_attention(x, memory_MD, hidden, target, source)
        )
        out_ND: Tensor = around_feed_forward(x_ND, self.feed_forward)
        return out_ND
