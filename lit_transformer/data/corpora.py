"""Corpora: where the text comes from, what identifies it, and its parts as streams of pairs.

`files` is the user's own text; `grammar` is generated, `multi30k` and `wmt14` are fetched once
into a cache or read from `data.folder`. Corpora of trees are in treebank.py.
"""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, assert_never

from lit_transformer.config import DataConfig, FilePair
from lit_transformer.data import grammar, multi30k, treebank, wmt14
from lit_transformer.data.cache import (
    MANIFEST,
    CorpusError,
    Facts,
    build_once,
    expanded,
    key_of,
    sha256_once,
)
from lit_transformer.data.text import Part, check_aligned, write_pairs

__all__ = [
    *("PARTS", "Corpus", "CorpusError", "Part", "at_hand", "check", "checksums"),
    *("is_generated", "is_private", "prepare"),
]

PARTS = ("train", "valid", "test")


class Draw(NamedTuple):
    """How a part of the generated corpus comes about."""

    pairs: int
    seed: int


GRAMMAR_PARTS = {"train": Draw(16_000, 1), "valid": Draw(500, 2), "test": Draw(500, 3)}
GRAMMAR_DRAWS_PER_PAIR = 20
"""Examples drawn at most for one evaluation pair whose source is new."""


class Corpus(NamedTuple):
    """The parts of a corpus. `identity` stands for their text, in this direction and length."""

    name: str
    identity: str
    parts: dict[str, Part]
    symbols: tuple[str, ...] = ()
    """What targets are made of, where they are trees; empty: text."""
    trees: Mapping[str, Path] = MappingProxyType({})
    """Part -> its trees in brackets, line by line."""


def checksums(data: DataConfig) -> dict[str, str]:
    """What identifies the corpus's text, for the digest.

    Declared for named corpora, so that no file is needed; computed from the bytes of the user's
    files, and of a local copy of wmt14. CorpusError where such a file cannot be read.
    """
    _check_languages(data)
    match data.corpus:
        case "files":
            return {name: _sha256(path) for name, path in _user_files(data).items()}
        case "grammar":
            draws = {part: f"{d.pairs} pairs, seed {d.seed}" for part, d in GRAMMAR_PARTS.items()}
            return {"grammar": grammar.VERSION, **draws}
        case "multi30k":
            return multi30k.checksums(data)
        case "wmt14":
            return wmt14.checksums(data)
        case "treebank" | "wsj_sample" | "grammar_trees":
            return treebank.checksums(data)
        case _ as never:
            assert_never(never)


def title(data: DataConfig) -> str:
    """`multi30k en-de`, `wsj_sample`."""
    match data.task:
        case "translation":
            return f"{data.corpus} {data.source_language}-{data.target_language}"
        case "parsing":
            return data.corpus
        case _ as never:
            assert_never(never)


def origin(data: DataConfig) -> str:
    """What must be said of the corpus wherever it is named, its licence; empty: nothing."""
    return treebank.origin(data)


def check(data: DataConfig) -> None:
    """Find what would fail, before any training: CorpusError with the remedy.

    The user's files are read once from beginning to end. Nothing is fetched.
    """
    _check_languages(data)
    if data.folder is not None and data.corpus in ("files", "grammar", "grammar_trees"):
        raise CorpusError(
            f"data.folder={data.folder}: data.corpus={data.corpus} reads no folder; remove it"
        )
    match data.corpus:
        case "files":
            _check_user_files(data)
        case "grammar":
            pass
        case "multi30k":
            multi30k.check(data)
        case "wmt14":
            wmt14.check(data)
        case "treebank" | "wsj_sample" | "grammar_trees":
            treebank.check(data)
        case _ as never:
            assert_never(never)


def has_test(data: DataConfig) -> bool:
    """Whether the corpus has a test part."""
    match data.corpus:
        case "files":
            return data.files is not None and data.files.test is not None
        case "treebank":
            return data.trees is not None and data.trees.test is not None
        case "wsj_sample":
            return False
        case "grammar" | "grammar_trees" | "multi30k" | "wmt14":
            return True
        case _ as never:
            assert_never(never)


def prepare(data: DataConfig, cache: Path) -> Corpus:
    """The corpus, fetched or generated into `cache` where need be. Safe in several processes."""
    identity = key_of(
        {
            "corpus": data.corpus,
            "checksums": checksums(data),
            "languages": [data.source_language, data.target_language],
            "train_sentences": data.train_sentences,
            **(treebank.form(data) if data.task == "parsing" else {}),
        }
    )
    match data.task:
        case "translation":
            name: str = data.corpus
            if name != "files":  # whose languages may be any text
                name = f"{name}-{data.source_language}-{data.target_language}"
            return Corpus(name, identity, _as_parts(data, _texts(data, cache)))
        case "parsing":
            made = treebank.prepare(data, cache)
            parts = _as_parts(data, made.texts)
            return Corpus(data.corpus, identity, parts, made.symbols, made.trees)
        case _ as never:
            assert_never(never)


def is_generated(data: DataConfig) -> bool:
    """Whether the code itself writes the text, the same wherever it runs."""
    return data.corpus in ("grammar", "grammar_trees")


