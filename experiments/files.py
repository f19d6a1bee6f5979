"""What the YAML files of studies, settings and recipes may say, and where the shipped ones lie."""

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from lit_transformer.config_io import ConfigError, Given, YamlFile, nearest, read_yaml
from lit_transformer.scoring import Scored

Kind = Literal["studies", "settings", "recipes"]


def _factor(value: object) -> Fraction:
    fraction = isinstance(value, str) and re.fullmatch(r"\d{1,9}/0*[1-9]\d{0,8}", value)
    number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 10**9
    if not fraction and not number:
        raise ValueError("a factor is a number below 10^9 or a fraction such as 1/4")
    factor = Fraction(str(value))  # str: 0.1 is meant as a tenth, not as its nearest binary number
    if factor <= 0:
        raise ValueError("a factor is more than 0")
    return factor


def _seconds(value: object) -> float:
    text = value if isinstance(value, str) else ""
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?) ?(s|min|h|d)", text)
    if match is None or not float(match[1]):
        raise ValueError("a time is a number above 0 with s, min, h or d, such as 20 min")
    return float(match[1]) * {"s": 1, "min": 60, "h": 3600, "d": 86_400}[match[2]]


# Ids and names become parts of paths, addresses and MLflow's experiment names.
MAX_ID = 40
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=MAX_ID)]
RowOf = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")]
Factor = Annotated[Fraction, BeforeValidator(_factor)]
Seconds = Annotated[float, BeforeValidator(_seconds)]
MOST_TRIALS = 10_000
"""Suggestions of a search, and of one that has a limit of time alone."""
Count = Annotated[int, Field(ge=1, le=MOST_TRIALS)]

SamplerName = Literal["tpe", "random", "gp", "cmaes", "nsgaii", "nsgaiii", "qmc"]
PrunerName = Literal["median", "percentile", "successive_halving", "hyperband", "threshold"]
Objective = Literal["score", "cost.parameters", "cost.flops", "cost.train_seconds"]


class Schema(BaseModel):
    """A frozen part of a YAML file: strict types, unknown keys refused."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


S = TypeVar("S", bound=Schema)


class RowFile(Schema):
    """One row of a study: the base plus its own differences, in the paper's sizes."""

    id: Id
    group: Id | None = None
    label: str | None = None
    after: Id | None = None
    """An earlier row whose values this one has as well, and that it is compared with."""
    set: dict[str, Any] = {}
    grid: dict[str, list[Any]] = {}
    zip: dict[str, list[Any]] = {}

    @property
    def count(self) -> int:
        """Arms that the row makes."""
        if self.zip:
            return len(next(iter(self.zip.values())))
        return math.prod(len(values) for values in self.grid.values())

    @model_validator(mode="after")
    def _lists_go_together(self) -> Self:
        if self.grid and self.zip:
            raise ValueError(f"row {self.id}: has grid and zip; write two rows")
        lists = self.grid or self.zip
        for key, values in lists.items():
            if not values:
                raise ValueError(f"row {self.id}: {key} has an empty list; give it a value")
            if key in self.set:
                raise ValueError(f"row {self.id}: {key} is in set as well; name it once")
        lengths = {key: len(values) for key, values in self.zip.items()}
        if len(set(lengths.values())) > 1:
            named = ", ".join(f"{key} has {count}" for key, count in lengths.items())
            raise ValueError(f"row {self.id}: zip's lists are of unequal length: {named}")
        return self


class Arm(NamedTuple):
    """One row of the table, in the paper's sizes; a row with lists makes several, numbered."""

    id: str
    group: str
    """The row's group; a row without one is a group of its own."""
    label: str | None
    after: str | None
    """The arm that this one goes on from."""
    given: Mapping[str, Given]


class DimensionFile(Schema):
    """What a search may give one key: a range or a list, in the paper's sizes."""

    low: float | None = None
    high: float | None = None
    step: Annotated[float, Field(gt=0)] | None = None
    log: bool = False
    choices: list[str | int | float | bool | None] = []
    when: dict[str, Any] = {}
    """Values of other keys of the space, one or a list each, without which this key is left out."""

    @model_validator(mode="after")
    def _is_a_range_or_a_list(self) -> Self:
        if bool(self.choices) == (self.low is not None or self.high is not None):
            raise ValueError("give low and high, or choices")
        if self.choices:
            if self.log or self.step is not None:
                raise ValueError("choices have no step and no log")
            return self
        if self.low is None or self.high is None:
            raise ValueError("a range needs low and high")
        if self.low >= self.high:
            raise ValueError(f"low={self.low:g} is not below high={self.high:g}: an empty range")
        if self.log and (self.step is not None or self.low <= 0):
            raise ValueError("log goes with low above 0 and without step")
        return self


