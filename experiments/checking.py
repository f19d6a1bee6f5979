"""`ablate check`: what a YAML file is, and whether it can be run as it stands."""

from pathlib import Path

from experiments import study as studies
from experiments import tuning
from experiments.study import Setting, Study
from lit_transformer import config_io
from lit_transformer.config_io import ConfigError
from lit_transformer.data import corpora
from lit_transformer.data.cache import CorpusError

MAIN_STUDY = "table3"
"""A setting is checked with this study: its rows move every size."""


def check(file: Path, setting: str) -> str:
    """What the file holds, in a line. ConfigError or CorpusError where it cannot be run."""
    try:
        return _content(file, setting)
    except CorpusError as error:
        raise CorpusError(f"{file}: {error}") from None


def _study(study: Study, where: Setting) -> str:
    about = f"study {study.name}, version {study.version}"
    if study.search:
        _check_search(study, where)
        return f"{about}: a search of {len(study.search.space)} keys, valid in {where.name}"
    count = len(studies.expand(study, where, [1], [], {}))
    if study.tune is None:
        return f"{about}: {count} arms, valid in {where.name}"
    rows = tuning.studies(study, where, [])
    for one in rows:
        _check_search(one, where)
    return f"{about}: {count} arms, {len(rows)} of them tuned, valid in {where.name}"


def _check_search(study: Study, where: Setting) -> None:
    from experiments import samplers  # here, since Optuna's import is felt

    assert study.search is not None
    samplers.check(study.search)
    studies.check_search(study, where, study.search.seed or 1, {})


def _content(file: Path, setting: str) -> str:
    content = config_io.read_yaml(file)
    top = content.data if isinstance(content.data, dict) else {}
    lists = "rows" in top or "search" in top
    if lists and "recipe" not in top:  # a setting's rows are of studies
        return _study(studies.load_study(str(file)), studies.load_setting(setting))
    if "name" in top and ("scale" in top or "recipe" in top):
        where = studies.load_setting(str(file))
        trials = studies.expand(studies.load_study(MAIN_STUDY), where, [1], [], {})
        corpora.check(trials[0].config.data)
        return f"setting {where.name}: {MAIN_STUDY}'s {len(trials)} arms are valid in it"
    if "name" in top:
        recipe = studies.load_recipe(str(file))
        config_io.build(recipe.given)
        return f"recipe {recipe.name}: {len(recipe.given)} keys"
    if not top:
        raise ConfigError(
            f"{file}: no keys; expected those of a study, a setting, a recipe or a configuration"
        )
    config = config_io.load(file)
    corpora.check(config.data)
    return f"configuration: {len(config_io.differences(type(config)(), config))} keys changed"
