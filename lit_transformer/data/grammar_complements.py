"""Random subordinate clauses of the built-in corpus: relative clauses, complements, questions."""

from collections.abc import Sequence

from lit_transformer.data.grammar_clauses import EMBEDDING, FREE_PLACE, PLAIN, Clauses
from lit_transformer.data.grammar_morphology import RELATIVE, node
from lit_transformer.data.grammar_syntax import Clause, Pair, Phrase, english, german
from lit_transformer.data.grammar_vocabulary import ADJECTIVES, GROUPS, NOUNS, STATIC, Group
from lit_transformer.data.grammar_words import Case, Noun, Slot, Verb

GAP_FRAMES = ("acc", "dat", "prep")
"""Frames whose object a relative clause or a question may take out."""
EMBEDDERS = [group for group in GROUPS if group.frame in EMBEDDING]
WITH_GAP = {
    kind: [group for group in GROUPS if kind in group.objects and group.frame in GAP_FRAMES]
    for kind in NOUNS
}
WH_ADVERBS = (("why", "warum"), ("when", "wann"), ("where", "wo"), ("how", "wie"))
THINGS = ("thing", "clothes", "device", "text", "vehicle", "food")
NOBODY = Phrase("", "", 1, "", "", False, "")
"""The unspoken subject of an infinitive."""


def sbar(word: str, clause: Clause) -> str:
    """English subordinate clause; `word` is a tree or empty."""
    return node("SBAR", word, english(clause, inverted=False))


def sbar_german(word: str, clause: Clause) -> str:
    return node("SBAR", word, german(clause, "final", ""))


def subordinate(english_word: str, german_word: str, clause: Clause) -> Pair:
    """that / dass, because / weil and their like before a clause."""
    return Pair(sbar(f"(IN {english_word})", clause), sbar_german(f"(IN {german_word})", clause))


def gap_word(verb: Verb, case_word: str, tag: str, words: tuple[str, str]) -> Pair:
    """What stands for a taken-out object; `words` are English with and without preposition."""
    german_word = f"(WHNP ({tag} {case_word}))"
    if verb.german_preposition:
        german_word = f"(WHPP (IN {verb.german_preposition}) {german_word})"
    if verb.preposition:
        return Pair(f"(WHPP (IN {verb.preposition}) (WHNP ({tag} {words[0]})))", german_word)
    return Pair(f"(WHNP ({tag} {words[1]}))", german_word)


