"""Search in Korean: a word is found whatever particle hangs on it."""

import json
import re

from sphinx.search import SearchLanguage

PARTICLES = (
    *(
        "은",
        "는",
        "이",
        "가",
        "을",
        "를",
        "의",
        "에",
        "와",
        "과",
        "도",
        "만",
        "로",
        "으로",
        "라",
        "란",
    ),
    *(
        "에서",
        "에는",
        "에도",
        "에게",
        "까지",
        "부터",
        "보다",
        "처럼",
        "마다",
        "이나",
        "이란",
        "이라",
        "이다",
    ),
    *(
        "에서는",
        "에서도",
        "으로는",
        "로는",
        "로도",
        "와는",
        "과는",
        "와의",
        "과의",
        "만의",
        "만을",
        "만이",
    ),
    *("들은", "들이", "들을", "들의", "들에", "들도", "들"),
)
LEAST = 2
"""Syllables that are left: `차이` is no `차` with a particle."""
_LONGEST_FIRST = sorted(PARTICLES, key=len, reverse=True)
_PATTERN = f"^([가-힣]{{{LEAST},}}?)(?:{'|'.join(_LONGEST_FIRST)})$"


def stem(word: str) -> str:
    """Without its particle; other words in small letters."""
    return re.sub(_PATTERN, r"\1", word.lower())


class KoreanSearch(SearchLanguage):
    """Sphinx has none for Korean. The script does in the browser what `stem` does here."""

    lang = "ko"
    language_name = "Korean"
    js_stemmer_code = f"""
const particle = new RegExp({json.dumps(_PATTERN)});
var Stemmer = function () {{
  this.stemWord = (word) => word.toLowerCase().replace(particle, "$1");
}};
"""

    def stem(self, word: str) -> str:
        return stem(word)
