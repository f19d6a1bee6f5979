"""Inflection for the built-in corpus: the lexicon read, nouns declined, verbs conjugated.

A tree is its own bracket string. Cases are N, A, D, G. Agreement is 0 for I / ich, 1 for the third
person singular, 2 for the plural.
"""

import re
from typing import Literal, NamedTuple, cast

Case = Literal["N", "A", "D", "G"]
Slot = Literal["m", "f", "n", "p"]
"""Column of a declension: a gender, or the plural of all three."""
Table = dict[tuple[Slot, Case], str]

GENDERS: dict[str, Slot] = {"der": "m", "die": "f", "das": "n"}
DOUBLED = {"begin", "get", "put", "run", "sit", "forget", "stop"}
"""English verbs that double their last letter before -ing and -ed."""


class Noun(NamedTuple):
    """A noun of both languages; `kind` says which verbs and adjectives go with it."""

    english: str
    english_plural: str
    gender: Slot
    nominative: str
    oblique: str
    genitive: str
    plural: str
    dative_plural: str
    kind: str

    def german(self, case: Case, plural: bool) -> str:
        if plural:
            return self.dative_plural if case == "D" else self.plural
        return {"N": self.nominative, "G": self.genitive}.get(case, self.oblique)


class Adjective(NamedTuple):
    """`stem` takes the endings of a declension; `german` stands alone in a predicate."""

    english: str
    comparative: str
    german: str
    stem: str
    german_comparative: str


class Verb(NamedTuple):
    """A verb of both languages, in one frame; `infinitive` is without the separable `prefix`."""

    frame: str
    base: str
    third: str
    past: str
    participle: str
    particle: str
    preposition: str
    prefix: str
    infinitive: str
    german_third: str
    german_participle: str
    auxiliary: str
    german_preposition: str
    case: Case


class GermanVerbs(NamedTuple):
    """The finite verb, the prefix it leaves behind, and the leaves that close the clause."""

    finite: str
    tag: str
    prefix: str
    right: list[str]


def node(label: str, *parts: str) -> str:
    """A bracket of those parts that are not empty."""
    return f"({label} {' '.join([part for part in parts if part])})"


def leaves(tag: str, words: str) -> str:
    """One leaf for each word."""
    return " ".join([f"({tag} {word})" for word in words.split()])


def table(*columns: str) -> Table:
    """A declension from its columns m, f, n, plural, each N A D G; `-` is no ending."""
    return {
        (cast(Slot, slot), cast(Case, case)): "" if form == "-" else form
        for slot, column in zip("mfnp", columns, strict=True)
        for case, form in zip("NADG", column.split(), strict=True)
    }


ARTICLE = table("der den dem des", "die die der der", "das das dem des", "die die den der")
RELATIVE = table(
    "der den dem dessen", "die die der deren", "das das dem dessen", "die die denen deren"
)
PERSONAL = table("er ihn ihm -", "sie sie ihr -", "es es ihm -", "sie sie ihnen -")
DIESER = table("er en em es", "e e er er", "es es em es", "e e en er")
EIN = table("- en em es", "e e er er", "- - em es", "e e en er")
BARE = table("- - - -", "- - - -", "- - - -", "- - - -")
STRONG = table("er en em en", "e e er er", "es es em en", "e e en er")
WEAK = table("e en en en", "e e en en", "e e en en", "en en en en")
MIXED = table("er en en en", "e e en en", "es es en en", "en en en en")
CONTRACTIONS = {"in dem": "im", "in das": "ins", "von dem": "vom", "zu dem": "zum", "zu der": "zur"}

