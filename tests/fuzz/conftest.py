"""How many cases a property has in `make fuzz`; and a sweep that has ended."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings

from experiments import store
from tests.toy import Toy, write_toy

settings.register_profile("fuzz", max_examples=1_200)


class Swept(NamedTuple):
    """A root in which a sweep of two arms has ended."""

    toy: Toy
    root: Path

    @property
    def words(self) -> list[object]:
        """What `status` and `report` want to know of it, but for the root."""
        return [self.toy.study, "--setting", self.toy.setting]


@pytest.fixture(autouse=True)
def _no_store_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (store.VARIABLE, *store.SECRETS):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Swept:
    made = Swept(write_toy(tmp_path_factory.mktemp("toy")), tmp_path_factory.mktemp("swept"))
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    for name in (store.VARIABLE, *store.SECRETS):
        environment.pop(name, None)
    words = [Path(sys.executable).with_name("ablate"), "sweep", *made.words, "--root", made.root]
    subprocess.run([*map(str, words)], check=True, env=environment, capture_output=True)
    return made
