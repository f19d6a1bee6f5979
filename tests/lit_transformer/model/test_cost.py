import subprocess
import sys
from itertools import product
from typing import get_args

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lit_transformer.config import (
    AttentionKind,
    EmbeddingTie,
    MixingKind,
    ModelConfig,
    NormPlace,
    OptimConfig,
    OptimizerKind,
    PositionKind,
    RunConfig,
)
from lit_transformer.model.cost import Part, parameters, parts, training_flops, training_memory
from lit_transformer.model.layers import build_rival
from lit_transformer.model.packing import Rectangles, from_rectangle, pack
from lit_transformer.model.transformer import Transformer
from lit_transformer.module import TransformerModule

BASE = ModelConfig()
# Row: configuration, its count without embeddings in millions, the printed count, cost of training
# beside base's at equal steps.
ROWS = {
    "base": (BASE, 44.10, 65, 1.00),
    "A1": (ModelConfig(heads=1, d_k=512, d_v=512), 44.10, 65, 1.00),
    "A2": (ModelConfig(heads=4, d_k=128, d_v=128), 44.10, 65, 1.00),
    "A3": (ModelConfig(heads=16, d_k=32, d_v=32), 44.10, 65, 1.00),
    "A4": (ModelConfig(heads=32, d_k=16, d_v=16), 44.10, 65, 1.00),
    "B1": (ModelConfig(d_k=16), 37.02, 58, 0.89),
    "B2": (ModelConfig(d_k=32), 39.38, 60, 0.92),
    "C1": (ModelConfig(layers=2), 14.70, 36, 0.53),
    "C2": (ModelConfig(layers=4), 29.40, 50, 0.77),
    "C3": (ModelConfig(layers=8), 58.80, 80, 1.23),
    "C4": (ModelConfig(d_model=256, d_k=32, d_v=32), 17.34, 28, 0.43),
    "C5": (ModelConfig(d_model=1024, d_k=128, d_v=128), 125.93, 168, 2.60),
    "C6": (ModelConfig(d_ff=1024), 31.51, 53, 0.80),
    "C7": (ModelConfig(d_ff=4096), 69.29, 90, 1.40),
    "D1": (ModelConfig(dropout=0.0), 44.10, 65, 1.00),
    "D2": (ModelConfig(dropout=0.2), 44.10, 65, 1.00),
    "E": (ModelConfig(positions="learned"), 44.10, None, 1.00),
    "big": (ModelConfig(d_model=1024, d_ff=4096, heads=16, dropout=0.3), 176.28, 213, 10.17 / 3),
}
EXACT = {"base": 44_101_632, "B1": 37_023_744, "C4": 17_344_512, "big": 176_283_648}
"""By hand: base 6 * (3 * 4 * 512^2 + 2 * (2 * 512 * 2048 + 2048 + 512) + 5 * 2 * 512)."""

choices = pytest.mark.parametrize(
    ("attention", "positions", "norm"),
    [*product(get_args(AttentionKind), get_args(PositionKind), get_args(NormPlace))],
)


def built(model: ModelConfig, vocab_size: int) -> Transformer:
    """Without memory for its weights."""
    with torch.device("meta"):
        return Transformer(model, vocab_size, pad=0)


@pytest.mark.parametrize("row", ROWS)
def test_the_model_has_the_papers_parameters_without_embeddings(row: str) -> None:
    model, millions, _, _ = ROWS[row]
    d, heads = model.d_model, model.heads * (model.key_width + model.value_width)
    feed_forward = 2 * d * model.d_ff + model.d_ff + d
    formula = model.layers * (3 * 2 * d * heads + 2 * feed_forward + 5 * 2 * d)
    counted = sum(
        p.numel()
        for name, p in built(model, 1).named_parameters()
        if not name.startswith(("embedding", "source_positions", "target_positions"))
    )
    assert counted == formula == parameters(model, 1).non_embedding
    assert counted == EXACT.get(row, counted)
    assert round(counted / 1e6, 2) == millions


@pytest.mark.parametrize("row", [row for row in ROWS if ROWS[row][2]])
def test_the_printed_counts_come_out(row: str) -> None:
    """No single vocabulary gives them all: big needs one of about 36,000."""
    model, _, printed, _ = ROWS[row]
    total = parameters(model, 36_000 if row == "big" else 41_100).total
    assert round(total / 1e6) == printed