def is_private(data: DataConfig) -> bool:
    """Whether what a model writes may show text that only its user has.

    Translations of the public corpora's sentences are the model's; trees hold the words of the
    sentences themselves.
    """
    match data.corpus:
        case "files" | "treebank" | "wsj_sample":
            return True
        case "grammar" | "grammar_trees" | "multi30k" | "wmt14":
            return False
        case _ as never:
            assert_never(never)


def at_hand(data: DataConfig, cache: Path) -> DataConfig | None:
    """The same corpus as `prepare` has it without a network; None where it would have to fetch."""
    if data.folder is not None:
        return data
    match data.corpus:
        case "files" | "grammar" | "grammar_trees" | "treebank":
            return data
        case "multi30k":
            folder = cache / "multi30k"
            there = all((folder / name).is_file() for name in multi30k.checksums(data))
            return data.model_copy(update={"folder": str(folder)}) if there else None
        case "wsj_sample":
            return data if (cache / "wsj_sample" / treebank.WSJ_ZIP).is_file() else None
        case "wmt14":
            return data if (wmt14.place(data, cache) / MANIFEST).is_file() else None
        case _ as never:
            assert_never(never)


def _as_parts(data: DataConfig, texts: Mapping[str, tuple[Path, Path]]) -> dict[str, Part]:
    parts = {}
    for part, (source, target) in texts.items():
        training = part == "train"
        limit = data.train_sentences if training else None
        parts[part] = Part(source, target, limit, keep_empty=not training)
    return parts


def _texts(data: DataConfig, cache: Path) -> dict[str, tuple[Path, Path]]:
    match data.corpus:
        case "files":
            paths = _user_files(data)
            present = [part for part in PARTS if f"{part}.source" in paths]
            return {part: (paths[f"{part}.source"], paths[f"{part}.target"]) for part in present}
        case "grammar":
            return _grammar_texts(cache)
        case "multi30k":
            return multi30k.texts(data, cache)
        case "wmt14":
            return wmt14.texts(data, cache)
        case _:
            raise AssertionError(data.corpus)


def _check_languages(data: DataConfig) -> None:
    pair = data.source_language, data.target_language
    match data.corpus:
        case "files" | "treebank" | "wsj_sample" | "grammar_trees":
            return
        case "grammar":
            allowed = [("en", "de")]
        case "multi30k":
            allowed = list(itertools.permutations(multi30k.LANGUAGES, 2))
        case "wmt14":
            allowed = [("en", "de"), ("de", "en"), ("en", "fr"), ("fr", "en")]
        case _ as never:
            assert_never(never)
    if pair not in allowed:
        raise CorpusError(
            f"data.source_language={pair[0]}, data.target_language={pair[1]}: {data.corpus} has "
            f"{', '.join(f'{source} to {target}' for source, target in allowed)}"
        )


def _user_files(data: DataConfig) -> dict[str, Path]:
    """`train.source`, `train.target`, ... -> path."""
    assert data.files is not None
    pairs: dict[str, FilePair | None] = {part: getattr(data.files, part) for part in PARTS}
    paths = {}
    for part, pair in pairs.items():
        if pair is not None:
            paths[f"{part}.source"] = expanded(pair.source, "data.files")
            paths[f"{part}.target"] = expanded(pair.target, "data.files")
    return paths


def _sha256(path: Path) -> str:
    try:
        if not path.is_file() and not path.is_dir() and path.exists():  # it may have no end
            raise CorpusError(f"{path}: no regular file; write the text to one")
        return sha256_once(path)
    except OSError as error:
        raise CorpusError(f"{path}: {error.strerror}; correct the path in data.files") from None


def _check_user_files(data: DataConfig) -> None:
    paths = _user_files(data)
    for part in PARTS:
        if f"{part}.source" in paths:
            check_aligned(paths[f"{part}.source"], paths[f"{part}.target"])


def _grammar_texts(cache: Path) -> dict[str, tuple[Path, Path]]:
    draws = {part: list(draw) for part, draw in GRAMMAR_PARTS.items()}
    key = key_of({"version": grammar.VERSION, "draws": draws})
    folder = build_once(cache / f"grammar-{key}", _write_grammar).path
    return {part: (folder / f"{part}.en", folder / f"{part}.de") for part in PARTS}


def _write_grammar(folder: Path) -> Facts:
    seen: set[str] = set()
    facts = {}
    for part, draw in GRAMMAR_PARTS.items():
        pairs = _training(draw, seen) if part == "train" else _unseen(draw, seen)
        facts[part] = write_pairs(folder / f"{part}.en", folder / f"{part}.de", pairs)
        assert facts[part] == draw.pairs, "the grammar repeats itself; lower the sizes"
    return facts


def _training(draw: Draw, seen: set[str]) -> Iterator[tuple[str, str]]:
    for example in grammar.examples(draw.pairs, draw.seed):
        seen.add(example.source)
        yield example.source, example.target


def _unseen(draw: Draw, seen: set[str]) -> Iterator[tuple[str, str]]:
    """Pairs whose source occurs neither in training nor earlier in an evaluation part."""
    drawn = grammar.examples(draw.pairs * GRAMMAR_DRAWS_PER_PAIR, draw.seed)
    found = 0
    for example in drawn:
        if found == draw.pairs:
            return
        if example.source not in seen:
            found += 1
            seen.add(example.source)
            yield example.source, example.target
