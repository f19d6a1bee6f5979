"""Inflection for the built-in corpus: tables of declension, and verbs conjugated.

A tree is its own bracket string. Agreement is 0 for I / ich, 1 for the third
person singular, 2 for the plural.
"""

from typing import NamedTuple, cast

from lit_transformer.data.grammar_words import Case, Slot, Verb, german_stem, gerund

Table = dict[tuple[Slot, Case], str]


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