@choices
def test_counted_parameters_are_those_of_the_built_model(
    attention: AttentionKind, positions: PositionKind, norm: NormPlace
) -> None:
    model = ModelConfig(
        layers=2, d_model=12, d_ff=20, heads=3, d_k=6, d_v=7, max_positions=30,
        attention=attention, positions=positions, norm=norm,
    )  # fmt: skip
    transformer = built(model, 40)
    counts = parameters(model, 40)
    assert counts.total == sum(p.numel() for p in transformer.parameters())
    assert counts.embedding == 40 * 12
    trained = {"learned": 2 * 30 * 12, "relative": 2 * 32 * 3}
    assert counts.positions == trained.get(positions, 0)


@pytest.mark.parametrize("positions", get_args(PositionKind))
@pytest.mark.parametrize(("encoder", "decoder"), [*product(get_args(MixingKind), repeat=2)])
def test_so_they_are_whatever_mixes(
    encoder: MixingKind, decoder: MixingKind, positions: PositionKind
) -> None:
    model = ModelConfig(layers=2, d_model=12, d_ff=20, heads=3, d_k=6, max_positions=30, kernel=5)
    changes = {"encoder_mixing": encoder, "decoder_mixing": decoder, "positions": positions}
    model = model.model_copy(update=changes)
    count = sum(p.numel() for p in built(model, 40).parameters())
    assert parameters(model, 40).total == count


@pytest.mark.parametrize(("mixing", "of_d2"), [("lstm", (6, 8)), ("gru", (4.5, 6))])
def test_matrices_of_a_recurrence_in_squares_of_the_width(
    mixing: MixingKind, of_d2: tuple[float, float]
) -> None:
    """Where attention has 4. What grows with the width alone is the gates' two biases each."""
    gates, d = {"lstm": 4, "gru": 3}[mixing], 512
    for side, squares in zip(("encoder_mixing", "decoder_mixing"), of_d2, strict=True):
        model = ModelConfig(layers=1, **{side: mixing})
        rival = parameters(model, 1).non_embedding
        base = parameters(ModelConfig(layers=1), 1).non_embedding
        assert rival - base == (squares - 4) * d**2 + 2 * gates * d


@pytest.mark.parametrize("mixing", ["lstm", "gru", "convolution"])
@pytest.mark.parametrize("side", ["encoder_mixing", "decoder_mixing"])
def test_operations_of_what_mixes_are_those_that_torch_counts(
    mixing: MixingKind, side: str
) -> None:
    """In a layer alone, forward; of a sentence of 7, and of attention by its formula."""
    model = ModelConfig(layers=1, d_model=12, heads=3, kernel=5, **{side: mixing})
    base = ModelConfig(layers=1, d_model=12, heads=3)
    counted, attention = (training_flops(one, 10, 7, 7, 7) / 3 for one in (model, base))
    seen = 7 if side == "encoder_mixing" else 4
    attention_alone = 7 * (2 * 4 * 12**2 + 4 * 12 * seen)
    rival = build_rival(model, mixing, causal=side == "decoder_mixing")
    assert rival is not None
    with FlopCounterMode(display=False) as counter:  # in float64, which no kernel has all at once
        rival.double()(torch.randn(7, 12, dtype=torch.double), Rectangles(pack([7])))
    beyond = 4 * 2 * 2 * 5 * 12**2 if (mixing, side) == ("convolution", "decoder_mixing") else 0
    expected = counter.get_total_flops() - beyond  # of four places beyond the sentence's end
    assert counted - attention + attention_alone == pytest.approx(expected)


@pytest.mark.parametrize("tie", get_args(EmbeddingTie))
def test_matrices_that_are_not_tied_are_counted_each(tie: EmbeddingTie) -> None:
    model = ModelConfig(layers=1, d_model=12, heads=3, tied_embeddings=tie)
    counts = parameters(model, 40)
    assert counts.total == sum(p.numel() for p in built(model, 40).parameters())
    assert counts.embedding == {"all": 1, "inputs": 2, "decoder": 2, "none": 3}[tie] * 40 * 12


