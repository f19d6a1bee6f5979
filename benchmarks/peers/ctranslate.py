# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy==2.4.6", "ctranslate2==4.8.5", "safetensors==0.8.0"]
# ///
"""CTranslate2, a C++ engine, in float32 with the same weights.

Its table of positions holds sine and cosine in turn. Its tokens are words: ids are turned into
words before the clock starts, and back while it runs. It stops when the best of all has ended, or
when as many hypotheses have ended as there are beams.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ctranslate2
import numpy as np
from ctranslate2.specs import TransformerSpec
from ctranslate2.specs.attention_spec import MultiHeadAttentionSpec
from ctranslate2.specs.common_spec import Activation, LayerNormSpec, LinearSpec
from numpy.typing import NDArray
from safetensors.numpy import load_file
from sources import HYPOTHESES, Sources, in_batches, layer_names, sinusoids, sizes

POSITIONS = 512
MARKS = {"pad": "<pad>", "unk": "<unk>", "bos": "<s>", "eos": "</s>"}
Weights = dict[str, NDArray[np.float32]]


def words_of(meta: dict[str, Any]) -> list[str]:
    """Each id's word."""
    words = [f"w{i}" for i in range(meta["vocabulary_size"])]
    for name, word in MARKS.items():
        words[meta[name]] = word
    return words


def convert(meta: dict[str, Any], file: Path, folder: Path) -> None:
    """Write the model in CTranslate2's own form."""
    weights, model = load_file(file), sizes(file)
    spec = TransformerSpec.from_config(
        model["layers"], model["heads"], pre_norm=False, activation=Activation.RELU
    )
    table = weights["embedding.weight"]
    for side, stack in (("encoder", spec.encoder), ("decoder", spec.decoder)):
        embeddings = stack.embeddings[0] if side == "encoder" else stack.embeddings
        embeddings.weight = table
        stack.scale_embeddings = True
        stack.position_encodings.encodings = sinusoids(POSITIONS, model["d_model"])
        for place, layer in enumerate(stack.layer):
            _fill(layer, weights, side, place)
    spec.decoder.projection.weight = table
    spec.register_source_vocabulary(words_of(meta))
    spec.register_target_vocabulary(words_of(meta))
    spec.config.bos_token, spec.config.eos_token = MARKS["bos"], MARKS["eos"]
    spec.config.unk_token, spec.config.decoder_start_token = MARKS["unk"], MARKS["bos"]
    spec.validate()
    spec.save(str(folder))


def _fill(layer: Any, weights: Weights, side: str, place: int) -> None:
    last = 0
    for kind, name, residual in layer_names(side, place):
        attention = layer.self_attention if kind == "self" else layer.attention
        _attention(attention, weights, name)
        _norm(attention.layer_norm, weights, f"{side}.{place}.residuals.{residual}.norm")
        last = residual + 1
    for linear, ours in ((layer.ffn.linear_0, "inner"), (layer.ffn.linear_1, "outer")):
        _linear(linear, weights, f"{side}.{place}.feed_forward.{ours}")
    _norm(layer.ffn.layer_norm, weights, f"{side}.{place}.residuals.{last}.norm")


def _attention(spec: MultiHeadAttentionSpec, weights: Weights, name: str) -> None:
    inputs = ("queries_keys_values", "queries", "keys_values")
    parts = [f"{name}.{part}" for part in inputs if f"{name}.{part}.weight" in weights]
    parts.append(f"{name}.attention.output")
    for linear, part in zip(spec.linear, parts, strict=True):
        _linear(linear, weights, part)


def _linear(spec: LinearSpec, weights: Weights, name: str) -> None:
    spec.weight = weights[f"{name}.weight"]
    if f"{name}.bias" in weights:
        spec.bias = weights[f"{name}.bias"]


def _norm(spec: LayerNormSpec, weights: Weights, name: str) -> None:
    spec.gamma, spec.beta = weights[f"{name}.weight"], weights[f"{name}.bias"]


class Decoding:
    def __init__(self, workload: Path, weights: Path, threads: int) -> None:
        self.sources = Sources(workload)
        meta = self.sources.meta
        self.words = words_of(meta)
        self.ids = {word: i for i, word in enumerate(self.words)}
        self.texts = {tuple(ids): [self.words[i] for i in ids] for ids in self._all()}
        with TemporaryDirectory() as folder:
            convert(meta, weights, Path(folder))
            self.translator = ctranslate2.Translator(
                folder,
                compute_type="float32",
                inter_threads=1,
                intra_threads=threads,
            )

    def translate(self, first: int, count: int, beam: int) -> list[list[int]]:
        found = in_batches(
            self.sources.ids(first, count),
            max(1, HYPOTHESES // beam),
            lambda sources, longest: self.generate(sources, longest, beam),
        )
        return [self.sources.plain(ids) for ids in found]

    def generate(self, sources: list[list[int]], longest: int, beam: int) -> Sequence[list[int]]:
        out = self.translator.translate_batch(
            [self.texts[tuple(ids)] for ids in sources],
            beam_size=beam,
            length_penalty=0.0,
            max_decoding_length=longest,
            max_input_length=0,
            suppress_sequences=[[MARKS["pad"]], [MARKS["bos"]]],
        )
        return [[self.ids[word] for word in result.hypotheses[0]] for result in out]

    def _all(self) -> list[list[int]]:
        return self.sources.ids(0, self.sources.meta["test"]["pairs"])
