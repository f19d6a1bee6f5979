"""Attention maps of a trial's first validation sentences: their files, and a head's numbers.

`attention/maps.safetensors` holds the weights, `maps.json` what they are of. Free of torch, since
reports read them.
"""

# H heads, L layers, S source tokens, T output tokens

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from lit_transformer.record import DAMAGE, REMEDY, Record, RecordError, read_own, write_bytes

FORMAT = 1
"""Raised when a key of maps.json or a tensor is renamed or removed."""
MOST_TOKENS = 100
"""A sentence with more on a side is left out: maps grow with the square."""

Weights = NDArray[np.floating[Any]]
Part = Literal["encoder", "decoder", "cross"]
PARTS: tuple[Part, ...] = get_args(Part)


class Maps(NamedTuple):
    """Weights of each layer and head, a row of sum 1 for each token that looks."""

    encoder_LHSS: Weights | None
    """None: the encoder has no self-attention."""
    decoder_LHTT: Weights | None
    """None: nor has the decoder."""
    cross_LHTS: Weights

    def parts(self) -> dict[Part, Weights]:
        """Those that there are."""
        pairs = zip(PARTS, self, strict=True)
        return {part: weights for part, weights in pairs if weights is not None}


class Sentence(NamedTuple):
    """One sentence, what a model wrote of it, and where every head looked meanwhile."""

    number: int
    """Its line, from 1."""
    source: tuple[str, ...]
    """Pieces that the encoder read, the end mark too."""
    read: tuple[str, ...]
    """Pieces that the decoder read, from the start mark on."""
    written: tuple[str, ...]
    """The piece that the decoder wrote after reading each of these."""
    text: str
    """The output, detokenized, or as a tree in brackets."""
    maps: Maps


class LeftOut(NamedTuple):
    """A sentence without maps."""

    number: int
    reason: str


def labels(sentence: Sentence, part: Part) -> tuple[Sequence[str], Sequence[str]]:
    """What the rows and the columns of a map stand for. A row of the decoder is the piece that is
    being written."""
    return {
        "encoder": (sentence.source, sentence.source),
        "decoder": (sentence.written, sentence.read),
        "cross": (sentence.written, sentence.source),
    }[part]


def entropy(weights_LHTS: Weights) -> Weights:
    """Of a row, in nats, mean over rows -> (L, H). 0: always one token; ln n: all n alike."""
    weights = weights_LHTS.astype(np.float64)
    logarithms = np.log(weights, out=np.zeros_like(weights), where=weights > 0)
    means: Weights = -(weights * logarithms).sum(axis=-1).mean(axis=-1)
    return means


def distance(weights_LHTS: Weights) -> Weights:
    """Tokens from a row's own place to where it looks, mean over its weights and over rows ->
    (L, H). The first row is at the first column's place, so in cross attention this is the distance
    from the diagonal."""
    rows, columns = weights_LHTS.shape[-2:]
    tokens_TS = np.abs(np.arange(rows)[:, None] - np.arange(columns))
    means: Weights = (weights_LHTS * tokens_TS).sum(axis=-1).mean(axis=-1)
    return means


def write(record: Record, observed: Sequence[Sentence | LeftOut]) -> None:
    """The weights first: maps.json is the word that they are there, and holds their checksum."""
    sentences = [one for one in observed if isinstance(one, Sentence)]
    tensors = {
        f"{sentence.number}.{part}": np.ascontiguousarray(weights, np.float16)
        for sentence in sentences
        for part, weights in sentence.maps.parts().items()
    }
    content = save(tensors)
    write_bytes(record.attention / "maps.safetensors", content)
    about = {
        "format": FORMAT,
        "sha256": hashlib.sha256(content).hexdigest(),
        "sentences": [_object(sentence) for sentence in sentences],
        "left_out": [one._asdict() for one in observed if isinstance(one, LeftOut)],
    }
    record.write_json("attention/maps.json", about)


def _object(sentence: Sentence) -> dict[str, Any]:
    about = sentence._asdict()
    maps: Maps = about.pop("maps")
    heads = {
        part: {
            "entropy": entropy(weights).round(4).tolist(),
            "distance": distance(weights).round(4).tolist(),
        }
        for part, weights in maps.parts().items()
    }
    return {**about, "heads": heads}


def read(record: Record) -> list[Sentence]:
    """The sentences in a trial's directory, which holds no links; none where it has no maps.

    RecordError where a file is not as a trial writes it.
    """
    about = record.read_json("attention/maps.json", format=int, sha256=str, sentences=list)
    if about is None:
        return []
    where = record.attention / "maps.safetensors"
    content = read_own(where)
    if content is None or hashlib.sha256(content).hexdigest() != about["sha256"]:
        raise RecordError(f"{where}: missing, or not what maps.json was written for; {REMEDY}")
    try:
        if about["format"] != FORMAT:
            raise ValueError("of another version")
        tensors = load(content)
        return [_sentence(one, tensors) for one in about["sentences"]]
    except (*DAMAGE, SafetensorError):
        where = record.attention / "maps.json"
        raise RecordError(f"{where}: does not describe maps of format {FORMAT}; {REMEDY}") from None


def _sentence(about: Mapping[str, Any], tensors: Mapping[str, Weights]) -> Sentence:
    """ValueError and the like where it is none."""
    number, text = about["number"], about["text"]
    source, read, written = (tuple(about[side]) for side in ("source", "read", "written"))
    words = (text, *source, *read, *written)
    if not isinstance(number, int) or not all(isinstance(word, str) for word in words):
        raise TypeError("not the numbers and texts of a sentence")
    found: dict[str, Weights] = {
        part: tensors[f"{number}.{part}"].astype(np.float32) for part in about["heads"]
    }
    maps = Maps(found.get("encoder"), found.get("decoder"), found["cross"])
    sentence = Sentence(number, source, read, written, text, maps)
    for part, weights in maps.parts().items():
        rows, columns = labels(sentence, part)
        if weights.shape != (*maps.cross_LHTS.shape[:2], len(rows), len(columns)):
            raise ValueError("a map is not as large as its sentence")
        if not weights.size or not ((weights >= 0) & (weights <= 1)).all():
            raise ValueError("a weight is not between 0 and 1")
    return sentence