class SamplerFile(Schema):
    """What suggests, by Optuna's name, with its own options."""

    name: SamplerName
    options: dict[str, Any] = {}


class PrunerFile(Schema):
    """What ends trials early, by Optuna's name, with its own options."""

    name: PrunerName
    options: dict[str, Any] = {}


class SearchFile(Schema):
    """Rows that are suggested, one after the other, by what the ones before have scored."""

    trials: Count | None = None
    """Suggestions in all."""
    time: Seconds | None = None
    """After which nothing more is suggested; the first of both ends the search."""
    sampler: SamplerFile = SamplerFile(name="tpe")
    pruner: PrunerFile | None = None
    objectives: Annotated[list[Objective], Field(min_length=1)] = ["score"]
    """What is looked for: the most of the study's score, the least of a cost."""
    set: dict[str, Any] = {}
    """What every suggestion has besides, as a row."""
    space: Annotated[dict[str, DimensionFile], Field(min_length=1)]

    @model_validator(mode="after")
    def _has_an_end(self) -> Self:
        if self.trials is None and self.time is None:
            raise ValueError("give trials, or a time such as 20 min, or both")
        return self

    @model_validator(mode="after")
    def _several_objectives_are_not_pruned(self) -> Self:
        if len(set(self.objectives)) < len(self.objectives):
            raise ValueError("name each objective once")
        if self.pruner and len(self.objectives) > 1:
            raise ValueError(
                f"pruner {self.pruner.name} with {len(self.objectives)} objectives: Optuna prunes "
                "by one curve alone; leave the pruner out, or all objectives but one"
            )
        if self.pruner and self.objectives != ["score"]:
            raise ValueError(
                f"pruner {self.pruner.name} follows the curve of the score, and the objective is "
                f"{self.objectives[0]}; leave the pruner out"
            )
        return self


class TuneFile(Schema):
    """A search for each row of a study, with the same budget, before rows are compared."""

    trials: Count
    """Suggestions for each row."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of these trials; no seed that rows are compared with."""
    sampler: SamplerFile = SamplerFile(name="tpe")
    pruner: PrunerFile | None = None
    space: Annotated[dict[str, DimensionFile], Field(min_length=1)]


class StudyFile(Schema):
    """A file of `experiments/studies/`: what is varied, as rows or as a search."""

    name: Id
    version: Annotated[int, Field(ge=1)]
    description: str
    score: Scored = "valid"
    """The model and the part that its table is read for."""
    rows: list[RowFile] = []
    search: SearchFile | None = None
    tune: TuneFile | None = None
    """Of a study with rows."""

    @model_validator(mode="after")
    def _has_rows_or_a_search(self) -> Self:
        if self.tune and self.search is not None:
            raise ValueError("has tune and a search; tune is for rows")
        if not self.rows and self.search is None:
            raise ValueError("rows is missing (or a search in their place)")
        if self.rows and self.search is not None:
            raise ValueError("has rows and a search; write two studies")
        return self


class Scale(Schema):
    """By what a setting multiplies the sizes of the paper's base and of a study's rows."""

    width: Factor = Fraction(1)
    depth: Factor = Fraction(1)
    steps: Factor = Fraction(1)
    warmup: Factor = Fraction(1)
    rate: Factor = Fraction(1)
    batch: Factor = Fraction(1)
    vocabulary: Factor = Fraction(1)


class SettingFile(Schema):
    """A file of `experiments/settings/`: where it is varied."""

    name: Id
    description: str
    recipe: str
    scale: Scale = Scale()
    set: dict[str, Any] = {}
    rows: dict[RowOf, dict[str, Any]] = {}
    """What a study's row is here, by STUDY/ARM: as literal as `set`, and over the row itself."""


class RecipeFile(Schema):
    """A file of `experiments/recipes/`: a base other than config.py's defaults."""

    name: Id
    description: str
    set: dict[str, Any] = {}


def shipped(kind: Kind) -> list[str]:
    """Names of the files that come with the project."""
    return sorted(path.stem for path in (Path(__file__).parent / kind).glob("*.yaml"))


