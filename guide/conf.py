"""Sphinx's settings for the guide; `make docs` builds it once with language=en and once with ko."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

project = "lit-transformer"
author = "The lit-transformer authors"
extensions = ["myst_parser", "sphinx_copybutton", "guide.directives", "guide.site"]
source_suffix = {".md": "markdown"}
locale_dirs = [str(Path(__file__).parent / "locale")]
nitpicky = True

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
myst_links_external_new_tab = False

html_theme = "furo"
html_math_renderer = "mathml"
html_static_path = [str(Path(__file__).parent / "static")]
html_css_files = ["guide.css"]
templates_path = [str(Path(__file__).parent / "templates")]
html_show_sphinx = False
html_copy_source = False
html_show_copyright = False
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/language.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
copybutton_exclude = ".linenos, .gp, .go"
