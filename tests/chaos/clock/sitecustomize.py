"""A clock that can be moved: found by every process whose PYTHONPATH names this folder.

`time.time` is off by as many seconds as the file in ABLATE_CHAOS_CLOCK says.
"""

import os
import time

_true_time = time.time


def _moved_time() -> float:
    try:
        with open(os.environ["ABLATE_CHAOS_CLOCK"]) as file:
            return _true_time() + float(file.read())
    except (KeyError, OSError, ValueError):
        return _true_time()


time.time = _moved_time
