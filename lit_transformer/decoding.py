"""Greedy and beam search, as small steps over a Beam value (section 6.1).

Each step looks at the 2 * beam best continuations of a sentence, as the paper's own code does: at
most `beam` of them end, so `beam` open hypotheses always remain. An end mark outside those 2 * beam
is ignored; without that rule, very short outputs of low probability win on long sentences. With
beam 1 only the one best continuation is looked at, which is greedy search.

Lengths count output tokens, the end mark among them, in the limit as in the length penalty.
"""

# B sentences still searched, S source length, T tokens so far, D d_model, V vocabulary,
# K beam (open hypotheses per sentence), C continuations looked at per sentence, G blocks of tokens,
# X tokens of the chosen blocks,
# R = B * K rows of the decoder, sentence-major

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple, Protocol, TypeVar, assert_never

import torch
from torch import Tensor
from torch.nn.functional import pad as pad_right
from torch.nn.utils.rnn import pad_sequence

from lit_transformer.config import DecodeConfig
from lit_transformer.peers import ALONE, Peers

NEVER = -torch.inf
BLOCK = 64
"""Tokens whose maximum is found first."""
BEAM_OF_BATCH = 4
"""The beam for which decode.batch_sentences is stated."""
TIMES_ON_A_GPU = 8
"""As many sentences at once as decode.batch_sentences says, so that a step is worth its launches;
chosen without a measurement."""
SIDE_BY_SIDE = 2
"""Batches searched at once on a CPU, by as many threads each as that leaves."""


class Cache(Protocol):
    """Keys and values of the decoder, R rows."""

    def reorder(self, rows_R: Tensor, /) -> None:
        """New row r continues old row rows_R[r], always of its own sentence."""

    def keep(self, sentences: Sequence[int], /) -> None:
        """Only these sentences stay, in this order, each with all its rows."""


CacheT = TypeVar("CacheT", bound=Cache)


class Model(Protocol[CacheT]):
    """What the search asks of a model."""

    def encode(self, source_BS: Tensor, /) -> Tensor:
        """(B, S) token ids, padded -> memory (B, S, D)."""

    def start_cache(
        self, memory_BSD: Tensor, is_pad_BS: Tensor, max_length: int, beams: int, /
    ) -> CacheT:
        """A cache with room for max_length output tokens in each of B * beams rows."""

    def step(self, token_R: Tensor, cache: CacheT, /) -> Tensor:
        """The next position's states (R, D); grows the cache."""

    def project(self, states: Tensor, /) -> Tensor:
        """States -> logits over V."""


Constraint = Callable[[Tensor, Tensor, Tensor, Tensor], None]
"""Changes log-probabilities of what may follow (R, V) in place, NEVER for what must not. Given are
also the open hypotheses (R, T), the place of each one's source (R,) and the tokens that it may
still have (R,)."""


class Hypothesis(NamedTuple):
    """An output of the search."""

    ids: list[int]
    """Without begin and end marks."""
    score: float
    """log_probability divided by the length penalty."""
    log_probability: float
    """Natural logarithm; includes the end mark's unless truncated."""
    truncated: bool
    """The limit was reached and no hypothesis of the sentence had ended."""


class Marks(NamedTuple):
    """Ids of the special tokens."""

    pad: int
    bos: int
    eos: int


class Beam(NamedTuple):
    """Where a batch's search stands: open hypotheses, and each sentence's best finished one.

    All open hypotheses have T tokens; the best comes first, and a slot not in use has
    log-probability -inf. Every field's first axis is B.
    """

    sentence_B: Tensor
    """Place in the batch as it was started."""
    limit_B: Tensor
    """Most output tokens."""
    limit_penalty_B: Tensor
    """Length penalty at the limit."""
    ids_BKT: Tensor
    log_prob_BK: Tensor
    best_ids_BT: Tensor
    """The best finished hypothesis; its end mark is repeated up to T."""
    best_length_B: Tensor
    best_log_prob_B: Tensor
    best_score_B: Tensor
    """-inf while nothing has finished."""


