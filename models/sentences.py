"""Sentences of a kind file: words in two languages, with placeholders and conditions.

Reason templates, summaries and policy rules are sentences that may be said when their conditions
hold. What they say is rendered by `models.reasons` and `models.policy`.
"""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.condition import Condition, parse_condition
from models.domain import Side

Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)(?::([a-z0-9]+))?\}")


class Part(BaseModel):
    """A table of a kind file: immutable, and nothing in it that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Words(Part):
    """The same words in Chinese and English."""

    zh: str
    en: str


class Sentence(Part):
    """A sentence with placeholders ``{name}`` or ``{name:format}`` and when it may be said."""

    when: tuple[str, ...] = ()
    zh: str
    en: str

    def conditions(self) -> tuple[Condition, ...]:
        """Return `when`, parsed."""
        return tuple(parse_condition(text) for text in self.when)

    def placeholders(self) -> tuple[str, ...]:
        """Return the names that the sentence shows, in both languages, each once."""
        found = [match[1] for text in (self.zh, self.en) for match in PLACEHOLDER.finditer(text)]
        return tuple(dict.fromkeys(found))


class ReasonTemplate(Sentence):
    """The sentence of a reason group on one side; the first that holds is said."""

    code: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$", max_length=64)]
    group: Slug
    side: Side


class SummaryTemplate(Sentence):
    """The words before the reasons: ``拒绝该笔跨境订单因:``."""

    outcome: Literal["favourable", "review", "adverse"]
