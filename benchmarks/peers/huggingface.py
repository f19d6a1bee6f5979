# /// script
# requires-python = ">=3.11"
# dependencies = ["torch==2.13.0", "numpy==2.4.6", "transformers==5.23.0"]
# [tool.benchmarks]
# environment = "marian"
# ///
"""Hugging Face's `generate` with MarianMTModel and the same weights.

Marian's biases of attention and logits are zeros, and its table of positions holds sine and cosine
in turn. Batches are of sentences of like length, which `generate` leaves to its caller. It stops
when it has as many ended hypotheses as beams.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from sources import HYPOTHESES, Sources, in_batches, layer_names, sinusoids, sizes
from torch import Tensor
from transformers import MarianConfig, MarianMTModel

POSITIONS = 512


def config(meta: dict[str, Any], model: dict[str, Any]) -> MarianConfig:
    sides = ("encoder", "decoder")
    return MarianConfig(
        vocab_size=meta["vocabulary_size"],
        d_model=model["d_model"],
        **{f"{side}_layers": model["layers"] for side in sides},
        **{f"{side}_attention_heads": model["heads"] for side in sides},
        **{f"{side}_ffn_dim": model["d_ff"] for side in sides},
        activation_function="relu",
        scale_embedding=True,
        share_encoder_decoder_embeddings=True,
        tie_word_embeddings=True,
        max_position_embeddings=POSITIONS,
        pad_token_id=meta["pad"],
        bos_token_id=meta["bos"],
        eos_token_id=meta["eos"],
        forced_eos_token_id=None,
        decoder_start_token_id=meta["bos"],
    )


def parts(weights: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Queries', keys' and values' matrices of one attention."""
    if f"{name}.queries.weight" in weights:
        q = weights[f"{name}.queries.weight"]
        k, v = weights[f"{name}.keys_values.weight"].chunk(2)
    else:
        q, k, v = weights[f"{name}.queries_keys_values.weight"].chunk(3)
    out = weights[f"{name}.attention.output.weight"]
    return {"q_proj": q, "k_proj": k, "v_proj": v, "out_proj": out}


def converted(weights: dict[str, Tensor], side: str, layer: int) -> Iterator[tuple[str, Tensor]]:
    """One layer under Marian's names; what is not named is a bias of zeros."""
    to, norm = f"model.{side}.layers.{layer}", f"{side}.{layer}.residuals"
    last = 0
    for kind, name, place in layer_names(side, layer):
        theirs = "self_attn" if kind == "self" else "encoder_attn"
        for part, weight in parts(weights, name).items():
            yield f"{to}.{theirs}.{part}.weight", weight
        for tensor in ("weight", "bias"):
            yield f"{to}.{theirs}_layer_norm.{tensor}", weights[f"{norm}.{place}.norm.{tensor}"]
        last = place + 1
    for tensor in ("weight", "bias"):
        yield f"{to}.final_layer_norm.{tensor}", weights[f"{norm}.{last}.norm.{tensor}"]
        for theirs, ours in (("fc1", "inner"), ("fc2", "outer")):
            name = f"{side}.{layer}.feed_forward.{ours}.{tensor}"
            yield f"{to}.{theirs}.{tensor}", weights[name]


def build(meta: dict[str, Any], file: Path) -> MarianMTModel:
    weights, model = load_file(file), sizes(file)
    net = MarianMTModel(config(meta, model)).eval()
    state = {name: torch.zeros_like(tensor) for name, tensor in net.state_dict().items()}
    for side in ("encoder", "decoder"):
        for layer in range(model["layers"]):
            state |= dict(converted(weights, side, layer))
        table = torch.from_numpy(sinusoids(POSITIONS, model["d_model"]))
        state[f"model.{side}.embed_positions.weight"] = table
    shared = ("model.shared", "model.encoder.embed_tokens", "model.decoder.embed_tokens", "lm_head")
    state |= {f"{name}.weight": weights["embedding.weight"] for name in shared}
    net.load_state_dict(state)
    return net


class Decoding:
    def __init__(self, workload: Path, weights: Path, threads: int) -> None:
        torch.set_num_threads(threads)
        self.sources = Sources(workload)
        self.net = build(self.sources.meta, weights)

    def translate(self, first: int, count: int, beam: int) -> list[list[int]]:
        with torch.inference_mode():
            found = in_batches(
                self.sources.ids(first, count),
                max(1, HYPOTHESES // beam),
                lambda sources, longest: self.generate(sources, longest, beam),
            )
        return [self.sources.plain(ids) for ids in found]

    def generate(self, sources: list[list[int]], longest: int, beam: int) -> Sequence[list[int]]:
        meta = self.sources.meta
        table = torch.full((len(sources), len(sources[0])), meta["pad"])
        for row, ids in zip(table, sources, strict=True):
            row[: len(ids)] = torch.tensor(ids)
        search: dict[str, Any] = {"num_beams": beam, "do_sample": False}
        if beam > 1:
            search |= {"length_penalty": 0.0, "early_stopping": True}
        out = self.net.generate(
            input_ids=table,
            attention_mask=(table != meta["pad"]).long(),
            max_new_tokens=longest,
            suppress_tokens=[meta["pad"], meta["bos"]],
            **search,
        )
        found: list[list[int]] = out[:, 1:].tolist()
        return found