def search(
    model: Model[CacheT],
    sources: Sequence[Sequence[int]],
    decode: DecodeConfig,
    *,
    pad: int,
    bos: int,
    eos: int,
    device: torch.device,
    progress: Callable[[int], None] | None,
    constraint: Constraint | None = None,
    peers: Peers = ALONE,
) -> list[Hypothesis]:
    """The best hypothesis of each source, in input order.

    `sources` hold token ids with the end mark; the model is in evaluation mode and on `device`.
    An output has at most len(source) + decode.extra_length tokens, end marks counted on both
    sides. If none has ended by then, the best open one is returned as truncated. Padding and
    begin marks are never produced, yet they keep their share of the probability. Among equal
    scores, the lower place in the beam and then the lower token id goes first. `progress` is told
    after each batch how many sentences are done. Peers share out the batches. Where there is
    a `constraint`, nothing else is produced; what it rules out keeps its share of the probability
    unless it gives it to something else.
    """
    assert all(len(source) for source in sources), "a source has at least its end mark"
    batches = in_batches([len(source) for source in sources], decode, device)

    def find(batch: Sequence[int]) -> list[Hypothesis]:
        chosen = [sources[index] for index in batch]
        of_batch = None if constraint is None else _of_batch(constraint, batch, device)
        return search_batch(model, chosen, decode, Marks(pad, bos, eos), device, of_batch)

    made: list[list[Hypothesis]] = []
    with side_by_side(find, peers.share(batches), device) as results:
        for hypotheses in results:
            made.append(hypotheses)
            if progress is not None:
                progress(min(len(sources), peers.count * sum(map(len, made))))
    found: dict[int, Hypothesis] = {}
    for batch, hypotheses in zip(batches, peers.collect(made), strict=True):
        found.update(zip(batch, hypotheses, strict=True))
    return [found[index] for index in range(len(sources))]


def in_batches(
    lengths: Sequence[int], decode: DecodeConfig, device: torch.device
) -> list[list[int]]:
    """The places of sources of these lengths, batch by batch."""
    # Longest first: sentences of like length pad little, and memory runs out early or not at all.
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    size = batch_size(len(lengths), decode, device)
    return [order[first : first + size] for first in range(0, len(order), size)]


