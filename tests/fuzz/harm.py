"""What the properties of this folder share: texts and bytes that mean harm, and the command."""

import contextlib
import io
import sys
from collections.abc import Sequence
from typing import NamedTuple
from unittest.mock import patch

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import ablate

FUZZING = settings.get_current_profile_name() == "fuzz"
CASES = settings(
    max_examples=settings().max_examples if FUZZING else 40,
    derandomize=not FUZZING,  # make test: the same every time
    deadline=None,  # what hangs is ended by pytest's own timeout
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
FEW = settings(CASES, max_examples=CASES.max_examples // 4)

NAMES = [
    *("../x", "..", "/etc/x", "a/b", "a\\b", "~root", "a\nb", "a\r\nb", "'", '"', "a\tb", " ", ""),
    *("<script>alert(1)</script>", "</style><img src=x onerror=alert(1)>", "&lt;", "{{ 7*7 }}"),
    *("[a](javascript:alert(1))", "a|b`c`*d*\n# e", "[link=https://x]a[/link]", "[red]a[/]"),
    *(r"\input{/etc/passwd}", r"%&_^$#~{}\write18{x}", "$x$", "\\"),
    *("=cmd|' /C calc'!A0", "+1", "-1", "@sum", "\t=1", "\r=1", "＝1"),  # noqa: RUF001
    *("\x1b[31m", "\x1b]0;x\x07", "\x1b]8;;https://x\x1b\\a\x1b]8;;\x1b\\", "\x9b31m", "\x07"),
    *("\u202eabc", "\u2066x\u2069", "\u200b", "\ufeff", "\u2028", "\x00", "\x7f", "é中😀"),
]
"""Of studies, settings, arms, groups, labels, reasons, paths, sentences."""
names = (
    st.sampled_from(NAMES)
    | st.text(max_size=20)
    | st.builds("".join, st.lists(st.sampled_from(NAMES), max_size=3))
)


class Done(NamedTuple):
    """A command that has ended."""

    status: int
    out: str
    err: str


def command(*words: object, stdin: bytes = b"") -> Done:
    """`ablate` in this process: whatever it raises but its exit is the test's failure."""
    out, err = io.StringIO(), io.StringIO()
    given = io.TextIOWrapper(io.BytesIO(stdin))
    with (
        patch.object(sys, "argv", ["ablate", *map(str, words)]),
        patch.object(sys, "stdin", given),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            ablate.main()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
    return Done(status, out.getvalue(), err.getvalue())


def is_plain(text: str) -> bool:
    """Whether nothing in a text steers a terminal."""
    return all(sign.isprintable() for line in text.split("\n") for sign in line)


def is_answer(done: Done) -> bool:
    """Whether a command did what it was asked, or said in words why it does not."""
    refused = done.status == 2 and done.err.startswith(("error: ", "Usage: "))
    return is_plain(done.out + done.err) and (refused or done.status == 0)


@st.composite
def damaged(draw: st.DrawFn, originals: Sequence[bytes], fragments: Sequence[bytes]) -> bytes:
    """One of the originals, cut, torn, doubled, with a bit flipped or a fragment put in."""
    content = draw(st.sampled_from(originals))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.integers(start, min(start + 40, len(content))))
        match draw(st.sampled_from(["cut", "remove", "double", "flip", "put"])):
            case "cut":
                content = content[:start]
            case "remove":
                content = content[:start] + content[end:]
            case "double":
                content = content[:end] + content[start:]
            case "flip" if start < len(content):
                bit = 1 << draw(st.integers(0, 7))
                content = content[:start] + bytes([content[start] ^ bit]) + content[start + 1 :]
            case _:
                content = content[:start] + draw(st.sampled_from(fragments)) + content[end:]
    return content
