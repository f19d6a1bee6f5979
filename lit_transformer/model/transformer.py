"""The whole model of section 3: embeddings, two stacks, and the projection to the vocabulary."""

# B batch, S source length, D d_model, V vocabulary,
# N target tokens, M source tokens, both end to end without padding,
# R rows of a search: B sentences times their beams, sentence by sentence

from collections.abc import Iterator
from typing import assert_never, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from lit_transformer.config import ModelConfig
from lit_transformer.model.dropout import Dropout
from lit_transformer.model.layers import DecoderLayer, EncoderLayer
from lit_transformer.model.packing import Rectangles, Sentences, from_rectangle, to_rectangle
from lit_transformer.model.positions import Positions, build_positions
from lit_transformer.model.sight import UNSEEN, Sight, look_back, see


@final
class Transformer(nn.Module):
    """Encoder and decoder, whose embeddings and the output's projection may be one matrix.

    States are vectors before the projection to the vocabulary, which belongs to the loss and the
    search.
    """

    def __init__(self, cfg: ModelConfig, vocab_size: int, pad: int) -> None:
        super().__init__()
        self.pad = pad
        self.window = cfg.window
        self.encoder_looks, self.decoder_looks = (kind == "attention" for kind in cfg.mixing)
        # sqrt(d_model), section 3.4: brings embeddings to the scale of the sinusoids.
        self.scale = cfg.d_model**0.5
        self.embedding = _embedding(vocab_size, cfg.d_model)
        own_target, own_output = cfg.own_matrices
        self.own_target = _embedding(vocab_size, cfg.d_model) if own_target else None
        self.own_output = _embedding(vocab_size, cfg.d_model) if own_output else None
        self.source_positions = build_positions(cfg, causal=False)
        self.target_positions = build_positions(cfg, causal=True)
        self.drop = Dropout(cfg.dropout)
        self.encoder = nn.ModuleList(EncoderLayer(cfg) for _ in range(cfg.layers))
        self.decoder = nn.ModuleList(DecoderLayer(cfg) for _ in range(cfg.layers))
        self.encoder_norm = _last_norm(cfg)
        self.decoder_norm = _last_norm(cfg)

    @property
    def target_embedding(self) -> nn.Embedding:
        return self.own_target or self.embedding

    @property
    def output_weight(self) -> Tensor:
        """What projects states to the vocabulary, (V, D)."""
        return (self.own_output or self.target_embedding).weight

    def forward(self, source: Sentences, target: Sentences) -> Tensor:
        """States (N, D) of targets that are known, each from its sentence's tokens up to it.

        A target begins with the start mark.
        """
        sources, targets = Rectangles(source.packing), Rectangles(target.packing)
        hidden = sources.bias()
        memory_MD = self._encode(source, sources, hidden)
        x_ND = self._embed(target, self.target_embedding, self.target_positions)
        seen = UNSEEN
        if self.decoder_looks:
            seen = see(self.target_positions, self.window, targets, causal=True, hidden=None)
        for layer in self.decoder:
            x_ND = layer(x_ND, seen, memory_MD, hidden, targets, sources)
        states_ND: Tensor = self.decoder_norm(x_ND)
        return states_ND

    def encode(self, source_BS: Tensor) -> Tensor:
        """Of sources filled up on the right with `pad` -> the memory (B, S, D) that the decoder
        looks at, zeros at padding."""
        source = from_rectangle(source_BS, self.pad)
        rectangles = Rectangles(source.packing)
        memory_MD = self._encode(source, rectangles, rectangles.bias())
        return to_rectangle(memory_MD, source.packing)

    def project(self, states: Tensor) -> Tensor:
        """Logits (..., V) of states (..., D)."""
        return functional.linear(states, self.output_weight)

    def embed_one(self, token_R: Tensor, place: int) -> Tensor:
        """What the decoder reads of one token of each row, all at one place -> (R, D)."""
        place_1 = torch.full((1,), place, device=token_R.device)
        x_RD = self.target_embedding(token_R)
        return self._place(x_RD, self.target_positions, place_1, place + 1)

    def look_back(self, place: int) -> Sight:
        """Of the decoder's token at `place`, on what it sees of those up to it."""
        if not self.decoder_looks:
            return UNSEEN
        query_1 = torch.full((1,), place, device=self.embedding.weight.device)
        return look_back(self.target_positions, self.window, query_1, place)

    def encoder_layers(self) -> Iterator[EncoderLayer]:
        for layer in self.encoder:
            assert isinstance(layer, EncoderLayer)
            yield layer

    def decoder_layers(self) -> Iterator[DecoderLayer]:
        for layer in self.decoder:
            assert isinstance(layer, DecoderLayer)
            yield layer

    def _embed(self, sentences: Sentences, embedding: nn.Embedding, positions: Positions) -> Tensor:
        packing = sentences.packing
        longest = packing.token_BT.size(1)
        return self._place(embedding(sentences.ids_N), positions, packing.place_N, longest)

    def _place(self, embedded: Tensor, positions: Positions, place: Tensor, length: int) -> Tensor:
        x: Tensor = self.drop(positions(embedded * self.scale, place, length))
        return x

    def _encode(self, source: Sentences, rectangles: Rectangles, hidden: Tensor | None) -> Tensor:
        x_MD = self._embed(source, self.embedding, self.source_positions)
        seen = UNSEEN
        if self.encoder_looks:
            seen = see(self.source_positions, self.window, rectangles, causal=False, hidden=hidden)
        for layer in self.encoder:
            x_MD = layer(x_MD, seen, rectangles)
        memory_MD: Tensor = self.encoder_norm(x_MD)
        return memory_MD


def _embedding(vocab_size: int, d_model: int) -> nn.Embedding:
    embedding = nn.Embedding(vocab_size, d_model)
    # So that sqrt(d_model) times an embedding, and the product of one with a normalised state, have
    # variance 1.
    nn.init.normal_(embedding.weight, std=d_model**-0.5)
    return embedding


def _last_norm(cfg: ModelConfig) -> nn.Module:
    """Pre-norm leaves a stack's output a bare sum, so that needs a norm of its own."""
    match cfg.norm:
        case "post":
            return nn.Identity()
        case "pre":
            return nn.LayerNorm(cfg.d_model)
        case _ as never:
            assert_never(never)
