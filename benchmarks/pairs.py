"""Reading a workload and cutting it into batches, with numpy alone: for every peer.

A batch is an array of indices of pairs. Ids end with the end mark, and lengths count it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Table = NDArray[np.int64]


def meta(workload: Path) -> dict[str, Any]:
    """What workload.py noted: vocabulary_size, pad, unk, bos, eos, sizes, corpus."""
    content: dict[str, Any] = json.loads((workload / "meta.json").read_text())
    return content


class Side:
    """The sentences of one language: `side[i]` is an array of ids."""

    def __init__(self, workload: Path, part: str, side: str) -> None:
        self.ids = np.load(workload / f"{part}.{side}.ids.npy", mmap_mode="r")
        self.offsets = np.load(workload / f"{part}.{side}.offsets.npy")
        self.lengths: Indices = np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> NDArray[np.int32]:
        return np.asarray(self.ids[self.offsets[index] : self.offsets[index + 1]])


class Part(NamedTuple):
    source: Side
    target: Side


def read(workload: Path, part: str) -> Part:
    """`train`, `valid` or `test`."""
    return Part(Side(workload, part, "source"), Side(workload, part, "target"))


def bucketed(part: Part, tokens: int, seed: int) -> Iterator[Indices]:
    """Batches without end: pairs sorted by length within an epoch, at most `tokens` real tokens on
    each side, in random order."""
    generator = np.random.default_rng(seed)
    while True:
        shuffled = generator.permutation(len(part.source))
        keys = part.source.lengths[shuffled], part.target.lengths[shuffled]
        batches = list(cut(part, shuffled[np.lexsort(keys)], tokens))
        for place in generator.permutation(len(batches)):
            yield batches[place]


def unsorted(part: Part, sentences: int, seed: int) -> Iterator[Indices]:
    """Batches without end: the next `sentences` pairs of a random order, as DataLoader cuts it."""
    generator = np.random.default_rng(seed)
    while True:
        shuffled = generator.permutation(len(part.source))
        for start in range(0, len(shuffled) - sentences + 1, sentences):
            yield shuffled[start : start + sentences]


def cut(part: Part, order: Indices, tokens: int) -> Iterator[Indices]:
    """Consecutive pieces of `order` with at most `tokens` real tokens on each side."""
    start = sources = targets = 0
    for place, index in enumerate(order):
        sources += int(part.source.lengths[index])
        targets += int(part.target.lengths[index])
        if max(sources, targets) > tokens and place > start:
            yield order[start:place]
            start = place
            sources, targets = int(part.source.lengths[index]), int(part.target.lengths[index])
    yield order[start:]


def padded(side: Side, indices: Indices, pad: int, first: int | None) -> Table:
    """int64 (sentences, longest). With `first`, each row begins with it and loses its last id."""
    table = np.full((len(indices), int(side.lengths[indices].max())), pad, dtype=np.int64)
    for row, index in enumerate(indices):
        ids = side[int(index)]
        if first is None:
            table[row, : len(ids)] = ids
        else:
            table[row, 0] = first
            table[row, 1 : len(ids)] = ids[:-1]
    return table


def counts(part: Part, indices: Indices) -> dict[str, int]:
    """What a step says of its batch: pairs, real tokens of each side, padded target slots."""
    lengths = part.target.lengths[indices]
    return {
        "pairs": len(indices),
        "tokens": int(lengths.sum()),
        "source_tokens": int(part.source.lengths[indices].sum()),
        "slots": int(lengths.max()) * len(indices),
    }


class Words(NamedTuple):
    """Files in which each id is a word, for toolkits that read text."""

    source: Path
    target: Path
    vocabulary: Path


def write_words(workload: Path, folder: Path, marks: list[str], source_end: str) -> Words:
    """The training part as text. `marks` are the toolkit's names of unk, pad, bos and eos.

    No target has its end mark, since toolkits add it; each source gets `source_end`.
    """
    facts = meta(workload)
    ids = [facts[key] for key in ("unk", "pad", "bos", "eos")]
    known = dict(zip(ids, marks, strict=True))
    names = [known.get(i, f"w{i}") for i in range(facts["vocabulary_size"])]
    part = read(workload, "train")
    words = Words(folder / "train.source", folder / "train.target", folder / "vocabulary")
    sides = ((part.source, words.source, source_end), (part.target, words.target, ""))
    for side, file, end in sides:
        lines = (" ".join(names[i] for i in side[row][:-1]) for row in range(len(side)))
        file.write_text("".join(f"{line}{end}\n" for line in lines))
    plain = [name for name in names if name not in marks]
    words.vocabulary.write_text("".join(f"{name}\n" for name in (*marks, *plain)))
    return words
