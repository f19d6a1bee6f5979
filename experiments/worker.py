"""One trial in one process: claim it, train it, write what became of it.

A calibration is a trial of which only the pieces are measured.
"""

import logging
import os
import platform
import signal
import sys
import traceback
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal, assert_never

from experiments import checkout, ranks
from experiments.ties import tie_to_parent
from lit_transformer import config_io
from lit_transformer.record import Kind, Record, write_bytes

if TYPE_CHECKING:
    import torch

    from lit_transformer.peers import Peers

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

CLAIMED_ELSEWHERE = 75
"""Exit status of a worker that found its trial claimed (sysexits' EX_TEMPFAIL)."""


PRELOAD = "experiments.preload"
"""Module that the server of the local runner imports before it forks the first trial."""


Purpose = Literal["training", "calibration"]
"""A calibration leaves calibration.json, where training leaves a result."""


@dataclass(frozen=True)
class Job:
    """What a worker is told. Paths are absolute."""

    purpose: Purpose
    digest: str
    config: str
    """The whole configuration as YAML."""
    directory: Path
    about: dict[str, Any]
    """Goes into trial.json: whose trial this is."""
    passes: dict[str, int | None]
    """Goes into the attempt's line: how much one pass takes in, which ends for want of memory
    lower."""
    cache: Path
    devices: int
    """`train.devices`: a process for each where it is more than one."""
    gpus: tuple[str, ...]
    """CUDA devices as CUDA_VISIBLE_DEVICES names them; none: the CPU."""
    threads: int
    """Of each process."""
    parent: int | None
    """Process that must be this one's parent; None: no tie."""


class _Stop:
    """Set by SIGTERM; training looks at it between two updates."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self) -> bool:
        return self.asked

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        self.asked = True


def work(job: Job) -> None:
    """Run the job to one of its ends, and exit. Exit status 0 is no proof; result.json is."""
    if job.parent is not None:
        tie_to_parent(job.parent)
    stop = _Stop()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the sweep, which says SIGTERM
    signal.signal(signal.SIGTERM, stop.on_signal)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)  # the server holds them back
    record = Record(job.directory)
    claim = record.claim()  # held until this process ends
    if claim is None:
        sys.exit(CLAIMED_ELSEWHERE)
    if record.result() is not None:
        sys.exit(0)
    _print_into(record.log)
    # Before torch looks for devices.
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(job.gpus)
    if record.read_json("trial.json") is None:
        record.write_json("trial.json", {"digest": job.digest, **job.about})
    record.clear_partials()
    _keep_changes(record)
    number = record.start_attempt({**_about_this_process(job), **job.passes})
    if job.devices == 1:
        kind, reason = _train(job, record, stop, None)
    else:
        kind, reason = ranks.watch(job.devices, partial(_train, job, record, stop), stop)
    record.end_attempt(number, kind, reason)
    logging.getLogger(__name__).info("%s %s", kind, reason)
    sys.exit(0 if kind == "finished" else 1)


def _train(job: Job, record: Record, stop: _Stop, seat: ranks.Seat | None) -> tuple[Kind, str]:
    """Do what the job is for -> how it ended, and why."""
    import torch

    from lit_transformer import peers
    from lit_transformer.callbacks import DivergedError, InterruptedTrialError, PrunedTrialError
    from lit_transformer.training import is_out_of_memory

    try:
        _check_server(job)
        device = torch.device("cuda", seat.rank if seat else 0) if job.gpus else torch.device("cpu")
        group = peers.ALONE if seat is None else peers.join(*seat, device)
        _carry_out(job, record, stop, device, group)
    except InterruptedTrialError as end:
        return "killed", str(end)
    except PrunedTrialError as end:
        return "pruned", str(end)
    except DivergedError as end:
        return "diverged", str(end)
    except config_io.ConfigError as error:
        return "bad_configuration", str(error)
    except (Exception, SystemExit) as error:  # Lightning may leave by SystemExit
        traceback.print_exc()
        if is_out_of_memory(error):
            return "out_of_memory", _first_line(error)
        return ("killed" if stop.asked else "failed"), _first_line(error)
    return "finished", ""


def _carry_out(
    job: Job, record: Record, stop: _Stop, device: "torch.device", peers: "Peers"
) -> None:
    """Train and write result.json, or measure and write calibration.json."""
    from lit_transformer.calibration import measure
    from lit_transformer.training import train

    config = config_io.parse(job.config, job.directory / "config.yaml")
    where, threads = (job.directory, job.cache), job.threads
    match job.purpose:
        case "training":
            result = train(
                config, *where, device=device, threads=threads, should_stop=stop, peers=peers
            )
            name, content = "result.json", {"digest": job.digest, **asdict(result)}
        case "calibration":
            measured = measure(config, *where, device=device, threads=threads, peers=peers)
            name, content = "calibration.json", measured.model_dump()
        case _ as never:
            assert_never(never)
    if peers.leads:
        record.write_json(name, content)


def _check_server(job: Job) -> None:
    """Refuse a server that could not import what ties it to the sweep: it would outlive it."""
    if job.parent is not None and sys.platform == "linux" and PRELOAD not in sys.modules:
        raise ImportError(f"{PRELOAD} cannot be imported; install the project: `make setup`")


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"


def _print_into(log: Path) -> None:
    """Send everything that this process prints, C libraries included, to the trial's log."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr, force=True
    )


def _keep_changes(record: Record) -> None:
    """Store what the code has that its commit has not; without it nobody could repeat the trial."""
    code = checkout.code()
    if code.dirty and not code.withheld:
        write_bytes(record.diff(code.changes), code.diff)


def _about_this_process(job: Job) -> dict[str, Any]:
    code = checkout.code()
    return {
        "pid": os.getpid(),
        "host": platform.node(),
        "device": f"gpu {','.join(job.gpus)}" if job.gpus else "cpu",
        "devices": job.devices,
        "threads": job.threads,
        "commit": code.commit,
        "dirty": code.dirty,
        "changes": code.changes,
        "changes_withheld": code.withheld,
    }
