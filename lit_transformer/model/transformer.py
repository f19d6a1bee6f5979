"""The whole model of section 3: tied embeddings, two stacks, and decoding token by token."""

# B batch, S source tokens, T target tokens, D d_model, V vocabulary,
# R rows of a search: B sentences times their beams, sentence by sentence

from collections.abc import Iterator
from typing import assert_never, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from lit_transformer.config import ModelConfig
from lit_transformer.model.attention import (
    KeysValues,
    Mask,
    Past,
    causal_mask,
    padding_mask,
)
from lit_transformer.model.dropout import Dropout
from lit_transformer.model.layers import DecoderLayer, EncoderLayer
from lit_transformer.model.positions import build_positions


@final
class DecoderCache:
    """What a search keeps between steps.

    Keys and values of the source are held once per sentence; those of the tokens found so far once
    per row, of which each sentence has `beams`.
    """

    def __init__(
        self, memories: list[KeysValues], mask: Mask | None, pasts: list[Past], beams: int
    ) -> None:
        self.memories = memories
        self.mask = mask
        self.pasts = pasts
        self.beams = beams

    @property
    def length(self) -> int:
        """Tokens taken so far; the place of the next one."""
        return self.pasts[0].length

    def reorder(self, rows_R: Tensor) -> None:
        """Row r continues what row `rows_R[r]` was; both belong to the same sentence."""
        for past in self.pasts:
            past.select(rows_R)

    def keep(self, sentences: Tensor) -> None:
        """Only these sentences stay, with all their rows, in this order. Indices, integers."""
        self.memories = [
            KeysValues(*(x.index_select(0, sentences) for x in memory)) for memory in self.memories
        ]
        if self.mask is not None:
            bias, blind = self.mask
            self.mask = Mask(
                bias.index_select(0, sentences),
                None if blind is None else blind.index_select(0, sentences),
            )
        beams = sentences.new_ones(self.beams).cumsum(0) - 1
        self.reorder((sentences[:, None] * self.beams + beams).flatten())


@final
class Transformer(nn.Module):
    """Encoder and decoder that share one embedding matrix with each other and the output.

    Sequences of token ids are filled up on the right with `pad`. States are vectors before the
    projection to the vocabulary, which belongs to the loss and the search.
    """

    def __init__(self, cfg: ModelConfig, vocab_size: int, pad: int) -> None:
        super().__init__()
        self.pad = pad
        # sqrt(d_model), section 3.4: brings embeddings to the scale of the sinusoids.
        self.scale = cfg.d_model**0.5
        self.embedding = nn.Embedding(vocab_size, cfg.d_model)
        # So that sqrt(d_model) times an embedding, and the product of one with a normalised state,
        # have variance 1.
        nn.init.normal_(self.embedding.weight, std=cfg.d_model**-0.5)
        self.source_positions = build_positions(cfg)
        self.target_positions = build_positions(cfg)
        self.drop = Dropout(cfg.dropout)
        self.encoder = nn.ModuleList(EncoderLayer(cfg) for _ in range(cfg.layers))
        self.decoder = nn.ModuleList(DecoderLayer(cfg) for _ in range(cfg.layers))
        self.encoder_norm = _last_norm(cfg)
        self.decoder_norm = _last_norm(cfg)

    def forward(self, source_BS: Tensor, target_BT: Tensor) -> Tensor:
        """States (B, T, D) of a target that is known, each from the tokens up to its own."""
        mask = padding_mask(source_BS == self.pad)
        return self._decode(target_BT, self._encode(source_BS, mask), mask)

    def encode(self, source_BS: Tensor) -> Tensor:
        """-> the memory (B, S, D) that the decoder looks at."""
        return self._encode(source_BS, padding_mask(source_BS == self.pad))

    def decode(self, target_BT: Tensor, memory_BSD: Tensor, source_is_pad_BS: Tensor) -> Tensor:
        """-> states (B, T, D); `target_BT` begins with the start mark."""
        return self._decode(target_BT, memory_BSD, padding_mask(source_is_pad_BS))

    def project(self, states: Tensor) -> Tensor:
        """Logits (..., V) of states (..., D)."""
        return functional.linear(states, self.embedding.weight)

    @torch.no_grad()
    def start_cache(
        self, memory_BSD: Tensor, source_is_pad_BS: Tensor, max_length: int, beams: int
    ) -> DecoderCache:
        """For a search of at most `max_length` steps, without gradients."""
        memories = [
            KeysValues(*(x.contiguous() for x in layer.cross_attention.project(memory_BSD)))
            for layer in self._decoder_layers()
        ]
        pasts = [Past(max_length) for _ in self.decoder]
        return DecoderCache(memories, padding_mask(source_is_pad_BS), pasts, beams)

    @torch.no_grad()
    def step(self, token_R: Tensor, cache: DecoderCache) -> Tensor:
        """States (R, D) after one more token of each row, which `cache` then holds too."""
        x_RD = self._embed(token_R[:, None], self.target_positions, cache.length).squeeze(1)
        layers = self._decoder_layers()
        for layer, past, memory in zip(layers, cache.pasts, cache.memories, strict=True):
            x_RD = layer.step(x_RD, past, memory, cache.mask)
        out_RD: Tensor = self.decoder_norm(x_RD)
        return out_RD

    def _decoder_layers(self) -> Iterator[DecoderLayer]:
        for layer in self.decoder:
            assert isinstance(layer, DecoderLayer)
            yield layer

    def _embed(self, token_BT: Tensor, positions: nn.Module, start: int) -> Tensor:
        x_BTD: Tensor = self.drop(positions(self.embedding(token_BT) * self.scale, start))
        return x_BTD

    def _encode(self, source_BS: Tensor, mask: Mask | None) -> Tensor:
        x_BSD = self._embed(source_BS, self.source_positions, 0)
        for layer in self.encoder:
            x_BSD = layer(x_BSD, mask)
        memory_BSD: Tensor = self.encoder_norm(x_BSD)
        return memory_BSD

    def _decode(self, target_BT: Tensor, memory_BSD: Tensor, mask: Mask | None) -> Tensor:
        x_BTD = self._embed(target_BT, self.target_positions, 0)
        # Padding is to the right of every real token, so the causal mask hides it as well.
        causal = causal_mask(target_BT.size(1), target_BT.device)
        for layer in self.decoder:
            x_BTD = layer(x_BTD, causal, memory_BSD, mask)
        states_BTD: Tensor = self.decoder_norm(x_BTD)
        return states_BTD


def _last_norm(cfg: ModelConfig) -> nn.Module:
    """Pre-norm leaves a stack's output a bare sum, so that needs a norm of its own."""
    match cfg.norm:
        case "post":
            return nn.Identity()
        case "pre":
            return nn.LayerNorm(cfg.d_model)
        case _ as never:
            assert_never(never)
