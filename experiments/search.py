"""A search with Optuna, by ask and tell: the same trials, suggested instead of listed.

Optuna's own state is kept nowhere. What was asked, followed and told is one append-only file
(`suggestions.py`), and Optuna's study is made again in memory by going through it: a seeded sampler
then suggests what it would have suggested undisturbed. Of Optuna's storages, a journal file is
ruined by a torn last line, and a database leaves a killed trial RUNNING for ever; both would be a
second truth beside the trials' directories.
"""

import importlib.util
import inspect
import math
import re
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, assert_never, final

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from experiments.files import PrunerName, SamplerName
from experiments.space import Dimension, described
from experiments.study import Setting, Study, Trial, check_search, expand, with_arms
from experiments.suggestions import End, Suggestion, about, path, read_events, suggestions
from experiments.sweep import Planned, Root, plan
from lit_transformer.config_io import ConfigError, Given, Scalar, nearest
from lit_transformer.record import (
    POINT,
    Record,
    RecordError,
    append_line,
    exclusive,
    mend_lines,
    read_lines,
)
from lit_transformer.scoring import MEASURES

OWNER_PATIENCE_S = 2.0
"""Longest wait for a process of this search that is just ending."""
DIGITS = 4
"""Of a suggested number: what a table can show, and more than a score can tell apart."""
STATES: Mapping[End, TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "fail": TrialState.FAIL,
}
TYPES = {"int": (int,), "float": (int, float), "bool": (bool,), "str": (str,)}


class _OtherwiseError(Exception):
    """Optuna does not suggest again what it had suggested: it is of another version."""