# Forms for agreement 0, 1, 2.
PRESENT = {
    "sein": ("bin", "ist", "sind"),
    "haben": ("habe", "hat", "haben"),
    "werden": ("werde", "wird", "werden"),
    "wissen": ("weiß", "weiß", "wissen"),
    "can": ("kann", "kann", "können"),
    "must": ("muss", "muss", "müssen"),
    "should": ("soll", "soll", "sollen"),
    "want": ("will", "will", "wollen"),
    "could": ("konnte", "konnte", "konnten"),
    "had": ("musste", "musste", "mussten"),
    "wanted": ("wollte", "wollte", "wollten"),
}
PRETERITE = {
    "sein": ("war", "war", "waren"),
    "haben": ("hatte", "hatte", "hatten"),
    "werden": ("wurde", "wurde", "wurden"),
    "wissen": ("wusste", "wusste", "wussten"),
    "kennen": ("kannte", "kannte", "kannten"),
    "denken": ("dachte", "dachte", "dachten"),
}
"""Verbs whose past is not the perfect tense."""
MODALS = {"future": "will", "can": "can", "must": "must", "should": "should", "could": "could"}
FULL_MODALS = {"want": ("want", "present"), "wanted": ("want", "past"), "had": ("have", "past")}
"""English modals that take `to`, and `do` in questions: verb and tense."""
AUXILIARIES = {
    "do": ("do", "does", "did"),
    "have": ("have", "has", "had"),
    "want": ("want", "wants", "wanted"),
}


