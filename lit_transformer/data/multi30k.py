"""Multi30k, task 1 (Elliott et al. 2016): raw text, fetched over HTTP or read from a folder."""

import os
from pathlib import Path

from lit_transformer.config import DataConfig
from lit_transformer.data import fetching
from lit_transformer.data.cache import CorpusError, expanded, sha256_once

COMMIT = "a3d2e0d26b56f3846f66a952536ffed4e401d05a"
URL = f"https://raw.githubusercontent.com/multi30k/dataset/{COMMIT}/data/task1/raw/"
URL_VARIABLE = "ABLATE_MULTI30K_URL"
"""Environment variable that names another place which serves the same files."""
REMEDY = "these files, or put them into a folder and name it with data.folder"

LANGUAGES = ("en", "de", "fr")
STEMS = {"train": "train", "valid": "val", "test": "test_2016_flickr"}
SHA256 = {
    "test_2016_flickr.de.gz": "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
    "test_2016_flickr.en.gz": "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
    "test_2016_flickr.fr.gz": "6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90",
    "train.de.gz": "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
    "train.en.gz": "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
    "train.fr.gz": "622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c",
    "val.de.gz": "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
    "val.en.gz": "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
    "val.fr.gz": "ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9",
}


def checksums(data: DataConfig) -> dict[str, str]:
    """The sha256 of each file of the two languages; no file is needed."""
    return {name: SHA256[name] for pair in _names(data).values() for name in pair}


def check(data: DataConfig) -> None:
    """CorpusError where `data.folder` lacks a file, or holds another one of that name."""
    if data.folder is not None:
        _in_folder(data, expanded(data.folder, "data.folder"))


def texts(data: DataConfig, cache: Path) -> dict[str, tuple[Path, Path]]:
    """The two files of each part, from `data.folder` or fetched into the cache."""
    if data.folder is not None:
        return _in_folder(data, expanded(data.folder, "data.folder"))
    folder = cache / "multi30k"
    base = os.environ.get(URL_VARIABLE) or URL
    files = dict(sorted(checksums(data).items()))
    fetching.fetch(base, URL_VARIABLE, files, folder, REMEDY)
    return _paths(data, folder)


def _names(data: DataConfig) -> dict[str, tuple[str, str]]:
    source, target = data.source_language, data.target_language
    return {part: (f"{s}.{source}.gz", f"{s}.{target}.gz") for part, s in STEMS.items()}


def _paths(data: DataConfig, folder: Path) -> dict[str, tuple[Path, Path]]:
    return {part: (folder / s, folder / t) for part, (s, t) in _names(data).items()}


def _in_folder(data: DataConfig, folder: Path) -> dict[str, tuple[Path, Path]]:
    for name, expected in checksums(data).items():
        path = folder / name
        try:
            found = sha256_once(path)
        except OSError as error:
            raise CorpusError(
                f"{path}: {error.strerror}; data.folder must hold {', '.join(checksums(data))}; "
                "without data.folder they are fetched"
            ) from None
        if found != expected:
            raise CorpusError(
                f"{path}: sha256 is {found}, expected {expected}; fetch {URL}{name} again, "
                "or give a corpus of your own with data.corpus=files"
            )
    return _paths(data, folder)
