"""A search: the same trials as listed ones, suggested instead, each by what the ones before scored.

Optuna's own state is kept nowhere. What was asked, followed and told is one append-only file
(`suggestions.py`), and Optuna's study is made again in memory by going through it (`asking.py`): a
seeded sampler then suggests what it would have suggested undisturbed. Of Optuna's storages, a
journal file is ruined by a torn last line, and a database leaves a killed trial RUNNING for ever;
both would be a second truth beside the trials' directories.
"""

import math
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, final

from experiments import bounds
from experiments.asking import VERSION, Asking
from experiments.bounds import Bound
from experiments.files import MOST_TRIALS
from experiments.scaling import unscaled
from experiments.searched import End, Searched, Suggestion
from experiments.space import described, is_in
from experiments.study import Setting, Study, Trial, check_search, expand, with_arms
from experiments.suggestions import about, path, read_events, searched, spent_s, suggestions
from experiments.sweep import Further, Planned, Root, plan
from lit_transformer.config_io import ConfigError, Given, Scalar, flatten, load
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
MOST_AT_ONCE = 256
"""Trials of a search without their number that its sweep plans devices for."""
NOTE_EVERY_S = 10.0
"""How often the time that was spent is written down: what a kill may leave out of a budget."""
clock = time.monotonic


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
        self._noted_s = 0.0
        self._since: float | None = None  # by the clock, when it was last written down
        self._about = setting, seed, overrides
        self._what, self._search, self._root = study, study.search, Root(root)
        self._path = path(root, study, setting, self.base)
        task = MEASURES[self.base.config.data.task]
        self._score, self._curve = f"{study.score}.{task}", f"valid.curve_{task}"
        self._check_curve()
        self._news: list[str] = []
        self._alike: dict[str, bool] = {}
        self._restore(read_events(self._path))

    @property
    def devices(self) -> int:
        """Of each trial."""
        return self.base.config.train.devices

    @property
    def suggested(self) -> list[Suggestion]:
        """By number."""
        return list(self._found)

    @property
    def spent_s(self) -> float:
        """Seconds that its processes have been at it."""
        return self._noted_s + (0.0 if self._since is None else clock() - self._since)

    @property
    def wants_more(self) -> bool:
        """Whether trials and time are left."""
        trials, seconds = self._search.trials, self._search.time_s
        room = len(self._found) < (MOST_TRIALS if trials is None else trials)
        return room and (seconds is None or self.spent_s < seconds)

    @property
    def is_done(self) -> bool:
        """Whether all was asked, and every end is told."""
        return not self.wants_more and all(one.end is not None for one in self._found)

    def states(self) -> list[str]:
        """Optuna's, by number: COMPLETE, PRUNED, FAIL, RUNNING."""
        return self._asking.states()

    def planned(self) -> list[Planned]:
        """Every trial that was suggested and can be; a search's ends are settled."""
        found = [one for one in self._found if one.digest is not None]
        items = plan([self._trials[one.number] for one in found], self._root)
        pairs = zip(items, found, strict=True)
        return [item._replace(settled=one.end is not None) for item, one in pairs]

    @property
    def left(self) -> int | None:
        """How many it may still suggest; None: as many as its time allows."""
        trials = self._search.trials
        return None if trials is None else max(trials - len(self._found), 0)

    def outline(self) -> list[Trial]:
        """Trials that stand for all it may train."""
        return [self.base] * (self._search.trials or MOST_AT_ONCE)

    def ahead(self) -> tuple[list[Planned], list[Bound]]:
        """What is under way, and what is left to be suggested, each as costly as the space
        allows; for a forecast."""
        search = self._search
        item = self.costliest(f"{search.row}.suggestions" if search.row else "suggestions")
        share = bounds.validation_share(item.trial.config.train)
        bound = Bound(
            arm=item.trial.arm,
            left=self.left,
            seconds=None if search.time_s is None else max(search.time_s - self.spent_s, 0.0),
            values=self._most(),
            first=share if search.pruner else None,
            so_far=bounds.updates_share(self._found, share),
        )
        begun = [one for one in self.planned() if not one.is_over]
        return [*begun, *[item] * (1 if self.left is None else self.left)], [bound]

    def costliest(self, name: str) -> Planned:
        """The suggestion that takes most operations, under a name of its own.

        It is in no directory of a trial: nothing is known of a trial that is not yet suggested.
        """
        trial = self._with(self._most(), name)
        return plan([trial], self._root)[0]._replace(record=Record(self._path.with_suffix("")))

    def _most(self) -> dict[str, Scalar]:
        return bounds.costliest(self._search, self.base, lambda some: self._with(some, "costliest"))

    def _with(self, values: Mapping[str, Scalar], name: str) -> Trial:
        setting, seed, overrides = self._about
        study = with_arms(self._what, [self._search.arm(name, values)])
        return expand(study, setting, [seed], [], overrides)[0]

    def as_objects(self) -> list[dict[str, Any]]:
        """As JSON has it, alone in a list."""
        found = self.searched()
        return [
            {
                **found.about,
                "row": found.row,
                "seed": found.seed,
                "budget": dict(found.budget),
                "spent_seconds": found.spent_s,
                "suggested": len(found.found),
            }
        ]

    def searched(self) -> Searched:
        """As far as it has come, as its record has it."""
        return searched(self._what, self.base, read_events(self._path))

    def plan(self) -> list[str]:
        """What is searched and how, to be told."""
        search = self._search
        objectives = [self._score if name == "score" else name for name in search.objectives]
        pruner = f", pruned by {search.pruner.name} on {self._curve}" if search.pruner else ""
        of = f"search of {search.row}" if search.row else "search"
        return [
            f"{of}: {search.sampler.name} for {' and '.join(objectives)}{pruner}",
            *described(search),
            self.standing(),
        ]

    def standing(self) -> str:
        """How many trials there are, and what is left."""
        trials, seconds = self._search.trials, self._search.time_s
        ends = [one.end for one in self._found]
        counts = (
            f"{ends.count('complete')} finished, {ends.count('pruned')} pruned, "
            f"{ends.count('fail')} failed, {ends.count(None)} under way"
        )
        told = f"{len(ends) if trials is None else trials} trials: {counts}"
        if trials is not None:
            told += f", {self.left} to be suggested"
        if seconds is not None:
            told += f"; {self.spent_s:,.0f} of {seconds:,.0f} s spent"
        return told

    def is_whole(self, planned: Sequence[Planned]) -> bool:
        """Whether it is over; of its trials some fail, and some are pruned."""
        return self.is_done

    def further(self, planned: Sequence[Planned]) -> Further:
        """Nothing beyond what it suggests."""
        return Further([], [])

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
                search["row"] = self._search.row
                self._note("begun", optuna=VERSION, seed=self.base.seed, search=search)
            self._restore(events)
            self._since = clock()
            try:
                yield
            finally:
                self._note_time()
                self._since = None

    def suggest(self) -> Trial | None:
        """The next trial; None: no more are wanted. What cannot be configured has failed."""
        while self.wants_more:
            number, values = self._asking.ask()
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
        if self._since is not None and clock() - self._since >= NOTE_EVERY_S:
            self._note_time()
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
        arms = [self._search.arm(self._search.name(one.number), one.values) for one in some]
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
            self._news.append(f"failed    {self._name()} {self._search.name(one.number)}: {reason}")

    def _end(self, number: int, end: End, objectives: tuple[float, ...]) -> None:
        self._found[number] = self._found[number]._replace(end=end, objectives=objectives)
        self._asking.tell(number, end, objectives)

    def _follow(self, number: int, record: Record) -> None:
        """Report the validations that are new, and ask the pruner after each."""
        if self._search.pruner is None or not self._validates_alike(record):
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

    def _validates_alike(self, record: Record) -> bool:
        """Whether its curve compares with the others': which validations a trial has is no part of
        its digest, and another study may have trained it."""
        if record.path.name not in self._alike and record.config.exists():
            try:
                own, ours = load(record.config).train, self.base.config.train
            except ConfigError:  # the trial's state tells it
                return False
            told = [(one.valid_every, one.valid_sentences) for one in (own, ours)]
            self._alike[record.path.name] = told[0] == told[1]
        return self._alike.get(record.path.name, True)

    def _report(self, number: int, step: int, value: float) -> None:
        """A step is a validation, the first is 1: Optuna's resource."""
        one = self._found[number]
        self._found[number] = one._replace(points=(*one.points, value))
        if self._asking.gives_up(number, step, value) and one.digest is not None:
            self._condemned.add(one.digest)

    def _note(self, event: str, **content: Any) -> None:
        append_line(self._path, {"event": event, **content})

    def _note_time(self) -> None:
        """Of a search with a limit of time, write down what has gone by since the last note."""
        if self._since is None:
            return
        now = clock()
        gone_s, self._since = now - self._since, now
        self._noted_s += gone_s
        if self._search.time_s is not None:
            self._note("spent", seconds=round(gone_s, 3))

    def _restore(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Bring Optuna's study to where the events end.

        Where Optuna has changed since, it is given the old suggestions, and another seed for new
        ones: with the same it would begin its suggestions again.
        """
        self._noted_s = spent_s(events)
        asked = suggestions(events)
        self._trials = self._expanded([one for one in asked if one.digest is not None])
        try:
            self._begin(self._about[1], reseeded=False)
            if self._search.row and (own := self._own()):
                self._asking.enqueue(own)
            self._replay(events, exact=True)
        except _OtherwiseError:
            self._begin(self._about[1] + len(asked), reseeded=True)
            for one in asked:
                self._asking.enqueue(one.values)
            self._replay(events, exact=False)

    def _begin(self, seed: int, reseeded: bool) -> None:
        self._asking = Asking(self._search, self._name(), seed, reseeded)
        self._found: list[Suggestion] = []
        self._condemned: set[str] = set()

    def _own(self) -> dict[str, Scalar]:
        """What the tuned row has itself, where it can be suggested: the first suggestion."""
        base, found = flatten(self.base.config), dict[str, Scalar]()
        for dimension in self._search.space:
            if dimension.holds(found):
                value = unscaled(dimension.key, base[dimension.key], self._about[0].scale)
                if not is_in(value, dimension):
                    return {}
                found[dimension.key] = value
        with suppress(ConfigError):
            if self._with(found, "own").digest == self.base.digest:
                return found
        return {}

    def _replay(self, events: Sequence[Mapping[str, Any]], exact: bool) -> None:
        for event in events:
            match event["event"]:
                case "asked":
                    (one,) = suggestions([event])
                    _, values = self._asking.ask()
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
