"""Translate with a finished trial: only its own directory is needed."""

from collections.abc import Sequence
from pathlib import Path
from typing import final

import torch

from lit_transformer import checkpoints, config_io
from lit_transformer.data import vocab
from lit_transformer.data.cache import sha256
from lit_transformer.decoding import search
from lit_transformer.model.stepping import Stepper
from lit_transformer.model.transformer import Transformer
from lit_transformer.record import REMEDY, Record, RecordError


@final
class Translator:
    """A trial's model, vocabulary and search. ValueError where the weights were not kept."""

    def __init__(self, directory: Path, *, averaged: bool, device: torch.device) -> None:
        record = Record(directory)
        weights = record.averaged if averaged else record.weights
        if not weights.exists():
            raise ValueError(
                f"{weights}: not there; only a finished trial with train.keep=model has weights"
            )
        self.config = config_io.load(record.config)
        self.vocab = _vocabulary(record)
        self.device = device
        try:
            model = Transformer(self.config.model, len(self.vocab), self.vocab.pad)
            model.load_state_dict(checkpoints.load_weights(weights))
        except RuntimeError:
            raise ValueError(f"{weights}: not of the model in {record.config}; {REMEDY}") from None
        self.model = Stepper(model.to(device).eval())

    def translate(self, sentences: Sequence[str]) -> list[str]:
        """Detokenized translations, in order. A sentence over data.max_tokens is cut to it."""
        limit = self.config.data.max_tokens - 1
        sources = [[*ids[:limit], self.vocab.eos] for ids in self.vocab.encode(sentences)]
        found = search(
            self.model,
            sources,
            self.config.decode,
            pad=self.vocab.pad,
            bos=self.vocab.bos,
            eos=self.vocab.eos,
            device=self.device,
            progress=None,
        )
        return self.vocab.decode([hypothesis.ids for hypothesis in found])


def _vocabulary(record: Record) -> vocab.Vocab:
    """The trial's vocabulary, if it is the one that it was trained with."""
    known = record.read_json("vocabulary.json", sha256=str)
    try:
        whole = known is not None and known["sha256"] == sha256(record.vocabulary)
    except OSError:
        whole = False
    if not whole:
        raise RecordError(f"{record.vocabulary}: is not as it was trained; {REMEDY}")
    return vocab.load(record.vocabulary)
