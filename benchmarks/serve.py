"""One contender in a process of its own, working off commands one at a time.

    PYTHON benchmarks/serve.py benchmarks/peers/NAME.py

Run by the contender's own python, so it imports the standard library alone. Commands come as lines
of JSON on standard input: `{"method": "Training", "arguments": {...}}` makes an object of that
class of the peer's file, any other method is called on the object made last. Answers go to what
was standard output; what the contender itself prints goes to standard error.

An object with a method `run` is a toolkit that keeps its own loop. `run(between)` is called once;
it calls `between()` where an update begins, which answers for the last `step` with the object's
`updated()` and waits for the next. So the toolkit works in the main thread, as it does for a user.
"""

import importlib.metadata
import importlib.util
import json
import os
import platform
import resource
import sys
import time
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

PATHS = ("workload", "weights")
"""Arguments that are files or folders."""
HERE = Path(__file__).parent


def load(path: Path) -> ModuleType:
    """The peer's file as a module. It may import `pairs` and the files beside it.

    Those come last: a peer's file may have the name of the library that it is about.
    """
    sys.path.insert(0, str(HERE))
    sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(f"peer_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    return module


def peak_mib() -> float:
    """Largest resident memory of this process so far.

    Linux's ru_maxrss is no less than what the parent held when it started this process; VmHWM
    begins anew.
    """
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024


def versions() -> dict[str, str]:
    """Python's, and those of all that is installed beside the contender."""
    found = {d.metadata["Name"].lower(): d.version for d in importlib.metadata.distributions()}
    return {"python": platform.python_version(), **dict(sorted(found.items()))}


class Server:
    """Answers commands about one peer's module."""

    def __init__(self, peer: ModuleType, commands: TextIO, answers: TextIO) -> None:
        self.peer, self.commands, self.answers = peer, commands, answers
        self.made: Any = None
        self._began_s: float | None = None

    def serve(self) -> None:
        """Until there are no more commands."""
        while True:
            command = self._next()
            try:
                self._obey(command)
            except Exception:
                self.say({"error": traceback.format_exc()})

    def say(self, content: dict[str, Any]) -> None:
        self.answers.write(json.dumps(content) + "\n")
        self.answers.flush()

    def _next(self) -> dict[str, Any]:
        line = self.commands.readline()
        if not line:
            sys.stderr.flush()
            os._exit(0)  # a toolkit's loop, or threads of its own, may be in the middle of things
        command: dict[str, Any] = json.loads(line)
        return command

    def _obey(self, command: dict[str, Any]) -> None:
        arguments = {
            name: Path(value) if name in PATHS else value
            for name, value in command["arguments"].items()
        }
        kind = getattr(self.peer, command["method"], None)
        if isinstance(kind, type):
            self.made = None  # let go of its memory before the next one takes some
        call = kind if isinstance(kind, type) else getattr(self.made, command["method"])
        began_s = time.perf_counter()
        result = call(**arguments)
        seconds = time.perf_counter() - began_s
        if isinstance(kind, type):
            self.made, result = result, None
        self._answer(result, seconds)
        if isinstance(kind, type) and hasattr(self.made, "run"):
            self.made.run(self._between)
            raise RuntimeError("the toolkit's loop ended")

    def _answer(self, result: Any, seconds: float) -> None:
        self.say({"result": result, "seconds": seconds, "peak_mib": peak_mib()})

    def _between(self) -> None:
        if self._began_s is not None:
            seconds = time.perf_counter() - self._began_s
            self._answer(self.made.updated(), seconds)
        command = self._next()
        assert command["method"] == "step", "a toolkit in its own loop can only go on"
        self._began_s = time.perf_counter()


def main() -> None:
    commands, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    try:
        server = Server(load(Path(sys.argv[1]).resolve()), commands, answers)
    except Exception:
        answers.write(json.dumps({"error": traceback.format_exc()}) + "\n")
        answers.flush()
        os._exit(1)
    server.say({"versions": versions(), "peak_mib": peak_mib()})
    server.serve()


if __name__ == "__main__":
    main()
