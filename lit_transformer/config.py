"""Every knob of one training run: default, unit, symbol in the paper, range.

The defaults are the paper's base model on WMT14 English-German; nothing else in the project holds
a default. A configuration holds what a person chose. What is only known at run time (vocabulary
size, device, number of processes) is an argument of the code that needs it.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Literal, Self, assert_never

from pydantic import BaseModel, ConfigDict, Field, model_validator

NUMERICS = 2
"""Raised when a default or the arithmetic changes, so that old digests are never reused."""

AttentionKind = Literal["scaled", "unscaled", "additive"]
PositionKind = Literal[
    "sinusoidal", "learned", "none", "concatenated", "rotary", "alibi", "relative"
]
RELATIVE_BUCKETS = 32
"""Numbers of a head that relative positions learn (Raffel et al. 2020)."""
RELATIVE_REACH = 128
"""From this distance on, in tokens, relative positions tell none apart (the same)."""
POSITIONS_OF_ATTENTION: frozenset[PositionKind] = frozenset(("rotary", "alibi", "relative"))
"""Those that act in self-attention alone; where a stack has none, they are nothing."""
MixingKind = Literal["attention", "lstm", "gru", "convolution"]
NormPlace = Literal["post", "pre"]
EmbeddingTie = Literal["all", "inputs", "decoder", "none"]
OptimizerKind = Literal["adam", "adamw", "sgd", "adafactor"]
Schedule = Literal["inverse_sqrt", "constant", "linear", "cosine"]
Smoothing = Literal["vocabulary", "others"]
CorpusName = Literal[
    "grammar", "multi30k", "wmt14", "files", "grammar_trees", "wsj_sample", "treebank"
]
TASKS: Mapping[CorpusName, "Task"] = {
    **dict.fromkeys(("grammar", "multi30k", "wmt14", "files"), "translation"),
    **dict.fromkeys(("grammar_trees", "wsj_sample", "treebank"), "parsing"),
}
"""What is done with a corpus."""
Task = Literal["translation", "parsing"]
Constraint = Literal["none", "trees"]
TagSymbols = Literal["normalised", "kept"]
ClosingSymbols = Literal["labelled", "plain"]
TreeExamples = Literal["sentences", "constituents"]
TreeWords = Literal["omitted", "copied"]
TokenizerKind = Literal["bpe", "unigram"]
Precision = Literal["float32", "bfloat16"]
LengthPenalty = Literal["gnmt", "length"]
Retention = Literal["nothing", "model", "checkpoints"]

PARSING = Field(json_schema_extra={"task": "parsing"})
"""Marks a key that only a parsing setting has."""
TRANSLATION = Field(json_schema_extra={"task": "translation"})
NOT_IDENTITY = Field(json_schema_extra={"identity": False})
"""Marks a key that changes how a trial is run or logged, never what it computes."""

Shape = tuple[int, ...]
Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]


class Config(BaseModel):
    """A frozen group of knobs: strict types, unknown keys refused, no infinities."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )


