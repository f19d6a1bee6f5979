"""Text of others on a terminal."""


def printable(text: str) -> str:
    """One line, with `\\x1b` and the like in place of each sign that would steer a terminal."""
    return "".join(s if s.isprintable() else s.encode("unicode_escape").decode() for s in text)
