"""A report's table, curves and sections once more, from its evidence and by the code of reports."""

from typing import NamedTuple

import pandas as pd

from analysis import assembly
from analysis.rates import Rate
from analysis.sections import Section
from analysis.sources import Unpacked
from analysis.tables import Heading, Table
from experiments.searched import parse


class Rebuilt(NamedTuple):
    """What a report shows; the curves are those of `runs.history`."""

    table: Table
    curves: pd.DataFrame
    sections: list[Section]


def rebuild(source: Unpacked) -> Rebuilt:
    """One of DAMAGE where the evidence does not hold together."""
    about = source.evidence.about
    given = about.model_dump(exclude={"version", "score", "rates", "sections"})
    heading = Heading(**given, version=str(about.version), versions={})
    rates = [Rate(**rate.model_dump()) for rate in about.rates]
    searched = [parse(content) for content in source.evidence.searched]
    table = assembly.build(heading, source.trials, source, about.score, rates, searched)
    curves = assembly.histories(table, source)
    heads = assembly.measured_heads(table, source)
    sections = assembly.sections(table, [], curves, heads, source.trials, source, about.sections)
    return Rebuilt(table, curves, sections)
