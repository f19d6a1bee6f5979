"""Treebanks as corpora: sentences as the source, the symbols of their trees as the target.

`treebank` is the user's own, Penn format; `wsj_sample` is the part of the Penn Treebank that NLTK
may pass on (none of it is of section 23); `grammar_trees` are those of the built-in corpus.
"""

import hashlib
import os
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, assert_never

from lit_transformer.config import DataConfig
from lit_transformer.data import fetching, grammar
from lit_transformer.data.cache import (
    CorpusError,
    Facts,
    build_once,
    expanded,
    key_of,
    sha256_once,
)
from lit_transformer.data.text import lines, write_pairs
from lit_transformer.data.trees import Linear, Tree, normalised, read

PARTS = ("train", "valid", "test")
LAYOUT = 1
"""Raised when the files or the rules below change, so that old folders are not read."""


class Draw(NamedTuple):
    """How a part of the generated corpus comes about."""

    trees: int
    seed: int


GRAMMAR_PARTS = {"train": Draw(12_000, 1), "valid": Draw(400, 2), "test": Draw(400, 3)}

WSJ_URL = "https://raw.githubusercontent.com/nltk/nltk_data/gh-pages/packages/corpora/"
WSJ_ZIP = "treebank.zip"
WSJ_REMEDY = "it, or put {} into a folder and name it with data.folder"
WSJ_VARIABLE = "ABLATE_WSJ_SAMPLE_URL"
WSJ_LICENCE = "(C) 1995 Linguistic Data Consortium; for non-commercial use only"
WSJ_FILES = {"train": range(1, 150), "valid": range(150, 170)}
"""Numbers of the files wsj_0001.mrg and so on that make a part."""
WSJ_PACKED = {"train": "train.mrg.gz", "valid": "dev.mrg.gz"}
"""What data.folder may hold instead."""
WSJ_SHA256 = {
    "train": "5267e2783b76005ca460a653809247388d9e998d8c693c7100b6a1774e78bd46",
    "valid": "c7553ecd209ee080160dfa9ebc997d2319d5e708e045664a5a16fa8c1dd00f91",
}
"""Of a part's trees, one a line."""

_SECTIONS = re.compile(r"(\d\d)(?:-(\d\d))?")


class Treebank(NamedTuple):
    """A corpus of trees, written out."""

    texts: dict[str, tuple[Path, Path]]
    """Part -> its sentences, words between spaces, and its trees' symbols, line by line."""
    trees: dict[str, Path]
    """Part -> its trees in brackets, without traces and function tags, line by line."""
    symbols: tuple[str, ...]
    """Every symbol of the training trees."""


def checksums(data: DataConfig) -> dict[str, str]:
    """What identifies the trees, for the digest; see corpora.checksums."""
    match data.corpus:
        case "treebank":
            return {part: _of_all(paths) for part, paths in _files(data).items()}
        case "wsj_sample":
            return {f"wsj_sample/{part}": checksum for part, checksum in WSJ_SHA256.items()}
        case _:
            draws = {part: f"{d.trees} trees, seed {d.seed}" for part, d in GRAMMAR_PARTS.items()}
            return {"grammar": grammar.VERSION, **draws}


def check(data: DataConfig) -> None:
    """Read the user's trees from beginning to end: CorpusError as `trees.read`."""
    if data.corpus == "treebank" or (data.corpus == "wsj_sample" and data.folder is not None):
        for part in _parts(data):
            for _ in _raw(data, part, None):
                pass


def prepare(data: DataConfig, cache: Path) -> Treebank:
    """The treebank's texts, written once for equal trees and symbols."""
    settings = {
        "checksums": checksums(data),
        **form(data),
        "layout": LAYOUT,
    }
    folder = build_once(
        cache / f"{data.corpus}-{key_of(settings)}", partial(_write, data, cache)
    ).path
    parts = _parts(data)
    return Treebank(
        {part: (folder / f"{part}.words", folder / f"{part}.symbols") for part in parts},
        {part: folder / f"{part}.trees" for part in parts},
        tuple(lines(folder / "symbols")),
    )


def form(data: DataConfig) -> dict[str, str]:
    """What, beside the trees themselves, says which pairs are made of them."""
    return {"tags": data.tags, "closing": data.closing, "examples": data.examples}


def linear(data: DataConfig) -> Linear:
    """How this configuration writes trees as symbols."""
    return Linear(
        keeps_tags=data.tags == "kept",
        labels_closing=data.closing == "labelled",
        copies_words=data.words == "copied",
    )


def load(path: Path) -> list[Tree]:
    """The trees of a part, as `prepare` wrote them."""
    return [tree for line in lines(path) for tree in read(line, path)]


def _write(data: DataConfig, cache: Path, folder: Path) -> Facts:
    linearised, facts, symbols = linear(data), Counter[str](), dict[str, None]()
    for part in _parts(data):
        trees = []
        for raw in _raw(data, part, cache):
            tree = normalised(raw)
            if tree is None or tree.word is not None:
                facts["empty"] += 1
            else:
                trees.append(tree)
        if not trees:
            raise CorpusError(f"{data.corpus}: no tree of {part} has words")
        if part == "train":
            trees = _examples(data, trees)
        written = [linearised.symbols(tree) for tree in trees]
        if part == "train":
            symbols = dict.fromkeys(symbol for one in written for symbol in one)
        pairs = (
            (" ".join(tree.words), " ".join(one)) for tree, one in zip(trees, written, strict=True)
        )
        write_pairs(folder / f"{part}.words", folder / f"{part}.symbols", pairs)
        text = "".join(f"{tree}\n" for tree in trees)
        (folder / f"{part}.trees").write_text(text, "utf-8")
        facts[part] = len(trees)
    (folder / "symbols").write_text("".join(f"{symbol}\n" for symbol in sorted(symbols)), "utf-8")
    return facts


