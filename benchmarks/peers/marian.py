# /// script
# requires-python = ">=3.11"
# dependencies = ["torch==2.13.0", "numpy==2.4.6", "transformers==5.23.0"]
# ///
"""Hugging Face's MarianMTModel, trained from its configuration in batches of like length.

Its dropout rates are settings: "paper" sets those of attention weights and of inner activations to
0, "torch" sets them to the others'. What cannot be made equal: Marian has biases in its attention
projections and on the logits. torch's cross-entropy smooths the labels, since the model's own loss
does not and the Trainer's is slower.
"""

from pathlib import Path
from typing import Any

import pairs
import torch
from torch.nn import functional
from transformers import MarianConfig, MarianMTModel


def marian_config(meta: dict[str, Any], model: dict[str, Any], longest: int) -> MarianConfig:
    inner = model["dropout"] if model["dropout_places"] == "torch" else 0.0
    sides = ("encoder", "decoder")
    return MarianConfig(
        vocab_size=meta["vocabulary_size"],
        d_model=model["d_model"],
        **{f"{side}_layers": model["layers"] for side in sides},
        **{f"{side}_attention_heads": model["heads"] for side in sides},
        **{f"{side}_ffn_dim": model["d_ff"] for side in sides},
        activation_function="relu",
        dropout=model["dropout"],
        attention_dropout=inner,
        activation_dropout=inner,
        scale_embedding=True,
        share_encoder_decoder_embeddings=True,
        tie_word_embeddings=True,
        max_position_embeddings=longest,
        pad_token_id=meta["pad"],
        bos_token_id=meta["bos"],
        eos_token_id=meta["eos"],
        forced_eos_token_id=None,
        decoder_start_token_id=meta["bos"],
        init_std=model["d_model"] ** -0.5,
        use_cache=False,
    )


class Training:
    """One optimizer update a step."""

    def __init__(self, workload: Path, model: dict[str, Any], threads: int) -> None:
        torch.set_num_threads(threads)
        torch.manual_seed(1)
        self.meta, self.part = pairs.meta(workload), pairs.read(workload, "train")
        self.label_smoothing = model["label_smoothing"]
        longest = int(max(side.lengths.max() for side in self.part))
        self.net = MarianMTModel(marian_config(self.meta, model, longest)).train()
        self.optimizer = torch.optim.Adam(
            self.net.parameters(), lr=1e-4, betas=(0.9, 0.98), eps=1e-9, fused=True
        )
        self.batches = pairs.bucketed(self.part, model["batch_tokens"], seed=1)

    def step(self) -> dict[str, float]:
        pad = self.meta["pad"]
        indices = next(self.batches)
        source = torch.from_numpy(pairs.padded(self.part.source, indices, pad, None))
        target = torch.from_numpy(pairs.padded(self.part.target, indices, pad, self.meta["bos"]))
        labels = torch.from_numpy(pairs.padded(self.part.target, indices, pad, None))
        self.optimizer.zero_grad()
        logits = self.net(
            input_ids=source, attention_mask=(source != pad).long(), decoder_input_ids=target
        ).logits
        loss = functional.cross_entropy(
            logits.flatten(0, 1),
            labels.flatten(),
            ignore_index=pad,
            label_smoothing=self.label_smoothing,
        )
        loss.backward()
        self.optimizer.step()
        return {**pairs.counts(self.part, indices), "loss": loss.item()}
