"""The joint vocabulary of source and target (section 5.1): the only door to sentencepiece."""

import io
import os
import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import final

import sentencepiece

from lit_transformer.config import DataConfig
from lit_transformer.config_io import ConfigError
from lit_transformer.data.cache import CorpusError, Facts, build_once, key_of, sha256
from lit_transformer.data.corpora import Corpus

MODEL = "vocabulary.model"

SAMPLE_PAIRS = 1_000_000
"""Training pairs that sentencepiece sees at most, evenly spaced over the corpus. Its own sampling
(input_sentence_size) draws another sample in every process, whatever the seed."""
TRAINER_THREADS = 4
"""Fixed, since it is written into the model and the order of sums depends on it."""
LONGEST_SENTENCE_BYTES = 2**20
"""sentencepiece leaves out longer sentences in silence; its own limit is 4192."""
QUIET = 2
"""Log level at which sentencepiece prints errors only."""


_SYMBOL = "<|{}|>"
"""The piece of a tree's symbol, which no text is likely to hold."""
_IS_SYMBOL = re.compile(r"<\|(.+)\|>")


@final
class Vocab:
    """A trained vocabulary: text to ids of pieces and back."""

    pad, unk, bos, eos = 0, 1, 2, 3

    def __init__(self, path: Path, processor: sentencepiece.SentencePieceProcessor) -> None:
        self.path = path
        self.checksum = sha256(path)
        self._processor = processor

    def __len__(self) -> int:
        return len(self._processor)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, without start and end marks; an empty text has none."""
        threads = len(os.sched_getaffinity(0))
        ids: list[list[int]] = self._processor.encode(list(texts), num_threads=threads)
        return ids

    def encode_words(self, texts: Sequence[str]) -> list[list[list[int]]]:
        """Ids of each word of texts whose words stand between spaces."""
        words = [text.split() for text in texts]
        ids = iter(self.encode([word for one in words for word in one]))
        return [[next(ids) for _ in one] for one in words]

    def encode_symbols(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of symbols that stand between spaces; those that training did not have are unk."""
        piece = self._processor.piece_to_id
        return [[piece(_SYMBOL.format(word)) for word in text.split()] for text in texts]

    def decode_symbols(self, ids: Sequence[int]) -> list[str]:
        """The symbol of each id; an empty one for what is none."""
        pieces = self._processor.id_to_piece([int(i) for i in ids])
        found = (_IS_SYMBOL.fullmatch(piece) for piece in pieces)
        return [match[1] if match else "" for match in found]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Each id's piece as sentencepiece writes it, "▁" where a word begins; a tree's symbol
        bare."""
        pieces: list[str] = self._processor.id_to_piece([int(i) for i in ids])
        return [_IS_SYMBOL.sub(r"\1", piece) for piece in pieces]

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Plain text of each sequence; pad, bos and eos vanish."""
        return [self._processor.decode([int(i) for i in sequence]) for sequence in ids]


def load(path: Path) -> Vocab:
    """The vocabulary in a model file. CorpusError where it is absent or of another kind."""
    try:
        model = path.read_bytes()
        processor = sentencepiece.SentencePieceProcessor()
        processor.LoadFromSerializedProto(model)
    except OSError as error:
        raise CorpusError(f"{path}: {error.strerror}; train the vocabulary again") from None
    except RuntimeError:
        raise CorpusError(f"{path}: not a sentencepiece model; train it again") from None
    marks = processor.pad_id(), processor.unk_id(), processor.bos_id(), processor.eos_id()
    if marks != (Vocab.pad, Vocab.unk, Vocab.bos, Vocab.eos):
        raise CorpusError(
            f"{path}: pad, unk, bos and eos have the ids {marks}; they must be 0, 1, 2 and 3"
        )
    return Vocab(path, processor)


def train(corpus: Corpus, data: DataConfig, cache: Path) -> Vocab:
    """The vocabulary of the training pairs, both sides; trained once for equal text and settings.

    Where targets are trees, their symbols are pieces of the same vocabulary, as in section 6.3.

    ConfigError where the text cannot give `data.vocabulary_size` pieces.
    """
    settings: dict[str, object] = {
        "corpus": corpus.identity,
        "tokenizer": data.tokenizer,
        "size": data.vocabulary_size,
        "sample": SAMPLE_PAIRS,
        "threads": TRAINER_THREADS,
        "longest": LONGEST_SENTENCE_BYTES,
        "sentencepiece": sentencepiece.__version__,
    }
    name = f"{corpus.name}-{data.tokenizer}-{data.vocabulary_size}-{key_of(settings)}"
    return load(build_once(cache / name, partial(_build, corpus, data)).path / MODEL)


def _build(corpus: Corpus, data: DataConfig, folder: Path) -> Facts:
    model = io.BytesIO()
    failures: list[BaseException] = []
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_sample(corpus, failures),
            model_writer=model,
            model_type=data.tokenizer,
            vocab_size=data.vocabulary_size,
            character_coverage=1.0,
            user_defined_symbols=[_SYMBOL.format(symbol) for symbol in corpus.symbols],
            pad_id=Vocab.pad,
            unk_id=Vocab.unk,
            bos_id=Vocab.bos,
            eos_id=Vocab.eos,
            max_sentence_length=LONGEST_SENTENCE_BYTES,
            num_threads=TRAINER_THREADS,
            minloglevel=QUIET,
        )
    except RuntimeError as error:
        raise failures[0] if failures else _explain(corpus, data, error) from error
    (folder / MODEL).write_bytes(model.getvalue())
    return {"pieces": data.vocabulary_size}


def _sample(corpus: Corpus, failures: list[BaseException]) -> Iterator[str]:
    # sentencepiece turns what is raised here into a RuntimeError; `failures` keeps the original.
    try:
        part = corpus.parts["train"]
        stride = max(1, -(-len(part) // SAMPLE_PAIRS))
        for pair in islice(part.pairs(), 0, None, stride):
            yield from pair[: 1 if corpus.symbols else 2]  # symbols are pieces already
    except BaseException as error:
        failures.append(error)
        raise


def _explain(corpus: Corpus, data: DataConfig, error: RuntimeError) -> ValueError:
    """sentencepiece names the limit that was passed; say it in the project's words."""
    key = f"data.vocabulary_size={data.vocabulary_size}"
    if largest := re.search(r"set it to a value <= (\d+)", str(error)):
        return ConfigError(
            f"{key}: the training text of {corpus.name} has at most {largest[1]} {data.tokenizer} "
            f"pieces; lower data.vocabulary_size to {largest[1]} or less"
        )
    if smallest := re.search(r"smaller than required_chars\. \d+ vs (\d+)", str(error)):
        return ConfigError(
            f"{key}: the training text of {corpus.name} has so many characters that the smallest "
            f"vocabulary is {smallest[1]}; raise data.vocabulary_size to that or more"
        )
    return CorpusError(f"{corpus.name}: sentencepiece cannot train a vocabulary: {error}")
