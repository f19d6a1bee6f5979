"""What was measured, as a line file that a kill cannot spoil and a further run goes on with."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, assert_never, final

from lit_transformer.complexity.cells import Cell, Terms
from lit_transformer.record import RecordError, append_line, mend_lines, read_lines

FILE = "cells.jsonl"
Kind = Literal["run", "path", "cell"]
"""Of a line: a command with its commit, one layer type at one length, one cell."""
Reason = Literal["memory", "time"]


class LeftOut(NamedTuple):
    """Why a cell was not run, and what it was estimated to take: bytes or seconds."""

    reason: Reason
    estimate: float

    @property
    def words(self) -> str:
        match self.reason:
            case "memory":
                return f"about {self.estimate / 2**30:.1f} GiB of memory"
            case "time":
                return f"about {self.estimate:.1f} s"
            case _ as never:
                assert_never(never)


@final
class Results:
    """One folder's file: its first line says where and of what was measured."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def begin(self, terms: Terms, environment: Mapping[str, Any]) -> None:
        """RecordError where the file is of another machine, version or size of layers."""
        mend_lines(self.path)
        wanted: dict[str, dict[str, Any]] = {
            "terms": terms._asdict(),
            "environment": dict(environment),
        }
        found = next(read_lines(self.path), None)
        if found is None:
            append_line(self.path, wanted)
            return
        for part, mine in wanted.items():
            theirs = found.get(part)
            theirs = theirs if isinstance(theirs, dict) else {}
            for name, value in mine.items():
                if theirs.get(name) != value:
                    raise RecordError(
                        f"{self.path}: was measured with {name} {theirs.get(name)}, and now it is "
                        f"{value}; choose another --out, or remove the file to measure anew"
                    )

    def add(self, kind: Kind, content: Mapping[str, Any]) -> None:
        append_line(self.path, {kind: dict(content)})

    def lines(self, kind: Kind) -> Iterator[dict[str, Any]]:
        for line in read_lines(self.path):
            if isinstance(line.get(kind), dict):
                yield line[kind]

    def tell(self, command: str, commit: str) -> None:
        """What goes on here, and with which code."""
        self.add("run", {"command": command, "commit": commit})

    def header(self) -> dict[str, Any]:
        found = next(read_lines(self.path, terms=dict, environment=dict), None)
        if found is None:
            raise RecordError(f"{self.path}: nothing is measured there yet")
        return found

    def measured(self) -> dict[Cell, dict[str, Any]]:
        """Cells that were run, the last time of each."""
        return {cell_of(one): one for one in self.lines("cell") if "training_s" in one}

    def left_out(self) -> dict[Cell, LeftOut]:
        """Cells that were not, as they were last told."""
        done = self.measured()
        found = {
            cell_of(one): LeftOut(one["left_out"], one["estimate"])
            for one in self.lines("cell")
            if "left_out" in one
        }
        return {cell: why for cell, why in found.items() if cell not in done}

    def paths(self) -> dict[tuple[str, int], dict[str, Any]]:
        return {(one["layer"], one["length"]): one for one in self.lines("path")}


def cell_of(line: Mapping[str, Any]) -> Cell:
    return Cell(line["layer"], line["length"], line["width"])
