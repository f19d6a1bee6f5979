"""The loop: trials -> runner -> tracking. What is done stays done."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from experiments import retries
from experiments.runners.local import TERM_GRACE_S, Ended
from experiments.study import Trial
from experiments.worker import CLAIMED_ELSEWHERE, Job
from lit_transformer import config_io, scoring
from lit_transformer.config import DataConfig, RunConfig
from lit_transformer.config_io import ConfigError
from lit_transformer.data import corpora
from lit_transformer.data.cache import hashed_anew
from lit_transformer.model import cost
from lit_transformer.record import Kind, Record, State, refuse_links

if TYPE_CHECKING:
    from lit_transformer.data.translation import TokenizedPart

NOMINAL_LENGTH = 28.0
"""Tokens of a mean sentence, for counting operations before the corpus is tokenized (WMT14's)."""

ABOUT = {
    **dict.fromkeys(("study", "setting", "arm", "group", "digest"), str),
    **dict.fromkeys(("version", "seed"), int),
    **dict.fromkeys(("checksums", "overrides"), dict),
}
"""Types in trial.json."""

POLL_S = 1.0
"""Longest pause between two looks at the display; a trial that ends is noticed at once."""


class Runner(Protocol):
    """What runs trials: a process each, somewhere."""

    @property
    def running(self) -> list[str]: ...
    def has_room(self, devices: int) -> bool: ...
    def submit(self, job: Job) -> None: ...
    def poll(self, timeout_s: float) -> list[Ended]: ...
    def stop(self, grace_s: float) -> list[Ended]: ...


class Mirror(Protocol):
    """What copies trials to the tracker, without ever holding them up."""

    def watch(self, trial: Trial, directory: Path) -> None: ...


class Display(Protocol):
    """What a person sees while the sweep goes on."""

    def show(self, planned: Sequence["Planned"], running: Sequence[str]) -> None: ...
    def say(self, text: str) -> None: ...


@dataclass(frozen=True)
class Root:
    """The folder under which everything that a sweep leaves lies."""

    path: Path

    @property
    def mlruns(self) -> Path:
        return self.path / "mlruns"

    @property
    def cache(self) -> Path:
        return self.mlruns / "cache"

    @property
    def trials(self) -> Path:
        return self.mlruns / "trials"

    def trial(self, digest: str) -> Path:
        return self.trials / digest


class Planned(NamedTuple):
    """A trial, where its record lies, and what it will cost."""

    trial: Trial
    record: Record
    parameters: int
    flops: float
    rerun_of: str | None
    """The run that this is trained again for; no table counts it then."""
    settled: bool
    """Whether its search was told of its end: it stays pruned, where another study goes on."""

    @property
    def state(self) -> State:
        return self.record.state()

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to train."""
        return self.settled or self.state.is_over


class Further(NamedTuple):
    """What to train beyond what is over, and what to tell a person of it."""

    trials: Sequence[Trial]
    told: Sequence[str]


Propose = Callable[[Sequence[Planned]], Further]
"""Is asked when nothing of the plan is left to run; the same plan gets the same answer."""


class Search(Protocol):
    """Suggests trials while others are under way, and follows those."""

    @property
    def devices(self) -> int: ...
    def suggest(self) -> Trial | None: ...
    def look(self, running: Sequence[str]) -> Sequence[str]: ...


def plan(trials: Sequence[Trial], root: Root) -> list[Planned]:
    """Cost and place of every trial; nothing is started."""
    return [_planned(trial, root.trial(trial.digest), None) for trial in trials]


def plan_again(directory: Path, run_id: str) -> Planned:
    """The trial of a directory once more, in a directory of its own under reruns/.

    A rerun that was stopped is gone on with.
    """
    record = Record(directory)
    about = record.read_json("trial.json", **ABOUT)
    if about is None:
        raise ConfigError(f"{directory}: has no trial.json; it is no trial's directory")
    trial = Trial(
        **{name: about[name] for name in ("study", "version", "setting", "arm", "group", "seed")},
        label=None,
        after=None,
        config=config_io.load(record.config),
        checksums=about["checksums"],
        digest=about["digest"],
        overrides=about["overrides"],
    )
    reruns = directory.parent if directory.parent.name == "reruns" else directory / "reruns"
    last = max((int(p.name) for p in reruns.glob("[0-9]*") if p.name.isdecimal()), default=0)
    if last == 0 or Record(reruns / str(last)).state().is_over:
        last += 1
    return _planned(trial, reruns / str(last), run_id)


def _planned(trial: Trial, directory: Path, rerun_of: str | None) -> Planned:
    size = cost.parameters(trial.config.model, trial.config.data.vocabulary_size).total
    return Planned(trial, Record(directory), size, planned_flops(trial), rerun_of, False)


def planned_flops(trial: Trial) -> float:
    """Operations of training with every batch full."""
    config = trial.config
    return cost.training_flops(
        config.model,
        config.data.vocabulary_size,
        NOMINAL_LENGTH,
        NOMINAL_LENGTH,
        config.train.steps * config.train.tokens_per_batch,
    )


def check(trials: Sequence[Trial]) -> None:
    """Refuse, before any training, a corpus that is not there or cannot be read."""
    for data in _data(trials):
        corpora.check(data)


def unreached(trials: Sequence[Trial]) -> list[str]:
    """What to tell of trials whose warm-up is not over when training is."""
    found = {
        trial.arm: (trial.config.optim.warmup_steps, trial.config.train.steps)
        for trial in trials
        if trial.config.optim.warmup_steps > trial.config.train.steps
    }
    if not found:
        return []
    (arm, (warmup, steps)), more = next(iter(found.items())), len(found) - 1
    who = arm if not more else f"{arm} and {more} more"
    return [
        f"mind {who}: the rate rises for optim.warmup_steps={warmup:,} updates, and "
        f"train.steps={steps:,} end before; a setting's scale has warmup beside steps"
    ]


def prepare(trials: Sequence[Trial], root: Root, say: Callable[[str], None]) -> None:
    """Fetch, train vocabularies and tokenize, once for each corpus that the trials need.

    What is there already is hashed here, once, so that the trials need not.
    """
    with hashed_anew():
        _prepare(trials, root, say)


def _prepare(trials: Sequence[Trial], root: Root, say: Callable[[str], None]) -> None:
    # Here, since whoever only asks how trials stand needs neither numpy nor sentencepiece.
    from lit_transformer.data import translation, vocab

    for data in _data(trials):
        say(f"preparing {corpora.title(data)}")
        if terms := corpora.origin(data):
            say(f"  {terms}")
        corpus = corpora.prepare(data, root.cache)
        words = vocab.train(corpus, data, root.cache)
        for part in corpora.PARTS:
            if part in corpus.parts:
                made = translation.tokenize(corpus, words, data, part, root.cache)
                say(f"  {part}: {len(made):,} pairs{_left_out(made, data)}")


def _data(trials: Sequence[Trial]) -> Collection[DataConfig]:
    """The corpora and vocabularies that the trials need, each once."""
    return {trial.config.data.model_dump_json(): trial.config.data for trial in trials}.values()


def _left_out(part: "TokenizedPart", data: DataConfig) -> str:
    most = f"max_tokens={data.max_tokens}"
    trained = most if data.train_longest is None else f"train_longest={data.train_longest}"
    counts = (
        (part.skipped, f"left out as longer than data.{trained}"),
        (part.empty, "left out as empty"),
        (part.cut, f"sources cut to data.{most}"),
    )
    return "".join(f"; {count:,} {what}" for count, what in counts if count)


def order(planned: Sequence[Planned]) -> list[Planned]:
    """As trials are started: the costliest first, so that the last ones end together."""
    return sorted(planned, key=lambda item: -item.flops)


def proposed(
    planned: Sequence[Planned], root: Root, propose: Propose, say: Callable[[str], None]
) -> list[Planned]:
    """What is to be trained beyond a plan of which nothing is left to run; empty: nothing."""
    further = propose(planned)
    for line in further.told:
        say(line)
    known = {(item.trial.arm, item.trial.digest) for item in planned}
    return plan([t for t in further.trials if (t.arm, t.digest) not in known], root)


def grown(
    planned: Sequence[Planned], root: Root, propose: Propose, say: Callable[[str], None]
) -> list[Planned]:
    """The plan as far as the trials that are over already lead; nothing is started."""
    going = list(planned)
    while all(item.is_over for item in going):
        more = proposed(going, root, propose, say)
        if not more:
            break
        going += more
    return going


def run(
    planned: Sequence[Planned],
    root: Root,
    runner: Runner,
    mirror: Mirror,
    display: Display,
    propose: Propose | None = None,
    search: Search | None = None,
) -> list[Planned]:
    """Train what is not over, in `order`, and then what is proposed, or what is suggested as soon
    as there is room for it -> the whole plan.

    What ends badly is tried again where that may help. KeyboardInterrupt stops the trials under
    way, each with a checkpoint, and is raised again.
    """
    going, waiting = list(planned), _waiting(planned, mirror)
    under_way: dict[str, Planned] = {}
    tried: Counter[tuple[str, Kind]] = Counter()
    try:
        while True:
            # The first one is never overtaken, or the devices it waits for would never be free.
            while waiting and runner.has_room(waiting[0].trial.config.train.devices):
                item = waiting.pop(0)
                under_way[item.trial.digest] = item
                mirror.watch(item.trial, item.record.path)
                runner.submit(job(item, root))
            if search is not None:
                for line in search.look(runner.running):
                    display.say(line)
                if not waiting and runner.has_room(search.devices):
                    new = _suggested(search, root)
                    if new is not None:
                        waiting = _waiting(_unless_known(new, going, mirror), mirror)
                        going.append(new)
                        continue
            if not waiting and not runner.running:
                more = [] if propose is None else proposed(going, root, propose, display.say)
                if not more:
                    break
                going += more
                waiting = _waiting(more, mirror)
                continue
            for ended in runner.poll(POLL_S):
                item = under_way.pop(ended.digest)
                _report(item, ended, display)
                if ended.exit_status != CLAIMED_ELSEWHERE and _may_help(item, tried):
                    display.say(f"again     {item.trial.title}{_lowered(item)}")
                    waiting.insert(0, item)
            display.show(going, runner.running)
    except KeyboardInterrupt:
        display.say(
            f"stopping: {len(runner.running)} trials write a checkpoint (at most "
            f"{TERM_GRACE_S:.0f} s; Ctrl-C again kills them)"
        )
        for ended in runner.stop(TERM_GRACE_S):
            _report(under_way.pop(ended.digest), ended, display)
        raise
    return going


def _suggested(search: Search, root: Root) -> Planned | None:
    trial = search.suggest()
    return None if trial is None else _planned(trial, root.trial(trial.digest), None)


def _unless_known(item: Planned, going: Sequence[Planned], mirror: Mirror) -> list[Planned]:
    """The item, unless its configuration was suggested before: the first one answers for it."""
    if item.trial.digest not in {other.trial.digest for other in going}:
        return [item]
    mirror.watch(item.trial, item.record.path)
    return []


def _waiting(planned: Sequence[Planned], mirror: Mirror) -> list[Planned]:
    """What is to be trained, in `order`, each once; what is over is mirrored."""
    found: dict[str, Planned] = {}
    for item in order(planned):
        if item.is_over or item.trial.digest in found:
            mirror.watch(item.trial, item.record.path)
        else:
            refuse_links(item.record.path)
            found[item.trial.digest] = item
    return [*found.values()]


def _may_help(item: Planned, tried: Counter[tuple[str, Kind]]) -> bool:
    """Whether to start a trial again that has just ended; counts how often that was asked."""
    kind = item.state.kind
    if kind == "out_of_memory":
        return retries.fits_smaller(item.trial.config, item.record.ends("out_of_memory"))
    tried[item.trial.digest, kind] += 1
    return tried[item.trial.digest, kind] <= retries.AGAIN.get(kind, 0)


def _lowered(item: Planned) -> str:
    """What a trial that has run out of memory is made smaller by, to be told."""
    config = _config(item)
    if config == item.trial.config:
        return ""
    tokens, sentences = config.train.micro_tokens, config.decode.batch_sentences
    return f": train.micro_tokens={tokens}, decode.batch_sentences={sentences}; the same updates"


def _config(item: Planned) -> RunConfig:
    """The trial's configuration, in passes as small as it has turned out to need."""
    return retries.smaller(item.trial.config, item.record.ends("out_of_memory"))


def job(item: Planned, root: Root) -> Job:
    """What the worker of a trial is told; the runner adds the device."""
    config = _config(item)
    return Job(
        purpose="training",
        digest=item.trial.digest,
        config=config_io.dump(config),
        directory=item.record.path.resolve(),
        about=about(item),
        passes={
            "micro_tokens": config.train.micro_tokens,
            "batch_sentences": config.decode.batch_sentences,
        },
        cache=root.cache.resolve(),
        devices=config.train.devices,
        gpus=(),
        threads=1,
        parent=None,
    )


def about(item: Planned) -> dict[str, Any]:
    """Whose trial this is, for trial.json."""
    trial = item.trial
    return {
        "rerun_of": item.rerun_of,
        "study": trial.study,
        "version": trial.version,
        "setting": trial.setting,
        "arm": trial.arm,
        "group": trial.group,
        "seed": trial.seed,
        "checksums": dict(trial.checksums),
        "overrides": dict(trial.overrides),
    }


def _report(item: Planned, ended: Ended, display: Display) -> None:
    state, title = item.state, item.trial.title
    result = item.record.result() if state.kind == "finished" else None
    if result is not None:
        scores, measure = result["scores"], scoring.MEASURES[item.trial.config.data.task]
        display.say(
            f"finished  {title}: perplexity {scores['valid.perplexity']:.2f}, "
            f"{measure.upper()} {scores[f'valid.{measure}']:.1f}, "
            f"{scores['cost.total_seconds']:.0f} s"
        )
    elif ended.exit_status == CLAIMED_ELSEWHERE:
        display.say(f"elsewhere {title}: another process is training it")
    else:
        display.say(f"{state.kind:9} {title}: {state.reason} (log: {item.record.log})")
