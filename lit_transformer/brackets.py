"""Labelled bracketing: precision, recall and F1 as the C program EVALB counts them.

EVALB (Sekine and Collins) compares brackets by label and by the words they span, after leaving out
what its parameter file names. It drops sentences whose words differ; here such a sentence counts as
one of which nothing was found, and EVALB's own figure stands beside it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from lit_transformer.data.cache import CorpusError
from lit_transformer.data.trees import Tree, category

Status = Literal[0, 1, 2]
"""EVALB's: scored; words differ (an error); one of the two has no words at all (skipped)."""


@dataclass(frozen=True)
class Rules:
    """What a parameter file of EVALB says. The defaults are those of COLLINS.prm."""

    labelled: bool = True
    cutoff: int = 40
    """Longest sentence, in words, of the second summary."""
    deleted: frozenset[str] = frozenset(("TOP", "-NONE-", ",", ":", "``", "''", "."))
    """Labels left out: a tag with its word, a constituent's bracket alone."""
    no_length: frozenset[str] = frozenset(("-NONE-",))
    """Tags whose words do not count in a sentence's length."""
    equal_labels: tuple[frozenset[str], ...] = (frozenset(("ADVP", "PRT")),)
    equal_words: tuple[frozenset[str], ...] = ()


COLLINS = Rules()


class Counts(NamedTuple):
    """What the brackets of sentences have in common."""

    matched: int
    gold: int
    test: int

    @property
    def recall(self) -> float:
        """In percent; 0 where there is nothing to find."""
        return 100 * self.matched / self.gold if self.gold else 0.0

    @property
    def precision(self) -> float:
        return 100 * self.matched / self.test if self.test else 0.0

    @property
    def f1(self) -> float:
        both = self.gold + self.test
        return 200 * self.matched / both if both else 0.0


class Sentence(NamedTuple):
    """One sentence, compared."""

    length: int
    status: Status
    counts: Counts
    """Nothing is matched where the status is not 0."""
    crossing: int
    """Brackets of the test that cross one of the gold's."""
    words: int
    """Words that are not left out."""
    tags: int
    """Of these, with the right tag."""


class _Read(NamedTuple):
    """A sentence's trees, without what the rules leave out."""

    length: int
    words: list[str]
    tags: list[str]
    brackets: list[tuple[str, int, int]]
    """Label, first word, word behind the last."""


def read_rules(path: Path) -> Rules:
    """A parameter file. CorpusError names file and line of what is no parameter."""
    sets: dict[str, set[str]] = {"DELETE_LABEL": set(), "DELETE_LABEL_FOR_LENGTH": set()}
    pairs: dict[str, list[frozenset[str]]] = {"EQ_LABEL": [], "EQ_WORD": []}
    labelled, cutoff = COLLINS.labelled, COLLINS.cutoff
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        match line.partition("#")[0].split():
            case []:
                pass
            case ["DEBUG" | "MAX_ERROR", _]:
                pass  # of the program itself
            case ["LABELED", ("0" | "1") as flag]:
                labelled = flag == "1"
            case ["CUTOFF_LEN", count] if count.isdecimal():
                cutoff = int(count)
            case [("DELETE_LABEL" | "DELETE_LABEL_FOR_LENGTH") as name, label]:
                sets[name].add(label)
            case [("EQ_LABEL" | "EQ_WORD") as name, *equal] if len(equal) > 1:
                pairs[name].append(frozenset(equal))
            case _:
                raise CorpusError(f"{path}:{number}: {line.strip()!r} is no parameter of EVALB")
    return Rules(
        labelled,
        cutoff,
        frozenset(sets["DELETE_LABEL"]),
        frozenset(sets["DELETE_LABEL_FOR_LENGTH"]),
        tuple(pairs["EQ_LABEL"]),
        tuple(pairs["EQ_WORD"]),
    )


def compare(gold: Sequence[Tree], test: Sequence[Tree], rules: Rules) -> Sentence:
    """The trees of one sentence (as a rule one), the right ones and those to be scored."""
    a, b = _read(gold, rules), _read(test, rules)
    missed = Counts(0, len(a.brackets), len(b.brackets))
    if not a.words or not b.words:
        return Sentence(a.length, 2, missed, 0, len(a.words), 0)
    if len(a.words) != len(b.words) or not all(
        _equal(x, y, rules.equal_words) for x, y in zip(a.words, b.words, strict=True)
    ):
        return Sentence(a.length, 1, missed, 0, len(a.words), 0)
    tags = sum(_equal(x, y, rules.equal_labels) for x, y in zip(a.tags, b.tags, strict=True))
    matched = _matched(a.brackets, b.brackets, rules)
    crossing = sum(any(_cross(one, other) for other in a.brackets) for one in b.brackets)
    counts = missed._replace(matched=matched)
    return Sentence(a.length, 0, counts, crossing, len(a.words), tags)


