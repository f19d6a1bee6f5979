"""What a search may suggest: ranges and lists of dotted keys, and what is wrong with them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from experiments.files import (
    Arm,
    DimensionFile,
    Objective,
    PrunerFile,
    SamplerFile,
    SearchFile,
    TuneFile,
    dotted,
)
from lit_transformer.config_io import ConfigError, Given, Key, Scalar, YamlFile, keys, nearest

BESIDE = 1e-9
"""By how much of its step a number may miss a range's grid: floating-point steps do not add up."""
SUGGESTED = "suggested"
"""The group of a search's arms."""
TUNED = "tuned"
"""The group of rows at their best."""


class Dimension(NamedTuple):
    """One key of the space, in the paper's sizes."""

    key: str
    whole: bool
    """Whether a range is of integers."""
    low: float
    high: float
    step: float | None
    log: bool
    choices: tuple[Scalar, ...]
    """None: a range."""
    when: Mapping[str, tuple[Scalar, ...]]
    """Values of keys before it, without which it is left out."""
    origin: str

    @property
    def ends(self) -> list[Scalar]:
        """Values that stand for all: if these are right, the others are."""
        if self.choices:
            return [*self.choices]
        found = [self.low, self.high]
        if self.whole or self.step is not None:
            found.append(min(self.low + (self.step or 1), self.high))
        return [int(one) if self.whole else one for one in found]

    def holds(self, values: Mapping[str, Scalar]) -> bool:
        """Whether it is asked for beside these values of the keys before it."""
        return all(key in values and values[key] in some for key, some in self.when.items())


@dataclass(frozen=True)
class Search:
    """What is searched, how, and what for."""

    file: str
    within: Literal["search", "tune"]
    """The part of the file that says so."""
    origins: Mapping[str, str]
    """Where sampler and pruner are named."""
    row: str
    """The row that is tuned; empty: the search stands in place of rows."""
    seed: int | None
    """Of its trials; None: the command's."""
    trials: int | None
    """Suggestions in all."""
    time_s: float | None
    """After which nothing more is suggested."""
    sampler: SamplerFile
    pruner: PrunerFile | None
    objectives: tuple[Objective, ...]
    shared: Mapping[str, Given]
    """What every suggestion has besides, as a row."""
    space: tuple[Dimension, ...]

    def arm(self, name: str, values: Mapping[str, Scalar]) -> Arm:
        """The row of a suggestion."""
        origins = {dimension.key: dimension.origin for dimension in self.space}
        own = {key: Given(value, origins[key]) for key, value in values.items()}
        return Arm(name, SUGGESTED, None, None, {**self.shared, **own})

    def name(self, number: int) -> str:
        """Of the row of a suggestion: `t3`, `C1.t3`."""
        return f"{self.row}.t{number}" if self.row else f"t{number}"


def read_search(content: SearchFile, file: YamlFile) -> Search:
    """ConfigError names file, line, key, rule and remedy."""
    shared = dotted(content.set, file, ("search", "set"), ", search")
    return Search(
        file=str(file.path),
        within="search",
        origins=_origins(file, "search"),
        row="",
        seed=None,
        trials=content.trials,
        time_s=content.time,
        sampler=content.sampler,
        pruner=content.pruner,
        objectives=tuple(content.objectives),
        shared=shared,
        space=_space(content.space, file, "search", shared),
    )


def read_tune(content: TuneFile, file: YamlFile) -> Search:
    """The search of no row yet. ConfigError as `read_search`."""
    return Search(
        file=str(file.path),
        within="tune",
        origins=_origins(file, "tune"),
        row="",
        seed=content.seed,
        trials=content.trials,
        time_s=None,
        sampler=content.sampler,
        pruner=content.pruner,
        objectives=("score",),
        shared={},
        space=_space(content.space, file, "tune", {}),
    )


def _origins(file: YamlFile, within: str) -> dict[str, str]:
    return {name: f"{file.path}:{file.line(within, name)}" for name in ("sampler", "pruner")}


def _space(
    content: Mapping[str, DimensionFile], file: YamlFile, within: str, shared: Mapping[str, Given]
) -> tuple[Dimension, ...]:
    known = {key.name: key for key in keys()}
    space: list[Dimension] = []
    for key, about in content.items():
        origin = f"{file.path}:{file.line(within, 'space', key)}, {within}"
        if key not in known:
            raise ConfigError(f"{origin}: unknown key {key}{nearest(key, known)}")
        if key in shared:
            raise ConfigError(f"{origin}: {key} is in set and in space; name it once")
        space.append(_dimension(known[key], about, space, origin))
    return tuple(space)