class ModelConfig(Config):
    """The architecture of section 3."""

    layers: Count = 6
    """Identical layers in the encoder, and as many in the decoder (N, section 3.1)."""
    d_model: Count = 512
    """Width of embeddings and of every sub-layer's output (d_model, section 3.1)."""
    d_ff: Count = 2048
    """Inner width of the feed-forward sub-layer (d_ff, section 3.3)."""
    heads: Count = 8
    """Parallel attention heads (h, section 3.2.2)."""
    d_k: Count | None = None
    """Width of a query and of a key in one head; null: d_model / heads (d_k, section 3.2.2)."""
    d_v: Count | None = None
    """Width of a value in one head; null: d_model / heads (d_v, section 3.2.2)."""
    attention: AttentionKind = "scaled"
    """How a query is compared with a key: dot product over sqrt(d_k), plain dot product, or an
    additive network (section 3.2.1)."""
    positions: PositionKind = "sinusoidal"
    """What tells tokens' places. Added to embeddings: sinusoids or a learned table (section 3.5;
    row E), or concatenated, the sinusoids of the paper's code. In self-attention: rotary (Su et al.
    2021), alibi (Press et al. 2022) or relative (T5; Raffel et al. 2020). Or none."""
    max_positions: Count = 512
    """Rows of the learned position table; no other kind has an end."""
    window: Count | None = None
    """Self-attention looks this many tokens to each side, in the decoder back (r, section 4); null:
    at all of them."""
    encoder_mixing: MixingKind = "attention"
    """What lets the encoder's tokens know of each other (Table 1): self-attention, or in its place
    an LSTM or a GRU, half of its width in each direction, or a gated convolution."""
    decoder_mixing: MixingKind = "attention"
    """The same in the decoder, where all of them look back only. Its attention to the encoder's
    output stays."""
    kernel: Count = 3
    """Tokens that a convolution sees: to both sides in the encoder, back in the decoder (k, Table
    1)."""
    norm: NormPlace = "post"
    """post: LayerNorm(x + Sublayer(x)) as in section 5.4; pre: x + Sublayer(LayerNorm(x)), with a
    last LayerNorm after each stack."""
    tied_embeddings: EmbeddingTie = "all"
    """Which of the source's and the target's embedding and the output's projection are one matrix:
    all three (section 3.4), the inputs (both embeddings), the decoder's two (Press and Wolf 2017),
    or none."""
    dropout: Rate = 0.1
    """Probability of zeroing a sub-layer's output and a sum of embedding and position (P_drop,
    section 5.4)."""
    attention_dropout: Rate = 0.0
    """Probability of zeroing an attention weight; the paper's section 5.4 names none."""
    relu_dropout: Rate = 0.0
    """Probability of zeroing an inner activation of the feed-forward sub-layer; the paper has
    none."""

    @property
    def key_width(self) -> int:
        """d_k, derived from d_model and heads where it is null."""
        return self.d_k or self.d_model // self.heads

    @property
    def value_width(self) -> int:
        """d_v, derived from d_model and heads where it is null."""
        return self.d_v or self.d_model // self.heads

    @property
    def mixing(self) -> tuple[MixingKind, MixingKind]:
        """Of the encoder and of the decoder."""
        return self.encoder_mixing, self.decoder_mixing

    def position_tensors(self, mixing: MixingKind) -> dict[str, Shape]:
        """What is trained to tell places in a stack that mixes so."""
        match self.positions:
            case "learned":
                return {"table_TD": (self.max_positions, self.d_model)}
            case "relative":
                return {"table_NH": (RELATIVE_BUCKETS, self.heads)} if mixing == "attention" else {}
            case "sinusoidal" | "concatenated" | "none" | "rotary" | "alibi":
                return {}
            case _ as never:
                assert_never(never)

    @property
    def position_weights(self) -> int:
        """How many numbers these are, in both stacks."""
        shapes = [shape for mix in self.mixing for shape in self.position_tensors(mix).values()]
        return sum(math.prod(shape) for shape in shapes)

    @property
    def own_matrices(self) -> tuple[bool, bool]:
        """Whether the target has an embedding of its own; whether the output has a matrix of its
        own, or else the target's."""
        match self.tied_embeddings:
            case "all":
                return False, False
            case "inputs":
                return False, True
            case "decoder":
                return True, False
            case "none":
                return True, True
            case _ as never:
                assert_never(never)

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        if (self.d_k is None or self.d_v is None) and self.d_model % self.heads:
            raise ValueError(
                f"model.heads={self.heads}: model.d_model={self.d_model} is not a multiple of "
                f"{self.heads}; set model.d_k and model.d_v explicitly"
            )
        return self

    @model_validator(mode="after")
    def _waves_come_in_pairs(self) -> Self:
        if self.positions in ("sinusoidal", "concatenated") and self.d_model % 2:
            raise ValueError(
                f"model.d_model={self.d_model}: sinusoids come in pairs of sine and cosine; "
                "use an even d_model or model.positions=learned"
            )
        if self.positions == "rotary" and self.key_width % 2:
            raise ValueError(
                f"model.positions=rotary: it turns pairs of channels, and a head has "
                f"d_k={self.key_width}; set an even model.d_k"
            )
        return self

    @model_validator(mode="after")
    def _mixing_has_a_shape(self) -> Self:
        if self.encoder_mixing in ("lstm", "gru") and self.d_model % 2:
            raise ValueError(
                f"model.encoder_mixing={self.encoder_mixing}: each direction has half of "
                f"model.d_model={self.d_model}; use an even model.d_model"
            )
        if self.encoder_mixing == "convolution" and self.kernel % 2 == 0:
            raise ValueError(
                f"model.kernel={self.kernel}: the encoder's convolution sees as many tokens on "
                "either side of its own; use an odd model.kernel"
            )
        return self

    @model_validator(mode="after")
    def _self_attention_is_there(self) -> Self:
        if "attention" in self.mixing:
            return self
        if self.window is not None:
            raise ValueError(
                f"model.window={self.window}: no stack has self-attention that it could restrict; "
                "leave it null, or set model.encoder_mixing or model.decoder_mixing to attention"
            )
        if self.positions in POSITIONS_OF_ATTENTION:
            raise ValueError(
                f"model.positions={self.positions}: it acts in self-attention, and no stack has "
                "any; use sinusoidal, learned or none"
            )
        return self


