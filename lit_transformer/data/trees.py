"""Bracketed trees: reading treebanks, what the literature keeps of them, and trees as sequences.

A treebank is text in the Penn format: brackets with labels over any number of lines, each tree in
an outer bracket without one. What is learnt and scored is without traces and function tags; chains
of single children stay. As a sequence (Vinyals et al. 2015) a tree is its brackets, each with its
label, and one symbol for each word; the words themselves are the source.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, final

from lit_transformer.data.cache import CorpusError

TRACE = "-NONE-"
"""Tag of what is not said."""
ROOT = "TOP"
"""Label of a bracket that has none."""
ANY_TAG = "XX"
"""Symbol of a word, where tags are normalised."""
REPAIRED = "S"
"""Label of the bracket around what has none, in a repaired tree."""

DEEPEST = 200
"""Brackets within one another that a tree may have; treebanks have some dozens."""

_PIECE = re.compile(r"[()]|[^()\s]+")
_FUNCTION = re.compile(r"[-=].*")


class Tree(NamedTuple):
    """A constituent, or a word under its part-of-speech tag (then without children)."""

    label: str
    children: "tuple[Tree, ...]"
    word: str | None = None

    def leaves(self) -> "Iterator[Tree]":
        """The words with their tags, from left to right."""
        waiting = [self]
        while waiting:
            tree = waiting.pop()
            if tree.word is not None:
                yield tree
            waiting += reversed(tree.children)

    @property
    def words(self) -> list[str]:
        return [str(leaf.word) for leaf in self.leaves()]

    def constituents(self) -> "Iterator[Tree]":
        """The tree and all within it that are no single words, each before what is in it."""
        open_ = [self]
        while open_:
            tree = open_.pop()
            if tree.word is None:
                yield tree
                open_.extend(reversed(tree.children))

    def __str__(self) -> str:
        """In one line of brackets."""
        parts: list[str] = []
        waiting: list[Tree | str] = [self]
        while waiting:
            item = waiting.pop()
            if isinstance(item, str):
                parts.append(item)
            elif item.word is not None:
                parts.append(f" ({item.label} {item.word})")
            else:
                parts.append(f" ({item.label}")
                waiting.append(")")
                waiting += reversed(item.children)
        return "".join(parts).strip()


class _Open(NamedTuple):
    """A bracket that is not closed yet."""

    label: str
    children: list[Tree]
    words: list[str]
    line: int


def read(text: str, path: Path, first_line: int = 1) -> Iterator[Tree]:
    """The trees of a treebank's text, as they stand.

    The bracket without a label around each tree is left out, or called TOP where it holds several.
    CorpusError names the line of a bracket that is not closed or was not opened, of one that holds
    nothing, words and brackets at once, or two words, of text outside of brackets, and of more than
    DEEPEST brackets within one another.
    """
    stack: list[_Open] = []
    for number, line in enumerate(text.split("\n"), first_line):
        pieces = _PIECE.findall(line)
        for place, piece in enumerate(pieces):
            if piece == "(":
                following = pieces[place + 1] if place + 1 < len(pieces) else "("
                stack.append(_Open("" if following in "()" else following, [], [], number))
                if len(stack) > DEEPEST:
                    raise CorpusError(f"{path}:{number}: more than {DEEPEST} brackets are open")
            elif piece == ")":
                if not stack:
                    raise CorpusError(f"{path}:{number}: a closing bracket that nothing has opened")
                tree = _closed(stack.pop(), path)
                if stack:
                    stack[-1].children.append(tree)
                else:
                    yield tree
            elif not stack:
                raise CorpusError(f"{path}:{number}: {piece!r} is outside of brackets")
            elif place == 0 or pieces[place - 1] != "(":
                stack[-1].words.append(piece)
    if stack:
        raise CorpusError(
            f"{path}:{stack[0].line}: the tree that begins here is not closed when the text ends"
        )


def _closed(bracket: _Open, path: Path) -> Tree:
    place, words, children = f"{path}:{bracket.line}", bracket.words, bracket.children
    if words and children:
        raise CorpusError(f"{place}: ({bracket.label} holds the word {words[0]!r} and brackets")
    if len(words) > 1:
        raise CorpusError(f"{place}: ({bracket.label} holds two words, {words[0]!r}, {words[1]!r}")
    if words:
        if not bracket.label:
            raise CorpusError(f"{place}: the word {words[0]!r} has no tag")
        return Tree(bracket.label, (), words[0])
    if not children:
        raise CorpusError(f"{place}: ({bracket.label} ) holds nothing")
    if not bracket.label and len(children) == 1:
        return children[0]
    return Tree(bracket.label or ROOT, tuple(children))


def category(label: str) -> str:
    """NP for NP-SBJ-1, S for S=2; what begins with its hyphen, as -LRB-, is whole."""
    return label if label.startswith(("-", "=")) else _FUNCTION.sub("", label)


def normalised(tree: Tree) -> Tree | None:
    """Without traces, what holds nothing else, function tags and indices; None: nothing is left."""
    if tree.label == TRACE:
        return None
    label = category(tree.label)
    if tree.word is not None:
        return Tree(label, (), tree.word)
    children = tuple(child for child in map(normalised, tree.children) if child is not None)
    return Tree(label, children) if children else None


def is_of_a_word(symbol: str) -> bool:
    """Whether it is, and no bracket."""
    return bool(symbol) and symbol[0] not in "()"


@final
class Linear:
    """Trees as sequences of symbols, and back.

    `keeps_tags`: a word's symbol is its tag, else XX. `labels_closing`: a closing bracket repeats
    its label, else it is a bare one. `copies_words`: in an output the word's own text stands before
    its symbol, an empty symbol for each piece, and is passed over.
    """

    def __init__(self, *, keeps_tags: bool, labels_closing: bool, copies_words: bool) -> None:
        self._keeps_tags, self._labels_closing = keeps_tags, labels_closing
        self.copies_words = copies_words

    def symbols(self, tree: Tree) -> list[str]:
        found: list[str] = []
        waiting: list[Tree | str] = [tree]
        while waiting:
            item = waiting.pop()
            if isinstance(item, str):
                found.append(item)
            elif item.word is not None:
                found.append(item.label if self._keeps_tags else ANY_TAG)
            else:
                found.append(f"({item.label}")
                waiting.append(self.closing(item.label))
                waiting += reversed(item.children)
        return found

    def closing(self, label: str) -> str:
        return f"){label}" if self._labels_closing else ")"

    def _is_known(self, symbol: str) -> bool:
        """Of a bracket, or of a word."""
        return symbol.startswith(")") or (bool(symbol) if self._keeps_tags else symbol == ANY_TAG)

    def tree(self, symbols: Sequence[str], words: Sequence[str]) -> Tree:
        """The tree that the symbols write over the words.

        ValueError where they do not: says what is wrong first.
        """
        stack: list[tuple[str, list[Tree]]] = []
        left = iter(words)
        root: Tree | None = None
        for symbol in symbols:
            if not symbol and self.copies_words:
                continue
            if root is not None:
                raise ValueError(f"{symbol} behind the end of the tree")
            if symbol.startswith("("):
                stack.append((symbol[1:], []))
                continue
            if not stack:
                raise ValueError(f"{symbol} outside of brackets")
            if not self._is_known(symbol):
                raise ValueError(f"{symbol!r} is no symbol of a tree")
            label, children = stack[-1]
            if not symbol.startswith(")"):
                word = next(left, None)
                if word is None:
                    raise ValueError("more symbols of words than words")
                children.append(Tree(symbol, (), word))
                continue
            if symbol != self.closing(label):
                raise ValueError(f"{symbol} closes ({label}")
            if not children:
                raise ValueError(f"({label} holds nothing")
            stack.pop()
            made = Tree(label, tuple(children))
            if stack:
                stack[-1][1].append(made)
            else:
                root = made
        if root is None:
            raise ValueError("the tree is not closed")
        if next(left, None) is not None:
            raise ValueError("fewer symbols of words than words")
        return root

    def repaired(self, symbols: Iterable[str], words: Sequence[str]) -> Tree:
        """A tree over exactly these words, as close to the symbols as they let it be.

        Brackets are closed in their order whatever their labels; one that nothing has opened is
        passed over, as is what is no symbol, one that holds nothing is left out; words without a
        symbol come last, into the innermost bracket that is open. Several trees are joined under
        one S.
        """
        left = list(reversed(words))
        roots: list[Tree] = []
        stack: list[tuple[str, list[Tree]]] = []

        def close() -> None:
            label, children = stack.pop()
            if children:
                (stack[-1][1] if stack else roots).append(Tree(label, tuple(children)))

        for symbol in symbols:
            if symbol.startswith("("):
                stack.append((symbol[1:], []))
            elif symbol.startswith(")"):
                if len(stack) > 1 or (stack and not left):
                    close()
            elif left and self._is_known(symbol):
                (stack[-1][1] if stack else roots).append(Tree(symbol, (), left.pop()))
        rest = [Tree(ANY_TAG, (), word) for word in reversed(left)]
        (stack[-1][1] if stack else roots).extend(rest)
        while stack:
            close()
        if len(roots) == 1 and roots[0].word is None:
            return roots[0]
        return Tree(REPAIRED, tuple(roots))


def with_tags(tree: Tree, tags: Sequence[str]) -> Tree:
    """The same tree with these part-of-speech tags in place of its own, word by word."""
    given = iter(tags)

    def tagged(tree: Tree) -> Tree:
        if tree.word is not None:
            return Tree(next(given), (), tree.word)
        return Tree(tree.label, tuple(map(tagged, tree.children)))

    return tagged(tree)
