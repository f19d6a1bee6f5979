"""Study + setting -> trials, all of them checked before the first one starts.

A value comes from config.py's defaults, then the recipe, the setting, the row, what the setting
says of that row, and `--set`, each over the one before. The setting's scale multiplies sizes that
the paper's base (defaults and recipe) and the rows name; what the setting itself and `--set` name
is meant literally.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import NamedTuple

from experiments.files import (
    MAX_ID,
    Arm,
    RecipeFile,
    Scale,
    SettingFile,
    StudyFile,
    dotted,
    locate,
    read_as,
    row_arms,
)
from experiments.scaling import Layer, resolve
from experiments.searched import Searched
from experiments.space import TUNED, Search, probes, read_search, read_tune
from lit_transformer.config import RunConfig
from lit_transformer.config_io import (
    ConfigError,
    Given,
    Scalar,
    build,
    differences,
    digest,
    flatten,
    nearest,
    seed_digests,
)
from lit_transformer.data import corpora
from lit_transformer.scoring import Scored

MAX_ARMS = 1000
"""Arms that one study may have, so that a slip in a grid is an error and not a full disk."""
SPACE = "space"
"""Stands for a search's arms where none is meant."""
MAX_SEEDS = 10_000
"""Seeds that one command may count up to, for the same reason."""


class Reference(NamedTuple):
    """`table3/C5`, or `mine/study.yaml/C5`."""

    study: str
    arm: str


@dataclass(frozen=True)
class Study:
    """What is varied."""

    name: str
    version: int
    description: str
    score: Scored
    """The model and the part that its table is read for."""
    arms: tuple[Arm, ...]
    """Of a search those that it has suggested so far; of tuned rows those at their best too."""
    search: Search | None
    tune: Search | None
    """What every row is searched over before rows are compared."""
    searched: tuple[Searched, ...]
    """Its searches, as far as their records were read."""


@dataclass(frozen=True)
class Recipe:
    """A base other than config.py's defaults."""

    name: str
    description: str
    given: Mapping[str, Given]


@dataclass(frozen=True)
class Setting:
    """Where it is varied."""

    name: str
    description: str
    recipe: Recipe
    scale: Scale
    given: Mapping[str, Given]
    rows: Mapping[Reference, Mapping[str, Given]]
    """What rows of studies are here, over the rows themselves."""


@dataclass(frozen=True)
class Trial:
    """One arm with one seed: a complete configuration."""

    study: str
    version: int
    setting: str
    arm: str
    group: str
    label: str | None
    after: str | None
    """The arm that this one goes on from, and is compared with."""
    seed: int
    config: RunConfig
    checksums: Mapping[str, str] = field(hash=False)
    digest: str
    overrides: Mapping[str, Scalar] = field(hash=False)
    """What the arm's row names, here or in the study, as it is in this trial: after scaling and
    `--set`."""

    @property
    def title(self) -> str:
        """`table3/C5 seed 2`."""
        return f"{self.study}/{self.arm} seed {self.seed}"


def load_study(name_or_path: str) -> Study:
    """A shipped study, or a file of the user's. ConfigError: see `read_as`."""
    content, file = read_as(locate("studies", name_or_path), StudyFile)
    count = sum(row.count for row in content.rows)
    if count > MAX_ARMS:
        raise ConfigError(f"{file.path}: {count} arms; a study may have {MAX_ARMS}")
    found: dict[str, Arm] = {}
    for index, row in enumerate(content.rows):
        for arm in row_arms(row, index, file, found):
            where = f"{file.path}:{file.line('rows', index)}"
            if arm.id in found:
                raise ConfigError(f"{where}: id {arm.id} is there already; give each row its own")
            if len(arm.id) > MAX_ID:
                raise ConfigError(f"{where}: id {arm.id} is longer than {MAX_ID} characters")
            found[arm.id] = arm
    search = read_search(content.search, file) if content.search else None
    tune = read_tune(content.tune, file) if content.tune else None
    about = content.name, content.version, content.description, content.score
    return Study(*about, tuple(found.values()), search, tune, ())


def with_arms(study: Study, arms: Sequence[Arm]) -> Study:
    """A search's study with what the search has suggested."""
    return replace(study, arms=tuple(arms))


