"""WMT14 through Hugging Face `datasets`: newstest2013 validates, newstest2014 tests.

The rows are streamed once from the hub's parquet files into plain text in the cache.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from lit_transformer.config import DataConfig
from lit_transformer.data.cache import (
    Built,
    CorpusError,
    Facts,
    build_once,
    expanded,
    key_of,
    sha256_once,
)
from lit_transformer.data.text import write_pairs

HUB = "wmt/wmt14"
REVISION = "b199e406369ec1b7634206d3ded5ba45de2fe696"
SPLITS = {"train": "train", "valid": "validation", "test": "test"}

Row = Mapping[str, Mapping[str, str | None]]


def checksums(data: DataConfig) -> dict[str, str]:
    """The hub's pinned revision; the sha256 of each parquet file where `data.folder` is given.

    A local copy is thus a corpus of its own, even if it equals the hub's.
    """
    if data.folder is None:
        return {f"{HUB} {_config(data)}": REVISION}
    return {path.name: _sha256(path) for paths in _parquet(data).values() for path in paths}


def check(data: DataConfig) -> None:
    """CorpusError where the library or a file of `data.folder` is missing."""
    found = find_spec("datasets")
    if found is None or found.origin is None:  # a mere folder of that name has no origin
        raise CorpusError(
            "data.corpus=wmt14 needs the package datasets; install it with: pip install '.[wmt14]'"
        )
    if data.folder is not None:
        _parquet(data)


def texts(data: DataConfig, cache: Path) -> dict[str, tuple[Path, Path]]:
    """The two plain-text files of each part; written on first use."""
    check(data)
    built: Built = build_once(place(data, cache), partial(_write, data))
    source, target = data.source_language, data.target_language
    return {p: (built.path / f"{p}.{source}", built.path / f"{p}.{target}") for p in SPLITS}


def place(data: DataConfig, cache: Path) -> Path:
    """The folder of the texts, whether they are there or not."""
    key = key_of({"checksums": checksums(data), "layout": 1})
    return cache / f"wmt14-{_config(data)}-{key}"


def _config(data: DataConfig) -> str:
    """The hub's name of the language pair, the same for both directions: de-en or fr-en."""
    other = {data.source_language, data.target_language} - {"en"}
    return f"{other.pop()}-en"


def _parquet(data: DataConfig) -> dict[str, list[Path]]:
    assert data.folder is not None
    folder = expanded(data.folder, "data.folder") / _config(data)
    found = {split: sorted(folder.glob(f"{split}-*.parquet")) for split in SPLITS.values()}
    for split, paths in found.items():
        if not paths:
            raise CorpusError(
                f"{folder}: no file {split}-*.parquet; data.folder must have the layout of the "
                f"hub's {HUB}, for example {_config(data)}/{split}-00000-of-00001.parquet"
            )
        if f"-of-{len(paths):05d}.parquet" not in paths[-1].name:
            raise CorpusError(
                f"{folder}: {len(paths)} files {split}-*.parquet, but the last is "
                f"{paths[-1].name}; copy the missing ones"
            )
    return found


def _sha256(path: Path) -> str:
    try:
        return sha256_once(path)
    except OSError as error:
        raise CorpusError(f"{path}: {error.strerror}; correct data.folder") from None


def _rows(data: DataConfig, split: str, scratch: str) -> Iterable[Row]:
    # Imported late: `datasets` is an optional dependency, and slow to import.
    from datasets import load_dataset

    rows: Iterable[Row]
    if data.folder is None:
        rows = load_dataset(
            HUB,
            _config(data),
            revision=REVISION,
            split=split,
            streaming=True,
            cache_dir=scratch,
        )
    else:
        files = {split: [str(path) for path in _parquet(data)[split]]}
        rows = load_dataset(
            "parquet", data_files=files, split=split, streaming=True, cache_dir=scratch
        )
    return rows


def _write(data: DataConfig, folder: Path) -> Facts:
    languages = (data.source_language, data.target_language)
    facts = {}
    for part, split in SPLITS.items():
        source, target = (folder / f"{part}.{language}" for language in languages)
        facts[part] = write_pairs(source, target, _pairs(data, split, languages))
    return facts


def _pairs(data: DataConfig, split: str, languages: tuple[str, str]) -> Iterator[tuple[str, str]]:
    """The pairs with a progress bar; what goes wrong while rows are read is a CorpusError."""
    from tqdm import tqdm  # here, since commands that read no row import this file too

    place = data.folder or f"https://huggingface.co/datasets/{HUB}"
    source, target = languages
    try:
        with TemporaryDirectory() as scratch:
            rows = _rows(data, split, scratch)
            for row in tqdm(rows, desc=f"wmt14 {split}", unit=" pairs", mininterval=1):
                yield row["translation"][source] or "", row["translation"][target] or ""
    except (KeyError, TypeError):
        raise CorpusError(
            f"{place}: a row of {split} lacks translation.{source} or translation.{target}; "
            f"the files must have the columns of {HUB}"
        ) from None
    except Exception as error:  # `datasets` raises what its many backends raise
        raise CorpusError(
            f"{place}: {split} cannot be read: {type(error).__name__}: {error}; try again, or put "
            "the hub's files into a folder and name it with data.folder"
        ) from error
