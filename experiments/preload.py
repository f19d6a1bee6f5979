"""Imported once by the server that trials are forked from, so that each starts in no time.

The server is tied to the sweep that started it. It never touches a GPU and starts no threads.
"""

from experiments.ties import named_parent, tie_to_parent

tie_to_parent(named_parent())

import lit_transformer.training  # noqa: E402, F401