def load_setting(name_or_path: str) -> Setting:
    """A shipped setting, or a file of the user's, with its recipe. ConfigError: see `read_as`."""
    content, file = read_as(locate("settings", name_or_path), SettingFile)
    given = dotted(content.set, file, ("set",), "")
    try:
        recipe = load_recipe(content.recipe)
    except ConfigError as error:
        raise ConfigError(f"{file.path}:{file.line('recipe')}: recipe: {error}") from None
    rows = {
        parse_reference(row): dotted(values, file, ("rows", row), f", row {row}")
        for row, values in content.rows.items()
    }
    return Setting(content.name, content.description, recipe, content.scale, given, rows)


def with_recipe(setting: Setting, name_or_path: str) -> Setting:
    """A setting on another base, and of a name that says so. ConfigError: see `read_as`."""
    recipe = load_recipe(name_or_path)
    if recipe == setting.recipe:
        return setting
    return replace(setting, name=f"{setting.name}.{recipe.name}", recipe=recipe)


def load_recipe(name_or_path: str) -> Recipe:
    """A shipped recipe, or a file of the user's. ConfigError: see `read_as`."""
    content, file = read_as(locate("recipes", name_or_path), RecipeFile)
    return Recipe(content.name, content.description, dotted(content.set, file, ("set",), ""))


def parse_reference(text: str) -> Reference:
    """STUDY/ARM, where STUDY is a shipped name or a path."""
    study, separator, arm = text.rpartition("/")
    if not separator or not study or not arm or arm.endswith(".yaml"):
        raise ConfigError(f"{text}: write it as STUDY/ARM, for example table3/base")
    return Reference(study, arm)


def expand(
    study: Study,
    setting: Setting,
    seeds: Sequence[int],
    only: Sequence[str],
    overrides: Mapping[str, Given],
) -> list[Trial]:
    """Every trial of a study in a setting: all arms of the first seed, then of the next.

    `only` names arms to keep (empty: all); `overrides` are the command line's `--set`. The first
    trial that cannot be raises a ConfigError, or a CorpusError where its corpus cannot be.
    """
    _check_seeds(seeds)
    if not study.arms:
        raise ConfigError(f"{study.name} is a search: it has no rows before `ablate sweep` asks it")
    _check_rows(study, setting)
    arms = _select(study, only)
    checksums = cache(corpora.checksums)  # a user's files are read once, not once an arm
    by_arm = []
    for arm in arms:
        config = _configure(study, setting, arm, seeds[0], overrides)
        _check_score(study, setting, config)
        by_arm.append(_seeded(study, setting, arm, config, checksums(config.data), seeds))
    for seed in seeds[1:]:
        _configure(study, setting, arms[0], seed, overrides)  # a seed that cannot be
    trials = [trial for of_one_seed in zip(*by_arm, strict=True) for trial in of_one_seed]
    if study.search is None:  # a search may suggest the same again, and is answered from the first
        _check_distinct(trials, setting)
    return trials


def check_search(
    study: Study, setting: Setting, seed: int, overrides: Mapping[str, Given]
) -> Trial:
    """Refuse a space with a value that no suggestion can have -> the trial of nothing suggested.

    What only a combination of its keys breaks is found out when it is suggested.
    """
    assert study.search is not None
    for dimension in study.search.space:
        if dimension.key in overrides:
            raise ConfigError(f"--set {dimension.key}: {study.name} searches it; leave it out")
    for dimension, values in probes(study.search):
        others = [one.key for one in study.search.space if one is not dimension]
        try:
            _configure(study, setting, study.search.arm(SPACE, values), seed, overrides)
        except ConfigError as error:
            if not any(key in str(error) for key in others):
                raise
    base = with_arms(study, [study.search.arm(SPACE, {})])
    return expand(base, setting, [seed], [], overrides)[0]


def trial_from_config(config: RunConfig) -> Trial:
    """The trial of a bare configuration: of study "single", its arm named by its digest."""
    sums = corpora.checksums(config.data)
    identity = digest(config, sums)
    changed = {key: after for key, (_, after) in differences(RunConfig(), config).items()}
    changed.pop("train.seed", None)
    return Trial(
        study="single",
        version=1,
        setting=config.data.corpus,
        arm=identity,
        group=identity,
        label=None,
        after=None,
        seed=config.train.seed,
        config=config,
        checksums=sums,
        digest=identity,
        overrides=changed,
    )


