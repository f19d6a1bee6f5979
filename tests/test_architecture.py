"""The shape of the house: which way imports point, and which file is the door to which library."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("lit_transformer", "experiments", "analysis", "ablate", "guide")
"""Each may import itself and what stands before it."""

DOORS = {
    "datasets": {"lit_transformer/data/wmt14.py"},
    "docutils": {"guide/directives.py", "guide/site.py"},
    "lightning": set(),  # another copy of pytorch_lightning: callbacks of one fail in the other
    "matplotlib": {
        "analysis/complexity_report.py",
        "analysis/frontier.py",
        "analysis/head_plots.py",
        "analysis/plots.py",
        "analysis/search_plots.py",
        "analysis/svg.py",
    },
    "nltk": {"experiments/display.py"},
    "mlflow": {"experiments/tracking.py", "analysis/runs.py"},
    # One that asks and tells, with its samplers; one that retells a record, and one that draws it.
    "optuna": {
        "experiments/asking.py",
        "experiments/samplers.py",
        "experiments/frozen.py",
        "analysis/search_plots.py",
    },
    "pooch": {"lit_transformer/data/fetching.py"},
    "ray": {"experiments/runners/ray.py"},
    "ruamel": {"lit_transformer/config_io.py"},
    "sacrebleu": {"lit_transformer/scoring.py"},
    "sentencepiece": {"lit_transformer/data/vocab.py"},
    "sphinx": {"guide/directives.py", "guide/korean.py", "guide/site.py"},
    "yaml": set(),  # reads 1e-4 as a string, no as False, and keeps the last of two equal keys
}
"""The only files that may import a library."""

FREE_OF_TORCH = (
    "lit_transformer/attention_maps.py",
    "lit_transformer/attention_page.py",
    "lit_transformer/config.py",
    "lit_transformer/config_io.py",
    "lit_transformer/forecast.py",
    "lit_transformer/heads.py",
    "lit_transformer/scoring.py",
    "lit_transformer/model/cost.py",
    "lit_transformer/data/corpora.py",
    "lit_transformer/data/grammar.py",
    "lit_transformer/data/vocab.py",
    "experiments/calibrating.py",
    "experiments/plan_display.py",
    "experiments/planning.py",
    "experiments/asking.py",
    "experiments/frozen.py",
    "experiments/search.py",
    "experiments/study.py",
    "experiments/sweep.py",
    "experiments/tracking.py",
    "experiments/tuner.py",
    "analysis/*.py",
    "ablate.py",
    "guide/fragments.py",
    "guide/pictures.py",
)
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "constants", "misc"}
MLFLOW_WRITERS = {
    *("log_metric", "log_metrics", "log_batch", "log_param", "log_params", "log_artifact"),
    *("log_artifacts", "log_text", "log_dict", "log_figure", "log_inputs", "set_tag", "set_tags"),
    *("create_run", "create_experiment", "set_experiment", "start_run", "end_run", "update_run"),
    *("set_terminated", "delete_run", "delete_experiment", "restore_run", "delete_tag"),
}


class Import(NamedTuple):
    """`module` as written, with `name` for `from module import name`."""

    module: str
    name: str | None

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]


def sources() -> list[str]:
    folders = [ROOT / room for room in ROOMS if room != "ablate"]
    files = [ROOT / "ablate.py", *(f for folder in folders for f in folder.rglob("*.py"))]
    return sorted(str(f.relative_to(ROOT)) for f in files if f.exists())


def module_name(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def tree(file: str) -> ast.Module:
    return ast.parse((ROOT / file).read_text(encoding="utf-8"), filename=file)


def imports(file: str) -> list[Import]:
    """Every import of a file, those inside functions and for type checkers too."""
    found = []
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: write the import in full"
            found += [Import(node.module or "", alias.name) for alias in node.names]
    return found


SOURCES = sources()


@pytest.mark.parametrize("file", SOURCES)
def test_imports_point_one_way(file: str) -> None:
    own = ROOMS.index(module_name(file).partition(".")[0])
    back = [i.module for i in imports(file) if i.top in ROOMS and ROOMS.index(i.top) > own]
    assert not back


def test_modules_import_each_other_without_cycles() -> None:
    names = {module_name(file): file for file in SOURCES}
    graph = {
        name: {
            target
            for i in imports(file)
            for target in (f"{i.module}.{i.name}", i.module)
            if target in names and target != name
        }
        for name, file in names.items()
    }
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("file", SOURCES)
def test_each_library_has_one_door(file: str) -> None:
    wrong = {i.top for i in imports(file) if i.top in DOORS and file not in DOORS[i.top]}
    assert not wrong


@pytest.mark.parametrize("file", [f for f in SOURCES if f.startswith("analysis/")])
def test_analysis_reads_mlflow_and_never_writes(file: str) -> None:
    used = {node.attr for node in ast.walk(tree(file)) if isinstance(node, ast.Attribute)}
    assert not used & MLFLOW_WRITERS


def test_every_imported_library_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [need for extra in project["optional-dependencies"].values() for need in extra]
    declared = {
        re.split(r"[<>=!~\[; ]", need)[0].lower() for need in project["dependencies"] + extras
    }
    distributions = dict(importlib.metadata.packages_distributions())
    distributions["ruamel"] = ["ruamel.yaml"]  # a namespace, which tells no distribution
    distributions |= {"pydantic_core": ["pydantic"], "markupsafe": ["jinja2"]}  # parts of these
    imported = {i.top for file in SOURCES for i in imports(file)}
    foreign = imported - set(sys.stdlib_module_names) - set(ROOMS)
    owners = {name: {own.lower() for own in distributions.get(name, [name])} for name in foreign}
    assert not {name for name, own in owners.items() if not own & declared}


def test_every_package_is_installed() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    declared = setuptools["packages"]
    rooms = {name.partition(".")[0] for name in declared}
    found = [file.parent for room in rooms for file in (ROOT / room).rglob("__init__.py")]
    assert sorted(declared) == sorted(".".join(f.relative_to(ROOT).parts) for f in found)


def test_torch_is_not_imported_where_it_is_not_needed() -> None:
    files = sorted({str(f.relative_to(ROOT)) for p in FREE_OF_TORCH for f in ROOT.glob(p)})
    assert first_to_import({"torch"}, files) == ""


@pytest.mark.parametrize("file", [f for f in SOURCES if f == "ablate.py"])
def test_help_imports_nothing_heavy(file: str) -> None:
    heavy = {"torch", "pytorch_lightning", "mlflow", "pandas", "numpy", "matplotlib", "optuna"}
    heavy |= {"sacrebleu"}
    assert first_to_import(heavy, [file]) == ""


def first_to_import(libraries: set[str], files: list[str]) -> str:
    """Which of the files, imported in turn in a fresh process, first loads one of the libraries."""
    script = (
        "import importlib, sys\n"
        "libraries, *modules = sys.argv[1:]\n"
        "for module in modules:\n"
        "    importlib.import_module(module)\n"
        "    loaded = set(libraries.split(',')) & set(sys.modules)\n"
        "    if loaded:\n"
        "        sys.exit(print(module, 'imports', *sorted(loaded)))\n"
    )
    command = [sys.executable, "-c", script, ",".join(libraries), *map(module_name, files)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("file", SOURCES)
def test_checkpoints_are_never_loaded_as_code(file: str) -> None:
    """A pickle runs what it likes; torch loads tensors and plain data alone unless told so."""
    unsafe = [
        node.lineno
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "weights_only" and ast.unparse(keyword.value) != "True"
    ]
    assert not unsafe


def test_every_file_is_named_for_what_it_holds() -> None:
    files = [*map(Path, SOURCES), *(ROOT / "tests").rglob("*.py")]
    assert not [str(f) for f in files if f.stem.removeprefix("test_") in FORBIDDEN_NAMES]