def batch_size(sentences: int, decode: DecodeConfig, device: torch.device) -> int:
    """As many as decode.batch_sentences allows, and so few that each of those side by side has one.

    The number of threads and devices has no say: the sentences of a batch decide the last bits of
    its scores.
    """
    on_cpu = device.type == "cpu"
    times, workers = (1, SIDE_BY_SIDE) if on_cpu else (TIMES_ON_A_GPU, 1)
    most = times * decode.batch_sentences * BEAM_OF_BATCH // decode.beam
    return max(1, min(most, -(-sentences // workers)))


@contextmanager
def side_by_side(
    find: Callable[[Sequence[int]], list[Hypothesis]],
    batches: Sequence[Sequence[int]],
    device: torch.device,
) -> Iterator[Iterator[list[Hypothesis]]]:
    """What `find` makes of each batch, in order.

    On a CPU, products of few rows leave threads idle, and so do the small steps between them; two
    batches with half of the threads each occupy them better. A model is asked by both at once.
    """
    threads = torch.get_num_threads()
    workers = min(SIDE_BY_SIDE, threads, len(batches))
    if device.type != "cpu" or workers <= 1:
        yield map(find, batches)
        return
    share = threads // workers
    pool = ThreadPoolExecutor(workers, "search", torch.set_num_threads, (share,))
    try:
        yield pool.map(find, batches)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # a thread's choice is also the default of later threads


@torch.inference_mode()
def search_batch(
    model: Model[CacheT],
    sources: Sequence[Sequence[int]],
    decode: DecodeConfig,
    marks: Marks,
    device: torch.device,
    constraint: Constraint | None = None,
) -> list[Hypothesis]:
    """Search all the sources together; a sentence leaves the batch when it is done."""
    rows = [torch.tensor(source, dtype=torch.long) for source in sources]
    source_BS = pad_sequence(rows, batch_first=True, padding_value=marks.pad).to(device)
    beam = start(sources, decode, device)
    cache = model.start_cache(
        model.encode(source_BS), source_BS == marks.pad, int(beam.limit_B.max()), decode.beam
    )
    found: dict[int, Hypothesis] = {}
    log_prob_RV: Tensor | None = None
    while len(found) < len(sources):
        logits_RV = model.project(model.step(last_tokens(beam, marks.bos), cache)).float()
        if log_prob_RV is None:  # one place for all steps: fresh memory is slow
            log_prob_RV = torch.empty_like(logits_RV)
        log_prob_RV = torch.log_softmax(logits_RV, dim=1, out=log_prob_RV[: len(logits_RV)])
        if constraint is not None:
            _hold(beam, log_prob_RV, constraint)
        beam, parent_BK = advance(beam, log_prob_RV, decode, marks)
        is_done_B = is_done(beam).tolist()
        if any(is_done_B):
            done = [place for place, ended in enumerate(is_done_B) if ended]
            found.update(collect(keep(beam, done), decode))
            stay = without_holes(is_done_B)
            beam, parent_BK = keep(beam, stay), parent_BK[stay]
            cache.keep(stay)
        if decode.beam > 1 and len(parent_BK):
            first_row_B1 = decode.beam * torch.arange(len(parent_BK), device=device)[:, None]
            cache.reorder((first_row_B1 + parent_BK).flatten())
    return [found[index] for index in range(len(sources))]


def _of_batch(constraint: Constraint, batch: Sequence[int], device: torch.device) -> Constraint:
    """The same for the sentences of a batch, which count from 0."""
    places = torch.tensor(batch, device=device)
    return lambda log_prob_RV, ids_RT, source_R, room_R: constraint(
        log_prob_RV, ids_RT, places[source_R], room_R
    )


def _hold(beam: Beam, log_prob_RV: Tensor, constraint: Constraint) -> None:
    beams, length = beam.ids_BKT.shape[1:]
    source_R = beam.sentence_B.repeat_interleave(beams)
    room_R = beam.limit_B.repeat_interleave(beams) - length
    constraint(log_prob_RV, beam.ids_BKT.flatten(0, 1), source_R, room_R)


def penalty(length: int, decode: DecodeConfig) -> float:
    """What divides the log-probability of `length` tokens; it never falls as length grows."""
    match decode.length_penalty:
        case "gnmt":  # Wu et al. 2016, equation (14)
            return float(((5 + length) / 6) ** decode.alpha)
        case "length":
            return float(length**decode.alpha)
        case _ as never:
            assert_never(never)


def start(sources: Sequence[Sequence[int]], decode: DecodeConfig, device: torch.device) -> Beam:
    """One empty open hypothesis per sentence; the other slots are not in use."""
    limits = [len(source) + decode.extra_length for source in sources]
    count, beams = len(sources), decode.beam
    log_prob_BK = torch.full((count, beams), NEVER, device=device)
    log_prob_BK[:, 0] = 0.0
    return Beam(
        sentence_B=torch.arange(count, device=device),
        limit_B=torch.tensor(limits, device=device),
        limit_penalty_B=torch.tensor([penalty(limit, decode) for limit in limits], device=device),
        ids_BKT=torch.empty((count, beams, 0), dtype=torch.long, device=device),
        log_prob_BK=log_prob_BK,
        best_ids_BT=torch.empty((count, 0), dtype=torch.long, device=device),
        best_length_B=torch.zeros(count, dtype=torch.long, device=device),
        best_log_prob_B=torch.full((count,), NEVER, device=device),
        best_score_B=torch.full((count,), NEVER, device=device),
    )


def keep(beam: Beam, sentences: Sequence[int]) -> Beam:
    """These sentences of the beam, in this order."""
    chosen = torch.tensor(sentences, dtype=torch.long, device=beam.limit_B.device)
    return Beam(*(field.index_select(0, chosen) for field in beam))


def without_holes(is_done_B: Sequence[bool]) -> list[int]:
    """The sentences that go on: the last ones take the places of those that are done."""
    count = len(is_done_B) - sum(is_done_B)
    last = [place for place in range(count, len(is_done_B)) if not is_done_B[place]]
    return [last.pop() if is_done_B[place] else place for place in range(count)]


def last_tokens(beam: Beam, bos: int) -> Tensor:
    """The token that each row of the decoder reads next -> (R,)."""
    count, beams, length = beam.ids_BKT.shape
    if length == 0:
        return torch.full((count * beams,), bos, device=beam.ids_BKT.device)
    return beam.ids_BKT[:, :, -1].flatten()


def advance(
    beam: Beam, log_prob_RV: Tensor, decode: DecodeConfig, marks: Marks
) -> tuple[Beam, Tensor]:
    """Every open hypothesis grows by a token -> the beam, and where each slot came from (B, K)."""
    log_prob_BC, parent_BC, token_BC = continuations(beam, log_prob_RV, marks)
    ends_BC = token_BC == marks.eos
    beam = finish(beam, log_prob_BC.masked_fill(~ends_BC, NEVER), parent_BC, decode, marks.eos)
    # A stable sort: what goes on comes before what has ended, the best first.
    place_BK = ends_BC.int().argsort(dim=1, stable=True)[:, : beam.log_prob_BK.shape[1]]
    parent_BK = parent_BC.gather(1, place_BK)
    past_BKT = beam.ids_BKT.gather(1, parent_BK[:, :, None].expand_as(beam.ids_BKT))
    token_BK1 = token_BC.gather(1, place_BK)[:, :, None]
    return beam._replace(
        ids_BKT=torch.cat([past_BKT, token_BK1], dim=2),
        log_prob_BK=log_prob_BC.masked_fill(ends_BC, NEVER).gather(1, place_BK),
    ), parent_BK


def continuations(beam: Beam, log_prob_RV: Tensor, marks: Marks) -> tuple[Tensor, Tensor, Tensor]:
    """The best next tokens: log-probability, place of the hypothesis, token id, each (B, C)."""
    beams, vocabulary = beam.log_prob_BK.shape[1], log_prob_RV.shape[1]
    for mark in (marks.pad, marks.bos):
        log_prob_RV[:, mark] = NEVER
    looked_at = 1 if beams == 1 else 2 * beams
    log_prob_BC, index_BC = largest_sums(log_prob_RV, beam.log_prob_BK, looked_at)
    return log_prob_BC, index_BC // vocabulary, index_BC % vocabulary


def largest_sums(log_prob_RV: Tensor, before_BK: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` largest sums of each sentence's hypotheses with their next tokens, in order, and
    their indices in (K, V); equal ones by index.

    They lie in the `count` blocks of tokens with the largest maxima, and maxima are quick to find.
    """
    sentences, vocabulary = len(before_BK), log_prob_RV.shape[1]
    before_R1 = before_BK.reshape(-1, 1)
    whole, rest = vocabulary // BLOCK, vocabulary % BLOCK
    if whole * before_BK.shape[1] <= count:
        return largest((log_prob_RV + before_R1).view(sentences, -1), count)
    peak_RG = torch.unflatten(log_prob_RV[:, : whole * BLOCK], 1, (whole, BLOCK)).amax(dim=2)
    if rest:
        peak_RG = torch.cat([peak_RG, log_prob_RV[:, -rest:].amax(dim=1, keepdim=True)], dim=1)
    blocks = peak_RG.shape[1]
    _, block_BC = largest((peak_RG + before_R1).view(sentences, -1), count)
    block_BC1 = block_BC.sort(dim=1).values[:, :, None]
    parent_BC1, offset_X = block_BC1 // blocks, torch.arange(BLOCK, device=block_BC.device)
    token_BCX = block_BC1 % blocks * BLOCK + offset_X
    index_BX = (parent_BC1 * vocabulary + token_BCX.clamp(max=vocabulary - 1)).flatten(1)
    before_BCX = before_BK.gather(1, parent_BC1.squeeze(2))[:, :, None].expand_as(token_BCX)
    sum_BX = log_prob_RV.view(sentences, -1).gather(1, index_BX) + before_BCX.flatten(1)
    if rest:
        sum_BX.masked_fill_((token_BCX >= vocabulary).flatten(1), NEVER)
    sum_BC, place_BC = largest(sum_BX, count)
    return sum_BC, index_BX.gather(1, place_BC)


def largest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Each row's `count` largest, in order, and their indices; equal ones by index.

    `topk` leaves the order of equal values open, so rows in which that matters are sorted whole;
    all are where asking would wait for the device.
    """
    if count == 1:
        value, index = values.max(dim=1, keepdim=True)
        return value, index
    if values.device.type != "cpu":
        value, index = values.sort(dim=1, descending=True, stable=True)
        return value[:, :count], index[:, :count]
    value, index = values.topk(min(count + 1, values.shape[1]), dim=1)
    tied = (value[:, 1:] == value[:, :-1]).any(dim=1)
    if tied.any():
        ordered = values[tied].sort(dim=1, descending=True, stable=True)
        value[tied] = ordered.values[:, : value.shape[1]]
        index[tied] = ordered.indices[:, : value.shape[1]]
    return value[:, :count], index[:, :count]


def finish(
    beam: Beam, ended_log_prob_BC: Tensor, parent_BC: Tensor, decode: DecodeConfig, eos: int
) -> Beam:
    """The best of the hypotheses that end here is kept where it beats the best so far.

    `ended_log_prob_BC` is -inf where nothing ends. Of equal scores the earlier stays.
    """
    length = beam.ids_BKT.shape[2] + 1
    log_prob_B, place_B = ended_log_prob_BC.max(dim=1)
    score_B = log_prob_B / penalty(length, decode)
    better_B = score_B > beam.best_score_B
    parent_B = parent_BC.gather(1, place_B[:, None]).squeeze(1)
    ids_BT = beam.ids_BKT[torch.arange(len(parent_B), device=parent_B.device), parent_B]
    best_ids_BT = torch.where(better_B[:, None], ids_BT, beam.best_ids_BT)
    return beam._replace(
        best_ids_BT=pad_right(best_ids_BT, (0, 1), value=eos),
        best_length_B=beam.best_length_B.masked_fill(better_B, length),
        best_log_prob_B=torch.where(better_B, log_prob_B, beam.best_log_prob_B),
        best_score_B=torch.where(better_B, score_B, beam.best_score_B),
    )


def is_done(beam: Beam) -> Tensor:
    """Where the limit is reached, or no open hypothesis can win any more -> (B,).

    A log-probability only falls and is at most 0, so an open hypothesis can at best end with the
    one it has, at the limit, where the penalty is most favourable.
    """
    bound_B = beam.log_prob_BK[:, 0] / beam.limit_penalty_B
    return (beam.best_score_B >= bound_B) | (beam.limit_B <= beam.ids_BKT.shape[2])


def collect(beam: Beam, decode: DecodeConfig) -> dict[int, Hypothesis]:
    """The results of sentences that are done, by their place in the batch."""
    found: dict[int, Hypothesis] = {}
    for row, sentence in enumerate(beam.sentence_B.tolist()):
        length = int(beam.best_length_B[row])
        if length:
            ids, log_prob = beam.best_ids_BT[row, : length - 1], float(beam.best_log_prob_B[row])
        else:
            ids, log_prob = beam.ids_BKT[row, 0], float(beam.log_prob_BK[row, 0])
        score = log_prob / penalty(length or len(ids), decode)
        found[sentence] = Hypothesis(ids.tolist(), score, log_prob, truncated=length == 0)
    return found
