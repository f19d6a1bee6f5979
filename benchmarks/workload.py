"""The work that every contender gets: Multi30k English-German in the project's own word pieces.

    python benchmarks/workload.py --data FOLDER

Writes `.bench/workload/`: the ids of each part and side one after another (int32) with their
offsets (int64), `test.source.txt` and `test.target.txt`, `vocabulary.model`, and `meta.json`, which
comes last. Without --data the files of ../shared/data/multi30k are used where they are, or else
fetched.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from lit_transformer.config import DataConfig
from lit_transformer.data import corpora, translation, vocab

ROOT = Path(__file__).parents[1]
BENCH = ROOT / ".bench"
WORKLOAD = BENCH / "workload"
CACHE = BENCH / "cache"
VOCABULARY_SIZE = 8_000


def data_config(meta: dict[str, Any]) -> DataConfig:
    """The project's own configuration of the same corpus, for contenders that use it."""
    return DataConfig(
        corpus="multi30k",
        source_language="en",
        target_language="de",
        folder=meta["folder"],
        vocabulary_size=meta["vocabulary_size"],
    )


def ensure(folder: Path | None) -> Path:
    """The workload's folder, written if it is not there whole."""
    if not (WORKLOAD / "meta.json").exists():
        write(folder or _beside())
    return WORKLOAD


def write(folder: Path | None) -> None:
    """`folder` holds Multi30k's files; None: they are fetched."""
    WORKLOAD.mkdir(parents=True, exist_ok=True)
    meta: dict[str, Any] = {
        "corpus": "multi30k task 1, en-de, test_2016_flickr",
        "folder": None if folder is None else str(folder.resolve()),
        "vocabulary_size": VOCABULARY_SIZE,
    }
    data = data_config(meta)
    corpus = corpora.prepare(data, CACHE)
    pieces = vocab.train(corpus, data, CACHE)
    shutil.copyfile(pieces.path, WORKLOAD / "vocabulary.model")
    for name in ("pad", "unk", "bos", "eos"):
        meta[name] = getattr(pieces, name)
    for part in corpora.PARTS:
        tokenized = translation.tokenize(corpus, pieces, data, part, CACHE)
        meta[part] = _write_part(tokenized, part)
    test = corpus.parts["test"]
    for side, lines in (("source", test.sources()), ("target", test.targets())):
        (WORKLOAD / f"test.{side}.txt").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    (WORKLOAD / "meta.json").write_text(json.dumps(meta, indent=1))


def _write_part(tokenized: translation.TokenizedPart, part: str) -> dict[str, int]:
    size = len(tokenized)
    sides = {
        "source": (tokenized.source, tokenized.source_lengths),
        "target": (tokenized.target, tokenized.target_lengths),
    }
    for side, (sentence, lengths) in sides.items():
        ids = np.concatenate([sentence(index) for index in range(size)])
        np.save(WORKLOAD / f"{part}.{side}.ids.npy", ids.astype(np.int32))
        offsets = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
        np.save(WORKLOAD / f"{part}.{side}.offsets.npy", offsets)
    return {"pairs": size, **{f"{s}_tokens": int(n.sum()) for s, (_, n) in sides.items()}}


def _beside() -> Path | None:
    folder = ROOT.parent / "shared" / "data" / "multi30k"
    return folder if folder.is_dir() else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="folder of Multi30k's files; fetched without")
    write(parser.parse_args().data or _beside())
    print((WORKLOAD / "meta.json").read_text())


if __name__ == "__main__":
    main()
