"""A table as a LaTeX document in the manner of the paper's tables, ours beside its figures.

Compiles with pdflatex and the packages of a small installation: booktabs, geometry, graphicx. What
stands between the two marked lines may be copied into another document.
"""

from collections.abc import Sequence
from functools import cache
from itertools import groupby

from analysis.columns import Column, Symbol, beside_columns, groups, main_columns, spanning
from analysis.notes import Note, notes
from analysis.sections import SPANNING, Section
from analysis.tables import Table

_ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''",
    "±": r"$\pm$", "Δ": r"$\Delta$", "ε": r"$\epsilon$", "×": r"$\times$",
    "†": r"\dag{}", "‡": r"\ddag{}", "–": "--", "§": r"\S{}", "¶": r"\P{}", "·": r"$\cdot$",
    "⁻": "$^-$", "⁰": "$^0$", "¹": "$^1$", "²": "$^2$", "³": "$^3$", "⁴": "$^4$", "⁵": "$^5$",
    "⁶": "$^6$", "⁷": "$^7$", "⁸": "$^8$", "⁹": "$^9$",
}  # fmt: skip
_AT_LEFT = ("arm", "trials", "verdict", "words")
_ACCENTED = frozenset("àáâãäåçèéêëìíîïñòóôõöùúûüýÿÀÁÂÃÄÅÇÈÉÊËÌÍÎÏÑÒÓÔÕÖÙÚÛÜÝßæøÆØ")

_DOCUMENT = r"""\documentclass[10pt]{article}
\usepackage[a4paper,landscape,margin=15mm]{geometry}
\usepackage{booktabs}
\usepackage{graphicx}
\pagestyle{empty}
\begin{document}
%% The table begins here.
%(table)s
%% The table ends here.
%(beside)s\end{document}
"""
_TABLE = r"""\begin{table}[ht]
\centering
\caption{%(caption)s}
%(open)s\begin{tabular}{%(columns)s}
\toprule
%(head)s
\midrule
%(body)s
\bottomrule
\end{tabular}%(close)s
%(notes)s\end{table}"""


def document(table: Table, sections: Sequence[Section] = ()) -> str:
    """A whole document: the table, its notes, and what stands beside it.

    A section that leads, the paper's Table 2 or 4, stands before the table.
    """
    kept = table.without_pruned
    beside = beside_columns(kept)
    first = [_section(table, section) for section in sections if section.leads]
    main = _rows(table, main_columns(table), _caption(table), notes(table, spanned=True))
    rest = [_rows(kept, beside, f"{_caption(table)} Other scores.", ())] if beside else []
    rest += [_section(table, section) for section in sections if not section.leads]
    return _DOCUMENT % {
        "table": "\n".join([*first, main]),
        "beside": "".join(f"{text}\n" for text in rest),
    }


def escape(text: str) -> str:
    """Any text as LaTeX that prints it; a sign that the fonts may lack is named by its number."""
    return "".join(map(_sign, text))


@cache  # a table has millions of signs, and few of them are different
def _sign(sign: str) -> str:
    if sign in _ESCAPES:
        return _ESCAPES[sign]
    if sign.isspace() or not sign.isprintable():
        return " "
    return sign if sign.isascii() or sign in _ACCENTED else f"[U+{ord(sign):04X}]"


def _caption(table: Table) -> str:
    heading = table.heading
    return (
        f"{escape(heading.study)} (version {escape(heading.version)}) in the setting "
        f"{escape(heading.setting)}. Unlisted values are those of the base model."
    )


def _note(note: Note) -> str:
    code = "".join(
        {"-": "{-}", "|": r"\textbar\allowbreak{}"}.get(sign, _sign(sign)) for sign in note.code
    )
    parts = [escape(note.mark), escape(note.text), rf"\texttt{{{code}}}" if code else ""]
    return " ".join(part for part in parts if part)


def _rows(table: Table, columns: Sequence[Column], caption: str, some: Sequence[Note]) -> str:
    spread = [_spread(column) for column in columns]
    blocks = [
        [_line(table, columns, spread, number) for number in numbers]
        for _, numbers in groups(table)
    ]
    return _tabular(columns, blocks, caption, some)


