"""Made-up attention maps of a sentence, for tests of what keeps and shows them."""

import numpy as np

from lit_transformer.attention_maps import Maps, Sentence


def sentence(number: int = 1, words: int = 3, layers: int = 2, heads: int = 2) -> Sentence:
    """As many source words, one output word less, and marks; rows of the decoder look back."""
    source = (*(f"▁s{place}" for place in range(words)), "</s>")
    written = (*(f"▁t{place}" for place in range(words - 1)), "</s>")
    generator = np.random.default_rng(number)

    def weights(rows: int, columns: int, causal: bool = False) -> np.ndarray:
        drawn = generator.random((layers, heads, rows, columns), dtype=np.float32)
        drawn = np.tril(drawn) if causal else drawn
        return drawn / drawn.sum(axis=-1, keepdims=True)

    size, length = len(source), len(written)
    maps = Maps(weights(size, size), weights(length, length, True), weights(length, size))
    return Sentence(number, source, ("<s>", *written[:-1]), written, "an output", maps)
