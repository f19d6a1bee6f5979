"""A word is found with any particle on it, and words that only seem to have one stay whole."""

import pytest

pytest.importorskip("sphinx", reason="the guide's tools are missing: `make docs` installs them")

from guide.korean import stem


@pytest.mark.parametrize(
    ("word", "stemmed"),
    [
        ("위치", "위치"),
        ("위치를", "위치"),
        ("위치에서는", "위치"),
        ("학습률은", "학습률"),
        ("디코더에서", "디코더"),
        ("점수보다", "점수"),
        ("문장들을", "문장"),
        ("차이", "차이"),
        ("길이", "길이"),
        ("어텐션", "어텐션"),
        ("BLEU", "bleu"),
    ],
)
def test_a_word_loses_its_particle(word: str, stemmed: str) -> None:
    assert stem(word) == stemmed
