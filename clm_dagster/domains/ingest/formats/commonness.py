"""How common the characters of a decoded text are: tells right encodings from wrong ones in short texts.

Belongs here: a score of decoded text. Does not: reading files (`encodings`).

The idea: in the wrong encoding a word turns into rare ideographs, symbols inside of words, or capitals after small
letters. No language is known here.
"""

import unicodedata

_SYMBOLS = set("€£¥“”‘’„‚«»–—…•°©®™´§·¿¡№²³½¼¾×±")
# The first level of the national character sets holds the common ideographs, by lead byte.
_COMMON_LEADS = {
    "gb18030": range(0xB0, 0xD8),
    "big5": range(0xA4, 0xC7),
    "cp932": range(0x88, 0x98),
    "euc_jp": range(0xB0, 0xD0),
}
# Letters of a few languages that share a code page with many more.
_RARE_LETTERS = set("ðþýÐÞÝ")


def score(text: str, codec: str) -> float:
    """Return the mean commonness of the characters above 127, from -1 to 1. 0 without any."""
    values = []
    for position, char in enumerate(text):
        if ord(char) < 128:
            continue
        before = text[position - 1] if position else " "
        after = text[position + 1] if position + 1 < len(text) else " "
        if (before.isalpha() or after.isalpha()) and _is_accented_word(text, position):
            values.append(0.2)
        else:
            values.append(_common(char, before, after, codec))
    return sum(values) / len(values) if values else 0.0


def _common(char: str, before: str, after: str, codec: str) -> float:
    code = ord(char)
    if 0x3040 <= code <= 0x30FF or 0xAC00 <= code <= 0xD7A3:
        return (
            1.0
            if 0x3040 <= code <= 0x30FF or (char.encode("cp949")[0] >= 0xB0 and _is_wansung(char))
            else 0.0
        )
    if 0x4E00 <= code <= 0x9FFF:
        leads = _COMMON_LEADS.get(codec)
        packed = char.encode(codec)
        usual = leads is not None and len(packed) == 2 and packed[0] in leads
        if codec == "gb18030":
            usual = usual and packed[1] >= 0xA1
        if not usual:
            return 0.1
        # Rarely next to a Latin letter, as in T恤.
        return 0.6 if any(other.isascii() and other.isalpha() for other in (before, after)) else 1.0
    if 0x3000 <= code <= 0x303F or 0xFF01 <= code <= 0xFF60:
        return 0.9
    if 0xFF61 <= code <= 0xFF9F:
        return 0.1
    category = unicodedata.category(char)
    if category == "Cc" or category in ("Co", "Cn", "Cs"):
        return -1.0
    if category.startswith("L") and category != "Lo":
        return _letter(char, before, after)
    if category in ("Lo", "Mn", "Mc"):  # Arabic, Hebrew, Thai, and ª º
        return 1.0 if code > 0xFF else 0.2
    inside = before.isalpha() and after.isalpha()
    if char == "\xa0":
        return 0.5
    if char in _SYMBOLS:
        return (0.8 if char in "’´·" else -0.5) if inside else 0.8
    return -0.5 if inside else 0.0


def _letter(char: str, before: str, after: str) -> float:
    """Return a letter's commonness by its neighbours: the same script, and no capital after a small letter."""
    if char.isupper() and before.islower():
        return -0.3
    script = _script(char)
    for other in (before, after):
        if other.isalpha() and _script(other) != script:
            return -0.3
    value = 0.6 if char in _RARE_LETTERS else 1.0
    return value if before.isalpha() or after.isalpha() else 0.4 * value


def _is_accented_word(text: str, position: int) -> bool:
    """Whether a letter is in a word of accented Latin letters alone, of which there are hardly any."""
    first = last = position
    while first > 0 and text[first - 1].isalpha():
        first -= 1
    while last + 1 < len(text) and text[last + 1].isalpha():
        last += 1
    word = text[first : last + 1]
    return len(word) > 1 and all(not char.isascii() and _script(char) == "latin" for char in word)


def _script(char: str) -> str:
    code = ord(char)
    if code < 0x250 or 0x1E00 <= code <= 0x1EFF:
        return "latin"
    if 0x370 <= code <= 0x3FF:
        return "greek"
    return "cyrillic" if 0x400 <= code <= 0x52F else "other"


def _is_wansung(char: str) -> bool:
    """Whether a syllable is one of the 2,350 of the older Korean standard, which are the common ones."""
    try:
        char.encode("euc_kr")
    except UnicodeEncodeError:
        return False
    return True