def total(sentences: Iterable[Sentence]) -> Counts:
    """Over all sentences, the failed ones as found in nothing."""
    counts = [sentence.counts for sentence in sentences]
    return Counts(*(sum(column) for column in zip(*counts, strict=True))) if counts else NOTHING


def total_of_valid(sentences: Iterable[Sentence]) -> Counts:
    """As EVALB has it: without the sentences whose words differ."""
    return total(sentence for sentence in sentences if sentence.status == 0)


NOTHING = Counts(0, 0, 0)


def text(sentences: Sequence[Sentence], rules: Rules) -> str:
    """What the C program prints."""
    lines = [
        "  Sent.                        Matched  Bracket   Cross        Correct Tag",
        " ID  Len.  Stat. Recal  Prec.  Bracket gold test Bracket Words  Tags Accracy",
        "=" * 76,
    ]
    for number, sentence in enumerate(sentences, 1):
        one = sentence if sentence.status == 0 else sentence._replace(counts=NOTHING)
        lines.append(
            f"{number:4} {one.length:4}    {one.status}  {one.counts.recall:6.2f} "
            f"{one.counts.precision:6.2f} {_columns(one.counts)} {one.crossing:6} "
            f"{one.words:6} {one.tags:5}   {_percent(one.tags, one.words):6.2f}"
        )
    valid = [sentence for sentence in sentences if sentence.status == 0]
    whole, words = total(valid), sum(sentence.words for sentence in valid)
    tags = sum(sentence.tags for sentence in valid)
    without = sum(sentence.crossing == 0 for sentence in valid)
    rates = f"{whole.recall:6.2f} {whole.precision:6.2f}  {_columns(whole)}"
    lines += [
        "=" * 76,
        f"{'':16}{rates} {without:6} {words:6} {tags:5}   {_percent(tags, words):6.2f}",
        "=== Summary ===",
    ]
    short = [sentence for sentence in sentences if sentence.length <= rules.cutoff]
    for title, chosen in (("All", sentences), (f"len<={rules.cutoff}", short)):
        lines += ["", f"-- {title} --", *_summary(chosen)]
    return "".join(f"{line}\n" for line in lines)


def _columns(counts: Counts) -> str:
    return f"{counts.matched:5} {counts.gold:6} {counts.test:4}"


def _summary(sentences: Sequence[Sentence]) -> list[str]:
    valid = [sentence for sentence in sentences if sentence.status == 0]
    whole = total(valid)
    complete = sum(len({*one.counts}) == 1 for one in valid)
    crossing = [sentence.crossing for sentence in valid]
    values = {
        "Bracketing Recall": whole.recall,
        "Bracketing Precision": whole.precision,
        "Complete match": _percent(complete, len(valid)),
        "Average crossing": sum(crossing) / max(len(valid), 1),
        "No crossing": _percent(sum(count == 0 for count in crossing), len(valid)),
        "2 or less crossing": _percent(sum(count <= 2 for count in crossing), len(valid)),
        "Tagging accuracy": _percent(sum(s.tags for s in valid), sum(s.words for s in valid)),
    }
    numbers = {
        "Number of sentence": len(sentences),
        "Number of Error sentence": sum(sentence.status == 1 for sentence in sentences),
        "Number of Skip  sentence": sum(sentence.status == 2 for sentence in sentences),
        "Number of Valid sentence": len(valid),
    }
    return [
        *(f"{name:25} = {number:6}" for name, number in numbers.items()),
        *(f"{name:25} = {value:6.2f}" for name, value in values.items()),
    ]


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0


def _read(trees: Sequence[Tree], rules: Rules) -> _Read:
    found = _Read(0, [], [], [])
    length = 0

    def walk(tree: Tree) -> None:
        nonlocal length
        label = category(tree.label)
        if tree.word is not None:
            length += label not in rules.no_length
            if label not in rules.deleted:
                found.words.append(tree.word)
                found.tags.append(label)
            return
        first, place = len(found.words), len(found.brackets)
        for child in tree.children:
            walk(child)
        if label not in rules.deleted and len(found.words) > first:
            found.brackets.insert(place, (label, first, len(found.words)))

    for tree in trees:
        walk(tree)
    return found._replace(length=length)


def _matched(
    gold: Sequence[tuple[str, int, int]], test: Sequence[tuple[str, int, int]], rules: Rules
) -> int:
    left = list(test)
    for label, *span in gold:
        for place, (other, *its_span) in enumerate(left):
            same = not rules.labelled or _equal(label, other, rules.equal_labels)
            if span == its_span and same:
                del left[place]
                break
    return len(test) - len(left)


def _cross(one: tuple[str, int, int], other: tuple[str, int, int]) -> bool:
    _, first, last = one
    _, its_first, its_last = other
    return first < its_first < last < its_last or its_first < first < its_last < last


def _equal(one: str, other: str, equals: Sequence[frozenset[str]]) -> bool:
    return one == other or any(one in equal and other in equal for equal in equals)