def changed_keys(trial: Trial, base: Trial) -> dict[str, Scalar]:
    """What the trial's row changes against base's trial: the cells that a table does not blank."""
    before = flatten(base.config)
    return {key: value for key, value in trial.overrides.items() if before.get(key) != value}


def _select(study: Study, only: Sequence[str]) -> list[Arm]:
    ids = [arm.id for arm in study.arms]
    for name in only:
        if name not in ids:
            raise ConfigError(
                f"study {study.name} has no arm {name}{nearest(name, ids)}; it has {', '.join(ids)}"
            )
    return [arm for arm in study.arms if not only or arm.id in only]


def _configure(
    study: Study, setting: Setting, arm: Arm, seed: int, overrides: Mapping[str, Given]
) -> RunConfig:
    try:
        given = _given(study, setting, arm, overrides)
        return build({**given, "train.seed": Given(seed, "--seeds")})
    except ConfigError as error:
        if f"row {arm.id}" in str(error) or (study.search and study.search.file in str(error)):
            raise
        message = f"{study.name}, row {arm.id}, in setting {setting.name}: {error}"
        raise ConfigError(message) from None


def _seeded(
    study: Study,
    setting: Setting,
    arm: Arm,
    config: RunConfig,
    checksums: Mapping[str, str],
    seeds: Sequence[int],
) -> list[Trial]:
    """An arm's trials: its configuration is checked once, and is the same but for the seed."""
    flat = flatten(config)
    overrides = {key: flat.get(key) for key in {**arm.given, **_here(study, setting, arm)}}
    digests = seed_digests(config, checksums, seeds)
    return [
        Trial(
            study=study.name,
            version=study.version,
            setting=setting.name,
            arm=arm.id,
            group=arm.group,
            label=arm.label,
            after=arm.after,
            seed=seed,
            config=_with_seed(config, seed),
            checksums=checksums,
            digest=identity,
            overrides=overrides,
        )
        for seed, identity in zip(seeds, digests, strict=True)
    ]


def _with_seed(config: RunConfig, seed: int) -> RunConfig:
    train = config.train.model_copy(update={"seed": seed})
    return config.model_copy(update={"train": train})


def _here(study: Study, setting: Setting, arm: Arm) -> Mapping[str, Given]:
    """What the setting says of the study's row."""
    return setting.rows.get(Reference(study.name, arm.id), {})


def _given(
    study: Study, setting: Setting, arm: Arm, overrides: Mapping[str, Given]
) -> dict[str, Given]:
    layers = (
        Layer(setting.recipe.given, scales=True),
        Layer(setting.given, scales=False),
        Layer(arm.given, scales=True),
        Layer(_here(study, setting, arm), scales=False),
        Layer(overrides, scales=False),
    )
    for layer in layers:
        if "train.seed" in layer.given:
            origin = layer.given["train.seed"].origin
            raise ConfigError(f"{origin}: train.seed is not set here; seeds come from --seeds")
    return resolve(layers, setting.scale)


def _check_seeds(seeds: Sequence[int]) -> None:
    if not seeds:
        raise ConfigError("--seeds: at least one seed is needed")
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"--seeds {', '.join(map(str, seeds))}: each seed once")


def _check_rows(study: Study, setting: Setting) -> None:
    ids = [arm.id for arm in study.arms]
    for reference in setting.rows:
        if reference.study == study.name and reference.arm not in ids:
            raise ConfigError(
                f"setting {setting.name}: rows: {study.name} has no arm {reference.arm}"
                f"{nearest(reference.arm, ids)}; it has {', '.join(ids)}"
            )


def _check_score(study: Study, setting: Setting, config: RunConfig) -> None:
    if study.score.startswith("test") and not corpora.has_test(config.data):
        raise ConfigError(
            f"{study.name} in setting {setting.name}: the study has score: {study.score}, and "
            f"data.corpus={config.data.corpus} has no test part here; name one, or run a study "
            "that is read for valid"
        )


def _check_distinct(trials: Sequence[Trial], setting: Setting) -> None:
    first: dict[str, Trial] = {}
    for trial in trials:
        twin = first.setdefault(trial.digest, trial)
        # What is best for a row may be what the row is.
        if twin is not trial and TUNED not in (twin.group, trial.group):
            raise ConfigError(
                f"{trial.study}: rows {twin.arm} and {trial.arm} are the same configuration in "
                f"setting {setting.name}; a row must differ from the others. Drop one, or the "
                "--set that makes them equal, or choose rows with --only"
            )