class OptimConfig(Config):
    """Optimizer and learning rate (section 5.3), and the loss (section 5.4)."""

    optimizer: OptimizerKind = "adam"
    """adam (section 5.3); adamw, whose weight decay is apart from the gradients (Loshchilov and
    Hutter 2019); sgd, stochastic gradient descent with momentum; or adafactor, whose rates are
    relative to the weights' size (Shazeer and Stern 2018)."""
    schedule: Schedule = "inverse_sqrt"
    """The learning rate after its warm-up: it falls as 1 / sqrt(update) (section 5.3), stays
    constant, or falls to 0 behind the last update, linearly or as a cosine."""
    warmup_steps: Annotated[int, Field(ge=0)] = 4000
    """Optimizer updates during which the rate grows linearly (section 5.3); 0: it begins where it
    is highest."""
    peak_steps: Count | None = None
    """The highest rate is rate_factor * (d_model * peak_steps)^-0.5, however long the warm-up;
    inverse_sqrt falls from this update on, or from the end of a longer warm-up. null: warmup_steps
    (section 5.3)."""
    rate_factor: Positive = 1.0
    """Multiplies the learning rate of section 5.3."""
    beta1: Rate = 0.9
    """Adam's decay of the mean of gradients (section 5.3)."""
    beta2: Rate = 0.98
    """Adam's decay of the mean of squared gradients (section 5.3)."""
    eps: Positive = 1e-9
    """Added to Adam's denominator (section 5.3)."""
    momentum: Rate = 0.9
    """Part of its last step that sgd takes again."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Times the rate, the part of every weight that an update takes away; adam and sgd add that
    many times the weights to their gradients instead. The paper has none."""
    clip_norm: Positive | None = None
    """Largest norm of an update's whole gradient; null: gradients are left alone, as in the
    paper."""
    label_smoothing: Rate = 0.1
    """Probability mass spread evenly over the words of smoothed_over (epsilon_ls, section 5.4)."""
    smoothed_over: Smoothing = "vocabulary"
    """The words that share label_smoothing: the whole vocabulary (Szegedy et al. 2015), or all
    others than the right one, as in the paper's code."""

    @model_validator(mode="after")
    def _a_rate_has_a_height(self) -> Self:
        if not self.warmup_steps and self.peak_steps is None and self.schedule != "inverse_sqrt":
            raise ValueError(
                f"optim.schedule={self.schedule}: its highest rate follows from the warm-up, and "
                "optim.warmup_steps=0; set optim.peak_steps, for example 4000"
            )
        return self

    @model_validator(mode="after")
    def _adamw_decays(self) -> Self:
        if self.optimizer == "adamw" and not self.weight_decay:
            raise ValueError(
                "optim.optimizer=adamw: with optim.weight_decay=0 it is adam; set "
                "optim.weight_decay, for example 0.01, or take adam"
            )
        return self


class FilePair(Config):
    """Two plain-text files of equal length, one sentence a line, UTF-8, gzip or not."""

    source: str
    """Path of the source side."""
    target: str
    """Path of the target side."""


class FilesConfig(Config):
    """The user's own corpus."""

    train: FilePair
    """Pairs to train on."""
    valid: FilePair
    """Pairs on which the table's score is computed."""
    test: FilePair | None = None
    """Pairs for the test column; null: no such column."""


