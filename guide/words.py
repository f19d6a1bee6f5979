"""What the guide's tables and sentences say, in each of its languages."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from lit_transformer.attention_maps import Part

Language = Literal["en", "ko"]


class Words(NamedTuple):
    """Of one language. Braces are filled in by `fragments.py`."""

    heads: Mapping[str, str]
    """Columns: what stands above them."""
    beside: Mapping[str, str]
    """The same of tables that stand beside a report's own."""
    buckets: Mapping[str, str]
    """The same of columns of which there is one for each bucket of lengths."""
    bounds: Mapping[str, str]
    """What a bucket holds: `to` a length, or `over` it."""
    verdicts: Mapping[str, str]
    """A table's words for how a row compares."""
    outcomes: Mapping[str, str]
    """How a sentence of the paper fares."""
    base: str
    none: str
    one_seed: str
    unsure: str
    provenance: str
    whole: str
    verify: str
    pending: str
    not_run: str
    no_section: str
    paper_says: str
    differences: Mapping[str, str]
    """Titles of pictures, by what they show."""
    curves: Mapping[str, str]
    """By metric."""
    frontier: str
    layers: tuple[str, str, str, str]
    """Above Table 1 of the paper."""
    growth: Mapping[str, str]
    """Above exponents, by the names of their columns."""
    always: str
    """At every length that was run."""
    not_until: str
    measured: str
    layer_times: str
    architecture: str
    """What a drawing of a model is called."""
    maps: Mapping[Part, str]
    """Above pictures of attention, by who looks at what."""
    layer: str
    """Its number in front of a line of heads."""
    all_heads: str
    one_head: str
    no_maps: str


EN = Words(
    heads={
        "arm": "row",
        "changes": "changes",
        "label": "what it is",
        "ppl": "perplexity",
        "score": "{scorer}",
        "difference": "Δ {scorer}",
        "verdict": "verdict",
        "seeds": "seeds",
        "valid.chrf": "chrF",
        "valid.ter": "TER",
        "cost.parameters": "10⁶ parameters",
        "paper.ppl": "paper: perplexity",
        "paper.bleu": "paper: BLEU",
        "paper.difference": "paper: Δ BLEU",
        "paper.params": "paper: 10⁶ parameters",
    },
    beside={},
    buckets={},
    bounds={},
    verdicts={},
    outcomes={},
    base="`{arm}` has {score} {scorer} over {seeds} seeds. Against it:",
    none="No row has a score yet.",
    one_seed="`{arm}` has {score} {scorer}, of one seed. With one seed nothing is tested:",
    unsure=(
        "*Cannot tell* does not mean *no difference*: these seeds show neither that there is one "
        "nor that it is within {margin:g} points."
    ),
    provenance=(
        "{finished} of {trials} trials finished, of {rows} rows and {seeds} seeds. They took "
        "{minutes:.0f} minutes, added up, on {devices} (commit {commits})."
    ),
    whole="The whole report",
    verify="recomputes every number from the evidence beside it.",
    pending="This study has not been run for this edition of the guide. The command:",
    not_run="Not run yet: there is nothing to say.",
    no_section="*These runs were made before their reports had this table.*",
    paper_says="the paper, {place}",
    differences={
        "score": "{scorer}: points from base, with the spread over seeds",
        "ppl": "Perplexity: per cent from base, with the spread over seeds",
    },
    curves={
        "valid.perplexity": "Perplexity on the valid part, by updates",
        "valid.curve_bleu": "BLEU of greedy search on the first valid sentences, by updates",
        "valid.curve_f1": "F1 of greedy search on the first valid sentences, by updates",
    },
    frontier="{scorer} against counted operations; the line is what no row beats for as few",
    layers=("layer", "complexity", "sequential operations", "maximum path length"),
    growth={
        "layer": "layer",
        "complexity": "paper",
        "n": "n",
        "counted": "operations, counted",
        "forward": "time, forward",
        "training": "time, forward and backward",
        "memory": "memory",
    },
    always="every n",
    not_until="not up to {length:,}",
    measured=(
        "{cells} layers and sizes on {device}, threads: {threads}, torch {torch} (commit "
        "{commits}); beside {disturbed} of them other work took more than a tenth of the processor."
    ),
    layer_times="Milliseconds of a forward and a backward pass, by n; upright line: n = d",
    architecture="The model of {arm} in {setting}",
    maps={
        "encoder": (
            "Where source tokens look in the source: sentence {sentence} of the valid part, {arm}, "
            "seed {seed}"
        ),
        "decoder": (
            "Where output tokens look among those before them: sentence {sentence} of the valid "
            "part, {arm}, seed {seed}"
        ),
        "cross": (
            "Where output tokens (rows) look in the source (columns): sentence {sentence} of the "
            "valid part, {arm}, seed {seed}"
        ),
    },
    layer="layer {layer}",
    all_heads="every head",
    one_head="layer {layer}, head {head}: the lowest entropy",
    no_maps="*This report's page was made without attention maps.*",
)

