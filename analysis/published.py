"""The paper's own figures, from published.yaml: each with its place and the editions that print it.

`load().table3["A1"].bleu` is 24.9.
"""

from functools import cache
from pathlib import Path
from typing import Annotated, Generic, Literal, Self, TypeVar

from pydantic import Field, model_validator

from experiments.files import Schema, read_as

Edition = Literal["nips", "arxiv"]
Listed = Field(strict=False)
"""A YAML list read as a tuple, so that what every caller shares cannot be changed."""


class Printed(Schema):
    """Where figures stand, and in which editions they stand so."""

    place: str
    editions: Annotated[tuple[Edition, ...], Listed]


class LayerType(Printed):
    """A row of Table 1."""

    layer: str
    complexity: str
    sequential_operations: str
    maximum_path_length: str


class Figure(Printed):
    """One number, or one word, as printed."""

    value: int | float | str


class System(Printed):
    """A row of Table 2. None: the cell is blank."""

    model: str
    arm: str | None = None
    """The row of study table2 that is this model; None: none is."""
    bleu_en_de: float | None = None
    bleu_en_fr: float | None = None
    flops_en_de: float | None = None
    flops_en_fr: float | None = None
    flops_both: float | None = None
    """One cell that spans both languages."""
    disputed: dict[str, Annotated[tuple[Figure, ...], Listed]] = Field(default_factory=dict)
    """Columns whose figure differs between editions or places, the row's own first."""

    @model_validator(mode="after")
    def _disputes_name_the_row_itself(self) -> Self:
        for column, figures in self.disputed.items():
            if not figures or getattr(self, column, None) != figures[0].value:
                raise ValueError(f"disputed.{column} must begin with the row's own figure")
        return self

    def figures(self, column: str) -> tuple[Figure, ...]:
        """Every printing of a column's figure."""
        value = getattr(self, column)
        if column in self.disputed or value is None:
            return self.disputed.get(column, ())
        return (Figure(value=value, place=self.place, editions=self.editions),)


class Cells(Schema):
    """The columns of Table 3 that say what a row is. None: the cell is blank."""

    layers: int | None = None
    d_model: int | None = None
    d_ff: int | None = None
    heads: int | None = None
    d_k: int | None = None
    d_v: int | None = None
    dropout: float | None = None
    label_smoothing: float | None = None
    steps: int | None = None


class Variation(Printed):
    """A row of Table 3: perplexity per word-piece, BLEU, parameters in millions."""

    group: str
    text: str | None = None
    cells: Cells
    ppl: float
    bleu: float
    params: float | None = None
    """None: blank in the paper."""


Says = Literal["all below", "some below", "the same"]


class Claim(Printed):
    """A sentence about rows of Table 3: of each pair, the first scores below the second."""

    sentence: str
    says: Says
    """Of all pairs, of at least one, or that the rows of a pair score the same."""
    pairs: Annotated[tuple[Annotated[tuple[str, str], Listed], ...], Listed]


class Parser(Printed):
    """A row of Table 4."""

    parser: str
    arm: str | None = None
    """The row of study table4 that is this parser, in `setting`; None: none is."""
    setting: str | None = None
    training: str
    f1: float


Row = TypeVar("Row", bound=Printed)


class Table(Schema, Generic[Row]):
    """A table of the paper, rows by id in its order; caveats say where no figure compares."""

    caption: str
    caveats: Annotated[tuple[str, ...], Listed]
    rows: dict[str, Row]

    def __getitem__(self, row: str) -> Row:
        return self.rows[row]


class Published(Schema):
    """All of published.yaml."""

    paper: str
    editions: dict[Edition, str]
    table1: Table[LayerType]
    table2: Table[System]
    table3: Table[Variation]
    table4: Table[Parser]
    claims: dict[str, Claim]
    rates: dict[str, Figure]
    """What Table 2's costs take a device to sustain, in 10^12 operations a second."""
    settings: dict[str, dict[str, Figure]]

    def cite(self, printed: Printed) -> str:
        """`Table 3, row (A)1 (NIPS 2017 proceedings; arXiv 1706.03762, current text)`."""
        return f"{printed.place} ({'; '.join(self.editions[name] for name in printed.editions)})"


@cache
def load() -> Published:
    """The shipped figures, read once."""
    return read_as(Path(__file__).with_name("published.yaml"), Published)[0]
