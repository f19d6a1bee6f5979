"""What `ablate verify` found, for people and for scripts."""

import json

from analysis.recomputing import How
from analysis.verification import Outcome
from lit_transformer.terminal import printable

JSON_FORMAT = 1
"""Raised when a key of the JSON object is renamed or removed."""
SHOWN = 30
"""Differences told one by one before the rest is counted."""
HOWS: dict[How, str] = {
    "hypotheses": "recomputed from hypotheses and references",
    "counts": "recomputed from counts of each sentence alone, for want of hypotheses or references",
    "loss": "recomputed from losses, and from lists of sentences that were truncated",
    "nothing": "not recomputed: the evidence has nothing that they follow from",
}


def text(outcome: Outcome) -> str:
    """A line for each kind of number, then each difference, then the verdict."""
    differences = outcome.differences
    lines = [outcome.title, f"evidence  {outcome.evidence}"]
    lines += [
        f"{outcome.scores[how]:8,}  scores {words}"
        for how, words in HOWS.items()
        if outcome.scores.get(how)
    ]
    beside = f"; {', '.join(outcome.files)} beside it" if outcome.files else ""
    lines.append(f"{outcome.values:8,}  values of the report compared{beside}")
    lines += [
        f"differs: {one.where}: stated {one.stated}, recomputed {one.recomputed}"
        for one in differences[:SHOWN]
    ]
    if len(differences) > SHOWN:
        lines.append(f"and {len(differences) - SHOWN:,} more")
    count = f"{len(differences):,} difference{'' if len(differences) == 1 else 's'}"
    lines.append(f"NOT verified: {count}" if differences else "verified: nothing differs")
    return "".join(f"{printable(line)}\n" for line in lines)


def json_text(outcome: Outcome) -> str:
    """One object, as docs/json.md has it."""
    content = {
        "format": JSON_FORMAT,
        "verified": not outcome.differences,
        "report": outcome.title,
        "evidence": str(outcome.evidence),
        "values": outcome.values,
        "files": outcome.files,
        "scores": {how: outcome.scores.get(how, 0) for how in HOWS},
        "differences": [one._asdict() for one in outcome.differences],
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