@final
class Searching:
    """Suggests trials by what the ones before have scored, and ends those that promise little."""

    def __init__(
        self,
        study: Study,
        setting: Setting,
        seed: int,
        overrides: Mapping[str, Given],
        root: Path,
    ) -> None:
        """`seed`: of every trial, and of the sampler unless it has its own.

        ConfigError where something of it cannot be.
        """
        assert study.search is not None
        self.base = check_search(study, setting, seed, overrides)
        self._about = setting, seed, overrides
        self._what, self._search, self._root = study, study.search, Root(root)
        self._path = path(root, study, setting, self.base)
        task = MEASURES[self.base.config.data.task]
        self._score, self._curve = f"{study.score}.{task}", f"valid.curve_{task}"
        self._check_curve()
        self._news: list[str] = []
        self._restore(read_events(self._path))

    @property
    def devices(self) -> int:
        """Of each trial."""
        return self.base.config.train.devices

    @property
    def trials(self) -> int:
        """How many it may suggest in all."""
        return self._search.trials

    @property
    def suggested(self) -> list[Suggestion]:
        """By number."""
        return list(self._found)

    @property
    def is_done(self) -> bool:
        """Whether all was asked, and every end is told."""
        whole = len(self._found) >= self._search.trials
        return whole and all(one.end is not None for one in self._found)

    def states(self) -> list[str]:
        """Optuna's, by number: COMPLETE, PRUNED, FAIL, RUNNING."""
        return [trial.state.name for trial in self._study.get_trials(deepcopy=False)]

    def planned(self) -> list[Planned]:
        """Every trial that was suggested and can be; a search's ends are settled."""
        found = [one for one in self._found if one.digest is not None]
        items = plan([self._trials[one.number] for one in found], self._root)
        pairs = zip(items, found, strict=True)
        return [item._replace(settled=one.end is not None) for item, one in pairs]

    def plan(self) -> list[str]:
        """What is searched and how, to be told."""
        search, left = self._search, max(self._search.trials - len(self._found), 0)
        objectives = [self._score if name == "score" else name for name in search.objectives]
        pruner = f", pruned by {search.pruner.name} on {self._curve}" if search.pruner else ""
        ends = [one.end for one in self._found]
        counts = f"{ends.count('complete')} finished, {ends.count('pruned')} pruned"
        return [
            f"search: {search.sampler.name} for {' and '.join(objectives)}{pruner}",
            *described(search),
            f"{search.trials} trials: {counts}, {ends.count('fail')} failed, "
            f"{ends.count(None)} under way, {left} to be suggested",
        ]

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Own the search; what is asked and told within is written down.

        ConfigError where another process has it.
        """
        with ExitStack() as held:
            try:
                lock = exclusive(self._path.with_suffix(".lock"), OWNER_PATIENCE_S)
                held.enter_context(lock)
            except TimeoutError:
                raise ConfigError(
                    f"{self._what.name}: another process is at this search; wait for it, or stop it"
                ) from None
            mend_lines(self._path)
            events = read_events(self._path)
            if not events:
                search = {**about(self._search), "trials": self._search.trials}
                self._note("begun", optuna=optuna.__version__, search=search)
            self._restore(events)
            yield

    def suggest(self) -> Trial | None:
        """The next trial; None: no more are wanted. What cannot be configured has failed."""
        while len(self._found) < self._search.trials:
            number, values = self._ask()
            one = Suggestion(number, values, None, "", (), None, ())
            try:
                self._trials |= self._expanded([one])
                one = one._replace(digest=self._trials[number].digest)
            except ConfigError as error:
                one = one._replace(reason=str(error))
            told = {name: getattr(one, name) for name in ("number", "values", "digest", "reason")}
            self._note("asked", **told)
            self._found.append(one)
            if one.digest is not None:
                return self._trials[number]
            self._tell(one, "fail", (), f"cannot be: {one.reason}")
        return None

    def look(self, running: Collection[str]) -> list[str]:
        """Follow the trials that are not over -> the news.

        `running`: digests of those that this sweep runs, which it may end.
        """
        for one in [one for one in self._found if one.end is None and one.digest is not None]:
            assert one.digest is not None
            record = Record(self._root.trial(one.digest))
            state = record.state()  # first: the curve is then at least as new
            self._follow(one.number, record)
            if one.digest not in running:
                self._settle(self._found[one.number], state.kind, state.reason, record)
            elif one.digest in self._condemned:
                record.ask_to_prune()
        news, self._news = self._news, []
        return news

    def _name(self) -> str:
        return f"{self._what.name}/{self._about[0].name}"

    def _expanded(self, some: Sequence[Suggestion]) -> dict[int, Trial]:
        """Their trials, by number. ConfigError where one cannot be."""
        setting, seed, overrides = self._about
        arms = [self._search.arm(one.name, one.values) for one in some]
        if not arms:
            return {}
        found = expand(with_arms(self._what, arms), setting, [seed], [], overrides)
        return {one.number: trial for one, trial in zip(some, found, strict=True)}

    def _settle(self, one: Suggestion, kind: str, reason: str, record: Record) -> None:
        """Tell Optuna of an end; what may still go on is left as it is."""
        match kind:
            case "finished":
                found = self._objectives(record)
                missing = "" if found else "its result lacks an objective"
                self._tell(one, "complete" if found else "fail", found, missing)
            case "pruned" if one.digest in self._condemned:
                self._tell(one, "pruned", (), "")
            case "diverged" | "bad_configuration":
                self._tell(one, "fail", (), f"{kind}: {reason}")

    def _objectives(self, record: Record) -> tuple[float, ...]:
        """As the search names them; none where one is missing."""
        try:
            scores = (record.result() or {"scores": {}})["scores"]
        except RecordError:
            return ()
        names = [self._score if name == "score" else name for name in self._search.objectives]
        found = tuple(scores.get(name, math.nan) for name in names)
        return found if all(map(math.isfinite, found)) else ()

    def _tell(self, one: Suggestion, end: End, objectives: tuple[float, ...], reason: str) -> None:
        self._note("told", number=one.number, end=end, objectives=list(objectives))
        self._end(one.number, end, objectives)
        if reason:
            self._news.append(f"failed    {self._name()} {one.name}: {reason}")

    def _end(self, number: int, end: End, objectives: tuple[float, ...]) -> None:
        self._found[number] = self._found[number]._replace(end=end, objectives=objectives)
        values = list(objectives) if end == "complete" else None
        self._study.tell(self._handles[number], values, STATES[end])

    def _follow(self, number: int, record: Record) -> None:
        """Report the validations that are new, and ask the pruner after each."""
        if self._search.pruner is None:
            return
        try:
            lines = list(read_lines(record.metrics, **POINT))
        except RecordError:  # the trial's state tells it
            return
        values = [line["values"][self._curve] for line in lines if self._curve in line["values"]]
        known = len(self._found[number].points)
        for step, value in enumerate(values[known:], start=known + 1):
            if not isinstance(value, int | float) or not math.isfinite(value):
                return
            self._note("followed", number=number, step=step, value=value)
            self._report(number, step, value)

    def _report(self, number: int, step: int, value: float) -> None:
        """A step is a validation, the first is 1: Optuna's resource."""
        one = self._found[number]
        self._found[number] = one._replace(points=(*one.points, value))
        handle = self._handles[number]
        handle.report(value, step)
        if handle.should_prune() and one.digest is not None:
            self._condemned.add(one.digest)

    def _ask(self) -> tuple[int, dict[str, Scalar]]:
        handle = self._study.ask()
        self._handles.append(handle)
        values: dict[str, Scalar] = {}
        for dimension in self._search.space:
            if dimension.holds(values):
                values[dimension.key] = _suggested(handle, dimension)
        return handle.number, values

    def _note(self, event: str, **content: Any) -> None:
        append_line(self._path, {"event": event, **content})

    def _restore(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Bring Optuna's study to where the events end.

        Where Optuna has changed since, it is given the old suggestions, and another seed for new
        ones: with the same it would begin its suggestions again.
        """
        asked = suggestions(events)
        self._trials = self._expanded([one for one in asked if one.digest is not None])
        try:
            self._begin(self._about[1])
            self._replay(events, exact=True)
        except _OtherwiseError:
            self._begin(self._about[1] + len(asked), reseeded=True)
            for one in asked:
                self._study.enqueue_trial(dict(one.values))
            self._replay(events, exact=False)

    def _begin(self, seed: int, reseeded: bool = False) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(
            study_name=self._name(),  # hyperband shares trials out by it
            sampler=sampler(self._what, seed, reseeded),
            pruner=pruner(self._what),
            directions=[
                "maximize" if name == "score" else "minimize" for name in self._search.objectives
            ],
        )
        self._handles: list[optuna.Trial] = []
        self._found: list[Suggestion] = []
        self._condemned: set[str] = set()

    def _replay(self, events: Sequence[Mapping[str, Any]], exact: bool) -> None:
        for event in events:
            match event["event"]:
                case "asked":
                    (one,) = suggestions([event])
                    _, values = self._ask()
                    if exact and values != one.values:
                        raise _OtherwiseError
                    self._found.append(one)
                case "followed":
                    self._report(event["number"], event["step"], event["value"])
                case "told":
                    self._end(event["number"], event["end"], tuple(event["objectives"]))

    def _check_curve(self) -> None:
        if self._search.pruner and not self.base.config.train.valid_sentences:
            raise ConfigError(
                f"{self._search.origins['pruner']}: pruner {self._search.pruner.name} follows "
                f"{self._curve}, and train.valid_sentences=0 draws none; raise it, or leave the "
                "pruner out"
            )


def check(study: Study) -> None:
    """Refuse a sampler or a pruner that cannot be made."""
    sampler(study, 1, reseeded=False)
    pruner(study)


def sampler(study: Study, seed: int, reseeded: bool) -> BaseSampler:
    """Optuna's, with this seed unless it has its own; `reseeded`: with this one in any case."""
    assert study.search is not None
    chosen = study.search.sampler
    if chosen.name == "cmaes" and importlib.util.find_spec("cmaes") is None:
        where = study.search.origins["sampler"]  # else Optuna would say so in mid-search
        raise ConfigError(f"{where}: cmaes needs a package: pip install cmaes")
    own = {**chosen.options, "seed": seed} if reseeded else {"seed": seed, **chosen.options}
    made = _made(_sampler_class(chosen.name), "sampler", chosen.name, own, study)
    assert isinstance(made, BaseSampler)
    return made


def pruner(study: Study) -> BasePruner:
    assert study.search is not None
    chosen = study.search.pruner
    if chosen is None:
        return optuna.pruners.NopPruner()
    made = _made(_pruner_class(chosen.name), "pruner", chosen.name, chosen.options, study)
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
    study: Study,
) -> BaseSampler | BasePruner:
    """With Optuna's own options, as far as YAML can write them. ConfigError names the wrong one."""
    assert study.search is not None
    where, known = f"{study.search.origins[part]}: search.{part}", _options(kind)
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


def _suggested(handle: optuna.Trial, dimension: Dimension) -> Scalar:
    key, low, high = dimension.key, dimension.low, dimension.high
    if dimension.choices:
        found: Scalar = handle.suggest_categorical(key, dimension.choices)
        return found
    if dimension.whole:
        step = int(dimension.step or 1)
        return handle.suggest_int(key, int(low), int(high), step=step, log=dimension.log)
    number = handle.suggest_float(key, low, high, step=dimension.step, log=dimension.log)
    # Steps of a tenth do not add up to tenths; 12 digits make them so.
    digits = DIGITS if dimension.step is None else 12
    return min(max(float(f"{number:.{digits}g}"), low), high)
