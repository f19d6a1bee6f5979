"""The committed reports as values, for the guide's tables, pictures and sentences.

A page names a report by its folder in docs/results/. One that is not there ends the build, unless
results.toml says that it has not been run yet; then the guide says so too.
"""

import re
import tomllib
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from analysis import complexity, evidence, verification
from analysis.complexity import Survey
from analysis.evidence import SUFFIX
from analysis.rebuilding import Rebuilt, rebuild
from analysis.sources import Unpacked
from lit_transformer.complexity.record import FILE, Results

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "results"


class GuideError(ValueError):
    """A page asks for what is not there; the message says what is."""


class Study(NamedTuple):
    """A sweep whose report is among the results."""

    name: str
    """Of its folder."""
    study: str
    setting: str
    seeds: int
    pending: bool
    """Whether it has not been run yet."""

    @property
    def command(self) -> list[str]:
        """The sweep, as `ablate` takes it."""
        return ["sweep", self.study, "--setting", self.setting, "--seeds", str(self.seeds)]


def studies(results: Path) -> dict[str, Study]:
    """What `make results` runs, by the names of the folders, in the order of results.toml."""
    path = results / "results.toml"
    found = tomllib.loads(path.read_text("utf-8"))
    try:
        return {
            name: Study(name=name, pending=fields.pop("pending", False), **fields)
            for name, fields in found.items()
        }
    except (TypeError, AttributeError) as error:
        raise GuideError(f"{path}: each result has a study, a setting and seeds: {error}") from None


def read(name: str, results: Path) -> Rebuilt | None:
    """The report of a folder; None for one that has not been run yet."""
    path = _folder(name, results) / f"report{SUFFIX}"
    if path.exists():
        return _rebuilt(path)
    known = studies(results)
    if name in known and known[name].pending:
        return None
    there = ", ".join(sorted(found.parent.name for found in results.glob(f"*/report{SUFFIX}")))
    raise GuideError(
        f"docs/results/{name}/{path.name} is missing: docs/results/README.md has the command "
        f"that makes it, and the page may name another; there are {there}"
    )


def measured(name: str, results: Path) -> Survey:
    """What `ablate complexity` measured into a folder."""
    folder = _folder(name, results)
    if not (folder / FILE).exists():
        raise GuideError(
            f"docs/results/{name}/{FILE} is missing: `ablate complexity --out docs/results/{name}` "
            "measures it"
        )
    return complexity.read(Results(folder))


def _folder(name: str, results: Path) -> Path:
    if not re.fullmatch(r"[\w+-]+", name):
        raise GuideError(f"{name!r}: give the name of a folder in docs/results/")
    return results / name


@cache
def _rebuilt(path: Path) -> Rebuilt:
    found = evidence.read(path)
    verification.refuse_other_numerics(found, path)
    with TemporaryDirectory(prefix="guide-") as folder:
        return rebuild(Unpacked(found, Path(folder), {}, Path(folder) / "cache"))