def locate(kind: Kind, name_or_path: str) -> Path:
    """The file behind a shipped name; a name with a slash or ending in .yaml is a path."""
    if "/" in name_or_path or name_or_path.endswith(".yaml"):
        return Path(name_or_path)
    names = shipped(kind)
    if name_or_path not in names:
        raise ConfigError(
            f"{name_or_path}: none of the shipped {kind} ({', '.join(names)})"
            f"{nearest(name_or_path, names)}; a file of your own ends in .yaml"
        )
    path = Path(__file__).parent / kind / f"{name_or_path}.yaml"
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def read_as(path: Path, schema: type[S]) -> tuple[S, YamlFile]:
    """A YAML file that fits `schema`. ConfigError names file, line, key, rule and nearest key."""
    file = read_yaml(path)
    try:
        return schema.model_validate(file.data), file
    except ValidationError as error:
        problems = error.errors(include_url=False)
        lines = [_explain(problem, file, schema) for problem in problems]
        raise ConfigError("\n".join(lines)) from None


def row_arms(row: RowFile, index: int, file: YamlFile, earlier: Mapping[str, Arm]) -> Iterator[Arm]:
    """The arms of a study's row, which is the `index`-th of its file."""
    group = row.group or row.id
    if row.after is not None and row.after not in earlier:
        where = f"{file.path}:{file.line('rows', index)}, row {row.id}"
        raise ConfigError(
            f"{where}: after: no row {row.after} stands before it{nearest(row.after, earlier)}"
        )
    before = earlier[row.after].given if row.after else {}
    shared = dotted(row.set, file, ("rows", index, "set"), f", row {row.id}")
    if not row.grid and not row.zip:
        yield Arm(row.id, group, row.label, row.after, {**before, **shared})
        return
    kind, lists = ("grid", row.grid) if row.grid else ("zip", row.zip)
    points = itertools.product(*lists.values()) if row.grid else zip(*lists.values(), strict=True)
    for number, point in enumerate(points, start=1):
        arm = f"{row.id}-{number}"
        values = dict(zip(lists, point, strict=True))
        own = dotted(values, file, ("rows", index, kind), f", row {arm}")
        both = sorted(shared.keys() & own.keys())
        if both:
            where = f"{file.path}:{file.line('rows', index)}, row {row.id}"
            raise ConfigError(f"{where}: {both[0]} is in set and in {kind}; name it once")
        yield Arm(arm, group, row.label, row.after, {**before, **shared, **own})


def dotted(
    values: Mapping[str, object], file: YamlFile, path: tuple[str | int, ...], suffix: str
) -> dict[str, Given]:
    """Dotted keys of a `set`; a group written as a mapping is spread into its keys."""
    given: dict[str, Given] = {}
    for key, value in values.items():
        here = (*path, key)
        origin = f"{file.path}:{file.line(*here)}{suffix}"
        if isinstance(value, dict):
            inner = dotted(value, file, here, suffix)
            leaves = {f"{key}.{name}": entry for name, entry in inner.items()}
        else:
            leaves = {key: Given(value, origin)}
        for name in leaves:
            if name in given:
                raise ConfigError(f"{origin}: {name} is given twice; write it once")
        given.update(leaves)
    return given


def _explain(problem: ErrorDetails, file: YamlFile, schema: type[BaseModel]) -> str:
    location = problem["loc"]
    where = f"{file.path}:{file.line(*location)}"
    key = ".".join(str(part) for part in location)
    match problem["type"]:
        case "extra_forbidden":
            return (
                f"{where}: unknown key {key}{nearest(str(location[-1]), _keys(schema, location))}"
            )
        case "missing":
            return f"{where}: {key} is missing"
        case "value_error":
            rule = problem["msg"].removeprefix("Value error, ")
            named = not key or rule.startswith("row ")
            return f"{where}: {rule}" if named else f"{where}: {key}: {rule}"
        case _:
            if not location:
                return f"{file.path}: expected keys such as name and description"
            given = problem["input"]
            value = "" if isinstance(given, dict | list) else f"={given!r}"
            return f"{where}: {key}{value}: {problem['msg'][:1].lower()}{problem['msg'][1:]}"


def _keys(schema: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Keys that the part of a file which holds `location` may have."""
    for part in location[:-1]:
        field = schema.model_fields.get(str(part))
        schema = _part(field.annotation) or schema if field else schema
    return list(schema.model_fields)


def _part(annotation: Any) -> type[BaseModel] | None:
    """The schema inside `list[Part]`, `dict[str, Part]` or `Part | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _part(inner))), None)
