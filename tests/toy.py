"""A corpus, a study and a setting of a user's own, so small that a trial takes a second."""

import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from experiments import sweep
from experiments.study import Trial, expand, load_setting, load_study
from experiments.sweep import Planned, Root
from experiments.worker import Job
from lit_transformer.config_io import parse_set

NOUNS = {"dog": "hund", "cat": "katze", "tree": "baum", "man": "mann", "child": "kind"}
VERBS = {"sees": "sieht", "likes": "mag", "finds": "findet", "wants": "will"}
SIZES = {"train": 150, "valid": 6, "test": 5}
PAGE = Path(__file__).parent.parent / "docs" / "json.md"

STUDY = """\
name: tiny
version: 1
description: One head against two.
rows:
  - {id: base}
  - {id: A, group: A, set: {model.heads: 1}}
"""

SETTING = """\
name: toy
description: Made-up sentences of five words.
recipe: paper
set:
  data.corpus: files
  data.files:
    train: {source: FOLDER/train.en, target: FOLDER/train.de}
    valid: {source: FOLDER/valid.en, target: FOLDER/valid.de}
    test: {source: FOLDER/test.en, target: FOLDER/test.de}
  data.vocabulary_size: 60
  data.max_tokens: 32
  model.layers: 1
  model.d_model: 16
  model.d_ff: 32
  model.heads: 2
  optim.warmup_steps: 10
  train.steps: 16
  train.tokens_per_batch: 64
  train.average_every: 4
  train.average_last: 2
  train.valid_every: 8
  train.valid_sentences: 2
  train.log_every: 2
  train.checkpoint_every: 4
  decode.beam: 2
  decode.extra_length: 3
"""

CURVE_STEPS = range(2, 17, 2)
"""Updates at which train.loss is logged."""


class Toy(NamedTuple):
    """Where the files are."""

    folder: Path
    study: Path
    setting: Path

    def trials(
        self, seeds: Sequence[int], only: Sequence[str] = (), sets: Sequence[str] = ()
    ) -> list[Trial]:
        study, setting = load_study(str(self.study)), load_setting(str(self.setting))
        return expand(study, setting, seeds, only, dict(parse_set(text) for text in sets))

    def plan(
        self, root: Path, seeds: Sequence[int], only: Sequence[str] = (), sets: Sequence[str] = ()
    ) -> list[Planned]:
        return sweep.plan(self.trials(seeds, only, sets), Root(root))

    def jobs(
        self, root: Path, seeds: Sequence[int], only: Sequence[str] = (), sets: Sequence[str] = ()
    ) -> list[Job]:
        return [sweep.job(item, Root(root)) for item in self.plan(root, seeds, only, sets)]


def write_toy(folder: Path) -> Toy:
    """The corpus and its YAML files, in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = random.Random(0)
    for part, count in SIZES.items():
        pairs = [_pair(generator) for _ in range(count)]
        (folder / f"{part}.en").write_text("".join(f"{source}\n" for source, _ in pairs))
        (folder / f"{part}.de").write_text("".join(f"{target}\n" for _, target in pairs))
    toy = Toy(folder, folder / "study.yaml", folder / "setting.yaml")
    toy.study.write_text(STUDY)
    toy.setting.write_text(SETTING.replace("FOLDER", str(folder)))
    return toy


def write_nvidia_smi(folder: Path, free: Mapping[str, int | None]) -> None:
    """A tool that tells of GPUs with so many MiB free, and knows no other question."""
    rows = [
        (gpu, f"GPU-{gpu}", "[N/A]" if size is None else str(size)) for gpu, size in free.items()
    ]
    answers = {
        "index": "\n".join(gpu for gpu, _, _ in rows),
        "index,uuid,memory.free": "\n".join(", ".join(row) for row in rows),
    }
    cases = "\n".join(f"--query-gpu={asked}) echo '{told}' ;;" for asked, told in answers.items())
    tool = folder / "nvidia-smi"
    tool.write_text(f'#!/bin/sh\ncase "$1" in\n{cases}\n*) exit 1 ;;\nesac\n')
    tool.chmod(0o755)


def documented(heading: str, page: Path = PAGE) -> list[set[str]]:
    """Keys in the tables of a section of docs/json.md or another page, table by table."""
    (section,) = (part for part in page.read_text("utf-8").split("\n## ") if heading in part)
    tables: list[set[str]] = []
    for line in section.splitlines():
        if line.startswith("| key "):
            tables.append(set())
        elif line.startswith("| `"):
            tables[-1] |= set(re.findall(r"`(\w+)`", line.split("|")[1]))
    return tables


def _pair(generator: random.Random) -> tuple[str, str]:
    words = [generator.choice([*NOUNS]), generator.choice([*VERBS]), generator.choice([*NOUNS])]
    first, verb, second = words
    return (
        f"the {first} {verb} the {second}",
        f"das {NOUNS[first]} {VERBS[verb]} das {NOUNS[second]}",
    )
