"""What pages write to show a report: directives `study`, `rows`, `section-of`, `plot`, `outcome`
and `claims`, and the role `value`; `layer-types` for Table 1, and for what was measured of it
`measured`, `exponents`, `crossings`, `fastest`, `paths` and `layer-times`; `attention-maps`, out of
a report's page; `architecture`, which is drawn anew.

    ```{rows} positions-grammar
    :columns: arm label score verdict
    :only: base learned
    ```

    {value}`positions-grammar base score 1`
"""

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any, ClassVar, cast, get_args

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

from analysis.complexity import Survey
from analysis.rebuilding import Rebuilt
from guide import architecture, fragments, layers, maps, pictures, reports
from guide.reports import RESULTS, GuideError
from guide.words import WORDS, Language, Words
from lit_transformer.attention_maps import Part
from lit_transformer.complexity.record import FILE
from lit_transformer.config_io import ConfigError
from lit_transformer.record import write_bytes

Options = dict[str, Callable[[str], Any]]


class Shown(SphinxDirective):
    """A directive that says something in the page's language."""

    @property
    def words(self) -> Words:
        return WORDS[cast(Language, self.config.language)]

    def listed(self, option: str) -> list[str]:
        """The words of an option; none where it is not given."""
        return str(self.options.get(option, "")).split()

    def markdown(self, text: str) -> list[nodes.Node]:
        return list(self.parse_text_to_nodes(text))


class OfReport(Shown):
    """A directive whose argument is a report."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        try:
            report = reports.read(name, RESULTS)
            self._depend(name)
            shown = self.pending(name) if report is None else self.show(name, report)
        except GuideError as error:
            raise self.error(str(error)) from None
        return shown

    def show(self, name: str, report: Rebuilt) -> list[nodes.Node]:
        raise NotImplementedError

    def pending(self, name: str) -> list[nodes.Node]:
        """Nothing: the page's `study` says that there is nothing to see yet."""
        return []

    def _depend(self, name: str) -> None:
        """The page is built anew when the report has changed."""
        for path in (RESULTS / name).glob("report.*"):
            self.env.note_dependency(str(path))
        self.env.note_dependency(str(RESULTS / "results.toml"))


class Study(OfReport):
    """The command, and what came of running it."""

    def show(self, name: str, report: Rebuilt) -> list[nodes.Node]:
        words, made = self.words, report.table
        page = RESULTS / name / "report.html"
        shown = f"[{words.whole}](path:/results/{name}/report.{'html' if page.exists() else 'md'})"
        verify = f"`ablate verify docs/results/{name}/report.json` {words.verify}"
        told = f"{fragments.provenance(report, words)} {shown}; {verify}"
        return self.markdown(f"```sh\n{made.heading.command}\n```\n\n{told}")

    def pending(self, name: str) -> list[nodes.Node]:
        command = " ".join(["ablate", *reports.studies(RESULTS)[name].command])
        text = f":::{{admonition}} {self.words.pending}\n`{command}`\n:::"
        return self.markdown(text)


class Rows(OfReport):
    """The report's table."""

    option_spec: ClassVar[Options] = {
        "columns": directives.unchanged,
        "only": directives.unchanged,
    }

    def show(self, name: str, report: Rebuilt) -> list[nodes.Node]:
        names = self.listed("columns") or fragments.DEFAULT
        return self.markdown(fragments.table(report, names, self.listed("only"), self.words))


class OfSection(OfReport):
    """A table that a report has beside its own; an `optional` one may be missing."""

    required_arguments = 2
    option_spec: ClassVar[Options] = {"optional": directives.flag}

    def show(self, name: str, report: Rebuilt) -> list[nodes.Node]:
        optional = "optional" in self.options
        return self.markdown(fragments.section(report, self.arguments[1], optional, self.words))

    def pending(self, name: str) -> list[nodes.Node]:
        return self.markdown(self.words.not_run)


class Plot(OfReport):
    """A report's picture."""

    option_spec: ClassVar[Options] = {
        "kind": lambda text: directives.choice(text, get_args(pictures.Kind)),
        "panels": directives.unchanged,
    }

    def show(self, name: str, report: Rebuilt) -> list[nodes.Node]:
        kind, panels = self.options.get("kind", "differences"), self.listed("panels")
        return [nodes.raw("", pictures.figures(report, kind, panels, self.words), format="html")]


class Outcome(OfReport):
    """The report's verdicts in sentences."""

    option_spec: ClassVar[Options] = {"only": directives.unchanged}

    def show(self, name: str, report: Rebuilt) -> list[nodes.Node]:
        return self.markdown(fragments.outcome(report, self.listed("only"), self.words))

    def pending(self, name: str) -> list[nodes.Node]:
        return self.markdown(self.words.not_run)


class Claims(OfReport):
    """The paper's sentences."""

    def show(self, name: str, report: Rebuilt) -> list[nodes.Node]:
        return self.markdown(fragments.claims(report, self.words))


