# /// script
# requires-python = ">=3.11"
# dependencies = []
# ///
"""This project's search with the length penalty of its defaults: it looks further than one without
before it knows that no other hypothesis can win, and its outputs are longer."""

import ours_decoding

from lit_transformer.config import DecodeConfig


class Decoding(ours_decoding.Decoding):
    alpha = DecodeConfig().alpha
