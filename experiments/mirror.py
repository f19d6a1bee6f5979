"""Keeping MLflow up to date with the trials' directories: during a sweep, and afterwards."""

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Self, final

from experiments import store
from experiments.description import Identity, Named, identify, identity_from
from experiments.outbox import fingerprint, notes_path, read_notes
from experiments.tracking import Sender
from lit_transformer.record import DAMAGE, REMEDY, Record, RecordError
from lit_transformer.terminal import printable

_log = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
LONGEST_PAUSE_S = 60.0
LAST_LOOK_S = 30.0
"""How long leaving a `with Mirror` block waits for what is still to be sent."""
GIVE_UP_AFTER = 3
"""Failures in a row after which a round ends: the tracker is probably gone."""

Item = tuple[Identity, Path]
"""A trial under the name it has in one table, and its directory."""


@final
class Mirror:
    """Keeps MLflow up to date while a sweep runs, from a thread of its own.

    Nothing that MLflow does stops the sweep: a failure is logged once, tried again later, and told
    by `close`.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._sender = Sender(root)
        self._items: dict[Item, None] = {}
        self._seen: dict[Item, list[int]] = {}
        self._errors: dict[Item, str] = {}
        self._said: set[str] = set()
        self._guard = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mirror", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._closing.is_set():
            for problem in self.close(LAST_LOOK_S):
                _log.warning("%s", problem)

    def watch(self, trial: Named, directory: Path) -> None:
        """Mirror this directory, from now until `close`, as the run of this trial."""
        with self._guard:
            self._items[identify(trial), directory] = None

    def close(self, timeout: float) -> list[str]:
        """Look a last time, for at most `timeout` seconds -> what MLflow lacks, and the remedy."""
        self._closing.set()
        self._thread.join(timeout)
        with self._guard:
            items = list(self._items)
        lacking = [item for item in items if not self._is_sent(item)]
        if not lacking and not self._thread.is_alive():
            return []
        unknown = "it takes longer than was left" if self._thread.is_alive() else "not yet tried"
        errors = [self._errors.get(item, unknown) for item in lacking] or [unknown]
        return [_problem(self._root, len(lacking), list(dict.fromkeys(errors)))]

    def _work(self) -> None:
        pause = LOOK_EVERY_S
        while not self._closing.wait(pause if self._items else 0.1):
            fine = self._look()
            pause = LOOK_EVERY_S if fine else min(2 * pause, LONGEST_PAUSE_S)
        self._look()

    def _look(self) -> bool:
        """Send what is new -> whether all went well. Failing trials go to the end of the line."""
        with self._guard:
            items = list(self._items)
        failures = 0
        for item in items:
            try:
                if self._is_sent(item):
                    continue
                self._seen[item] = self._sender.send(*item)
                self._errors.pop(item, None)
            except Exception as error:  # whatever it is, the sweep goes on
                failures += not _is_damage(error)
                self._fail(item, _message(error, item[1]))
            if failures == GIVE_UP_AFTER:
                break
        return failures == 0

    def _fail(self, item: Item, message: str) -> None:
        self._errors[item] = message
        with self._guard:
            self._items[item] = self._items.pop(item)
        if message not in self._said:
            self._said.add(message)
            _log.warning("MLflow lags behind and is tried again: %s", message)

    def _is_sent(self, item: Item) -> bool:
        return self._seen.get(item) == fingerprint(item[1])


def sync(root: Path, trials: Iterable[Named]) -> list[str]:
    """Send these trials to MLflow now -> what could not be sent, and the remedy."""
    return _send_all(root, [(identify(t), trials_path(root) / t.digest) for t in trials])


def sync_all(root: Path) -> list[str]:
    """`sync` for every trial and rerun under mlruns/, in every table that has asked for it, and
    `send_report` for every report."""
    items, problems = _gathered(root, _wanted)
    problems += _send_all(root, items)
    folders = [s for study in _folders(reports_path(root)) for s in _folders(study)]
    for setting in (s for s in folders if "+" not in s.name):  # a report of several has no run
        problems += send_report(root, setting.parent.name, setting.name)
    return problems


def send_report(root: Path, study: str, setting: str) -> list[str]:
    """Make the last report the description and the files of the study's run -> what was wrong."""
    folder = reports_path(root) / study / setting
    try:
        Sender(root).send_report(study, setting, folder)
    except Exception as error:  # whatever it is, the report lies in its folder
        where = store.scrub(store.uri(root))
        return [
            f"the report is not in MLflow at {where}: {_message(error, folder)}. It lies in "
            f"{folder}, and `ablate sync` sends it"
        ]
    return []


def mend(root: Path) -> list[str]:
    """Make MLflow's statuses right again after a crash -> what could not be, and the remedy.

    Sends the trials that have changed since they were last sent; a trial that runs has a sweep
    that mirrors it. MLflow is imported only if there are any.
    """
    behind, problems = _gathered(root, partial(_left_behind, root))
    try:
        running = list(_running_runs(root))
    except sqlite3.Error as error:
        return [*problems, f"{store.database(root)}: cannot be read: {printable(str(error))}"]
    known = set(directories(root))  # no other folder is ours, whatever a run says
    there = [(who, folder) for _, who, folder in running if folder in known]
    gone = [run_id for run_id, _, folder in running if folder not in known]
    wrong = [(who, folder) for who, folder in there if Record(folder).state().kind != "running"]
    problems += _send_all(root, list(dict.fromkeys([*behind, *wrong])))
    for run_id in gone:
        try:
            Sender(root).kill(run_id)
        except Exception as error:  # as above
            problems.append(_problem(root, 1, [_message(error, root)]))
    return problems


