"""The Transformer of section 3 of the paper, and what it costs."""
