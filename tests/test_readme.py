"""What the words say, held against the code: commands, YAML examples, links, names of files."""

import math
import re
import shlex
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest
import torch
from typer.main import get_command

import ablate
from experiments import checking
from experiments.files import Scale, shipped
from experiments.study import expand, load_recipe, load_setting, load_study
from lit_transformer import config_io
from lit_transformer.config import PositionKind
from lit_transformer.config_io import keys, parse_set, parse_yaml
from lit_transformer.model import positions
from lit_transformer.record import Record
from lit_transformer.scoring import METRICS

ROOT = Path(__file__).parent.parent
PAGES = [
    "README.md",
    *sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")),
    *sorted(page.relative_to(ROOT).as_posix() for page in (ROOT / "docs/guide").rglob("*.md")),
]
AXIS = "docs/adding-an-axis.md"
TABLE_3 = "docs/reproducing-table-3.md"
RECIPES_PAGE, RECIPES = "docs/recipes.md", ("paper", "t2t-v1", "t2t-v3")
VERBS: Any = get_command(ablate.app)


class Command(NamedTuple):
    page: str
    words: list[str]

    @property
    def asked(self) -> dict[str, Any]:
        """Arguments and options of an `ablate` command; an error where there are no such ones."""
        verb = self.words[1]
        return dict(VERBS.commands[verb].make_context(verb, self.words[2:]).params)


def text(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text(page), re.M | re.S)


def code(page: str) -> str:
    """What stands between backticks."""
    return "\n".join(re.findall(r"`+([^`]+)`+", text(page)))


def commands() -> Iterator[Command]:
    """Every command of the pages: a line of `sh`, or one behind a `$` of `console`."""
    for page in PAGES:
        lines = [line for body in blocks(page, "sh") for line in body.splitlines()]
        told = [line for body in blocks(page, "console") for line in body.splitlines()]
        lines += [line.removeprefix("$ ") for line in told if line.startswith("$ ")]
        for line in lines:
            words = shlex.split(re.split(r" [|<>] ", line)[0], comments=True)
            if words:
                yield Command(page, words)


def examples() -> dict[str, str]:
    """README's YAML blocks as files, each called after its `name`."""
    bodies = blocks("README.md", "yaml")
    return {f"{parse_yaml(body, Path('README.md')).data['name']}.yaml": body for body in bodies}


COMMANDS = list(commands())
README = [c for c in COMMANDS if c.page == "README.md" and c.words[0] == "ablate"]


def title(command: Command) -> str:
    return " ".join(command.words)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where README's commands start: its examples, and the files that its setting names."""
    for name in ("train.en", "train.de", "valid.en", "valid.de"):
        (tmp_path / name).write_text("a sentence\n")
    for name, body in examples().items():
        (tmp_path / name).write_text(body)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS, ids=title)
def test_every_command_is_one_that_is_there(command: Command) -> None:
    match command.words:
        case ["make", target, *_]:
            assert re.search(rf"^{target}:", text("Makefile"), re.M)
        case ["ablate", *_]:
            assert command.asked
        case _:
            assert command.words == [".", ".venv/bin/activate"]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_within_a_sentence_has_a_verb_and_options(page: str) -> None:
    for verb, rest in re.findall(r"`ablate ([a-z]+)([^`]*)`", text(page)):
        known = {name for param in VERBS.commands[verb].params for name in param.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known


@pytest.mark.parametrize(
    "command", [c for c in README if c.words[1] in ("sweep", "status", "report")], ids=title
)
def test_studies_settings_arms_and_keys_exist(command: Command, folder: Path) -> None:
    asked = command.asked
    only = [arm for arm in asked["only"].split(",") if arm]
    sets = dict(parse_set(one) for one in asked["sets"] or ())
    study, setting = load_study(asked["study"]), load_setting(asked["setting"])
    assert len(expand(study, setting, [1], only, sets)) == len(only or study.arms)


@pytest.mark.parametrize("name", examples())
def test_yaml_examples_of_the_readme_are_valid(name: str, folder: Path) -> None:
    kind = "study" if name == "depth.yaml" else "setting"
    assert checking.check(Path(name), "grammar").startswith(f"{kind} {Path(name).stem}")


def test_files_that_the_readme_s_commands_name_are_its_examples() -> None:
    named = {word for command in README for word in command.words if word.endswith(".yaml")}
    assert named == {*examples()}


def test_minutes_and_rows_of_the_demo_are_the_makefile_s() -> None:
    demo = re.search(r"^demo:.*\((\d+) minutes\)\n\t.*--only ([\w,]+)", text("Makefile"), re.M)
    assert demo is not None
    assert f"({demo[1]} minutes on two cores" in text("README.md")
    assert len(demo[2].split(",")) == 5
    assert "five rows" in text("README.md")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text(page))
    local = [target for target in targets if "://" not in target]
    assert not [target for target in local if not (ROOT / page).parent.joinpath(target).exists()]


