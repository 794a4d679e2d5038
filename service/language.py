"""Which language an answer's texts are in, from the Accept-Language header (RFC 9110 12.5.4)."""

from typing import Literal

from models.domain import Language

Tag = Literal["zh-CN", "en"]


def negotiate(header: str | None, default: Tag) -> Tag:
    """Return the language of the texts.

    Parameters
    ----------
    header
        Accept-Language as received; None when absent.
    default
        When the header names neither language.

    Examples
    --------
    >>> negotiate("de, en-GB;q=0.8, zh;q=0.9", "en")
    'zh-CN'
    >>> negotiate(None, "zh-CN")
    'zh-CN'
    """
    best: tuple[float, Tag] | None = None
    for part in (header or "").split(","):
        name, _, parameter = part.strip().partition(";")
        tag = _known(name.strip().lower())
        quality = _quality(parameter)
        if tag is not None and quality > 0 and (best is None or quality > best[0]):
            best = (quality, tag)
    return default if best is None else best[1]


def text_language(tag: Tag) -> Language:
    """Return the name that the texts are stored under.

    Examples
    --------
    >>> text_language("zh-CN")
    'zh'
    """
    return "zh" if tag == "zh-CN" else "en"


def _known(name: str) -> Tag | None:
    primary = name.partition("-")[0]
    if primary == "zh":
        return "zh-CN"
    return "en" if primary == "en" else None


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
