"""Tokenized sentence pairs, written once and read through a memory map.

A part is a folder of four raw files: the ids of each side one after another (int32), and where
each sentence begins and ends among them (int64, one more than there are sentences). It is written
in chunks, so that memory does not grow with the corpus.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from lit_transformer.config import DataConfig
from lit_transformer.data.cache import CorpusError, Facts, build_once, key_of
from lit_transformer.data.corpora import Corpus
from lit_transformer.data.trees import is_of_a_word
from lit_transformer.data.vocab import Vocab

LAYOUT = 1
"""Raised when the files or the rules below change, so that old folders are not read."""
CHUNK_PAIRS = 10_000
"""Pairs encoded and written together."""

Ids = NDArray[np.int32]
SIDES = ("source", "target")


@final
class TokenizedPart:
    """Sentence pairs as ids; every sentence ends with the end mark, and lengths count it."""

    def __init__(self, folder: Path, facts: Facts) -> None:
        self._source = _Side(folder, "source", facts["pairs"])
        self._target = _Side(folder, "target", facts["pairs"])
        self.source_lengths = self._source.lengths
        self.target_lengths = self._target.lengths
        self.skipped = facts["skipped"]
        """Training pairs left out because a side has more tokens than training takes."""
        self.cut = facts["cut"]
        """Evaluation sources cut to `data.max_tokens` tokens."""
        self.empty = facts["empty"]
        """Training pairs left out because a side has no text."""

    def __len__(self) -> int:
        return len(self.source_lengths)

    def source(self, index: int) -> Ids:
        return self._source[index]

    def target(self, index: int) -> Ids:
        return self._target[index]


def tokenize(
    corpus: Corpus, vocab: Vocab, data: DataConfig, part: str, cache: Path
) -> TokenizedPart:
    """The part in ids, tokenized once for equal text, vocabulary and limit.

    In training, pairs with a side over `data.max_tokens` or `data.train_longest` are left out; at
    evaluation sources are cut to the first and targets kept whole. Both are counted.
    """
    settings = {
        "corpus": corpus.identity,
        "vocabulary": vocab.checksum,
        "part": part,
        "max_tokens": _limit(data, part),
        "words": data.words,
        "layout": LAYOUT,
    }
    name = f"{corpus.name}-{part}-{key_of(settings)}"
    built = build_once(cache / name, partial(_build, corpus, vocab, data, part))
    return TokenizedPart(*built)


def lengths(corpus: Corpus, vocab: Vocab, data: DataConfig, part: str) -> list[tuple[int, int]]:
    """Tokens of each pair's two sides with the end mark, before anything is cut."""
    return [
        (len(source), len(target))
        for chunk in _chunks(corpus.parts[part].pairs())
        for source, target in _encode(vocab, chunk, data)
    ]


def _limit(data: DataConfig, part: str) -> int:
    return data.longest_trained if part == "train" else data.max_tokens


class _Side:
    """One side of a part, mapped into memory."""

    def __init__(self, folder: Path, name: str, sentences: int) -> None:
        tokens = np.memmap(folder / f"{name}.tokens", dtype=np.int32, mode="r")
        offsets = np.memmap(folder / f"{name}.offsets", dtype=np.int64, mode="r")
        # Plain views: slicing a memmap object costs several times as much.
        self._tokens, self._offsets = tokens.view(np.ndarray), offsets.view(np.ndarray)
        assert len(self._offsets) == sentences + 1
        self.lengths: Ids = np.empty(sentences, dtype=np.int32)
        np.subtract(self._offsets[1:], self._offsets[:-1], out=self.lengths, casting="unsafe")

    def __getitem__(self, index: int) -> Ids:
        if not 0 <= index < len(self.lengths):
            raise IndexError(f"sentence {index} of {len(self.lengths)}")
        return self._tokens[self._offsets[index] : self._offsets[index + 1]]


class _Writer:
    """Appends the sentences of one side to its two files."""

    def __init__(self, folder: Path, name: str) -> None:
        self._files = ExitStack()
        self._tokens = self._files.enter_context((folder / f"{name}.tokens").open("wb"))
        self._offsets = self._files.enter_context((folder / f"{name}.offsets").open("wb"))
        self._end = 0
        self._offsets.write(np.zeros(1, dtype=np.int64).tobytes())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._files.close()

    def write(self, sentences: list[list[int]]) -> None:
        lengths = np.fromiter((len(s) for s in sentences), np.int64, len(sentences))
        ends = self._end + np.cumsum(lengths)
        flat = chain.from_iterable(sentences)
        self._tokens.write(np.fromiter(flat, np.int32, int(lengths.sum())).tobytes())
        self._offsets.write(ends.tobytes())
        self._end += int(lengths.sum())


def _build(corpus: Corpus, vocab: Vocab, data: DataConfig, part: str, folder: Path) -> Facts:
    limit = _limit(data, part)
    facts = {"pairs": 0, "skipped": 0, "cut": 0, "empty": 0}
    with _Writer(folder, "source") as sources, _Writer(folder, "target") as targets:
        for chunk in _chunks(corpus.parts[part].pairs()):
            encoded = _encode(vocab, chunk, data)
            if part == "train":
                kept = [pair for pair in encoded if max(map(len, pair)) <= limit]
                facts["skipped"] += len(encoded) - len(kept)
            else:
                kept = [
                    (_shortened(source, limit, vocab.eos), target) for source, target in encoded
                ]
                facts["cut"] += sum(len(source) > limit for source, _ in encoded)
            sources.write([source for source, _ in kept])
            targets.write([target for _, target in kept])
            facts["pairs"] += len(kept)
    facts["empty"] = corpus.parts[part].counts.empty
    if not facts["pairs"]:
        key = "data.train_longest" if limit == data.train_longest else "data.max_tokens"
        raise CorpusError(
            f"{corpus.name}: every pair of {part} has a side of more than {key}={limit} "
            f"tokens; raise {key}"
        )
    return facts


def _chunks(pairs: Iterator[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    while chunk := list(islice(pairs, CHUNK_PAIRS)):
        yield chunk


def _encode(
    vocab: Vocab, pairs: list[tuple[str, str]], data: DataConfig
) -> list[tuple[list[int], list[int]]]:
    """Both sides of each pair in ids, with the end mark."""
    sources, texts = [source for source, _ in pairs], [target for _, target in pairs]
    targets = vocab.encode(texts) if data.task == "translation" else vocab.encode_symbols(texts)
    if data.words == "copied":
        words = vocab.encode_words(sources)
        targets = [_with_words(*one) for one in zip(texts, targets, words, strict=True)]
    encoded = zip(vocab.encode(sources), targets, strict=True)
    return [([*source, vocab.eos], [*target, vocab.eos]) for source, target in encoded]


def _with_words(text: str, ids: list[int], words: list[list[int]]) -> list[int]:
    """A tree's symbols and their ids, with the pieces of each word before the word's symbol."""
    left, found = iter(words), list[int]()
    for symbol, place in zip(text.split(), ids, strict=True):
        found += [*next(left), place] if is_of_a_word(symbol) else [place]
    return found


def _shortened(source: list[int], limit: int, eos: int) -> list[int]:
    return source if len(source) <= limit else [*source[: limit - 1], eos]