@pytest.mark.parametrize("optimizer", get_args(OptimizerKind))
def test_an_optimizers_memory_is_that_of_its_state(optimizer: OptimizerKind) -> None:
    """But for the rows and columns of adafactor, and counts of steps."""
    model = ModelConfig(layers=1, d_model=64, d_ff=256, heads=2)
    config = RunConfig(model=model, optim=OptimConfig(optimizer=optimizer, weight_decay=0.1))
    module = TransformerModule(config, 500, 0)
    machine = module.configure_optimizers()
    for parameter in module.parameters():
        parameter.grad = torch.ones_like(parameter)
    machine.step()
    kept = sum(x.numel() for state in machine.state.values() for x in state.values())
    weights = sum(p.numel() for p in module.parameters())
    estimate = training_memory(model, 500, 20, 24, 0, "float32", optimizer)
    assert estimate == pytest.approx(4 * (2 * weights + kept), rel=0.02)


@pytest.mark.parametrize("row", ROWS)
def test_training_costs_what_the_papers_rows_cost(row: str) -> None:
    model, _, _, relative = ROWS[row]
    base = training_flops(BASE, 37_000, 28, 28, 25_000)
    assert training_flops(model, 37_000, 28, 28, 25_000) / base == pytest.approx(
        relative, abs=0.006
    )


def test_base_takes_about_1e18_operations() -> None:
    assert training_flops(BASE, 37_000, 28, 28, 25_000 * 100_000) == pytest.approx(9.5e17, rel=0.01)


def test_operations_of_one_pair_by_hand() -> None:
    model = ModelConfig(layers=1, d_model=2, d_ff=3, heads=1, d_k=1, d_v=2)
    encoder = 2 * 2 * (2 * 2 * 3 + 2 * 2 * 3) + 2 * 2 * 2 * 3  # s = 2: linear maps; looks
    decoder = 3 * 2 * (3 * 2 * 3 + 2 * 2 * 3) + 2 * 2 * 2 * 3 + 2 * 3 * (6 + 6)  # t = 3
    output = 3 * 2 * 2 * 5
    assert training_flops(model, 5, 2, 3, 3) == 3 * (encoder + decoder + output)


@pytest.mark.parametrize(
    ("source", "target", "window"), [(5, 4, 1), (6, 9, 3), (3, 2, 1), (2, 3, 9)]
)
def test_keys_in_the_window_are_those_that_are_counted(
    source: int, target: int, window: int
) -> None:
    """One by one; what is saved is the operations of 2 * d_k + 2 * d_v a key."""
    shape = ModelConfig(layers=1, d_model=2, d_ff=3, heads=1, d_k=1, d_v=2)
    whole, restricted = (
        training_flops(shape.model_copy(update={"window": r}), 5, source, target, target)
        for r in (None, window)
    )
    far = [1 for i in range(source) for j in range(source) if abs(i - j) > window]
    far += [1 for i in range(target) for j in range(i) if i - j > window]
    assert whole - restricted == pytest.approx(3 * 6 * len(far))


def test_additive_comparison_costs_more() -> None:
    additive = training_flops(ModelConfig(attention="additive"), 37_000, 28, 28, 25_000)
    assert additive > training_flops(BASE, 37_000, 28, 28, 25_000)


@pytest.mark.parametrize("attention", get_args(AttentionKind))
def test_memory_is_about_what_autograd_keeps(attention: AttentionKind) -> None:
    check_memory(ModelConfig(layers=2, d_model=64, d_ff=256, heads=4, attention=attention), 20)


def test_so_it_is_in_a_window() -> None:
    check_memory(ModelConfig(layers=2, d_model=64, d_ff=256, heads=4, window=4), 256)


@pytest.mark.parametrize("mixing", get_args(MixingKind))
@pytest.mark.parametrize("side", ["encoder_mixing", "decoder_mixing"])
def test_so_it_is_whatever_mixes(mixing: MixingKind, side: str) -> None:
    if mixing == "lstm" and not torch.backends.mkldnn.is_available():
        pytest.skip("oneDNN's LSTM is what was measured")
    check_memory(ModelConfig(layers=2, d_model=64, d_ff=256, heads=4, **{side: mixing}), 20)