def stale(root: Path, trials: Sequence[Named]) -> list[Identity]:
    """Trials under these names with other digests: of rows or settings as they were."""
    wanted = {(_names(identify(trial)), trial.digest) for trial in trials}
    names = {name for name, _ in wanted}
    there, _ = _gathered(root, _wanted)
    return [
        who
        for who in dict.fromkeys(who for who, _ in there)
        if _names(who) in names and (_names(who), who.digest) not in wanted
    ]


def _names(who: Identity) -> tuple[str, str, str, int]:
    return who.study, who.setting, who.arm, who.seed


def _gathered(root: Path, find: Callable[[Path], Iterator[Item]]) -> tuple[list[Item], list[str]]:
    """What `find` finds in each directory, and what is wrong with the directories."""
    items: dict[Item, None] = {}
    problems = []
    for directory in directories(root):
        try:
            items.update(dict.fromkeys(find(directory)))
        except RecordError as error:
            problems.append(printable(str(error)))
    return list(items), problems


def trials_path(root: Path) -> Path:
    return root / "mlruns" / "trials"


def reports_path(root: Path) -> Path:
    return root / "mlruns" / "reports"


def directories(root: Path) -> list[Path]:
    """The directories of every trial and rerun, in a fixed order."""
    trials = _folders(trials_path(root))
    return [*trials, *(rerun for trial in trials for rerun in _folders(trial / "reruns"))]


def _folders(path: Path) -> list[Path]:
    try:
        with os.scandir(path) as entries:
            found = sorted(e.name for e in entries if e.is_dir(follow_symlinks=False))
            return [path / name for name in found]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _wanted(directory: Path) -> Iterator[Item]:
    """The names under which a directory is, or is to be, in MLflow."""
    record = Record(directory)
    about = record.read_json("trial.json")
    if about is not None:
        try:
            yield identity_from(about), directory
        except DAMAGE:
            raise RecordError(f"{directory}/trial.json: names no trial; {REMEDY}") from None
    for path in _notes(directory):
        try:
            yield identity_from((record.read_json(path.name) or {})["trial"]), directory
        except DAMAGE:
            continue  # a file that is not ours


def _notes(directory: Path) -> list[Path]:
    names = sorted(os.listdir(directory))
    return [directory / n for n in names if n.startswith("mirror-") and n.endswith(".json")]


def _left_behind(root: Path, directory: Path) -> Iterator[Item]:
    """The runs that a sweep which is no more has left behind."""
    now = fingerprint(directory)
    *_, is_running = now
    if is_running:
        return
    for identity, _ in dict.fromkeys(_wanted(directory)):
        sent = read_notes(notes_path(root, identity, directory))
        if sent is not None and sent.seen != now:
            yield identity, directory


def _running_runs(root: Path) -> Iterator[tuple[str, Identity, Path]]:
    """Runs of ours that the default store shows as running."""
    if not store.is_default(root) or not store.database(root).exists():
        return
    query = """
        SELECT run_uuid, tags.key, tags.value FROM runs JOIN tags USING (run_uuid)
        WHERE status = 'RUNNING' AND lifecycle_stage = 'active' AND tags.key LIKE 'ablate.%'
    """
    found: dict[str, dict[str, str]] = {}
    with closing(sqlite3.connect(store.database(root), timeout=20)) as connection:
        for run_id, name, value in connection.execute(query):
            found.setdefault(run_id, {})[name.removeprefix("ablate.")] = value
    for run_id, about in found.items():
        if about.get("root") == store.identity(root):
            with suppress(*DAMAGE):  # another's
                yield run_id, identity_from(about), root / "mlruns" / about["directory"]


def _send_all(root: Path, items: list[Item]) -> list[str]:
    sender, errors, damaged, in_a_row = Sender(root), [], [], 0
    for number, item in enumerate(items):
        try:
            sender.send(*item)
            in_a_row = 0
        except Exception as error:  # one trial that cannot be sent keeps back no other
            if _is_damage(error):
                damaged.append(_message(error, item[1]))
                continue
            errors.append(_message(error, item[1]))
            in_a_row += 1
        if in_a_row == GIVE_UP_AFTER:
            errors += [errors[-1]] * (len(items) - number - 1)
            break
    problem = [_problem(root, len(errors), list(dict.fromkeys(errors)))] if errors else []
    return damaged + problem


def _problem(root: Path, count: int, errors: list[str]) -> str:
    runs = "a run is" if count == 1 else f"{count} runs are"
    return (
        f"{runs} not wholly in MLflow at {store.scrub(store.uri(root))}: {'; '.join(errors)}. "
        f"Nothing is lost: {trials_path(root)} has it all, and `ablate sync` sends it"
    )


def _is_damage(error: Exception) -> bool:
    """Whether the trial's directory is to blame and not the tracker."""
    return isinstance(error, DAMAGE) and not isinstance(error, store.StoreError)


def _message(error: Exception, directory: Path) -> str:
    lines = str(error).strip().splitlines() or [""]
    if isinstance(error, RecordError):
        return printable(str(error))
    where = f"{directory}: " if _is_damage(error) and str(directory) not in lines[0] else ""
    return printable(store.scrub(f"{where}{type(error).__name__}: {lines[0]}")[:300])