class Complements(Clauses):
    """Draws clauses that stand in others."""

    def gapped(self, time: str, depth: int, kind: str, groups: Sequence[Group]) -> Clause:
        """A clause that lacks its object, a noun of that kind."""
        group = self.choose(groups)
        actor = self.choose(group.subjects)
        subject = self.noun_phrase(actor, "N", depth, "any")
        clause = self.started(time, subject, actor, self.pick(group.verbs))
        if clause.verb.particle:
            clause.english.append(f"(PRT (RP {clause.verb.particle}))")
        if clause.tense not in ("must", "had"):
            clause.not_ = clause.nicht = self.chance(0.08)
        return clause

    def relative(self, noun: Noun, slot: Slot, depth: int) -> Pair:
        time = self.choose(("present", "past", "past"))
        kind = noun.kind
        draw = self.random()
        if draw < 0.12 and kind == "person":
            return self.whose(slot, time)
        speechless = not PLAIN[kind] and kind not in ADJECTIVES
        if WITH_GAP[kind] and (speechless or draw < 0.55):
            clause = self.gapped(time, depth, kind, WITH_GAP[kind])
            word = RELATIVE[slot, clause.verb.case]
            english_words = ("whom", "whom") if kind == "person" else ("which", "that")
            opening = gap_word(clause.verb, word, "WDT", english_words)
        else:
            subject = Phrase("", "", 2 if slot == "p" else 1, "", slot, False, "")
            clause = self.about(time, depth, kind, subject)
            who = "who" if kind == "person" else "that"
            opening = Pair(f"(WHNP (WDT {who}))", f"(WHNP (WDT {RELATIVE[slot, 'N']}))")
        self.timed(clause, time, 0.0)
        return Pair(sbar(opening.english, clause), sbar_german(opening.german, clause))

    def whose(self, slot: Slot, time: str) -> Pair:
        kind = self.choose(("animal", "person", "vehicle", "thing"))
        noun = self.pick(NOUNS[kind])
        subject = Phrase("", "", 1, "", noun.gender, False, "")
        clause = self.about(time, 0, kind, subject)
        word = RELATIVE[slot, "G"]
        return Pair(
            sbar(f"(WHNP (WP$ whose) (NN {noun.english}))", clause),
            sbar_german(f"(WHNP (WP$ {word}) (NN {noun.nominative}))", clause),
        )

    def embedding(self, time: str, depth: int, subject: Phrase) -> Clause:
        """A verb of saying, knowing, asking or trying, with its complement."""
        group = self.choose(EMBEDDERS)
        clause = self.started(time, subject, "person", self.pick(group.verbs))
        if clause.tense not in ("must", "had") and self.chance(0.12):
            clause.not_ = clause.nicht = True
        inner = time if self.chance(0.7) else self.choose(("present", "past"))
        if group.frame == "tell":
            self.add_gift_of_words(clause)
        if group.frame == "to":
            clause.end = self.infinitive(depth - 1)
        elif group.frame == "whether":
            clause.end = self.embedded_question(inner, depth - 1)
        else:
            what = self.timed(self.clause(inner, depth - 1), inner, 0.0)
            clause.end = subordinate("that", "dass", what)
        return clause

    def add_gift_of_words(self, clause: Clause) -> None:
        listener = self.noun_phrase("person", "D", 0, "any")
        clause.english.append(listener.english)
        (clause.pronouns if listener.is_pronoun else clause.middle).append(listener.german)

    def infinitive(self, depth: int) -> Pair:
        """to open the door, die Tür zu öffnen."""
        group = self.choose(PLAIN["person"])
        verb = self.pick([verb for verb in group.verbs if verb.base not in STATIC] or group.verbs)
        clause = Clause(NOBODY, verb, "infinitive")
        self.fill(clause, depth, group, "any")
        self.adjuncts(clause)
        return Pair(english(clause, inverted=False), german(clause, "zu", ""))

    def embedded_question(self, time: str, depth: int) -> Pair:
        """whether / ob, why / warum, who / wer, what / was."""
        draw = self.random()
        if draw < 0.45:
            what = self.timed(self.clause(time, depth), time, 0.0)
            return subordinate("whether" if draw < 0.3 else "if", "ob", what)
        if draw < 0.7:
            clause, opening = self.asked_object(time, depth)
        elif draw < 0.8:
            clause, opening = self.asked_subject(time, depth)
        else:
            clause, opening = self.asked_adverb(time, depth)
        return Pair(sbar(opening.english, clause), sbar_german(opening.german, clause))

    def asked_object(self, time: str, depth: int) -> tuple[Clause, Pair]:
        """what / was, whom / wen or wem, and the clause without it."""
        kind = self.choose(("person", *THINGS))
        groups = [group for group in WITH_GAP[kind] if group.frame != "prep"]
        clause = self.gapped(time, depth, kind, groups)
        case: Case = clause.verb.case
        word = {"A": "wen", "D": "wem"}[case] if kind == "person" else "was"
        shown = "whom" if kind == "person" else "what"
        return clause, gap_word(clause.verb, word, "WP", (shown, shown))

    def asked_subject(self, time: str, depth: int) -> tuple[Clause, Pair]:
        clause = self.about(time, depth, "person", NOBODY)
        return clause, Pair("(WHNP (WP who))", "(WHNP (WP wer))")

    def asked_adverb(self, time: str, depth: int) -> tuple[Clause, Pair]:
        """A clause that says neither when, where nor how."""
        groups = [group for group in PLAIN["person"] if group.frame in (*FREE_PLACE, "dat")]
        group = self.choose(groups)
        subject = self.noun_phrase("person", "N", depth, "any")
        clause = self.started(time, subject, "person", self.pick(group.verbs))
        self.fill(clause, depth, group, "any")
        english_word, german_word = self.choose(WH_ADVERBS)
        return clause, Pair(f"(WHADVP (WRB {english_word}))", f"(WHADVP (WRB {german_word}))")
