"""Plain text, one sentence a line, read as a stream: UTF-8, gzip or not.

Only a line feed ends a line. Other characters that Unicode counts as line ends occur inside
sentences of real corpora; splitting there would shift one side against the other.
"""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice, zip_longest
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast, final

from lit_transformer.data.cache import CorpusError

GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARK = "\ufeff"


class Counts(NamedTuple):
    """Pairs that a part hands out, and pairs left out because a side is empty."""

    pairs: int
    empty: int


@final
@dataclass(frozen=True)
class Part:
    """One part of a corpus, streamed from its two files.

    `limit` takes the first n lines only. Where `keep_empty` is False, pairs with an empty side are
    left out and counted; at evaluation every line counts.
    """

    source: Path
    target: Path
    limit: int | None
    keep_empty: bool

    def pairs(self) -> Iterator[tuple[str, str]]:
        """The pairs in order. CorpusError on what cannot be read, and if there is no pair."""
        count = 0
        for source, target in islice(aligned(self.source, self.target), self.limit):
            if self.keep_empty or (source.strip() and target.strip()):
                count += 1
                yield source, target
        if not count:
            raise CorpusError(f"{self.source}, {self.target}: no pair has text on both sides")

    def sources(self) -> list[str]:
        return [source for source, _ in self.pairs()]

    def targets(self) -> list[str]:
        return [target for _, target in self.pairs()]

    @cached_property
    def counts(self) -> Counts:
        """Counted by reading both files once, on first demand."""
        lines = pairs = 0
        for source, target in islice(aligned(self.source, self.target), self.limit):
            lines += 1
            pairs += self.keep_empty or bool(source.strip() and target.strip())
        return Counts(pairs, lines - pairs)

    def __len__(self) -> int:
        return self.counts.pairs


def aligned(source: Path, target: Path) -> Iterator[tuple[str, str]]:
    """The lines of two files side by side. CorpusError where one ends before the other."""
    for one, other in zip_longest(lines(source), lines(target)):
        if one is None or other is None:
            raise CorpusError(
                f"{source} has {_count(source)} lines and {target} has {_count(target)}: "
                "the two sides must have one sentence a line each; put the missing lines back"
            )
        yield one, other


def check_aligned(source: Path, target: Path) -> None:
    """Read both files to their ends: CorpusError as `aligned`. Files that have not changed since
    are not read again."""
    try:
        states = [path.stat() for path in (source, target)]
    except OSError as error:
        raise _unreadable(Path(error.filename), error) from None
    changed = tuple((state.st_ino, state.st_size, state.st_mtime_ns) for state in states)
    _check_aligned(source.resolve(), target.resolve(), changed)


def write_pairs(source: Path, target: Path, pairs: Iterable[tuple[str, str]]) -> int:
    """Write sentences, one a line, to two new files -> how many pairs."""
    count = 0
    with (
        source.open("w", encoding="utf-8", newline="\n") as one,
        target.open("w", encoding="utf-8", newline="\n") as other,
    ):
        for pair in pairs:
            # A line feed inside a sentence would shift one side against the other.
            for file, sentence in zip((one, other), pair, strict=True):
                file.write(sentence.replace("\n", " ") + "\n")
            count += 1
    return count


def lines(path: Path) -> Iterator[str]:
    """The lines of a file without their ends ("\\n" or "\\r\\n").

    CorpusError, with file and line, on bytes that are not UTF-8, on damaged gzip data, on a file
    that is empty, absent or unreadable.
    """
    number = 0
    try:
        with open_bytes(path) as file:
            for raw in file:
                number += 1
                text = raw.decode("utf-8").removesuffix("\n").removesuffix("\r")
                yield text.removeprefix(BYTE_ORDER_MARK) if number == 1 else text
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path}:{number}: byte {error.start + 1} of the line, "
            f"0x{error.object[error.start]:02x}, is not UTF-8; convert the file to UTF-8"
        ) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CorpusError(
            f"{path}:{number + 1}: the gzip data is damaged ({error}); fetch or pack it again"
        ) from None
    except OSError as error:
        raise _unreadable(path, error) from None
    if not number:
        raise CorpusError(f"{path}: the file is empty; it must have one sentence a line")


def open_bytes(path: Path) -> BinaryIO:
    """The file's text as bytes: unpacked if it begins as gzip does, or is named .gz."""
    file = path.open("rb")
    start = file.peek(len(GZIP_MAGIC))[: len(GZIP_MAGIC)]
    if start != GZIP_MAGIC and not (path.suffix == ".gz" and start):
        return file
    file.close()
    return cast(BinaryIO, gzip.open(path, "rb"))


@lru_cache(maxsize=256)
def _check_aligned(source: Path, target: Path, _changed: tuple[tuple[int, ...], ...]) -> None:
    for _ in aligned(source, target):
        pass


def _unreadable(path: Path, error: OSError) -> CorpusError:
    return CorpusError(f"{path}: {error.strerror}; correct the path or its permissions")


def _count(path: Path) -> int:
    return sum(1 for _ in lines(path))
