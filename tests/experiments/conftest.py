"""A store of runs for each test."""

import shutil
from pathlib import Path

import pytest

from experiments import store
from experiments.tracking import prepare_store


@pytest.fixture(autouse=True)
def _no_store_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (store.VARIABLE, *store.SECRETS):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: it takes MLflow seconds."""
    root = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(store.VARIABLE, raising=False)
        prepare_store(root)
    return store.database(root)


@pytest.fixture
def root(tmp_path: Path, empty_database: Path) -> Path:
    """A folder whose mlruns/ holds an empty store, copied there."""
    (tmp_path / "mlruns").mkdir()
    shutil.copy(empty_database, tmp_path / "mlruns" / "mlflow.db")
    return tmp_path
