"""Comparing names of people and companies with a list: as people write them, not as lists do.

Names are normalised first: width and case, accents, punctuation, order of the parts, legal forms;
Chinese, Japanese and Korean names lose their spaces. Then they are compared by edit similarity
(rapidfuzz). Nothing is transliterated and simplified characters are not turned into traditional
ones: a list holds each spelling as an entry of the same id.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz, process

_LEGAL_FORMS = frozenset(
    [
        "ag",
        "bv",
        "co",
        "company",
        "corp",
        "corporation",
        "gmbh",
        "inc",
        "incorporated",
        "kg",
        "limited",
        "llc",
        "llp",
        "ltd",
        "ltda",
        "nv",
        "ooo",
        "plc",
        "pte",
        "pty",
        "sa",
        "sarl",
        "spa",
        "srl",
        "the",
    ]
)
_CJK_LEGAL_FORM = re.compile("(?:股份有限公司|有限责任公司|有限公司|株式会社|주식회사)")
# Letters with a stroke have no accent that could be taken off.
_STROKES = str.maketrans(
    {"ø": "o", "đ": "d", "ł": "l", "æ": "ae", "œ": "oe", "ð": "d", "þ": "th", "ı": "i", "ħ": "h"}
)
_CJK = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_BETWEEN_CJK = re.compile(rf"(?<=[{_CJK}])\s+(?=[{_CJK}])")
_NOT_IN_WORDS = re.compile(r"[^\w]+|_+")
_APOSTROPHES = re.compile(r"['’‘ʼ`´]")
_FIRST_ACCENT, _LAST_ACCENT = "\u0300", "\u036f"
# One edit makes another name of a short one, so short names are compared letter by letter.
_SHORTEST_FUZZY = 7
_LEAST_SIMILAR_PART = 75.0


@dataclass(frozen=True, slots=True)
class PartyMatch:
    """An entry that a name is taken for.

    Parameters
    ----------
    place
        Index of the entry's name in the list.
    score
        0 to 100; 100 for names that are equal once normalised. One decimal.
    """

    place: int
    score: float


@dataclass(frozen=True, slots=True)
class NormalName:
    """A name as it is compared.

    Parameters
    ----------
    parts
        Its words, in their own order.
    """

    parts: tuple[str, ...]

    @property
    def ordered(self) -> str:
        """The words in alphabetical order, joined by spaces."""
        return " ".join(sorted(self.parts))

    @property
    def compact(self) -> str:
        """The words in their own order without spaces."""
        return "".join(self.parts)

    @property
    def compact_backwards(self) -> str:
        """The words in the opposite order without spaces: ``ZhangWei`` for ``Wei Zhang``."""
        return "".join(reversed(self.parts))


def normal_name(name: str) -> NormalName:
    """Return a name as it is compared.

    Examples
    --------
    >>> normal_name("MÜLLER, Jürgen").ordered
    'jurgen muller'
    >>> normal_name("东 方 贸易有限公司").compact
    '东方贸易'
    """
    text = unicodedata.normalize("NFKC", name).casefold().translate(_STROKES)
    bare = "".join(
        letter
        for letter in unicodedata.normalize("NFD", text)
        if not _FIRST_ACCENT <= letter <= _LAST_ACCENT
    )
    joined = _APOSTROPHES.sub("", unicodedata.normalize("NFC", bare))
    words = _BETWEEN_CJK.sub("", _NOT_IN_WORDS.sub(" ", joined).strip())
    parts = [_CJK_LEGAL_FORM.sub("", part) or part for part in words.split()]
    return NormalName(tuple(part for part in parts if part not in _LEGAL_FORMS) or tuple(parts))


class PartyList:
    """Names to compare with, normalised once.

    Parameters
    ----------
    names
        As the list writes them; several may belong to one entry.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = [normal_name(name).ordered for name in names]
        self._equal: dict[str, list[int]] = {}
        for place, name in enumerate(names):
            normal = normal_name(name)
            forms = {normal.ordered, normal.compact, normal.compact_backwards} - {""}
            for form in sorted(forms):
                self._equal.setdefault(form, []).append(place)

    def similar(self, name: str, minimum_score: float) -> tuple[PartyMatch, ...]:
        """Return the names that are similar enough, most similar first.

        Parameters
        ----------
        name
            As the order writes it.
        minimum_score
            0 to 100.

        Examples
        --------
        >>> PartyList(["Vladimir Petrov"]).similar("PETROV Vladmir", 90.0)
        (PartyMatch(place=0, score=96.6),)
        """
        wanted = normal_name(name)
        scores = {
            place: 100.0
            for form in (wanted.ordered, wanted.compact)
            for place in self._equal.get(form, ())
        }
        if len(wanted.compact) >= _SHORTEST_FUZZY:
            for entry, score, place in process.extract(
                wanted.ordered,
                self._names,
                scorer=fuzz.ratio,
                score_cutoff=minimum_score,
                limit=None,
            ):
                if place not in scores and _parts_fit(wanted.ordered, entry):
                    scores[place] = round(score, 1)
        found = [PartyMatch(place, score) for place, score in scores.items()]
        return tuple(sorted(found, key=lambda match: (-match.score, match.place)))


def _parts_fit(left: str, right: str) -> bool:
    """Tell whether every part has a similar one: a whole that is similar may hide another name."""
    if len(right.replace(" ", "")) < _SHORTEST_FUZZY:
        return False
    few, many = sorted((left.split(), right.split()), key=len)
    return all(
        max(fuzz.ratio(part, other) for other in many) >= _LEAST_SIMILAR_PART for part in few
    )
