"""Strike, start again, and check: `make chaos`."""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from experiments.study import load_study
from tests.chaos import faults, strikes
from tests.chaos.outcome import Outcome, outcome
from tests.chaos.world import (
    BrokenPromiseError,
    Command,
    Counted,
    Tracker,
    World,
    promise,
    tracker,
)

ARMS_AT_ONCE = 5
SWEEPS_OF_AN_EPISODE = 6
MOST_FAULTS_OF_A_SWEEP = 3
LONGEST_LULL_S = 5.0
"""Before a fault, from the start of the sweep, of a trial, or from the fault before."""
LOOKED_AT = 0.3
"""Part of the faults after which `status` is asked for."""
TRACKED = 0.3
"""Part of the episodes whose runs go to a server."""


def main() -> None:
    given = _arguments()
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(10**6)
    print(f"seed {seed}: `python -m tests.chaos --seed {seed}` draws the same faults", flush=True)
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as name, ExitStack() as stack:
        folder = Path(name)
        chance = random.Random(seed)
        _strike(folder, given.every, chance)
        chaos = _Chaos(folder, chance, stack)
        try:
            chaos.run(given.faults)
        except BrokenPromiseError as error:
            print(f"BROKEN PROMISE: {error}", flush=True)
            print(chaos.tail(), flush=True)
            sys.exit(1)
    print(f"all promises held; {time.monotonic() - began_s:.0f} s")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--faults", type=int, default=200, help="faults of real sweeps")
    parser.add_argument("--every", type=int, default=1, help="strike every n-th write only")
    parser.add_argument("--seed", type=int, default=None)
    return parser.parse_args()


def _strike(folder: Path, every: int, chance: random.Random) -> None:
    series: dict[str, Callable[[Path], strikes.Strikes]] = {
        "a trial": lambda place: strikes.strike_trials(place, every, _silent),
        "every row of Table 3": lambda place: strikes.strike_arms(place, chance, _silent),
        "the mirror": lambda place: strikes.strike_mirror(place, every, _silent),
    }
    for name, strike in series.items():
        place = folder / name.replace(" ", "-")
        place.mkdir()
        made = strike(place)
        print(
            f"{name}: {made.struck} of {made.writes} writes failed, each in a process of its own; "
            "what went on ended with the same bits",
            flush=True,
        )


def _silent(text: str) -> None:
    pass


class _Chaos:
    """Episodes: some rows of Table 3 in a fresh folder, swept and struck until they are done."""

    def __init__(self, folder: Path, chance: random.Random, stack: ExitStack) -> None:
        self._folder, self._chance, self._stack = folder, chance, stack
        self._arms = [arm.id for arm in load_study("table3").arms]
        self._reference: dict[str, Outcome] = {}
        self._tracker: Tracker | None = None
        self._kinds: Counter[str] = Counter()
        self._world: World | None = None
        self._last: dict[str, Outcome] = {}

    def run(self, wanted: int) -> None:
        self._reference = self._undisturbed()
        self._tracker = self._stack.enter_context(tracker(self._folder))
        found: list[Counted] = []
        while sum(self._kinds.values()) < wanted:
            found.append(self._episode(len(found)))
        print(f"\n{sum(self._kinds.values())} faults in {len(found)} sweeps' folders:")
        for kind, count in sorted(self._kinds.items()):
            print(f"  {count:4} {kind}")
        print(
            f"{sum(one.trials for one in found)} trials finished exactly once each, in "
            f"{sum(one.attempts for one in found)} attempts, with the bits of undisturbed ones; "
            f"MLflow has all of their {sum(one.points for one in found):,} points once"
        )
        self._print_checksums()

    def tail(self) -> str:
        """The end of what the commands of the last episode said."""
        return self._world.log.read_text()[-6000:] if self._world else ""

    def _undisturbed(self) -> dict[str, Outcome]:
        world = self._new_world("undisturbed", self._arms, None)
        promise(world.sweep().wait() == 0, "the undisturbed sweep fails")
        return {arm: outcome(record.path) for arm, record in world.records().items()}

    def _new_world(self, name: str, arms: list[str], runs: Tracker | None) -> World:
        (self._folder / name).mkdir()
        self._world = World(self._folder / name, arms, runs)
        return self._world

    def _episode(self, number: int) -> Counted:
        chance = self._chance
        runs = self._tracker if chance.random() < TRACKED else None
        world = self._new_world(f"episode-{number}", chance.sample(self._arms, ARMS_AT_ONCE), runs)
        with faults.small_disk(world.root):
            for _ in range(SWEEPS_OF_AN_EPISODE):
                self._strike_a_sweep(world)
                if all(record.state().kind == "finished" for record in world.records().values()):
                    break
            promise(world.sweep().wait() == 0, "a sweep that nobody disturbs fails")
            promise(world.command("sync", "--root", world.root) == 0, "`sync` fails")
            world.status()
            counted = world.check(self._reference)
            self._last = {arm: outcome(record.path) for arm, record in world.records().items()}
        print(f"episode {number}: {', '.join(world.arms)}: {counted}", flush=True)
        return counted

    def _strike_a_sweep(self, world: World) -> None:
        """Start the sweep, and let things happen to it: in its first second, when a trial of it has
        begun, or at any time."""
        chance = self._chance
        with world.sweep() as command:
            self._strike(world, command)
        if chance.random() < LOOKED_AT:
            world.status()

    def _strike(self, world: World, command: Command) -> None:
        chance = self._chance
        began_s = time.monotonic()
        when = chance.choice(("first second", "any time", "training", "training"))
        begun = self._attempts(world)
        while when == "training" and self._attempts(world) == begun and not command.is_over:
            time.sleep(0.02)
        lull_s = chance.uniform(0, 1 if when == "first second" else LONGEST_LULL_S)
        for _ in range(chance.randint(1, MOST_FAULTS_OF_A_SWEEP)):
            end_s = time.monotonic() + lull_s
            while time.monotonic() < end_s and not command.is_over:
                time.sleep(0.02)
            if command.is_over:
                break
            struck_s = time.monotonic() - began_s
            said = ""
            while not said:
                said = chance.choice(faults.FAULTS)(world, command, chance)
            self._kinds[_kind(said)] += 1
            print(f"  after {struck_s:4.1f} s: {said}", flush=True)
            lull_s = chance.uniform(0, LONGEST_LULL_S)
        command.wait()

    def _attempts(self, world: World) -> int:
        return sum(record.state().attempts for record in world.records().values())

    def _print_checksums(self) -> None:
        print("\nthe last five arms, undisturbed and struck: sha256 of weights and of hypotheses")
        for arm, struck in self._last.items():
            whole = self._reference[arm]
            print(f"  {arm:5} {_short(whole)}   {_short(struck)}   equal: {whole == struck}")


def _short(found: Outcome) -> str:
    return f"{found.weights[:12]} {found.hypotheses[:12]}"


def _kind(said: str) -> str:
    """What was done, without its numbers."""
    return " ".join(word for word in said.split() if not word.strip("+-").isdigit())


if __name__ == "__main__":
    main()