def probes(search: Search) -> Iterator[tuple[Dimension, dict[str, Scalar]]]:
    """Each key's `ends`, beside what it needs, one at a time: what no suggestion may fail on."""
    for dimension in search.space:
        needed = {key: some[0] for key, some in _needs(dimension, search.space).items()}
        for value in dimension.ends:
            yield dimension, {**needed, dimension.key: value}


def _dimension(
    key: Key, about: DimensionFile, before: Sequence[Dimension], origin: str
) -> Dimension:
    low, high = about.low or 0.0, about.high or 0.0
    kinds = {"integer", "number"} & {*key.type.split(" or ")}
    if not about.choices and not kinds:
        raise ConfigError(f"{origin}: {key.name} is {key.type}: no range of it; give choices")
    whole = "integer" in kinds
    for name, number in (("low", low), ("high", high), ("step", about.step or 0.0)):
        if whole and not number.is_integer():
            raise ConfigError(f"{origin}: {key.name}: {name}={number:g} is no integer")
    if about.step and abs((steps := (high - low) / about.step) - round(steps)) > BESIDE:
        raise ConfigError(
            f"{origin}: {key.name}: {low:g} to {high:g} is no whole number of steps of "
            f"{about.step:g}; change high or step"
        )
    when = {name: _listed(value) for name, value in about.when.items()}
    made = Dimension(
        key.name, whole, low, high, about.step, about.log, tuple(about.choices), when, origin
    )
    _check_condition(made, before)
    return made


def _listed(value: object) -> tuple[Scalar, ...]:
    found = value if isinstance(value, list) else [value]
    return tuple(one for one in found if isinstance(one, Scalar))


def _check_condition(dimension: Dimension, before: Sequence[Dimension]) -> None:
    """ConfigError where there is no suggestion in which the condition holds."""
    names = [one.key for one in before]
    where = f"{dimension.origin}: {dimension.key}: when"
    for key, values in dimension.when.items():
        if key not in names:
            raise ConfigError(
                f"{where} {key}: no key of the space before this one{nearest(key, names)}; put "
                "it there, above"
            )
        parent = before[names.index(key)]
        if not values or not all(is_in(value, parent) for value in values):
            raise ConfigError(
                f"{where} {key}={', '.join(map(str, values))} cannot hold: the space gives {key} "
                f"{_words(parent)}"
            )
    needed = _needs(dimension, before)
    if lost := [key for key, some in needed.items() if not some]:
        raise ConfigError(
            f"{where} cannot hold: a key that it names is itself left out unless {lost[0]} has "
            "another value"
        )


def _needs(dimension: Dimension, before: Sequence[Dimension]) -> dict[str, tuple[Scalar, ...]]:
    """Its condition, with the conditions of the keys that it names."""
    found = dict(dimension.when)
    parents = {one.key: one for one in before}
    for key in dimension.when:
        for name, values in _needs(parents[key], before).items():
            found[name] = tuple(one for one in found.get(name, values) if one in values)
    return found


def is_in(value: Scalar, dimension: Dimension) -> bool:
    """Whether a suggestion may have it."""
    if dimension.choices:
        return value in dimension.choices
    if isinstance(value, str | bool | None) or not dimension.low <= value <= dimension.high:
        return False
    step = dimension.step or (1.0 if dimension.whole else None)
    steps = (value - dimension.low) / step if step else 0.0
    return abs(steps - round(steps)) <= BESIDE


def _words(dimension: Dimension) -> str:
    """`2, 4 or 8`, `0.1 to 0.3 in steps of 0.1`."""
    if dimension.choices:
        *most, last = map(str, dimension.choices)
        return f"{', '.join(most)} or {last}" if most else last
    scale = " on a log scale" if dimension.log else ""
    step = f" in steps of {dimension.step:g}" if dimension.step else ""
    return f"{dimension.low:g} to {dimension.high:g}{step}{scale}"


def described(search: Search) -> list[str]:
    """A line for each key, to be told."""
    found = []
    for dimension in search.space:
        needs = [f"{key}={' or '.join(map(str, v))}" for key, v in dimension.when.items()]
        when = f", when {' and '.join(needs)}" if needs else ""
        found.append(f"  {dimension.key}: {_words(dimension)}{when}")
    return found
