# /// script
# requires-python = ">=3.11"
# dependencies = []
# ///
"""This project's search, as it is shipped but for the length penalty: there is none, as with the
others, which define it otherwise."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from sources import EXTRA_LENGTH, Sources, sizes

from lit_transformer.config import DecodeConfig, ModelConfig
from lit_transformer.decoding import search
from lit_transformer.model.stepping import Stepper
from lit_transformer.model.transformer import Transformer


class Decoding:
    alpha = 0.0

    def __init__(self, workload: Path, weights: Path, threads: int) -> None:
        torch.set_num_threads(threads)
        self.sources = Sources(workload)
        meta = self.sources.meta
        model = Transformer(ModelConfig(**sizes(weights)), meta["vocabulary_size"], meta["pad"])
        model.load_state_dict(load_file(weights))
        self.model = model.eval()

    def translate(self, first: int, count: int, beam: int) -> list[list[int]]:
        meta = self.sources.meta
        found = search(
            Stepper(self.model),
            self.sources.ids(first, count),
            DecodeConfig(beam=beam, alpha=self.alpha, extra_length=EXTRA_LENGTH),
            pad=meta["pad"],
            bos=meta["bos"],
            eos=meta["eos"],
            device=torch.device("cpu"),
            progress=None,
        )
        return [hypothesis.ids for hypothesis in found]
