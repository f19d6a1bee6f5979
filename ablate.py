"""The front door: verbs, nothing else. Heavy libraries are imported by the verbs that need them."""

from __future__ import annotations

import errno
import gc
import json
import math
import os
import platform
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, NoReturn

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

    from rich.console import Console

    from analysis.deciding import Deciding
    from analysis.tables import Table
    from experiments.checkout import Code
    from experiments.planning import Outlook
    from experiments.rerun import Now, Origin
    from experiments.runners.local import Slot
    from experiments.runners.ray import RayRunner
    from experiments.search import Searching
    from experiments.study import Setting, Study, Trial
    from experiments.sweep import Planned
    from experiments.tuner import Tuning
    from lit_transformer.complexity.cells import Asked
    from lit_transformer.complexity.record import Results
    from lit_transformer.config import Task
    from lit_transformer.config_io import Given
    from lit_transformer.heads import Heads
    from lit_transformer.record import Record
    from lit_transformer.scoring import Scored
    from lit_transformer.translator import Output, Translator

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="A shipped study or a YAML file.")]
SettingName = Annotated[
    str, typer.Option("--setting", help="Where the study runs: a shipped setting or a YAML file.")
]
RecipeName = Annotated[
    str | None,
    typer.Option("--recipe", help="The base, in place of the setting's: a recipe or a YAML file."),
]
Only = Annotated[str, typer.Option(help="Arms to keep, as base,A1,C1; all where empty.")]
Seeds = Annotated[str, typer.Option(help="How many seeds, as 3, or which, as 4,7,.")]
Sets = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A value over all others.")
]
RootFolder = Annotated[Path, typer.Option("--root", help="Folder that holds mlruns/.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Gpus = Annotated[str | None, typer.Option(help="GPUs to use, as 0,1,3; empty: the CPU.")]
PerGpu = Annotated[
    str, typer.Option(metavar="COUNT", help="Trials that share a GPU; auto: as its memory allows.")
]
AtOnce = Annotated[int | None, typer.Option(min=1, help="Most trials at once.")]
Attention = Annotated[
    Path | None,
    typer.Option(metavar="FILE.html", dir_okay=False, help="Write a page of attention maps."),
]
RunId = Annotated[str, typer.Argument(metavar="RUN_ID", help="An MLflow run's id, or a digest.")]

OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG)
"""Errors of the system that the user can mend."""
HERE = Path()
WIDE = 240
"""Characters a line where there is no terminal: what a script reads is not broken into two."""
LAST_LOOK_S = 60.0
"""How long a sweep that is done waits for MLflow to have everything."""


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    from importlib import metadata

    from experiments import checkout

    code = checkout.code()
    changed = " with changes" if code.dirty else ""
    commit = f", commit {code.commit[:12]}{changed}" if code.commit else ""
    print(f"lit-transformer {metadata.version('lit-transformer')}{commit}")
    raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="The version, and the commit."
        ),
    ] = False,
) -> None:
    """Ablations of the Transformer: from a study file to a table beside the paper's."""


def main() -> None:
    """The command `ablate`. Exit status: 0 well, 1 a trial failed, 2 bad input, 130 stopped."""
    # Torch is built for it, and a trial's threads are its own.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with _plain_errors():
        app()


@contextmanager
def _plain_errors() -> Iterator[None]:
    """A message and exit status 2 for what the user can mend; tracebacks for what we must."""
    try:
        yield
    except ValueError as error:
        from experiments.store import StoreError
        from lit_transformer.config_io import ConfigError
        from lit_transformer.data.cache import CorpusError
        from lit_transformer.record import RecordError
        from lit_transformer.terminal import printable

        if not isinstance(error, ConfigError | CorpusError | RecordError | StoreError):
            raise
        for number, line in enumerate(str(error).split("\n")):
            print("error: " * (number == 0) + printable(line), file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:
        if error.errno not in OF_THE_DISK:
            raise
        place = f"{error.filename}: " if error.filename else ""
        print(
            f"error: {place}{error.strerror}; make room there, or make it writable, and give the "
            "same command again: it goes on where it was",
            file=sys.stderr,
        )
        raise SystemExit(2) from None


@app.command()
def sweep(
    study: StudyName,
    setting: SettingName,
    recipe: RecipeName = None,
    only: Only = "",
    seeds: Annotated[
        str | None, typer.Option(help="How many seeds, as 3, or which, as 4,7,; 1 if not given.")
    ] = None,
    until: Annotated[
        Literal["decided"] | None,
        typer.Option(help="In place of --seeds: as many as each row's verdict against base needs."),
    ] = None,
    most_seeds: Annotated[
        int | None,
        typer.Option(min=3, max=100, help="With --until: most seeds of a row, 13 if not given."),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            help="With --until: points of BLEU or F1 within which rows are the same, 0.5 if not "
            "given; 0: no row is called so."
        ),
    ] = None,
    sets: Sets = None,
    root: RootFolder = HERE,
    gpus: Gpus = None,
    trials_per_gpu: PerGpu = "1",
    at_once: AtOnce = None,
    runner: Annotated[
        Literal["local", "ray"],
        typer.Option(help="This host, or a Ray cluster's: at RAY_ADDRESS, else one of this host."),
    ] = "local",
    dry_run: Annotated[bool, typer.Option(help="Check everything and print the plan.")] = False,
    as_json: Json = False,
) -> None:
    """Train every arm of STUDY with every seed; what is done stays done."""
    if as_json and not dry_run:
        raise _usage("--json goes with --dry-run; for the results use `ablate report --json`")
    _check_until(until, seeds, most_seeds, margin)
    if runner == "ray":
        _check_cluster(root, gpus, trials_per_gpu)
    chosen, where = _load(study, setting, recipe)
    deciding: Deciding | None = None
    searching: Searching | Tuning | None = None
    trials: list[Trial] = []
    if chosen.search:
        searching = _searching(chosen, where, seeds or "1", until, only, sets, root)
    elif chosen.tune:
        searching = _tuning(chosen, where, seeds or "1", until, only, sets, root)
    elif until:
        deciding = _deciding(chosen, where, most_seeds, margin, only, sets, root)
        trials = deciding.first
    else:
        trials = _expand(chosen, where, seeds or "1", only, sets)
    done = _sweep(
        trials, root, gpus, trials_per_gpu, at_once, dry_run, as_json, deciding, searching, runner
    )
    if dry_run:
        return
    if searching:
        chosen = _with_found(chosen, where, seeds or "1", only, sets, root)
        trials = _expand(chosen, where, seeds or "1", only, sets)
    from experiments import mirror
    from experiments.store import StoreError

    words: Sequence[str] = ()
    if deciding:
        from analysis import decisions

        trials = decisions.asked([deciding.found], deciding.all, root)
        words = decisions.options(deciding.found).split()
    try:
        from analysis import assembly

        command = _command(study, setting, recipe, trials, only, sets, words)
        made = assembly.table(chosen, where, trials, root, command)
        _print_report(made, trials, root, [], only)
    except (StoreError, OSError) as error:  # the trials are what they are, whatever becomes of it
        print(f"no table: {error}", file=sys.stderr)
    else:
        for problem in mirror.send_report(root, chosen.name, where.name):
            print(problem, file=sys.stderr)
    raise typer.Exit(0 if done else 1)


