"""Trees drawn at random, for tests of what reads, writes and scores them."""

from hypothesis import strategies as st

from lit_transformer.data.trees import Tree

LABELS = st.sampled_from(["S", "NP", "VP", "PP", "ADVP", "PRT", "SBAR"])
TAGS = st.sampled_from(["NN", "DT", "VBD", "IN", ",", ".", "-LRB-"])
WORDS = st.text("abcdefg-.,'=*", min_size=1, max_size=5)

LEAVES = st.builds(lambda tag, word: Tree(tag, (), word), TAGS, WORDS)


def _constituents(parts: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    children = st.lists(parts, min_size=1, max_size=4).map(tuple)
    return st.builds(lambda label, made: Tree(label, made), LABELS, children)


TREES = _constituents(st.recursive(LEAVES, _constituents, max_leaves=12))
"""Whole trees: a constituent on top, words below."""