KO = Words(
    heads={
        "arm": "행",
        "changes": "바꾼 값",
        "label": "설명",
        "ppl": "퍼플렉시티",
        "score": "{scorer}",
        "difference": "Δ {scorer}",
        "verdict": "판정",
        "seeds": "시드",
        "valid.chrf": "chrF",
        "valid.ter": "TER",
        "cost.parameters": "파라미터(10⁶)",
        "paper.ppl": "논문: 퍼플렉시티",
        "paper.bleu": "논문: BLEU",
        "paper.difference": "논문: Δ BLEU",
        "paper.params": "논문: 파라미터(10⁶)",
    },
    beside={
        "cost.train_seconds": "학습 시간(초)",
        "cost.device_seconds": "학습 시간 × 장치 수(초)",
        "cost.train_seconds.per_update": "업데이트당 시간(ms)",
        "valid.seconds_per_sentence": "문장당 디코딩 시간(ms)",
        "cost.rated_flops": "연산량(시간 × 속도)",
        "cost.flops": "연산량(계산)",
        "cost.flops.ratio": "연산량(base의 몇 배)",
        "cost.target_tokens": "학습한 타깃 토큰",
        "metric": "BLEU와 비교한 척도",
        "pairs": "행의 쌍",
        "reversed": "순서가 다른 쌍",
        "beyond_noise": "잡음을 넘는 쌍",
        "heads": "헤드 수",
        "encoder.entropy": "인코더 엔트로피",
        "encoder.distance": "인코더 거리",
        "decoder.entropy": "디코더 엔트로피",
        "decoder.distance": "디코더 거리",
        "cross.entropy": "교차 어텐션 엔트로피",
        "cross.distance": "교차 어텐션 거리",
        "importance.median": "헤드를 없앤 손실 증가(중앙값)",
        "importance.largest": "헤드를 없앤 손실 증가(최댓값)",
        "claim": "주장",
        "change": "바꾼 값",
        "step": "앞 행과의 차이",
        "interval": "95 % 신뢰구간",
        "verdict": "판정",
        "valid.longest.difference": "검증, 가장 긴 쌍: base와의 차이",
        "valid.longest.p": "검증, 가장 긴 쌍: p",
        "valid.longest.output": "검증, 가장 긴 쌍: 출력 길이 비",
        "test.longest.difference": "테스트, 가장 긴 쌍: base와의 차이",
        "test.longest.p": "테스트, 가장 긴 쌍: p",
        "test.longest.output": "테스트, 가장 긴 쌍: 출력 길이 비",
    },
    buckets={"valid.bleu": "검증 BLEU, {bound}", "test.bleu": "테스트 BLEU, {bound}"},
    bounds={"to": "{length}토큰 이하", "over": "{length}토큰 초과"},
    verdicts={
        "better": "더 좋음",
        "worse": "더 나쁨",
        "the same": "같음",
        "cannot tell": "판단 불가",
        "not decided": "미결정",
        "one seed": "시드 하나",
        "no score": "점수 없음",
        "diverged": "발산",
    },
    outcomes={"supported": "지지됨", "contradicted": "반대 결과", "undecided": "판단 불가"},
    base="`{arm}`: 시드 {seeds}개 평균 {scorer} {score}. 이와 비교하면 다음과 같다.",
    none="아직 점수가 나온 행이 없다.",
    one_seed="`{arm}`: {scorer} {score}(시드 하나). 시드가 하나뿐이면 검정을 하지 않는다.",
    unsure=(
        "*판단 불가*는 *차이 없음*이 아니다. 이 시드들만으로는 차이가 있다는 것도, 차이가 "
        "{margin:g}점 이내라는 것도 보일 수 없다는 뜻이다."
    ),
    provenance=(
        "행 {rows}개 × 시드 {seeds}개, 시행(trial) {trials}건 중 {finished}건 완료. "
        "시행 시간을 모두 더하면 {minutes:.0f}분({devices}, 커밋 {commits})."
    ),
    whole="전체 보고서",
    verify="로 모든 수치를 증거 파일에서 다시 계산해 볼 수 있다.",
    pending="이번 판에서는 아직 실행하지 않은 연구이다. 명령은 다음과 같다.",
    not_run="아직 실행하지 않아 말할 수 있는 것이 없다.",
    no_section="*이 표가 보고서에 들어가기 전에 실행한 결과라서 아직 보여 줄 수 없다.*",
    paper_says="논문 {place}",
    differences={
        "score": "base와의 {scorer} 차이(점)와 시드 간 편차",
        "ppl": "base와의 퍼플렉시티 차이(%)와 시드 간 편차",
    },
    curves={
        "valid.perplexity": "업데이트 수에 따른 검증 데이터 퍼플렉시티",
        "valid.curve_bleu": "업데이트 수에 따른 검증 데이터 앞부분의 BLEU(그리디 디코딩)",
        "valid.curve_f1": "업데이트 수에 따른 검증 데이터 앞부분의 F1(그리디 디코딩)",
    },
    frontier="연산량 대비 {scorer}. 선은 같은 연산량으로 더 높은 행이 없는 경계이다",
    layers=("층", "복잡도", "순차 연산", "최대 경로 길이"),
    growth={
        "layer": "층",
        "complexity": "논문",
        "n": "n",
        "counted": "연산량(계산)",
        "forward": "순전파 시간",
        "training": "순전파+역전파 시간",
        "memory": "메모리",
    },
    always="모든 n",
    not_until="n = {length:,}까지는 없음",
    measured=(
        "층과 크기의 조합 {cells}개를 {device}에서 쟀다(스레드 {threads}개, torch {torch}, 커밋 "
        "{commits}). 그중 {disturbed}개는 다른 작업이 프로세서를 10 % 넘게 쓰는 동안 잰 값이다."
    ),
    layer_times="순전파와 역전파에 걸린 시간(ms)을 n에 따라 그린 것. 세로선은 n = d",
    architecture="{setting} 설정의 {arm} 모델",
    maps={
        "encoder": "원문 토큰이 원문에서 보는 곳(검증 {sentence}번 문장, {arm}, 시드 {seed})",
        "decoder": "출력 토큰이 앞선 출력에서 보는 곳(검증 {sentence}번 문장, {arm}, 시드 {seed})",
        "cross": "출력 토큰(행)이 원문(열)에서 보는 곳(검증 {sentence}번 문장, {arm}, 시드 {seed})",
    },
    layer="{layer}층",
    all_heads="모든 헤드",
    one_head="{layer}층 {head}번 헤드: 엔트로피가 가장 낮은 헤드",
    no_maps="*이 보고서 페이지에는 어텐션 지도가 없다.*",
)

WORDS: Mapping[Language, Words] = {"en": EN, "ko": KO}


def translated(words: Mapping[str, str], text: str) -> str:
    """What follows the known words stays: `the same ±0.5`. A text without one stays whole."""
    known = max((word for word in words if text.startswith(word)), key=len, default="")
    return words.get(known, "") + text[len(known) :]