def _examples(data: DataConfig, trees: list[Tree]) -> list[Tree]:
    """What is trained on: each different constituent once, in order, where they are wanted."""
    match data.examples:
        case "sentences":
            return trees
        case "constituents":
            found = {str(tree): tree for whole in trees for tree in [whole, *_within(whole)]}
            return [*found.values()]
        case _ as never:
            assert_never(never)


def _within(tree: Tree) -> Iterator[Tree]:
    """Constituents of two words or more. An only child is left out: it has its parent's words."""
    for outer in tree.constituents():
        if len(outer.children) > 1:
            yield from (inner for inner in outer.children if len(inner.words) > 1)


def _of_all(paths: Sequence[Path]) -> str:
    """One checksum of files in their order."""
    return hashlib.sha256("".join(map(sha256_once, paths)).encode()).hexdigest()


def _parts(data: DataConfig) -> list[str]:
    match data.corpus:
        case "treebank":
            return [*_files(data)]
        case "wsj_sample":
            return [*WSJ_FILES]
        case _:
            return [*GRAMMAR_PARTS]


def _raw(data: DataConfig, part: str, cache: Path | None) -> Iterator[Tree]:
    match data.corpus:
        case "treebank":
            for path in _files(data)[part]:
                yield from _trees(path)
        case "wsj_sample":
            yield from _sample(data, part, cache)
        case _:
            yield from _drawn(part)


def _trees(path: Path) -> Iterator[Tree]:
    yield from read("\n".join(lines(path)), path)


def _files(data: DataConfig) -> dict[str, list[Path]]:
    assert data.trees is not None
    given = {part: getattr(data.trees, part) for part in PARTS}
    return {
        part: _found(data, f"data.trees.{part}", text)
        for part, text in given.items()
        if text is not None
    }


def _found(data: DataConfig, key: str, text: str) -> list[Path]:
    sections = _SECTIONS.fullmatch(text)
    if sections is None:
        pattern = expanded(text, key)
        found = sorted(Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor))))
        files = [path for path in found if path.is_file()]
        if not files:
            raise CorpusError(f"{key}={text}: no such file; paths start where the command runs")
        return files
    if data.folder is None:
        raise CorpusError(
            f"{key}={text}: sections need data.folder, the folder that holds 00, 01 and so on"
        )
    first, last = sections[1], sections[2] or sections[1]
    files = []
    for number in range(int(first), int(last) + 1):
        section = expanded(data.folder, "data.folder") / f"{number:02}"
        inside = sorted(section.glob("*.mrg*"))
        if not inside:
            raise CorpusError(f"{key}={text}: {section} holds no .mrg file; correct data.folder")
        files += inside
    return files


def _drawn(part: str) -> Iterator[Tree]:
    """Generated trees; sentences of valid and test occur nowhere else."""
    seen: set[str] = set()
    for name, draw in GRAMMAR_PARTS.items():
        count = 0
        for example in grammar.examples(20 * draw.trees, draw.seed):
            if name != "train" and example.source in seen:
                continue
            seen.add(example.source)
            count += 1
            if name == part:
                yield from read(example.source_tree, Path("grammar"))
            if count == draw.trees:
                break
        assert count == draw.trees, "the grammar repeats itself; lower the sizes"
        if name == part:
            return


def _sample(data: DataConfig, part: str, cache: Path | None) -> Iterator[Tree]:
    """The sample's trees. CorpusError where they are not the known ones."""
    if data.folder is not None:
        path = expanded(data.folder, "data.folder") / WSJ_PACKED[part]
        trees: Iterable[Tree] = _trees(path)
    else:
        assert cache is not None
        base = os.environ.get(WSJ_VARIABLE) or WSJ_URL
        remedy = WSJ_REMEDY.format(" and ".join(WSJ_PACKED.values()))
        fetching.fetch(base, WSJ_VARIABLE, {WSJ_ZIP: None}, cache / "wsj_sample", remedy)
        path = cache / "wsj_sample" / WSJ_ZIP
        trees = _unpacked(path, part)
    digest = hashlib.sha256()
    for tree in trees:
        digest.update(f"{tree}\n".encode())
        yield tree
    if digest.hexdigest() != WSJ_SHA256[part]:
        raise CorpusError(
            f"{path}: its trees of {part} are not those of the sample (sha256 of them, one a line: "
            f"{digest.hexdigest()}, expected {WSJ_SHA256[part]}); remove it and fetch it again, or "
            "use data.corpus=treebank for trees of your own"
        )


def _unpacked(path: Path, part: str) -> Iterator[Tree]:
    try:
        with zipfile.ZipFile(path) as packed:
            for number in WSJ_FILES[part]:
                name = f"treebank/combined/wsj_{number:04}.mrg"
                yield from read(packed.read(name).decode("utf-8"), path / name)
    except (zipfile.BadZipFile, KeyError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: not NLTK's treebank.zip: {error}; fetch it again") from None


def origin(data: DataConfig) -> str:
    """What must be said of the corpus wherever it is named; empty: nothing."""
    match data.corpus:
        case "wsj_sample":
            return (
                "the sample of the Penn Treebank that NLTK has, files 0001 to 0149 for training, "
                f"0150 to 0169 for scores: none is of section 23. {WSJ_LICENCE}"
            )
        case "grammar_trees":
            return (
                "trees of the built-in grammar: no figure compares with those of the Penn Treebank"
            )
        case _:
            return ""
