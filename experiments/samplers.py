"""Optuna's samplers and pruners by their own names and options, as a study's file has them."""

import importlib.util
import inspect
import re
import warnings
from collections.abc import Mapping
from typing import Any, assert_never

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from experiments.files import PrunerName, SamplerName
from experiments.space import Search
from lit_transformer.config_io import ConfigError, nearest

TYPES = {"int": (int,), "float": (int, float), "bool": (bool,), "str": (str,)}


def check(search: Search) -> None:
    """ConfigError where its sampler or its pruner cannot be made."""
    sampler(search, 1, reseeded=False)
    pruner(search)


def sampler(search: Search, seed: int, reseeded: bool) -> BaseSampler:
    """Optuna's, with this seed unless it has its own; `reseeded`: with this one in any case."""
    chosen = search.sampler
    if chosen.name == "cmaes" and importlib.util.find_spec("cmaes") is None:
        where = search.origins["sampler"]  # else Optuna would say so in mid-search
        raise ConfigError(f"{where}: cmaes needs a package: pip install cmaes")
    own = {**chosen.options, "seed": seed} if reseeded else {"seed": seed, **chosen.options}
    made = _made(_sampler_class(chosen.name), "sampler", chosen.name, own, search)
    assert isinstance(made, BaseSampler)
    return made


def pruner(search: Search) -> BasePruner:
    chosen = search.pruner
    if chosen is None:
        return optuna.pruners.NopPruner()
    made = _made(_pruner_class(chosen.name), "pruner", chosen.name, chosen.options, search)
    assert isinstance(made, BasePruner)
    return made


def _sampler_class(name: SamplerName) -> type[BaseSampler]:
    match name:
        case "tpe":
            return optuna.samplers.TPESampler
        case "random":
            return optuna.samplers.RandomSampler
        case "gp":
            return optuna.samplers.GPSampler
        case "cmaes":
            return optuna.samplers.CmaEsSampler
        case "nsgaii":
            return optuna.samplers.NSGAIISampler
        case "nsgaiii":
            return optuna.samplers.NSGAIIISampler
        case "qmc":
            return optuna.samplers.QMCSampler
        case _ as never:
            assert_never(never)


def _pruner_class(name: PrunerName) -> type[BasePruner]:
    match name:
        case "median":
            return optuna.pruners.MedianPruner
        case "percentile":
            return optuna.pruners.PercentilePruner
        case "successive_halving":
            return optuna.pruners.SuccessiveHalvingPruner
        case "hyperband":
            return optuna.pruners.HyperbandPruner
        case "threshold":
            return optuna.pruners.ThresholdPruner
        case _ as never:
            assert_never(never)


def _made(
    kind: type[BaseSampler] | type[BasePruner],
    part: str,
    name: str,
    options: Mapping[str, Any],
    search: Search,
) -> BaseSampler | BasePruner:
    """With Optuna's own options, as far as YAML can write them. ConfigError names the wrong one."""
    where, known = f"{search.origins[part]}: {search.within}.{part}", _options(kind)
    for option, value in options.items():
        if option not in known:
            raise ConfigError(
                f"{where}.options: {name} has no option {option}{nearest(option, known)}; it has "
                f"{', '.join(known) or 'none'}"
            )
        if not any(_fits(value, word) for word in known[option]):
            raise ConfigError(
                f"{where}.options.{option}={value!r}: {' or '.join(known[option])} is expected"
            )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            return kind(**options)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{where}: {name}: {error}") from None


def _options(kind: type[BaseSampler] | type[BasePruner]) -> dict[str, list[str]]:
    """Options that are plain numbers, words or switches -> their types' names."""
    found = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        words = [w for w in re.findall(r"\w+", str(parameter.annotation)) if w != "class"]
        if {*words} <= {*TYPES, "None"}:
            found[name] = words
    return found


def _fits(value: object, word: str) -> bool:
    if word == "None":
        return value is None
    return isinstance(value, TYPES[word]) and (word == "bool" or not isinstance(value, bool))