@pytest.mark.parametrize("page", PAGES)
def test_source_files_that_a_page_names_are_there(page: str) -> None:
    rooms = "lit_transformer|experiments|analysis|tests"
    named = re.findall(rf"`((?:{rooms})/[\w./-]+\.\w+)`", text(page))
    assert not [name for name in named if not (ROOT / name).exists()]


@pytest.mark.parametrize("page", PAGES)
def test_keys_that_a_page_names_are_there(page: str) -> None:
    leaves = [key.name.split(".") for key in keys()]
    known = {".".join(leaf[:depth]) for leaf in leaves for depth in range(1, len(leaf) + 1)}
    files = {"train.en", "train.de", "train.mrg.gz", "model.safetensors"}
    named = re.findall(
        r"(?<![\w.])((?:model|optim|data|train|decode)\.[a-z][\w.]*\w)(?![\w/])", code(page)
    )
    assert not {*named} - known - files - {*METRICS} - {"model.safetensors.sha256"}


def test_scales_are_those_of_the_settings() -> None:
    columns = r" (\S+) \|" * len(Scale.model_fields)
    rows = re.findall(rf"^\| `([\w-]+)` \| .* \|{columns}$", text(TABLE_3), re.M)
    told = {name: list(map(Fraction, factors)) for name, *factors in rows}
    scales = {name: load_setting(name).scale for name in shipped("settings")}
    assert told == {name: [factor for _, factor in scale] for name, scale in scales.items()}


def test_recipes_are_those_of_their_page() -> None:
    """The values of each column, as far as they are numbers or words of a key."""
    recipes = {
        name: config_io.flatten(config_io.build(load_recipe(name).given)) for name in RECIPES
    }
    found = re.findall(
        r"^\| [^|]+ \| (.+) \| (.+) \| (.+) \| `(\w+\.\w+)` \|$", text(RECIPES_PAGE), re.M
    )
    numbers = (
        "data.vocabulary_size",
        "train.tokens_per_batch",
        "optim.warmup_steps",
        "optim.beta2",
    )
    checked = [(key, cells) for *cells, key in found if key in numbers]
    assert len(checked) == len(numbers)
    for key, cells in checked:
        told = [float(re.match(r"[\d.,]+\d", cell)[0].replace(",", "")) for cell in cells]  # type: ignore[index]
        assert told == [recipes[name][key] for name in RECIPES], key
    changed = {key for name in RECIPES for key in load_recipe(name).given}
    assert changed == {key for key in changed if f"`{key}`" in text(RECIPES_PAGE)}


@pytest.mark.parametrize("page", ["docs/trial-directory.md", "mlruns/README.md"])
def test_every_file_of_a_trial_is_described(page: str) -> None:
    names = [path.name for path in vars(Record(Path("trial"))).values() if path.name != "trial"]
    assert not [name for name in names if f"`{name}" not in text(page)]


def test_a_kind_of_positions_is_named_in_the_files_that_the_page_lists() -> None:
    told = set(re.findall(r"^- `([\w/.]+\.py)`:", text(AXIS), re.M))
    kinds = [f'"{kind}"' for kind in get_args(PositionKind)]
    rooms = ("lit_transformer", "experiments", "analysis")
    sources = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    found = [path for path in sources if all(kind in path.read_text("utf-8") for kind in kinds)]
    assert told == {path.relative_to(ROOT).as_posix() for path in found}


def test_the_positions_of_the_page_are_what_it_says() -> None:
    """Tried in the module that they are written for."""
    names = dict(vars(positions))
    exec(next(body for body in blocks(AXIS, "python") if "class " in body), names)
    logarithmic = names["LogarithmicPositions"]()
    place = torch.arange(4)
    bias = logarithmic.bias(place[1:2], place)
    expected = [-math.log(2), 0, -math.log(2), -math.log(3)]
    torch.testing.assert_close(bias, torch.tensor(expected)[None, None, None])
    assert logarithmic.turns(place, 4) is None


def test_every_promise_names_tests_that_are_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", text("docs/reliability.md")))
    files = (ROOT / "tests").rglob("test_*.py")
    there = {name for file in files for name in re.findall(r"def (test_\w+)", file.read_text())}
    assert len(named) > 30
    assert named <= there, named - there