class TreesConfig(Config):
    """A treebank's parts: each a file, a pattern of files as `dev/*.mrg`, or sections of the Wall
    Street Journal in data.folder, as `22` or `02-21`."""

    train: str
    """Trees to train on; the paper's are sections 02-21."""
    valid: str
    """Trees on which the table's score is computed; section 22 by custom."""
    test: str | None = None
    """Trees for the test column; section 23 by custom; null: no such column."""


class DataConfig(Config):
    """The corpus and its vocabulary."""

    corpus: CorpusName = "wmt14"
    """A named corpus, or `files` for the user's own."""
    source_language: Annotated[str, TRANSLATION] = "en"
    """Language translated from, as the corpus names it."""
    target_language: Annotated[str, TRANSLATION] = "de"
    """Language translated into, as the corpus names it."""
    folder: Annotated[str | None, NOT_IDENTITY] = None
    """Folder that holds a named corpus's files already; null: fetch them into the cache."""
    files: FilesConfig | None = None
    """The files of `corpus: files`."""
    trees: TreesConfig | None = None
    """The parts of `corpus: treebank`."""
    tags: Annotated[TagSymbols, PARSING] = "normalised"
    """What stands for a word in a tree's symbols: XX for every word (Vinyals et al. 2015), or its
    part-of-speech tag."""
    words: Annotated[TreeWords, PARSING] = "omitted"
    """The words in a tree's sequence: omitted (Vinyals et al. 2015), or copied, each before its
    symbol (as in Choe and Charniak 2016). A copy says which word is next; it is not read."""
    closing: Annotated[ClosingSymbols, PARSING] = "labelled"
    """A closing bracket's symbol: with its label (Vinyals et al. 2015), or plain."""
    examples: Annotated[TreeExamples, PARSING] = "sentences"
    """Training pairs: sentences with their trees, or also each different constituent of two words
    or more with its own. Short pairs show a small treebank which symbol is of which word."""
    train_sentences: Count | None = None
    """Use only the first n training pairs; null: all."""
    tokenizer: TokenizerKind = "bpe"
    """sentencepiece's model: byte-pair encoding (section 5.1) or unigram."""
    vocabulary_size: Annotated[int, Field(ge=16, lt=2**31)] = 37_000
    """Pieces of the joint source-target vocabulary (section 5.1)."""
    max_tokens: Count = 256
    """Longest sentence, in pieces with the end mark. Longer training pairs are left out and
    counted; longer sources at evaluation are cut to it and counted."""
    train_longest: Count | None = None
    """Train only on pairs with at most this many pieces on each side, the end mark with them; the
    rest is left out and counted. null: data.max_tokens. The vocabulary is of all pairs, and what is
    scored stays, so that scores beyond this length are of lengths never trained on."""

    @property
    def longest_trained(self) -> int:
        """Pieces that a side of a training pair has at most."""
        return self.train_longest or self.max_tokens

    @model_validator(mode="after")
    def _training_is_within_the_limit(self) -> Self:
        if self.train_longest is not None and self.train_longest > self.max_tokens:
            raise ValueError(
                f"data.train_longest={self.train_longest}: no pair is longer than "
                f"data.max_tokens={self.max_tokens}; lower it, or raise data.max_tokens"
            )
        return self

    @property
    def task(self) -> Task:
        return TASKS[self.corpus]

    @model_validator(mode="after")
    def _trees_go_with_their_corpus(self) -> Self:
        if self.corpus == "treebank" and self.trees is None:
            raise ValueError(
                "data.trees is missing: data.corpus=treebank needs data.trees.train and .valid, "
                "files or sections of data.folder"
            )
        if self.corpus != "treebank" and self.trees is not None:
            raise ValueError(
                f"data.trees is given, but data.corpus={self.corpus} has trees or files of its "
                "own; set data.corpus=treebank"
            )
        return self

    @model_validator(mode="after")
    def _files_go_with_their_corpus(self) -> Self:
        if self.corpus == "files" and self.files is None:
            raise ValueError(
                "data.files is missing: data.corpus=files needs data.files.train.source, "
                ".train.target, .valid.source and .valid.target"
            )
        if self.corpus != "files" and self.files is not None:
            raise ValueError(
                f"data.files is given, but data.corpus={self.corpus} has files of its own; "
                "set data.corpus=files"
            )
        return self


