"""The faults themselves: each does one thing to a sweep under way, and says what it did; it says
nothing where there was nothing to do it to."""

import os
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from experiments import store
from tests.chaos.proxy import Mode
from tests.chaos.world import Command, World

Fault = Callable[[World, Command, random.Random], str]
KILLS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
DAY_S = 86_400


def of_a_trial(world: World, command: Command, chance: random.Random) -> str:
    number = chance.choice(KILLS)
    trials = command.trials()
    if not trials:
        return ""
    _send(chance.choice(trials), number)
    return f"{number.name} to a trial"


def of_the_server(world: World, command: Command, chance: random.Random) -> str:
    servers = command.servers()
    if not servers:
        return ""
    _send(servers[0], signal.SIGKILL)
    return "SIGKILL to the server that trials are forked from"


def of_the_group(world: World, command: Command, chance: random.Random) -> str:
    number = chance.choice(KILLS)
    command.send_to_group(number)
    return f"{number.name} to the whole process group"


def of_the_sweep(world: World, command: Command, chance: random.Random) -> str:
    number = chance.choice(KILLS)
    command.send(number)
    return f"{number.name} to the sweep"


def of_ctrl_c_twice(world: World, command: Command, chance: random.Random) -> str:
    command.send_to_group(signal.SIGINT)
    time.sleep(chance.uniform(0.05, 0.5))
    command.send_to_group(signal.SIGINT)
    return "Ctrl-C twice"


def of_a_pause(world: World, command: Command, chance: random.Random) -> str:
    """A trial stands still while another sweep looks at it; its claim must hold."""
    trials = command.trials()
    if not trials:
        return ""
    for pid in trials:
        _send(pid, signal.SIGSTOP)
    second = world.sweep()
    time.sleep(chance.uniform(3, 8))
    second.send_to_group(signal.SIGKILL)
    for pid in trials:
        _send(pid, signal.SIGCONT)
    second.wait()
    return f"{len(trials)} trials stand still beside a second sweep"


def of_a_second_sweep(world: World, command: Command, chance: random.Random) -> str:
    second = world.sweep()
    if chance.random() < 0.5:
        time.sleep(chance.uniform(0, 8))
        number = chance.choice(KILLS)
        second.send_to_group(number)
        second.wait()
        return f"a second sweep, ended by {number.name}"
    second.wait()
    return "a second sweep"


def of_damage(world: World, command: Command, chance: random.Random) -> str:
    """The newest checkpoint is cut short, or a bit of it flips."""
    found = sorted(world.mlruns.glob("trials/*/checkpoints/*.ckpt"))
    if not found:
        return ""
    command.send_to_group(signal.SIGKILL)
    for path in found[-1:]:
        with suppress(OSError):
            content = bytearray(path.read_bytes())
            if chance.random() < 0.5:
                content = content[: chance.randrange(len(content))]
            else:
                content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
            path.write_bytes(content)
            return "SIGKILL to the whole process group, and the newest checkpoint is damaged"
    return "SIGKILL to the whole process group"


def of_a_lock(world: World, command: Command, chance: random.Random) -> str:
    """Somebody else writes to the database for seconds."""
    path = store.database(world.root)
    if not path.exists():
        return ""
    seconds = chance.uniform(2, 8)
    with closing(sqlite3.connect(path, timeout=20)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        _wait_or_kill(command, seconds, chance)
        connection.rollback()
    return f"the database is locked for {seconds:.0f} s"


def of_the_tracker(world: World, command: Command, chance: random.Random) -> str:
    if world.tracker is None:
        return ""
    mode: Mode = chance.choice(("refuses", "hangs", "answers 500"))
    seconds = chance.uniform(2, 8)
    world.tracker.proxy.mode = mode
    _wait_or_kill(command, seconds, chance)
    world.tracker.proxy.mode = "through"
    return f"the tracker {mode} for {seconds:.0f} s"


def of_a_full_disk(world: World, command: Command, chance: random.Random) -> str:
    """Nothing more can be written: a small file system is filled; where none can be mounted, the
    processes may write no file longer than a few bytes."""
    seconds = chance.uniform(1, 6)
    if os.path.ismount(world.root):
        filler = world.root / "filler"
        _fill(filler)
        _wait_or_kill(command, seconds, chance)
        filler.unlink()
        return f"the disk is full for {seconds:.0f} s"
    limit = chance.choice((100, 5_000, 50_000))
    for pid in command.pids():
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run(["prlimit", f"--fsize={limit}", "--pid", str(pid)], check=False)
    _wait_or_kill(command, seconds, chance)
    command.send_to_group(signal.SIGKILL)
    return f"no file may be longer than {limit} bytes"


def of_the_clock(world: World, command: Command, chance: random.Random) -> str:
    days = chance.choice((-400, -1, 1, 400))
    world.clock.write_text(str(days * DAY_S))
    return f"the clock is set to {days:+} days"


def of_the_data(world: World, command: Command, chance: random.Random) -> str:
    """The corpus, or what was made of it, is gone for a while."""
    gone = chance.choice((world.corpus, world.mlruns / "cache"))
    away = gone.with_name(f"away-{time.monotonic_ns()}")
    if not gone.exists():
        return ""
    seconds = chance.uniform(1, 6)
    gone.rename(away)
    _wait_or_kill(command, seconds, chance)
    if gone == world.corpus:
        away.rename(gone)
        return f"the corpus is gone for {seconds:.0f} s"
    return "the cache is gone"


FAULTS: tuple[Fault, ...] = (
    *(of_a_trial, of_a_trial, of_the_server, of_the_group, of_the_sweep, of_ctrl_c_twice),
    *(of_a_pause, of_a_second_sweep, of_damage, of_a_full_disk, of_the_clock, of_the_data),
    *(of_a_lock, of_a_lock, of_the_tracker, of_the_tracker, of_the_tracker, of_the_tracker),
)
"""Each as likely; some need something that is not always there, and are named more than once."""


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Mount a file system of 96 MB there, if we may -> whether it is."""
    folder.mkdir(exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(words, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _fill(path: Path) -> None:
    block = b"\0" * 4096
    with path.open("wb", buffering=0) as file, suppress(OSError):  # ENOSPC, in the end
        while True:
            file.write(block)


def _wait_or_kill(command: Command, seconds: float, chance: random.Random) -> None:
    """Let time pass; every other time something is killed meanwhile."""
    if chance.random() < 0.5:
        time.sleep(seconds)
        return
    time.sleep(seconds / 2)
    victims = [*command.trials(), command.process.pid]
    if not command.is_over:
        _send(chance.choice(victims), chance.choice(KILLS))
    time.sleep(seconds / 2)


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
