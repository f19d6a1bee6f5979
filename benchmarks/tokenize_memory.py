"""Peak memory of reading, counting and tokenizing a large synthetic corpus.

    python benchmarks/tokenize_memory.py --pairs 1000000

Each stage runs in a process of its own, whose peak resident memory is printed in MiB, beside that
of a process which only imports the project. Mapped files count while they are in memory.
"""

import argparse
import multiprocessing
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from lit_transformer.config import DataConfig, FilePair, FilesConfig
from lit_transformer.data import corpora, translation, vocab
from lit_transformer.data.text import write_pairs

WORDS = 20_000
WORDS_PER_SENTENCE = (5, 45)


def synthetic(pairs: int) -> Iterator[tuple[str, str]]:
    """Sentences of invented words, whose frequencies fall as in Zipf's law."""
    generator = random.Random(0)
    letters = "abcdefghijklmnopqrstuvwxyzäöüß"
    words = ["".join(generator.choices(letters, k=generator.randint(2, 12))) for _ in range(WORDS)]
    weights = np.cumsum(1 / np.arange(1, WORDS + 1)).tolist()
    for _ in range(pairs):
        sides = (generator.randint(*WORDS_PER_SENTENCE) for _ in range(2))
        source, target = (generator.choices(words, cum_weights=weights, k=k) for k in sides)
        yield " ".join(source), " ".join(target)


def imports(data: DataConfig, cache: Path) -> str:
    return ""


def check(data: DataConfig, cache: Path) -> str:
    corpora.check(data)
    return f"{len(corpora.prepare(data, cache).parts['train']):,} pairs"


def vocabulary(data: DataConfig, cache: Path) -> str:
    made = vocab.train(corpora.prepare(data, cache), data, cache)
    return f"{len(made):,} pieces"


def tokenize(data: DataConfig, cache: Path) -> str:
    corpus = corpora.prepare(data, cache)
    part = translation.tokenize(corpus, vocab.train(corpus, data, cache), data, "train", cache)
    return f"{len(part):,} pairs kept, {part.skipped:,} over the limit"


def read(data: DataConfig, cache: Path) -> str:
    corpus = corpora.prepare(data, cache)
    part = translation.tokenize(corpus, vocab.train(corpus, data, cache), data, "train", cache)
    tokens = int(part.source_lengths.sum()) + int(part.target_lengths.sum())
    for i in np.random.default_rng(0).integers(len(part), size=100_000):
        part.source(int(i)).sum()
    return f"{tokens:,} tokens, 100,000 sentences read at random"


Stage = Callable[[DataConfig, Path], str]


def measure(stage: Stage, data: DataConfig, cache: Path) -> None:
    start = time.monotonic()
    said = stage(data, cache)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = time.monotonic() - start
    print(f"{stage.__name__:<12}{peak:8,.0f} MiB {seconds:8.1f} s   {said}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, required=True)
    pairs: int = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train = FilePair(source=str(folder / "train.source"), target=str(folder / "train.target"))
        write_pairs(Path(train.source), Path(train.target), synthetic(pairs))
        data = DataConfig(
            corpus="files", files=FilesConfig(train=train, valid=train), vocabulary_size=8_000
        )
        size = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
        print(f"{pairs:,} pairs, {size:,.0f} MiB of text")
        context = multiprocessing.get_context("spawn")
        for stage in (imports, check, vocabulary, tokenize, read):
            process = context.Process(target=measure, args=(stage, data, folder / "cache"))
            process.start()
            process.join()
            if process.exitcode:
                raise SystemExit(f"{stage.__name__} failed")


if __name__ == "__main__":
    main()
