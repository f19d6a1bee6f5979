"""Imported once by the server that trials are forked from, so that each starts in no time.

The server is tied to the sweep that started it. It never touches a GPU and starts no threads.
"""

import gc

from experiments.ties import named_parent, tie_to_parent

tie_to_parent(named_parent())

import experiments.worker  # noqa: E402, F401
import lit_transformer.calibration  # noqa: E402
import lit_transformer.training  # noqa: E402, F401
from experiments.checkout import code  # noqa: E402
from lit_transformer import scoring  # noqa: E402

code()  # asked once: the server's code is what every trial runs
scoring.score(["a"], ["a"])  # sacreBLEU is imported by its first use

# What is imported lives as long as the server. Left to the collector, the first full collection of
# every trial would walk all of it, and copy the memory that it shares with the server: 0.3 s.
gc.collect()
gc.freeze()