def check_memory(model: ModelConfig, length: int) -> None:
    """Of pairs with so many source tokens, and 24 of the target."""
    transformer = Transformer(model, 50, pad=0)
    weights = {p.untyped_storage().data_ptr() for p in transformer.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(x: torch.Tensor) -> torch.Tensor:
        kept[x.untyped_storage().data_ptr()] = x
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        source, target = (torch.randint(4, 50, (8, n)) for n in (length, 24))
        transformer(from_rectangle(source, 0), from_rectangle(target, 0))
    measured = sum(x.untyped_storage().nbytes() for at, x in kept.items() if at not in weights)
    estimate = training_memory(model, 50, length, 24, 8 * 24, "float32", "adam")
    estimate -= 16 * parameters(model, 50).total
    assert estimate == pytest.approx(measured, rel=0.2)


def test_bfloat16_takes_less_memory() -> None:
    sizes = [
        training_memory(BASE, 37_000, 28, 28, 25_000, p, "adam") for p in ("float32", "bfloat16")
    ]
    assert sizes[0] > sizes[1] > 16 * parameters(BASE, 37_000).total


@choices
def test_parts_have_the_tensors_of_the_built_model_and_its_counts(
    attention: AttentionKind, positions: PositionKind, norm: NormPlace
) -> None:
    agrees(
        ModelConfig(
            layers=2, d_model=12, d_ff=20, heads=3, d_k=6, d_v=7, max_positions=30, window=4,
            attention=attention, positions=positions, norm=norm,
        )
    )  # fmt: skip


@pytest.mark.parametrize("tied", get_args(EmbeddingTie))
@pytest.mark.parametrize(("encoder", "decoder"), [*product(get_args(MixingKind), repeat=2)])
def test_parts_agree_whatever_mixes_and_is_tied(
    encoder: MixingKind, decoder: MixingKind, tied: EmbeddingTie
) -> None:
    positions: PositionKind = "relative" if "attention" in (encoder, decoder) else "learned"
    agrees(
        ModelConfig(
            layers=2, d_model=12, d_ff=20, heads=3, max_positions=30, kernel=5,
            positions=positions, tied_embeddings=tied,
            encoder_mixing=encoder, decoder_mixing=decoder,
        )
    )  # fmt: skip


def agrees(model: ModelConfig) -> None:
    """Parts with the built model and with the counts of the whole."""
    found = parts(model, 40, 8.5, 11.25)
    shapes = {
        f"{part.place.format(layer=layer)}.{name}": shape
        for part in found
        for layer in range(part.copies)
        for name, shape in part.tensors.items()
    }
    expected = {name: tuple(p.shape) for name, p in built(model, 40).named_parameters()}
    assert shapes == expected
    assert sum(part.parameters for part in found) == parameters(model, 40).total
    trained = training_flops(model, 40, 8.5, 11.25, 11.25)
    assert 3 * sum(part.operations for part in found) == pytest.approx(trained, rel=1e-12)


@pytest.mark.parametrize("attention", get_args(AttentionKind))
@pytest.mark.parametrize("norm", get_args(NormPlace))
def test_operations_of_parts_are_those_that_torch_counts(
    attention: AttentionKind, norm: NormPlace
) -> None:
    """Torch counts products alone: what a causal mask hides too, and in an additive comparison the
    product with v, but neither the sums nor tanh."""
    model = ModelConfig(
        layers=2, d_model=12, d_ff=20, heads=3, d_k=6, d_v=7, attention=attention, norm=norm
    )
    source, target, vocabulary = 5, 9, 40
    transformer = Transformer(model, vocabulary, pad=0).eval()
    with FlopCounterMode(display=False) as counter:
        ids = (torch.full((1, length), 7) for length in (source, target))
        transformer.project(transformer(*(from_rectangle(row, 0) for row in ids)))
    counted = {name: sum(flops.values()) for name, flops in counter.get_flop_counts().items()}
    found = parts(model, vocabulary, source, target)

    def by_torch(part: Part) -> int:
        names = [part.place.format(layer=layer) for layer in range(part.copies)]
        return sum(counted.get(f"Transformer.{name}", 0) for name in names)

    look = 2 * (model.key_width + model.value_width)
    beside = 2 * model.key_width if attention == "additive" else 0
    for part in found:
        ours = part.operations
        looks = {"self_attention": source**2, "cross_attention": source * target}.get(part.kind, 0)
        if part.stack == "decoder" and part.kind == "self_attention":
            looks = target**2
            later = target * (target - 1) / 2
            ours += later * model.layers * model.heads * (look + beside)
        ours -= looks * model.layers * model.heads * beside
        if part.kind == "project":
            assert ours == counted["Global"] - counted["Transformer"]
        elif part.kind != "embedding":
            assert ours == by_torch(part), part.place


def test_counting_needs_no_torch() -> None:
    program = "import sys, lit_transformer.model.cost; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