def _section(table: Table, section: Section) -> str:
    heading = table.heading
    caption = (
        f"{escape(section.title)}: {escape(heading.study)} (version {escape(heading.version)}), "
        f"setting {escape(heading.setting)}."
    )
    spread = [_spread(column) for column in section.columns]
    blocks = [
        [_section_line(section.columns, spread, number) for number in numbers]
        for numbers in section.blocks
    ]
    return _tabular(section.columns, blocks, caption, section.notes)


def _section_line(columns: Sequence[Column], spread: Sequence[bool], number: int) -> str:
    """A row, neighbouring cells that are one in the paper set as one."""
    cells: list[str] = []
    pairs = zip(columns, spread, strict=True)
    for spans, members in groupby(pairs, key=lambda p: p[0].cells[number].meaning == SPANNING):
        run = list(members)
        if spans:
            text = run[0][0].cells[number].text
            cells.append(rf"\multicolumn{{{len(run)}}}{{c}}{{{escape(text)}}}")
        else:
            cells += [part for pair in run for part in _parts(*pair, number)]
    return " & ".join(cells) + r" \\"


def _tabular(
    columns: Sequence[Column],
    blocks: Sequence[Sequence[str]],
    caption: str,
    some: Sequence[Note],
) -> str:
    wide = len(columns) > 10
    body = "\n\\midrule\n".join("\n".join(lines) for lines in blocks)
    words = "\n\n".join(rf"\noindent {_note(note)}" for note in some)
    block = f"\\par\\medskip\n\\begin{{minipage}}{{\\linewidth}}\\footnotesize\\sloppy\n{words}\n"
    return _TABLE % {
        "caption": caption,
        "open": r"\resizebox{\linewidth}{!}{" if wide else "",
        "close": "}" if wide else "",
        "columns": "@{}" + "".join(map(_alignment, columns)) + "@{}",
        "head": _header(columns),
        "body": body,
        "notes": f"{block}\\end{{minipage}}\n" if some else "",
    }


def _alignment(column: Column) -> str:
    match column.kind:
        case "arm" | "trials" | "verdict" | "words":  # as _AT_LEFT
            return "l"
        case "setting":
            return "c"
        case "paper" | "ours":
            return r"r@{\,}l" if _spread(column) else "r"


def _spread(column: Column) -> bool:
    return any(cell.spread for cell in column.cells)


def _span(column: Column) -> int:
    return 2 if _spread(column) else 1


def _header(columns: Sequence[Column]) -> str:
    tops, rules, place = [], [], 1
    for top, members in groupby(columns, key=lambda column: column.top):
        span = sum(map(_span, members))
        tops.append(
            rf"\multicolumn{{{span}}}{{c}}{{{_symbol(top)}}}" if top.text else "&" * (span - 1)
        )
        if top.text:
            rules.append(rf"\cmidrule(lr){{{place}-{place + span - 1}}}")
        place += span
    heads = [
        rf"\multicolumn{{{_span(column)}}}{{{'l' if column.kind in _AT_LEFT else 'c'}}}"
        rf"{{{_symbol(column.head)}}}"
        for column in columns
    ]
    return " & ".join(tops) + " \\\\\n" + "".join(rules) + "\n" + " & ".join(heads) + r" \\"


def _symbol(symbol: Symbol) -> str:
    if symbol.below:
        return rf"${escape(symbol.text).strip('$')}_{{\mathrm{{{escape(symbol.below)}}}}}$"
    return f"${symbol.text}$" if len(symbol.text) == 1 else escape(symbol.text)


def _line(table: Table, columns: Sequence[Column], spread: Sequence[bool], number: int) -> str:
    row = table.rows[number]
    cells: list[str] = []
    for kind, members in groupby(zip(columns, spread, strict=True), key=lambda p: p[0].kind):
        run = list(members)
        words = spanning(table, row) if kind == "setting" else ""
        if words:
            cells.append(rf"\multicolumn{{{len(run)}}}{{c}}{{{escape(words)}}}")
        else:
            cells += [part for pair in run for part in _parts(*pair, number)]
    return " & ".join(cells) + r" \\"


def _parts(column: Column, spread: bool, number: int) -> list[str]:
    cell = column.cells[number]
    text = escape(cell.text)
    if column.kind in ("paper", "ours") and text.startswith("-") and cell.order is not None:
        text = "$-$" + text[1:]
    return [text, escape(cell.spread)] if spread else [text]
