"""What Sphinx lacks: two languages, reports as pages, names of files that are no pages, formulas
without a script, Korean search."""

import re
import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.config import Config

from guide.korean import KoreanSearch

OTHER = {"en": ("ko", "한국어"), "ko": ("en", "English")}
"""The language that a page links to, and its name for itself."""
TITLES = {"en": "Attention, ablated", "ko": "어텐션 절제 실험"}


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_search_language(KoreanSearch)
    app.add_html_math_renderer("mathml", (_inline_math, None), (_display_math, None))
    app.connect("config-inited", _choose_pages)
    app.connect("source-read", _name_files)
    app.connect("html-page-context", _link_other_language)
    app.connect("doctree-resolved", _link_reports)
    app.connect("build-finished", _copy_reports)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _choose_pages(app: Sphinx, config: Config) -> None:
    """The pages of one language, and those beside the guide, which are English in both.

    A report that is a page of its own needs none of Sphinx.
    """
    other, _ = OTHER[config.language]
    reports = sorted(Path(app.srcdir).glob("results/*/report.html"))
    texts = [page.relative_to(app.srcdir).with_suffix(".md").as_posix() for page in reports]
    config.root_doc = f"guide/{config.language}/index"
    config.html_title = TITLES[config.language]
    config.exclude_patterns = [f"guide/{other}", *texts]


def _name_files(app: Sphinx, page: str, source: list[str]) -> None:
    """A link that leads out of docs/ has no page here: its text stays, with the file's name."""
    docs = Path(app.srcdir).resolve()

    def named(link: re.Match[str]) -> str:
        file = ((docs / page).parent / link["file"]).resolve()
        if file.is_relative_to(docs) or not file.is_relative_to(docs.parent):
            return link[0]
        name = f"`{file.relative_to(docs.parent).as_posix()}`"
        return name if link["text"].strip("`") == name.strip("`") else f"{link['text']} ({name})"

    source[0] = re.sub(
        r"\[(?P<text>[^]]+)\]\((?P<file>\.\./[^)#\s]+)(?:#[^)\s]*)?\)", named, source[0]
    )


def _link_other_language(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """The same page in the other language; the first one for search and the like."""
    own = app.config.language
    other, name = OTHER[own]
    to = page if doctree is not None else app.config.root_doc
    to = to.replace(f"guide/{own}/", f"guide/{other}/")
    up = "../" * (page.count("/") + 1)
    context["other_language"] = {"code": other, "name": name, "address": f"{up}{other}/{to}.html"}


def _link_reports(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """A link to a report's page opens it instead of saving it."""
    up = "../" * page.count("/")
    for node in list(doctree.findall(addnodes.download_reference)):
        target = (Path(app.srcdir) / page).parent / node["reftarget"]
        if node["reftarget"].startswith("/"):
            target = Path(app.srcdir) / node["reftarget"][1:]
        inside = target.resolve().relative_to(Path(app.srcdir).resolve())
        if inside.suffix == ".html":
            link = nodes.reference("", "", internal=True, refuri=f"{up}{inside.as_posix()}")
            link += node.children
            node.replace_self(link)


def _copy_reports(app: Sphinx, failure: Exception | None) -> None:
    for report in sorted(Path(app.srcdir).glob("results/*/*.html")):
        to = Path(app.outdir) / report.relative_to(app.srcdir)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(report, to)


def _inline_math(writer: Any, node: nodes.math) -> None:
    writer.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def _display_math(writer: Any, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="formula">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode
