"""Checkpoints as data: tensors and plain values, whole or absent, checked before use.

Lightning's own saving goes through $TMPDIR and is not atomic across file systems, and it loads a
flipped bit without a word. Here a checkpoint is written beside its place, flushed and renamed; its
checksum lies in a `.sha256` file; loading never unpickles code.
"""

import hashlib
import logging
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, final

import numpy as np
import torch
from lightning_fabric.plugins.io.checkpoint_io import CheckpointIO
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from lit_transformer.record import replacing, write_bytes

KEPT = 2
"""Checkpoints to resume from that are kept: the newest, and one to fall back on."""

logger = logging.getLogger(__name__)


def step_file(folder: Path, step: int, suffix: str) -> Path:
    return folder / f"step-{step:09d}{suffix}"


@final
class HashedFile:
    """What `torch.save` writes to: a file, and the checksum of all that went into it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._sha256 = file, hashlib.sha256()

    def write(self, content: bytes) -> int:
        self._sha256.update(content)
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()

    @property
    def checksum(self) -> str:
        return self._sha256.hexdigest()


def write_checked(path: Path, write: Callable[[HashedFile], object]) -> None:
    """A file with its checksum. The checksum takes its place first, so no file is without one.

    `write` hands the content on piece by piece, so that it is never in memory a second time.
    """
    with replacing(path) as file:
        hashed = HashedFile(file)
        write(hashed)
        line = f"{hashed.checksum}  {path.name}\n"
        write_bytes(path.with_name(path.name + ".sha256"), line.encode())


def is_whole(path: Path) -> bool:
    """Whether a file has the content that its checksum names."""
    try:
        expected = path.with_name(path.name + ".sha256").read_text("ascii").split()[0]
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == expected
    except (OSError, IndexError, UnicodeDecodeError):
        return False


def newest_whole(folder: Path, mean: Sequence[int] = ()) -> Path | None:
    """The newest checkpoint that is whole, and up to it every snapshot of the updates in `mean`;
    what is broken is named in the log."""
    snapshots = (step_file(folder, step, ".safetensors") for step in sorted(mean))
    broken = next((file for file in snapshots if not is_whole(file)), None)  # or still to come
    for path in sorted(folder.glob("step-*.ckpt"), reverse=True):
        if broken is not None and path.stem >= broken.stem:
            logger.warning("%s is not whole; going back to before it", broken.name)
        elif is_whole(path):
            return path
        else:
            logger.warning("%s does not match its checksum; trying the one before it", path.name)
    return None


def drop_old(folder: Path, keep: int) -> None:
    """Delete all but the newest `keep` checkpoints."""
    for path in sorted(folder.glob("step-*.ckpt"), reverse=True)[keep:]:
        remove(path)


def remove(path: Path) -> None:
    """Delete a file and its checksum."""
    path.unlink(missing_ok=True)
    path.with_name(path.name + ".sha256").unlink(missing_ok=True)


@final
class AtomicCheckpointIO(CheckpointIO):
    """What Lightning's trainer saves and loads through."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        write_checked(Path(path), lambda file: torch.save(checkpoint, file))  # type: ignore[arg-type]

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
        assert isinstance(loaded, dict)
        return loaded

    def remove_checkpoint(self, path: str | Path) -> None:
        remove(Path(path))


def save_weights(model: nn.Module, path: Path) -> None:
    """A model's parameters as safetensors, with their checksum."""
    save_tensors(model.state_dict(), path)


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    content = save({name: value.contiguous() for name, value in tensors.items()})
    write_checked(path, lambda file: file.write(content))


def load_weights(path: Path) -> dict[str, Tensor]:
    """Parameters by name. ValueError where the file is not what was written."""
    if not is_whole(path):
        raise ValueError(f"{path}: does not match its checksum; train the run again")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path}: no safetensors file ({error}); train the run again") from None


def remove_tree(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def random_state() -> dict[str, Any]:
    """State of every generator that training may draw from, as tensors and plain values."""
    version, words, gauss = random.getstate()
    numpy_state = np.random.get_state(legacy=False)
    assert isinstance(numpy_state, dict)
    return {
        "python": [version, list(words), gauss],
        "numpy": {
            **numpy_state,
            "state": {**numpy_state["state"], "key": numpy_state["state"]["key"].tolist()},
        },
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def restore_random_state(state: Mapping[str, Any]) -> None:
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    inner = state["numpy"]["state"]
    key = np.array(inner["key"], dtype=np.uint32)
    np.random.set_state({**state["numpy"], "state": {**inner, "key": key}})
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"])