@app.command()
def plan(
    study: StudyName,
    setting: SettingName,
    recipe: RecipeName = None,
    only: Only = "",
    seeds: Seeds = "1",
    sets: Sets = None,
    root: RootFolder = HERE,
    gpus: Gpus = None,
    trials_per_gpu: PerGpu = "1",
    at_once: AtOnce = None,
    fresh: Annotated[bool, typer.Option(help="Measure again what was measured before.")] = False,
    spread: Annotated[
        float | None,
        typer.Option(help="Standard deviation over seeds, in points; else of finished runs."),
    ] = None,
    difference: Annotated[
        float | None, typer.Option(help="Looked for in every row, in points; else the paper's.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What a sweep of STUDY will take, and what its seeds can show.

    Time, memory and disk come from a few updates of each shape on this machine.

    For trials that have finished since: the forecast, what they took, and the error.
    """
    from analysis import assembly, prospects
    from experiments import plan_display

    _check_positive("--spread", spread)
    _check_positive("--difference", difference)
    chosen, where = _load(study, setting, recipe)
    if chosen.search:
        searching = _searching(chosen, where, seeds, None, only, sets, root)
        _plan_searches(searching, root, gpus, trials_per_gpu, at_once, fresh, as_json)
        return
    if chosen.tune:
        tuning = _tuning(chosen, where, seeds, None, only, sets, root)
        _plan_searches(tuning, root, gpus, trials_per_gpu, at_once, fresh, as_json)
        return
    trials = _expand(chosen, where, seeds, only, sets)
    planned, slots, told = _check_and_plan(trials, root, gpus, trials_per_gpu, at_once)
    say = _say_on_stderr if as_json else _say
    if not as_json:
        _tell_plan(planned, told)
    made = assembly.table(chosen, where, trials, root, "")  # a store that is away is told first
    outlook = _measured(planned, root, slots, at_once, fresh, say)
    count = len({trial.seed for trial in trials})
    found = prospects.of(made, count, spread, difference)
    if as_json:
        content = {**plan_display.plan_json(outlook), "power": prospects.as_object(found)}
        print(json.dumps(content, indent=1))
        return
    _tell_outlook(outlook)
    if found:
        _console().print(prospects.grid(found, count))
    for line in prospects.lines(found, count, made):
        _say(line)


def _plan_searches(
    searching: Searching | Tuning,
    root: Path,
    gpus: str | None,
    trials_per_gpu: str,
    at_once: int | None,
    fresh: bool,
    as_json: bool,
) -> None:
    """What searches take at most; what a row's seeds can show is not known before its scores."""
    from experiments import bounds, plan_display

    _, slots, told = _check_and_plan(searching.outline(), root, gpus, trials_per_gpu, at_once)
    items, found = searching.ahead()
    say = _say_on_stderr if as_json else _say
    if not as_json:
        for line in (*searching.plan(), *told):
            _say(line)
    outlook = _measured(items, root, slots, at_once, fresh, say)
    if as_json:
        searches = [
            {**search, "bound": bound}
            for search, bound in zip(
                searching.as_objects(), bounds.as_objects(found, outlook), strict=True
            )
        ]
        content = {**plan_display.plan_json(outlook), "searches": searches, "power": []}
        print(json.dumps(content, indent=1))
        return
    _tell_outlook(outlook)
    for line in bounds.lines(found, outlook):
        _say(line)


def _tell_outlook(outlook: Outlook) -> None:
    from experiments import plan_display

    console = _console()
    if outlook.to_run:
        console.print(plan_display.arms_table(outlook))
    if outlook.comparison:
        console.print(plan_display.compared_table(outlook))
    for line in (*plan_display.lines(outlook), *_comparison(outlook)):
        _say(line)


def _check_positive(option: str, number: float | None) -> None:
    if number is not None and not 0 < number < math.inf:
        raise _usage(f"{option} {number}: points of BLEU or F1, more than 0")


@app.command()
def prepare(
    study: StudyName,
    setting: SettingName,
    recipe: RecipeName = None,
    only: Only = "",
    sets: Sets = None,
    root: RootFolder = HERE,
) -> None:
    """Fetch and check the corpus that STUDY needs, make its vocabulary and ids; train nothing."""
    from experiments import store, sweep
    from experiments.study import check_search

    chosen, where = _load(study, setting, recipe)
    if chosen.search:
        trials = [check_search(chosen, where, 1, _overrides(sets))]
    else:
        trials = _expand(chosen, where, "1", only, sets)
    sweep.check(trials)
    store.check(root)
    sweep.prepare(trials, sweep.Root(root), print)
    for name, checksum in sorted({item for trial in trials for item in trial.checksums.items()}):
        print(f"  {name}: {checksum}")
    print(f"ready in {sweep.Root(root).cache}: `ablate sweep` goes on from here, offline")


@app.command()
def run(
    what: Annotated[str, typer.Argument(metavar="STUDY/ARM or FILE", help="What to train.")],
    setting: Annotated[str | None, typer.Option("--setting", help="Where; not for a file.")] = None,
    recipe: RecipeName = None,
    seed: Annotated[
        int | None, typer.Option(help="The trial's seed, 1 where it is not given; not for a file.")
    ] = None,
    sets: Sets = None,
    root: RootFolder = HERE,
    gpus: Gpus = None,
) -> None:
    """Train one configuration: an arm of a study, or a configuration file."""
    trial = _one_trial(what, setting, recipe, seed, sets, root)
    _sweep([trial], root, gpus, "1", 1, dry_run=False, as_json=False)
    raise typer.Exit(0 if _print_scores(root, trial.digest) else 1)


@app.command()
def rerun(
    run_id: RunId,
    root: RootFolder = HERE,
    gpus: Gpus = None,
    at_commit: Annotated[
        bool, typer.Option(help="Run the code of the run's commit, in a worktree of its own.")
    ] = False,
    trust: Annotated[
        bool, typer.Option(help="With --at-commit: apply, and run, the run's uncommitted changes.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a run's configuration again, apart from what tables count; say whether both agree.

    Names first what differs from the original, and so how strong an agreement is asked for.
    Exit status: 0 they agree, 1 they do not, or that cannot be judged.
    """
    if trust and not at_commit:
        raise _usage("--trust: goes with --at-commit, which alone applies stored changes")
    from analysis import agreement
    from experiments import display, sweep
    from experiments.rerun import ask, differences
    from lit_transformer.record import Record
    from lit_transformer.terminal import printable

    directory = _directory(run_id, root)
    old = Record(directory)
    with redirect_stdout(sys.stderr if as_json else sys.stdout):
        item = sweep.plan_again(directory, run_id)
        plan = _plan_again(item, old, gpus, at_commit, trust)
        found = differences(plan.then, plan.now, item.trial.config)
        asked = ask(found, plan.now, item.trial.config)
        _console().print(display.differences_table(found, asked))
        if at_commit:
            _train_at(plan.now.code, run_id, root, gpus)
        else:
            _carry_out([item], root, plan.slots, 1)
        made = agreement.compare(item.trial, old, item.record, root, asked)
        before, after = old.result(), item.record.result()
        if before is not None and after is not None:
            _console().print(display.comparison(before["scores"], after["scores"]))
        told = printable(agreement.sentence(made))
        _console().print(told, markup=False, highlight=False, soft_wrap=True)
    if as_json:
        print(json.dumps(agreement.as_object(made, found, old, item.record), indent=1))
    raise typer.Exit(0 if made.verdict == "agreed" else 1)


@app.command()
def status(
    study: StudyName,
    setting: SettingName,
    recipe: RecipeName = None,
    only: Only = "",
    seeds: Annotated[
        str, typer.Option(help="As for sweep; empty: 1, and those given until decided.")
    ] = "",
    sets: Sets = None,
    root: RootFolder = HERE,
    as_json: Json = False,
) -> None:
    """How every trial of STUDY stands: kind, reason, attempts and where its log is."""
    from experiments import display, mirror
    from experiments.space import SUGGESTED
    from experiments.sweep import Root, plan

    chosen, where = _load(study, setting, recipe)
    chosen = _with_found(chosen, where, seeds or "1", only, sets, root)
    trials = _expand(chosen, where, seeds or "1", only, sets)
    if not seeds and (root / "mlruns" / "sequential").is_dir():  # else nobody needs numpy
        trials = _given(chosen, where, trials, only, sets, root)
    trials = [*trials, *_tuned_with(chosen, where, only, sets, root)]
    planned, stale = plan(trials, Root(root)), mirror.stale(root, trials)
    planned = [
        item._replace(settled=item.trial.group == SUGGESTED and item.state.kind == "pruned")
        for item in planned
    ]
    if as_json:
        print(json.dumps(display.status_json(planned, stale), indent=1))
    else:
        _console().print(display.status_table(planned))
        _console().print(display.plan_summary(planned), highlight=False)
        if stale:
            told = display.stale_note(stale)
            _console().print(told, markup=False, highlight=False, soft_wrap=True)
    for problem in mirror.mend(root):
        print(problem, file=sys.stderr)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Nothing that a report makes is garbage before its end; a search for some takes a sixth."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@app.command()
@_uncollected()
def report(
    study: StudyName,
    setting: SettingName,
    recipe: RecipeName = None,
    only: Only = "",
    seeds: Annotated[str, typer.Option(help="As for sweep; empty: those that have run.")] = "",
    sets: Sets = None,
    root: RootFolder = HERE,
    beside: Annotated[
        list[str] | None,
        typer.Option(metavar="SETTING", help="Of table2 and table4: another setting beside it."),
    ] = None,
    rates: Annotated[
        list[str] | None,
        typer.Option(
            "--rate",
            metavar="DEVICE=TFLOPS",
            help="What a device sustains, for the paper's definition of training cost.",
        ),
    ] = None,
    with_private_texts: Annotated[
        bool, typer.Option(help="Keep what models wrote of your own files in the evidence.")
    ] = False,
    as_json: Json = False,
) -> None:
    """The table of STUDY beside the paper's; its files go to mlruns/reports."""
    from analysis import assembly, decisions, rendering
    from analysis.rates import parse
    from analysis.sources import Stored

    stated = parse(rates or ())
    loaded = [_load(study, name, recipe) for name in (setting, *(beside or ()))]
    _check_beside([where.name for _, where in loaded], loaded[0][0].name)
    tables = []
    for name, (loaded_study, where) in zip((setting, *(beside or ())), loaded, strict=True):
        told = seeds or _seeds_run(root, loaded_study, where)
        chosen = _with_found(loaded_study, where, told, only, sets, root)
        trials = _expand(chosen, where, told, only, sets)
        words: Sequence[str] = ()
        if not seeds:
            sequential = decisions.read(root, chosen.name, where.name, trials)
            trials = decisions.asked(sequential, trials, root)
            words = decisions.options_of(sequential, trials).split()
        command = _command(study, name, recipe, trials, only, sets, words)
        tables.append((assembly.table(chosen, where, trials, root, command, stated), trials))
    (made, trials), *others = tables
    more = [table for table, _ in others]
    if as_json:
        source = Stored(root)
        curves = assembly.histories(made, source)
        heads = assembly.measured_heads(made, source)
        found = assembly.sections(made, more, curves, heads, trials, source)
        print(rendering.json_text(made, found), end="")
        return
    _print_report(made, trials, root, more, only, with_private_texts)


@app.command()
def verify(
    report: Annotated[Path, typer.Argument(metavar="REPORT.json", help="A report's JSON file.")],
    evidence: Annotated[
        Path | None, typer.Option(help="Its evidence; the file beside it, if not given.")
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Where the corpus is: data.folder=..."),
    ] = None,
    root: RootFolder = HERE,
    as_json: Json = False,
) -> None:
    """Recompute every number of a report from the evidence beside it; nothing is fetched."""
    from analysis import verification, verification_text
    from experiments.sweep import Root

    given = _overrides(sets)
    if strange := [key for key in given if not key.startswith(verification.PATHS)]:
        raise _usage(f"--set {strange[0]}: verify takes {', '.join(verification.PATHS)} alone")
    outcome = verification.verify(report, evidence, given, Root(root).cache)
    told = verification_text.json_text(outcome) if as_json else verification_text.text(outcome)
    print(told, end="")
    raise typer.Exit(1 if outcome.differences else 0)


@app.command()
def bleu(
    what: Annotated[
        str, typer.Argument(metavar="STUDY/ARM or RUN_ID", help="A finished trial, or a digest.")
    ],
    setting: Annotated[
        str | None, typer.Option("--setting", help="Where; not for a run's id.")
    ] = None,
    recipe: RecipeName = None,
    seed: Annotated[int | None, typer.Option(help="The trial's seed, 1 if not given.")] = None,
    sets: Sets = None,
    root: RootFolder = HERE,
    part: Annotated[Literal["valid", "test"], typer.Option(help="Which translations.")] = "valid",
    averaged: Annotated[bool, typer.Option(help="Those of the averaged model.")] = False,
    sentences: Annotated[
        str, typer.Option(help="Which, as 3,7,9, from 1; empty: the first that show something.")
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", dir_okay=False, help="The page; under mlruns/reports/."),
    ] = None,
) -> None:
    """BLEU by hand: a page that counts three sentences of a run, held against sacreBLEU."""
    from analysis import by_hand_page
    from analysis.assembly import translations
    from experiments.mirror import reports_path
    from lit_transformer.record import Record, write_bytes

    if "/" in what or setting is not None:
        trial = _one_trial(what, setting, recipe, seed, sets, root)
        directory, title = _trained(root, trial), f"{what}, seed {trial.seed}"
    elif seed is not None or sets or recipe:
        raise _usage(f"{what}: a run's id has its seed and its settings; leave them out")
    else:
        directory, title = _directory(what, root), f"run {what}"
    name: Scored = f"{part}.averaged" if averaged else part  # type: ignore[assignment]
    try:
        numbers = [int(word) for word in sentences.split(",") if word.strip()]
    except ValueError:
        raise _usage(f"--sentences {sentences}: numbers such as 3,7,9") from None
    sides = translations(Record(directory), name, root)
    shown = by_hand_page.show(f"{title}, {name}", numbers, *sides)
    file = out or reports_path(root) / "bleu" / f"{directory.name}-{name}.html"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(file, by_hand_page.page(shown).encode())
    for line in by_hand_page.lines(shown):
        _say(line)
    _say(f"page: {file}")


def _trained(root: Path, trial: Trial) -> Path:
    """The directory of a trial that has finished."""
    from experiments.sweep import Root
    from lit_transformer.record import Record

    directory = Root(root).trial(trial.digest)
    if not directory.is_dir() or Record(directory).result() is None:
        raise _usage(
            f"{trial.study}/{trial.arm} seed {trial.seed} in {trial.setting}: not finished under "
            f"{Root(root).trials}; `ablate run` or `ablate sweep` trains it"
        )
    return directory


@app.command()
def ui(
    root: RootFolder = HERE,
    host: Annotated[str, typer.Option(help="Address to listen on; loopback only.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="5000 if not given; of optuna-dashboard 8080."),
    ] = None,
    optuna: Annotated[
        bool, typer.Option("--optuna", help="Open optuna-dashboard on the searches instead.")
    ] = False,
) -> None:
    """Open MLflow's UI on the runs of --root; it listens on this machine alone.

    It asks nobody who they are: whoever reached it could change and delete every run. From another
    machine, use a tunnel: ssh -L 5000:127.0.0.1:5000 THIS_MACHINE, then http://127.0.0.1:5000.
    """
    if optuna:
        _open_dashboard(root, host, port or 8080)
    port = port or 5000
    from analysis import runs
    from experiments import store, tracking
    from experiments.description import VIEW
    from lit_transformer.terminal import printable

    command, environment = store.ui_command(root, host, port, open_to_network=False)
    tracking.prepare_store(root)
    print(f"MLflow's UI: http://{host}:{port} (Ctrl-C ends it)")
    for study in runs.studies(store.uri(root)).itertuples():
        place = f"http://{host}:{port}/#/experiments/{study.experiment_id}/runs"
        title = printable(f"{study.study} in {study.setting}")
        print(f"  {title}: {place}?workflowType=machine_learning&viewStateShareKey={VIEW}")
    print("It knows no passwords, so it listens on this machine alone. From another one:")
    print(f"  ssh -L {port}:{host}:{port} {platform.node()}", flush=True)
    os.execvpe(command[0], command, {**os.environ, **environment})


def _open_dashboard(root: Path, host: str, port: int) -> NoReturn:
    """On a database that is written anew from the searches' records."""
    from experiments import store, suggestions

    path = (root / "mlruns" / "optuna.db").resolve()
    command = store.dashboard_command(path, host, port)
    found = suggestions.every(root)
    if not found:
        raise _usage(f"{root / 'mlruns'}: holds no search yet; `ablate sweep` begins one")
    from experiments import frozen

    frozen.write_database(found, path)
    print(f"optuna-dashboard: http://{host}:{port} (Ctrl-C ends it)")
    for name, search in found:
        told = f" ({search.row})" if search.row else ""
        print(f"  {name}{told}: {len(search.found)} trials, as they stand now")
    print("What is changed there changes no search. From another machine:")
    print(f"  ssh -L {port}:{host}:{port} {platform.node()}", flush=True)
    os.execvp(command[0], command)


@app.command()
def sync(root: RootFolder = HERE) -> None:
    """Send to MLflow what it lacks of the trials' directories, and put its statuses right."""
    from experiments import mirror

    problems = dict.fromkeys(mirror.sync_all(root) + mirror.mend(root))
    for problem in problems:
        print(problem, file=sys.stderr)
    raise typer.Exit(1 if problems else 0)


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="Studies, settings, configurations (YAML).")],
    setting: Annotated[
        str, typer.Option("--setting", help="Where studies are checked.")
    ] = "wmt14-en-de",
) -> None:
    """Validate YAML files: studies, settings, recipes, configurations."""
    from experiments import checking

    for file in files:
        print(f"{file}: {checking.check(file, setting)}")


@app.command()
def complexity(
    lengths: Annotated[
        str, typer.Option(help="Tokens of a sequence (n).")
    ] = "16,32,64,128,256,512,1024,2048,4096,8192",
    widths: Annotated[str, typer.Option(help="Widths of a layer (d).")] = "64,128,256,512,1024",
    layers: Annotated[str, typer.Option(help="Layer types, as recurrent-lstm; all if empty.")] = "",
    path_lengths: Annotated[str, typer.Option(help="Where paths are looked for.")] = "16,32,64",
    window: Annotated[int, typer.Option(min=1, help="Of restricted self-attention (r).")] = 16,
    kernel: Annotated[int, typer.Option(min=1, help="Of a convolution (k).")] = 3,
    head_width: Annotated[int, typer.Option(min=1, help="Of an attention head (d_k).")] = 64,
    sentences: Annotated[int, typer.Option(min=1, help="Sequences at a time.")] = 1,
    repeats: Annotated[
        int, typer.Option(min=1, help="Of each pass, in the time that it may take.")
    ] = 10,
    most_seconds: Annotated[
        float, typer.Option(help="A pass that would take longer is left out.")
    ] = 2.0,
    threads: Annotated[int | None, typer.Option(min=1, help="Of a CPU; its cores.")] = None,
    gpus: Gpus = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of what was measured; mlruns/complexity.")
    ] = None,
    root: RootFolder = HERE,
    dry_run: Annotated[bool, typer.Option(help="Check everything and print the plan.")] = False,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Measure nothing; write what is measured.")
    ] = False,
) -> None:
    """Measure Table 1: time, memory and paths of layer types by length and width.

    What is measured stays measured: the same command goes on where it was. A cell that needs more
    memory than there is, or a pass more time than --most-seconds, is marked and not run.
    """
    from analysis import complexity as measured
    from analysis import complexity_report
    from lit_transformer.complexity.cells import Terms, ask
    from lit_transformer.complexity.record import Results

    _check_positive("--most-seconds", most_seconds)
    terms = Terms(window, kernel, head_width, sentences)
    asked = ask(layers, lengths, widths, path_lengths, terms, repeats, most_seconds)
    folder = out or root / "mlruns" / "complexity"
    results = Results(folder)
    if not report_only:
        _measure_layers(asked, results, gpus, threads, dry_run)
    if dry_run:
        return
    found = measured.read(results)
    print(complexity_report.text(found, _console().width if sys.stdout.isatty() else None))
    for kind, path in complexity_report.write(found, folder).items():
        print(f"{kind:8} {path}")


def _measure_layers(
    asked: Asked, results: Results, gpus: str | None, threads: int | None, dry_run: bool
) -> None:
    """Everything that is asked and not measured yet; one process at a time."""
    import torch

    from experiments import checkout
    from experiments.runners import local
    from lit_transformer import environment
    from lit_transformer.complexity import survey
    from lit_transformer.record import exclusive

    named = local.find_gpus() if gpus is None else [g.strip() for g in gpus.split(",") if g.strip()]
    if named:
        os.environ["CUDA_VISIBLE_DEVICES"] = named[0]
    device = torch.device("cuda" if named and torch.cuda.is_available() else "cpu")
    torch.set_num_threads(threads or local.cores())
    code = checkout.code()
    about = environment.describe(device, 1, torch.get_num_threads())
    for line in survey.plan(asked, results, device):
        _say(line)
    if dry_run:
        return
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        with exclusive(results.path, 0.0):
            results.begin(asked.terms, about)
            commit = code.commit + (" with uncommitted changes" if code.dirty else "")
            results.tell(shlex.join(["ablate", *sys.argv[1:]]), commit)
            survey.carry_out(asked, results, device, _say)
    except TimeoutError:
        raise _usage(
            f"{results.path.parent}: another process measures there; wait for it"
        ) from None
    except KeyboardInterrupt:
        print("stopped; the same command goes on where it was", file=sys.stderr)
        raise


@app.command()
def keys(as_json: Json = False) -> None:
    """Every dotted key: type, range, default and meaning."""
    from rich.markup import escape
    from rich.table import Table

    from lit_transformer import config_io

    found = config_io.keys()
    if as_json:
        print(json.dumps({"keys": [key._asdict() for key in found]}, indent=1))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("key", "type", "range", "default", "meaning"):
        table.add_column(name, overflow="fold")
    for key in found:
        default = config_io.as_yaml(key.default)
        table.add_row(key.name, escape(key.type), key.range, default, escape(key.meaning))
    _console().print(table)


@app.command()
def explain(
    what: Annotated[str, typer.Argument(metavar="STUDY/ARM or FILE", help="Whose model.")],
    setting: Annotated[
        str | None,
        typer.Option("--setting", help="Where, wmt14-en-de if not given; not for a file."),
    ] = None,
    recipe: RecipeName = None,
    seed: Annotated[
        int | None, typer.Option(help="Of a search's row: the search's, 1 if not given.")
    ] = None,
    sets: Sets = None,
    root: RootFolder = HERE,
    length: Annotated[
        int | None, typer.Option(min=1, help="Tokens of a sentence on each side, 28 if not given.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.svg", dir_okay=False, help="Draw it; .html: with the table."),
    ] = None,
    as_json: Json = False,
) -> None:
    """The architecture of a configuration: every tensor's shape, parameters and operations.

    Nothing is trained or fetched. --out draws it like Figure 1 of the paper, in its own numbers.
    """
    from experiments import explain_display

    is_file = Path(what).suffix in (".yaml", ".yml")
    if out is not None and out.suffix not in (".svg", ".html"):
        raise _usage(f"--out {out}: a file that ends in .svg or .html")
    where = setting if is_file else setting or "wmt14-en-de"
    trial = _one_trial(what, where, recipe, seed, sets, root)
    sizes = explain_display.sizes_of(trial, length)
    title = what if is_file else f"{what} in {trial.setting}"
    if as_json:
        print(json.dumps(explain_display.as_object(trial, title, sizes), indent=1))
    else:
        _console().print(explain_display.table(trial, sizes))
        for line in explain_display.lines(trial, sizes):
            _say(line)
    if out is not None:
        from lit_transformer.record import write_bytes

        draw = explain_display.drawing if out.suffix == ".svg" else explain_display.page
        write_bytes(out, draw(trial, title, sizes).encode())
        print(f"drawing: {out}", file=sys.stderr)


@app.command()
def translate(
    run_id: RunId,
    root: RootFolder = HERE,
    averaged: Annotated[bool, typer.Option(help="Use the averaged model.")] = False,
    attention: Attention = None,
) -> None:
    """Translate standard input, a sentence a line, with a finished run's model."""
    translator = _translator(run_id, root, "translation", averaged)
    outputs = translator.outputs(_sentences())
    texts = translator.texts(outputs)
    for line in texts:
        print(line)
    if attention is not None:
        _write_attention(attention, run_id, translator, outputs, texts)


@app.command()
def parse(
    run_id: RunId,
    root: RootFolder = HERE,
    averaged: Annotated[bool, typer.Option(help="Use the averaged model.")] = False,
    draw: Annotated[bool, typer.Option(help="Draw the trees in place of brackets.")] = False,
    attention: Attention = None,
) -> None:
    """Write the tree of each sentence of standard input, a line each, words between spaces."""
    from experiments import display

    translator = _translator(run_id, root, "parsing", averaged)
    outputs = translator.outputs(_sentences())
    texts = ["" if tree is None else str(tree) for tree in translator.trees(outputs)]
    for brackets in texts:
        print(display.drawn_tree(brackets) if draw and brackets else brackets)
    if attention is not None:
        _write_attention(attention, run_id, translator, outputs, texts)


@app.command()
def heads(
    run_id: RunId,
    root: RootFolder = HERE,
    sentences: Annotated[
        int | None,
        typer.Option(min=1, help="Measure again, on so many sentences of the valid part."),
    ] = None,
    as_json: Json = False,
) -> None:
    """What every head of a finished run looks at, and what the model loses without it.

    A run that has not measured its heads is measured now, from the weights that it kept.
    """
    from experiments import head_display
    from lit_transformer import heads as head_files
    from lit_transformer.record import Record

    record = Record(_directory(run_id, root))
    found = head_files.read(record) if sentences is None else None
    if found is None:
        found = _measure_heads(record, root, sentences)
    if as_json:
        print(json.dumps(head_files.as_object(found), indent=1))
        return
    _console().print(head_display.table(found))
    for line in head_display.lines(found):
        _say(line)


def _measure_heads(record: Record, root: Path, sentences: int | None) -> Heads:
    from experiments.sweep import Root
    from lit_transformer import removing, training
    from lit_transformer.config_io import load

    claim = record.claim()
    if claim is None:
        raise _usage(f"{record.path}: the trial is at work; it measures its heads at its end")
    try:
        number = sentences or load(record.config).train.head_sentences
        if not number:
            raise _usage("train.head_sentences=0: the run measures none; give --sentences 50")
        print(f"measuring heads on {number} sentences", file=sys.stderr)
        return removing.measure_trial(record.path, Root(root).cache, number, training.unseen)
    finally:
        os.close(claim)


def _write_attention(
    file: Path,
    run_id: str,
    translator: Translator,
    outputs: Sequence[Output],
    texts: Sequence[str],
) -> None:
    from lit_transformer import attention_page
    from lit_transformer.record import write_bytes

    page = attention_page.page(f"of {run_id}", translator.maps(outputs, texts))
    write_bytes(file, page.encode())
    print(f"attention maps: {file}", file=sys.stderr)


def _sentences() -> list[str]:
    """The lines of standard input."""
    lines = sys.stdin.buffer.read().decode("utf-8", errors="replace").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _translator(run_id: str, root: Path, task: Task, averaged: bool) -> Translator:
    directory = _directory(run_id, root)
    import torch

    from lit_transformer.translator import Translator

    try:
        return Translator(directory, task=task, averaged=averaged, device=torch.device("cpu"))
    except ValueError as error:
        raise _usage(str(error)) from None


def _usage(message: str) -> Exception:
    from lit_transformer.config_io import ConfigError

    return ConfigError(message)


def _console() -> Console:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDE)


def _load(study: str, setting: str, recipe: str | None) -> tuple[Study, Setting]:
    from experiments.study import load_setting, load_study, with_recipe

    where = load_setting(setting)
    return load_study(study), where if recipe is None else with_recipe(where, recipe)


def _expand(
    study: Study, setting: Setting, seeds: str, only: str, sets: Sequence[str] | None
) -> list[Trial]:
    """Every trial; of a search those that it has suggested, best first, if they were read."""
    from experiments.space import TUNED
    from experiments.study import expand

    arms = _names(only)
    if arms and study.tune:
        arms += [arm.id for arm in study.arms if arm.group == TUNED]
    return expand(study, setting, _parse_seeds(seeds), arms, _overrides(sets))


def _with_found(
    study: Study, setting: Setting, seeds: str, only: str, sets: Sequence[str] | None, root: Path
) -> Study:
    """The study with what its searches have found so far; others as they are."""
    from experiments import suggestions, tuning

    if study.search:
        return suggestions.asked(study, setting, _one_seed(study, seeds), _overrides(sets), root)
    if study.tune:
        tuning.check_seeds(study, _parse_seeds(seeds))
        return tuning.asked(study, setting, _names(only), _overrides(sets), root)
    return study


def _tuned_with(
    study: Study, setting: Setting, only: str, sets: Sequence[str] | None, root: Path
) -> list[Trial]:
    """Trials that rows of a study which tunes them were searched with so far."""
    from experiments import tuning
    from experiments.study import expand

    if study.tune is None:
        return []
    seed, given = tuning.seed(study), _overrides(sets)
    found = tuning.suggested(study, setting, _names(only), given, root)
    return [t for one in found if one.arms for t in expand(one, setting, [seed], [], given)]


def _names(only: str) -> list[str]:
    return [arm.strip() for arm in only.split(",") if arm.strip()]


def _one_seed(study: Study, seeds: str) -> int:
    numbers = _parse_seeds(seeds)
    if len(numbers) > 1:
        raise _usage(f"--seeds {seeds}: {study.name} is a search, which trains with one, as 4,")
    return numbers[0]


def _searching(
    study: Study,
    setting: Setting,
    seeds: str,
    until: str | None,
    only: str,
    sets: Sequence[str] | None,
    root: Path,
) -> Searching:
    if until or only:
        option = f"--until {until}" if until else f"--only {only}"
        raise _usage(f"{option}: {study.name} is a search, which suggests its rows; leave it out")
    from experiments.search import Searching

    return Searching(study, setting, _one_seed(study, seeds), _overrides(sets), root)


def _tuning(
    study: Study,
    setting: Setting,
    seeds: str,
    until: str | None,
    only: str,
    sets: Sequence[str] | None,
    root: Path,
) -> Tuning:
    if until:
        raise _usage(f"--until {until}: {study.name} tunes its rows; give the seeds with --seeds")
    from experiments.tuner import Tuning

    numbers = _parse_seeds(seeds)
    return Tuning(study, setting, numbers, _names(only), _overrides(sets), root)


def _overrides(sets: Sequence[str] | None) -> Mapping[str, Given]:
    from lit_transformer.config_io import parse_set

    return dict(parse_set(text) for text in sets or ())


def _parse_seeds(text: str) -> list[int]:
    """`3` is seeds 1, 2, 3; `4,7` and `4,` are those."""
    from experiments.study import MAX_SEEDS

    words = [word.strip() for word in text.split(",")]
    try:
        numbers = [int(word) for word in words if word]
    except ValueError:
        numbers = []
    if len(words) > 1 and numbers and min(numbers) >= 0:
        return numbers
    if len(words) > 1 or not numbers or not 0 < numbers[0] <= MAX_SEEDS:
        raise _usage(
            f"--seeds {text}: a count such as 3, or a list such as 4,7; {MAX_SEEDS:,} at most"
        )
    return list(range(1, numbers[0] + 1))


def _check_until(
    until: str | None, seeds: str | None, most_seeds: int | None, margin: float | None
) -> None:
    """One message for options of which one makes another meaningless."""
    if until and seeds is not None:
        raise _usage(
            f"--seeds {seeds} with --until {until}: the scores say how many seeds a row gets; "
            "leave one out, or bound them with --most-seeds"
        )
    given = {"--most-seeds": most_seeds, "--margin": margin}
    if alone := [f"{name} {value}" for name, value in given.items() if value is not None]:
        if not until:
            raise _usage(f"{' and '.join(alone)}: only with --until decided")
        if margin is not None and not 0 <= margin < math.inf:
            raise _usage(f"--margin {margin}: points of BLEU or F1, from 0")


def _deciding(
    study: Study,
    setting: Setting,
    most_seeds: int | None,
    margin: float | None,
    only: str,
    sets: Sequence[str] | None,
    root: Path,
) -> Deciding:
    from analysis import sequential, significance
    from analysis.deciding import Deciding
    from analysis.tables import BASE

    if only and BASE in {arm.id for arm in study.arms} - {arm.strip() for arm in only.split(",")}:
        raise _usage(f"--only {only}: verdicts are against {BASE}; name it too")
    most = sequential.MOST_SEEDS if most_seeds is None else most_seeds
    trials = _expand(study, setting, str(most), only, sets)
    within = significance.MARGIN if margin is None else margin
    return Deciding(trials, study.score, most, within or None, root)


def _given(
    study: Study,
    setting: Setting,
    first: list[Trial],
    only: str,
    sets: Sequence[str] | None,
    root: Path,
) -> list[Trial]:
    """The trials of seed 1, and those that sweeps until decided have asked for."""
    from analysis import decisions

    found = decisions.read(root, study.name, setting.name, first)
    most = max((one.design.most_seeds for one in found), default=1)
    known = {trial.digest for trial in first}
    known |= {digest for one in found for own in one.given.values() for digest in own}
    trials = _expand(study, setting, str(most), only, sets)
    return [trial for trial in trials if trial.digest in known]


def _seeds_run(root: Path, study: Study, setting: Setting) -> str:
    from analysis import runs
    from experiments import store

    found = runs.seeds(store.uri(root), study.name, setting.name, store.owner(root))
    if study.search and len(found) > 1:
        raise _usage(
            f"{study.name} in {setting.name} was searched with seeds {', '.join(map(str, found))}, "
            f"each a search of its own: choose one, as --seeds {found[0]},"
        )
    return ",".join(map(str, found)) + "," if found else "1"


def _one_trial(
    what: str,
    setting: str | None,
    recipe: str | None,
    seed: int | None,
    sets: Sequence[str] | None,
    root: Path,
) -> Trial:
    """That of a file, or of STUDY/ARM; what a search has found is read from its record."""
    from experiments import named
    from experiments import study as studies
    from lit_transformer import config_io

    if Path(what).suffix in (".yaml", ".yml") and setting is None:
        if seed is not None:
            raise _usage(f"--seed {seed}: a file has its own; write --set train.seed={seed}")
        if recipe is not None:
            raise _usage(f"--recipe {recipe}: a configuration file has no base; leave it out")
        given = config_io.written(config_io.read_yaml(Path(what)))
        return studies.trial_from_config(config_io.build({**given, **_overrides(sets)}))
    reference = studies.parse_reference(what)
    if setting is None:
        raise _usage(f"{what}: an arm of a study needs --setting; a configuration file needs none")
    chosen, where = _load(reference.study, setting, recipe)
    seeds = ("--seeds", f"{1 if seed is None else seed},")
    command = _command(reference.study, setting, recipe, [], "", sets, seeds)
    return named.trial(chosen, where, reference.arm, seed, _overrides(sets), root, command)


def _slots(
    planned: Sequence[Planned], gpus: str | None, trials_per_gpu: str, at_once: int | None
) -> tuple[Sequence[Slot], list[str]]:
    """Where trials run, and what to tell of it."""
    from experiments.runners import local

    named = local.find_gpus() if gpus is None else [g.strip() for g in gpus.split(",") if g.strip()]
    count, told = _trials_per_gpu(planned, named, trials_per_gpu)
    devices = [item.trial.config.train.devices for item in planned]
    return local.plan_slots(devices, named, count, at_once), told


def _check_cluster(root: Path, gpus: str | None, trials_per_gpu: str) -> None:
    """Refuse what a cluster has no use for, and one that is not there, or whose store is not."""
    from experiments import store
    from experiments.runners import hosts

    if gpus is not None:
        raise _usage(
            f"--gpus {gpus} with --runner ray: a cluster's GPUs are those that its hosts joined "
            "with; leave it out, or start a host with `ray start --num-gpus`"
        )
    if not (trials_per_gpu.isdecimal() and int(trials_per_gpu) > 0):
        raise _usage(f"--trials-per-gpu {trials_per_gpu}: a number from 1 with --runner ray")
    hosts.check()
    store.check_answers(root)


def _trials_per_gpu(
    planned: Sequence[Planned], gpus: Sequence[str], text: str
) -> tuple[int, list[str]]:
    if text.isdecimal() and int(text) > 0:
        return int(text), []
    if text != "auto":
        raise _usage(f"--trials-per-gpu {text}: a number from 1, or auto")
    if not gpus:
        return 1, []
    from experiments import sharing
    from experiments.runners import local

    free = local.free_memory(gpus)
    if missing := [gpu for gpu in gpus if gpu not in free]:
        raise _usage(
            f"--trials-per-gpu auto: nvidia-smi tells no memory of GPU {', '.join(missing)}; "
            "give a number"
        )
    return sharing.share(planned, free, max(1, local.cores() // len(gpus)))


def _check_and_plan(
    trials: Sequence[Trial],
    root: Path,
    gpus: str | None,
    trials_per_gpu: str,
    at_once: int | None,
) -> tuple[Sequence[Planned], Sequence[Slot], list[str]]:
    """Refuse what cannot run -> the plan, where its trials run, and what to tell of that."""
    from experiments import store, sweep

    sweep.check(trials)
    store.check(root)
    planned = sweep.plan(trials, sweep.Root(root))
    # Of the whole plan, so that a trial that is gone on with has as many threads as before.
    slots, told = _slots(planned, gpus, trials_per_gpu, at_once)
    return planned, slots, [*told, *sweep.unreached(trials)]


def _tell_plan(planned: Sequence[Planned], told: Sequence[str]) -> None:
    from experiments import display

    if planned:  # a search has nothing to list before its first suggestion
        _console().print(display.plan_table(planned))
        _say(display.plan_summary(planned))
    for line in told:
        _say(line)


def _say(line: str) -> None:
    _console().print(line, markup=False, highlight=False, soft_wrap=True)


def _say_on_stderr(line: str) -> None:
    print(line, file=sys.stderr)


class _Again(NamedTuple):
    """What a rerun is compared with, and where and with which code it will be made."""

    then: Origin
    now: Now
    slots: Sequence[Slot]


def _plan_again(
    item: Planned, old: Record, gpus: str | None, at_commit: bool, trust: bool
) -> _Again:
    from experiments import checkout
    from experiments.rerun import Now, changes_to_apply, environment_now, origin

    then = origin(old, item.trial.config)
    code = checkout.code()
    if at_commit:
        code = checkout.Code(then.commit, changes_to_apply(old, then, trust))
    slots, _ = _slots([item], gpus, "1", 1)
    gpu, threads = slots[0].gpu, then.environment.get("threads")
    if isinstance(threads, int) and gpu is None:  # as many threads, for the same bits
        slots = [slot._replace(threads=threads) for slot in slots]
    environment = environment_now(gpu, item.trial.config.train.devices, slots[0].threads)
    return _Again(then, Now(code, gpu is not None, environment), slots)


def _train_at(code: Code, run_id: str, root: Path, gpus: str | None) -> None:
    """`ablate rerun` of another commit; what it does is seen in the trial's directory."""
    from experiments import worktree

    signal.signal(signal.SIGTERM, _as_interrupt)
    words = ["rerun", run_id, "--root", str(root.resolve())]
    words += [] if gpus is None else ["--gpus", gpus]
    with worktree.at_commit(code.commit, code.diff) as project:
        status = worktree.run(project, words)
    print(f"commit {code.commit[:12]}: its own `ablate rerun` ended with status {status}")


def _sweep(
    trials: Sequence[Trial],
    root: Path,
    gpus: str | None,
    trials_per_gpu: str,
    at_once: int | None,
    dry_run: bool,
    as_json: bool,
    deciding: Deciding | None = None,
    searching: Searching | Tuning | None = None,
    runner: Literal["local", "ray"] = "local",
) -> bool:
    """Plan and run -> whether every trial is over: finished, or diverged."""
    from experiments import display, planning, sweep

    some = searching.outline() if searching else trials
    if runner == "ray":
        planned, slots, told = _check_and_plan(some, root, "", "1", at_once)
    else:
        planned, slots, told = _check_and_plan(some, root, gpus, trials_per_gpu, at_once)
    if searching:
        planned, told = searching.planned(), [*searching.plan(), *told]
    if deciding:
        told = [*deciding.plan(), *told]
        planned = sweep.grown(planned, sweep.Root(root), deciding, told.append)
    if as_json:
        sequential = deciding.as_object() if deciding else None
        searches = searching.as_objects() if searching else ()
        print(json.dumps(display.plan_json(planned, sequential, searches), indent=1))
        return True
    _tell_plan(planned, told)
    if dry_run:
        return True
    if runner == "ray":
        from experiments.runners.ray import RayRunner

        cluster = RayRunner(root, some, int(trials_per_gpu), at_once)
        return _carry_out(planned, root, (), at_once, deciding, searching, cluster)
    done = _carry_out(planned, root, slots, at_once, deciding, searching)
    for line in _comparison(planning.look_ahead(planned, sweep.Root(root), slots, at_once)):
        _say(line)
    return done


def _measured(
    planned: Sequence[Planned],
    root: Path,
    slots: Sequence[Slot],
    at_once: int | None,
    fresh: bool,
    say: Callable[[str], None],
) -> Outlook:
    """Measure what the forecast lacks -> the forecast."""
    from experiments import planning
    from experiments.sweep import Root

    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        planning.measure(planned, Root(root), slots, at_once, fresh, say)
    except KeyboardInterrupt:
        print("stopped; shapes that were measured are remembered", file=sys.stderr)
        raise
    return planning.look_ahead(planned, Root(root), slots, at_once)


def _comparison(outlook: Outlook) -> list[str]:
    """What to say of trials that a forecast was made of and that have finished."""
    from experiments import plan_display

    found = outlook.comparison
    return [] if found is None else [plan_display.compared_line(found)]


def _carry_out(
    planned: Sequence[Planned],
    root: Path,
    slots: Sequence[Slot],
    at_once: int | None,
    deciding: Deciding | None = None,
    searching: Searching | Tuning | None = None,
    cluster: RayRunner | None = None,
) -> bool:
    """Run what is not over, on this host or a cluster -> whether everything is over then; of a
    search, whether all is told."""
    from experiments import display, mirror, sweep
    from experiments.runners.local import LocalRunner, check_gpus
    from lit_transformer.record import refuse_links

    place, console = sweep.Root(root), _console()
    unfinished = [item for item in planned if not item.is_over]
    for item in unfinished:
        refuse_links(item.record.path)
    todo = [item.trial for item in unfinished]
    if searching and not searching.is_done:
        todo += {one.digest: one for one in searching.outline()}.values()
    check_gpus([slot.gpu for slot in slots if slot.gpu] if todo else [])
    if deciding:
        deciding.begin()
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        runner = cluster if cluster and todo else LocalRunner(slots if todo else (), at_once)
        owned = searching.begun() if searching else nullcontext()
        with owned, mirror.Mirror(root) as mirrored, runner:
            sweep.prepare(todo, place, console.print)
            with display.Screen(console) as screen:
                propose = deciding if searching is None else searching.further
                planned = sweep.run(planned, place, runner, mirrored, screen, propose, searching)
            for problem in mirrored.close(LAST_LOOK_S):
                print(problem, file=sys.stderr)
    except KeyboardInterrupt:
        print("stopped; the same command goes on where it was", file=sys.stderr)
        raise
    if elsewhere := display.elsewhere(planned):
        print(elsewhere, file=sys.stderr)
    if searching:
        return searching.is_whole(planned)
    return all(item.state.is_over for item in planned)


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _print_scores(root: Path, digest: str) -> bool:
    """Whether there are some."""
    from experiments.sweep import Root
    from lit_transformer.record import Record
    from lit_transformer.terminal import printable

    record = Record(Root(root).trial(digest))
    result = record.result()
    if result is None:
        reason = printable(record.state().reason)
        print(f"not finished: {reason} (log: {record.log})", file=sys.stderr)
        return False
    for name, value in result["scores"].items():
        print(f"{printable(name):32} {value:,.6g}")
    print(f"{'directory':32} {record.path}")
    return True


def _directory(run_id: str, root: Path) -> Path:
    """The trial's directory of an MLflow run, or of a digest."""
    from analysis import runs
    from experiments import store
    from experiments.sweep import Root
    from lit_transformer.record import refuse_links

    place = Root(root)
    found = place.trial(run_id)
    if not os.path.isdir(found):
        found = place.mlruns / (runs.directory(store.uri(root), run_id) or "nowhere")
    if not os.path.isdir(found) or place.trials.resolve() not in found.resolve().parents:
        raise _usage(
            f"{run_id}: no run of this id with a trial under {place.mlruns}; digests stand in "
            "`ablate sweep ... --dry-run`, runs in `ablate ui` and in a report's page"
        )
    refuse_links(found)
    return found


def _command(
    study: str,
    setting: str,
    recipe: str | None,
    trials: Sequence[Trial],
    only: str,
    sets: Sequence[str] | None,
    until: Sequence[str],
) -> str:
    """The command that runs these trials; `until` are options in place of their seeds."""
    seeds = sorted({trial.seed for trial in trials})
    count = len(seeds)
    told = str(count) if seeds == list(range(1, count + 1)) else ",".join(map(str, seeds)) + ","
    words = ["ablate", "sweep", study, "--setting", setting]
    words += [] if recipe is None else ["--recipe", recipe]
    words += until or ("--seeds", told)
    words += ["--only", only] if only else []
    return shlex.join([*words, *(word for text in sets or () for word in ("--set", text))])


def _check_beside(settings: Sequence[str], study: str) -> None:
    from analysis.assembly import PRINTED

    if len(settings) > 1 and study not in PRINTED:
        names = " and ".join(PRINTED)
        raise _usage(f"--beside goes with {names}, whose reports set settings side by side")
    twice = next((name for name in settings if settings.count(name) > 1), None)
    if twice:
        raise _usage(f"--beside {twice}: the report has this setting already; name each once")


def _print_report(
    made: Table,
    trials: Sequence[Trial],
    root: Path,
    beside: Sequence[Table],
    only: str,
    with_private_texts: bool = False,
) -> None:
    from analysis import assembly

    width = _console().width if sys.stdout.isatty() else None
    text, files = assembly.write(made, trials, root, width, beside, with_private_texts)
    print(text)
    for kind, path in files.items():
        print(f"{kind:8} {path}")
    print(f"{'runs':8} ablate ui --root {root}")
    if only:
        told = "in the place of an earlier report here; without --only it is written whole"
        print(f"{'rows':8} {only} alone, {told}")


if __name__ == "__main__":
    main()