def with_s(word: str) -> str:
    """Plural of a noun, third person of a verb."""
    if re.search("[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + ("es" if re.search("(s|x|z|ch|sh|o)$", word) else "s")


def read_noun(entry: str, kind: str) -> Noun:
    english, article, nominative, ending, plural = entry.split()
    singular, _, irregular = english.partition("/")
    genitive = nominative + ending.removeprefix("-")
    weak = article == "der" and ending in ("-n", "-en")
    return Noun(
        singular,
        irregular or with_s(singular),
        GENDERS[article],
        nominative,
        genitive if weak else nominative,
        genitive,
        plural.removeprefix("-"),
        plural if plural[-1] in "ns" else plural + "n",
        kind,
    )


def compound(noun: Noun, english: str, german: str) -> Noun:
    """kitchen + table, Küchen + Tisch: kitchen table, Küchentisch."""
    return noun._replace(
        english=f"{english} {noun.english}",
        english_plural=f"{english} {noun.english_plural}",
        nominative=german + noun.nominative.lower(),
        oblique=german + noun.oblique.lower(),
        genitive=german + noun.genitive.lower(),
        plural=german + noun.plural.lower(),
        dative_plural=german + noun.dative_plural.lower(),
    )


def read_adjective(entry: str) -> Adjective:
    english, german = entry.split("=")
    english, comparative = english.split("/")
    german, _, german_comparative = german.partition("/")
    german, _, stem = german.partition(":")
    return Adjective(
        english,
        f"more {english}" if comparative == "more" else comparative,
        german,
        stem or german.removesuffix("e"),
        german_comparative or german + "er",
    )


def read_verb(entry: str, frame: str) -> Verb:
    english, german = (side.split() for side in entry.split("="))
    base, _, preposition = english[0].partition("@")
    base, _, particle = base.partition("+")
    past = english[1] if len(english) > 1 else regular_past(base)
    prefix, _, infinitive = german[0].rpartition("|")
    preposition_case = german.pop() if ":" in german[-1] else ":D" if frame == "dat" else ":A"
    german_preposition, _, case = preposition_case.partition(":")
    auxiliary = german.pop() if german[-1] == "sein" else "haben"
    third = german[1] if len(german) > 1 else german_stem(infinitive, "t")
    ge = "" if infinitive.startswith(("be", "er", "ver")) or infinitive.endswith("ieren") else "ge"
    return Verb(
        frame,
        base,
        "is" if base == "be" else with_s(base),
        past,
        english[2] if len(english) > 2 else past,
        particle,
        preposition,
        prefix,
        infinitive,
        third,
        german[2] if len(german) > 2 else prefix + ge + third,
        auxiliary,
        german_preposition,
        cast(Case, case),
    )


def german_stem(infinitive: str, ending: str) -> str:
    """kauf-t, fütter-t, arbeit-et; kauf-e, fütter-e."""
    stem = infinitive[: -2 if infinitive[-2] == "e" else -1]
    return stem + ("e" if ending == "t" and stem[-1] in "dt" else "") + ending


def regular_past(base: str) -> str:
    stem = (
        base + base[-1] if base in DOUBLED else re.sub("[^aeiou]y$", lambda m: m[0][0] + "i", base)
    )
    return stem + ("d" if base[-1] == "e" else "ed")


def gerund(base: str) -> str:
    stem = re.sub("(?<!e)e$", "", base)
    return stem + (base[-1] if base in DOUBLED else "") + "ing"


def english_finite(forms: tuple[str, str, str], tense: str, agreement: int) -> str:
    """Leaf of a finite verb, from base, third person and past."""
    if forms[0] == "be":
        forms = (("am", "is", "are")[agreement], "is", ("was", "was", "were")[agreement])
    if tense == "past":
        return f"(VBD {forms[2]})"
    return f"(VBZ {forms[1]})" if agreement == 1 else f"(VBP {forms[0]})"


def english_verbs(verb: Verb, tense: str, agreement: int, passive: bool, do: bool) -> list[str]:
    """Leaves of the verbs in order; with `do`, the first is an auxiliary."""
    tail = [f"(VBN {verb.participle})"] if passive else []
    base = "be" if passive else verb.base
    forms = ("be", "is", "was") if passive else (verb.base, verb.third, verb.past)
    if tense == "infinitive":
        return ["(TO to)", f"(VB {base})", *tail]
    if tense in MODALS:
        return [f"(MD {MODALS[tense]})", f"(VB {base})", *tail]
    if tense in FULL_MODALS:
        modal, modal_tense = FULL_MODALS[tense]
        first = english_simple(AUXILIARIES[modal], modal_tense, agreement, do)
        return [*first, "(TO to)", f"(VB {base})", *tail]
    if tense == "progressive":
        be = english_finite(("be", "is", "was"), "present", agreement)
        return [be, f"(VBG {gerund(base)})", *tail]
    if tense in ("perfect", "pluperfect"):
        have_tense = "present" if tense == "perfect" else "past"
        have = english_finite(AUXILIARIES["have"], have_tense, agreement)
        return [have, f"(VBN {'been' if base == 'be' else verb.participle})", *tail]
    return [*english_simple(forms, tense, agreement, do), *tail]


def english_simple(forms: tuple[str, str, str], tense: str, agreement: int, do: bool) -> list[str]:
    if do and forms[0] != "be":
        return [english_finite(AUXILIARIES["do"], tense, agreement), f"(VB {forms[0]})"]
    return [english_finite(forms, tense, agreement)]


def german_present(verb: Verb, agreement: int) -> str:
    regular = german_stem(verb.infinitive, "e"), verb.german_third, verb.infinitive
    return PRESENT.get(verb.infinitive, regular)[agreement]


def german_verbs(verb: Verb, tense: str, agreement: int, passive: bool) -> GermanVerbs:
    """The clause's verbs; what English says in the past is a perfect but for a few verbs."""
    lemma = "werden" if passive else verb.infinitive
    participle = f"(VBN {verb.german_participle})"
    finite_tag = "VBZ" if agreement == 1 else "VBP"
    simple = [participle] if passive else []
    prefix = "" if passive else verb.prefix
    if tense in ("present", "progressive"):
        finite = PRESENT["werden"][agreement] if passive else german_present(verb, agreement)
        return GermanVerbs(finite, finite_tag, prefix, simple)
    if tense == "past" and lemma in PRETERITE:
        return GermanVerbs(PRETERITE[lemma][agreement], "VBD", prefix, simple)
    if tense in ("past", "perfect", "pluperfect"):
        forms = PRETERITE if tense == "pluperfect" else PRESENT
        finite = forms["sein" if passive else verb.auxiliary][agreement]
        tag = "VBD" if tense == "pluperfect" else finite_tag
        return GermanVerbs(finite, tag, "", [participle, "(VBN worden)" if passive else ""])
    infinitive = (
        [participle, "(VB werden)"] if passive else [f"(VB {verb.prefix}{verb.infinitive})"]
    )
    finite = PRESENT["werden" if tense == "future" else tense][agreement]
    return GermanVerbs(finite, "MD", "", infinitive)


def german_zu(verb: Verb) -> str:
    if verb.prefix:
        return f"(VB {verb.prefix}zu{verb.infinitive})"
    return f"(TO zu) (VB {verb.infinitive})"