class AttentionMaps(OfReport):
    """What every head of a row looked at, out of the report's page."""

    required_arguments = 3
    option_spec: ClassVar[Options] = {"optional": directives.flag}

    def show(self, name: str, report: Rebuilt) -> list[nodes.Node]:
        _, arm, kind = self.arguments
        part: Part = directives.choice(kind, get_args(Part))
        page = RESULTS / name / "report.html"
        found = maps.read(page, arm, part) if page.exists() else None
        if found is None and "optional" not in self.options:
            raise GuideError(f"docs/results/{name}/report.html has no attention maps")
        if found is None:
            return self.markdown(self.words.no_maps)
        text = pictures.attention(found, arm, part, self.words)
        return [nodes.raw("", text, format="html")]


class Architecture(Shown):
    """A row's model, in a setting, as `ablate explain` draws it."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        arm, setting = self.arguments
        try:
            drawing = architecture.drawing(arm, setting)
        except ConfigError as error:
            raise self.error(str(error)) from None
        # A file of its own, since its style is for all of the page that it stands in.
        file = f"{arm}-{setting}".replace("/", "-") + ".svg"
        write_bytes(Path(self.env.app.outdir) / "_images" / file, drawing.encode())
        address = "../" * self.env.docname.count("/") + f"_images/{file}"
        name = escape(self.words.architecture.format(arm=arm, setting=setting))
        text = f'<a class="drawing" href="{address}"><img src="{address}" alt="{name}"></a>'
        return [nodes.raw("", text, format="html")]


class LayerTypes(Shown):
    """The paper's Table 1."""

    def run(self) -> list[nodes.Node]:
        return self.markdown(fragments.layer_types(self.words))


class OfSurvey(Shown):
    """A directive whose argument is a folder of `ablate complexity`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        try:
            survey = reports.measured(name, RESULTS)
            self.env.note_dependency(str(RESULTS / name / FILE))
            return self.show(name, survey)
        except GuideError as error:
            raise self.error(str(error)) from None

    def show(self, name: str, survey: Survey) -> list[nodes.Node]:
        raise NotImplementedError


class Measured(OfSurvey):
    """What was measured, and where the whole report is."""

    def show(self, name: str, survey: Survey) -> list[nodes.Node]:
        words = self.words
        whole = f"[{words.whole}](path:/results/{name}/complexity.html)"
        return self.markdown(f"{layers.provenance(survey, words)} {whole}.")


class Exponents(OfSurvey):
    """Fitted exponents beside the paper's O(.)."""

    required_arguments = 2
    option_spec: ClassVar[Options] = {"columns": directives.unchanged}

    def show(self, name: str, survey: Survey) -> list[nodes.Node]:
        section, names = self.arguments[1], self.listed("columns")
        return self.markdown(layers.exponents(survey, section, names, self.words))


class Crossings(OfSurvey):
    """From which length on self-attention is slower than what."""

    def show(self, name: str, survey: Survey) -> list[nodes.Node]:
        return self.markdown(layers.crossings(survey, self.words))


class Fastest(OfSurvey):
    """Which layer type is ahead at which length."""

    def show(self, name: str, survey: Survey) -> list[nodes.Node]:
        return self.markdown(layers.fastest(survey))


class Paths(OfSurvey):
    """Who waits for whom, and how far apart tokens are."""

    def show(self, name: str, survey: Survey) -> list[nodes.Node]:
        return self.markdown(layers.paths(survey, self.words))


class LayerTimes(OfSurvey):
    """Time by length, a picture for each width."""

    option_spec: ClassVar[Options] = {"widths": directives.unchanged}

    def show(self, name: str, survey: Survey) -> list[nodes.Node]:
        panels = [f"d = {width}" for width in self.listed("widths")]
        text = pictures.layer_times(survey, panels, self.words)
        return [nodes.raw("", text, format="html")]


class Value(SphinxRole):
    """`REPORT ROW NAME [PLACES]`: one value of a report within a sentence."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        try:
            return [nodes.inline("", self._value(), classes=["value"])], []
        except (GuideError, ValueError) as error:
            message = self.inliner.reporter.error(f"{self.text}: {error}", line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]

    def _value(self) -> str:
        words = self.text.split()
        if len(words) not in (3, 4):
            raise GuideError("write REPORT ROW NAME, and digits behind the point if you like")
        name, arm, wanted, *places = words
        report = reports.read(name, RESULTS)
        for path in (RESULTS / name).glob("report.*"):
            self.env.note_dependency(str(path))
        if report is None:
            return "–"
        return fragments.value(report, arm, wanted, int(places[0]) if places else None)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("study", Study)
    app.add_directive("rows", Rows)
    app.add_directive("section-of", OfSection)
    app.add_directive("plot", Plot)
    app.add_directive("outcome", Outcome)
    app.add_directive("claims", Claims)
    app.add_directive("attention-maps", AttentionMaps)
    app.add_directive("architecture", Architecture)
    app.add_directive("layer-types", LayerTypes)
    app.add_directive("measured", Measured)
    app.add_directive("exponents", Exponents)
    app.add_directive("crossings", Crossings)
    app.add_directive("fastest", Fastest)
    app.add_directive("paths", Paths)
    app.add_directive("layer-times", LayerTimes)
    app.add_role("value", Value())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