class TrainConfig(Config):
    """Length, batches and record of a run."""

    steps: Count = 100_000
    """Optimizer updates (section 5.2: 100K base, 300K big)."""
    tokens_per_batch: Count = 25_000
    """At most this many real tokens on each side of an update, summed over accumulation
    (section 5.1)."""
    micro_tokens: Annotated[Count | None, NOT_IDENTITY] = None
    """At most this many tokens on each side of one forward pass; gradients are accumulated to the
    whole update. null: the update in one pass."""
    devices: Annotated[Count, NOT_IDENTITY] = 1
    """GPUs of one host that share each update's sentences, or processes where there is no GPU; the
    update stays the same."""
    average_last: Count = 5
    """Checkpoints whose mean is scored beside the last (section 6.1: 5 base, 20 big)."""
    average_every: Count = 1_500
    """Updates between two such checkpoints (10 minutes of the paper's training)."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1
    """Seeds weights, order of batches and dropout."""
    precision: Precision = "float32"
    """Arithmetic of matrix products: float32, or bfloat16 with float32 weights."""
    deterministic: Annotated[bool, NOT_IDENTITY] = False
    """Choose only deterministic algorithms, so that a GPU repeats its bits."""
    valid_every: Annotated[Count, NOT_IDENTITY] = 1_000
    """Updates between two points of the validation curve."""
    valid_sentences: Annotated[int, NOT_IDENTITY, Field(ge=0)] = 200
    """Validation sentences decoded greedily for each point of the curve; the loss uses all."""
    attention_sentences: Annotated[int, NOT_IDENTITY, Field(ge=0)] = 3
    """Validation sentences, the first ones, whose attention maps are kept; 0: none."""
    head_sentences: Annotated[int, NOT_IDENTITY, Field(ge=0)] = 50
    """Validation sentences, the first ones, on which every head is measured at the end, and the
    model without it; 0: none."""
    log_every: Annotated[Count, NOT_IDENTITY] = 50
    """Updates between two points of the training curve."""
    checkpoint_every: Annotated[Count, NOT_IDENTITY] = 1_000
    """Updates between two checkpoints to resume from."""
    keep: Annotated[Retention, NOT_IDENTITY] = "model"
    """What is kept of a finished trial's weights: nothing, the final and the averaged model, or
    every checkpoint as well."""


class DecodeConfig(Config):
    """Beam search (section 6.1)."""

    beam: Count = 4
    """Hypotheses kept per sentence; 1 is greedy (section 6.1)."""
    alpha: Annotated[float, Field(ge=0)] = 0.6
    """Exponent of the length penalty (section 6.1)."""
    constraint: Annotated[Constraint, PARSING] = "none"
    """Outputs of a search for trees: any symbols, or only what makes a tree over exactly the
    sentence's words."""
    length_penalty: LengthPenalty = "gnmt"
    """Divides a hypothesis's log-probability: gnmt ((5 + length) / 6)^alpha, or length^alpha."""
    extra_length: Annotated[int, Field(ge=0)] = 50
    """Output tokens allowed beyond the source's length (section 6.1)."""
    batch_sentences: Annotated[Count, NOT_IDENTITY] = 64
    """At most this many sentences decoded together with a beam of 4, and on a GPU eight times as
    many; another beam takes as many hypotheses, greedy search four times the sentences."""


class RunConfig(Config):
    """One complete configuration: what a trial is."""

    model: ModelConfig = ModelConfig()
    optim: OptimConfig = OptimConfig()
    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()
    decode: DecodeConfig = DecodeConfig()

    @model_validator(mode="after")
    def _positions_reach(self) -> Self:
        longest = self.data.max_tokens + self.decode.extra_length
        if self.model.positions == "learned" and self.model.max_positions < longest:
            raise ValueError(
                f"model.max_positions={self.model.max_positions}: an output may have "
                f"data.max_tokens + decode.extra_length = {longest} tokens; raise it to that"
            )
        return self

    @model_validator(mode="after")
    def _a_pair_fits_a_batch(self) -> Self:
        for key, limit in (
            ("tokens_per_batch", self.train.tokens_per_batch),
            ("micro_tokens", self.train.micro_tokens),
        ):
            if limit is not None and limit < self.data.max_tokens:
                raise ValueError(
                    f"train.{key}={limit}: a sentence may have data.max_tokens="
                    f"{self.data.max_tokens} tokens and would not fit; lower data.max_tokens"
                )
        return self
