"""From attributions to reasons that a person can read.

SHAP values are summed by reason group; each group becomes one sentence, the first template of its
side whose conditions hold and whose placeholders all have values. Rules kept: a text shows only
values of the snapshot or their declared rounding, reasons stand in the order of their absolute
contributions, Chinese and English come from the same template and the same facts.
"""

import math
from dataclasses import dataclass

from models.condition import Condition, all_hold
from models.domain import JsonScalar, Reason, RuleHit, Side, Snapshot, Text
from models.kind import Kind
from models.policy import Level
from models.sentences import ReasonTemplate, SummaryTemplate
from models.wording import render_text

_SHOWN = 3
# Said when every group pushes the other way and only the base value explains the outcome.
_NOTHING_FOR_IT = {
    Level.FAVOURABLE: Text(
        "综合概率仍低于复核线", "the probability still stays below the review line"
    ),
    Level.REVIEW: Text("综合概率已达复核线", "the probability reaches the review line"),
    Level.ADVERSE: Text("综合概率已达拒绝线", "the probability reaches the line of rejection"),
}
_CIRCLED = "①②③④⑤⑥⑦⑧⑨"
_OUTCOME_OF_LEVEL = {
    Level.FAVOURABLE: "favourable",
    Level.REVIEW: "review",
    Level.ADVERSE: "adverse",
}


@dataclass(frozen=True, slots=True)
class _Prepared:
    template: ReasonTemplate
    conditions: tuple[Condition, ...]
    shown: tuple[str, ...]
    facts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Push:
    rank: int
    group: str
    contribution: float
    share: float


class ReasonCatalogue:
    """A kind's sentences, ready to choose from.

    Parameters
    ----------
    kind
        Whose reason groups, templates and summaries to use.
    """

    def __init__(self, kind: Kind) -> None:
        self._groups = [
            (group.name, tuple(f.name for f in kind.features if f.group == group.name))
            for group in kind.groups
        ]
        self._templates: dict[tuple[str, Side], list[_Prepared]] = {}
        for template in kind.reasons:
            prepared = _prepare(template)
            self._templates.setdefault((template.group, template.side), []).append(prepared)
        self._summaries = [(summary, summary.conditions()) for summary in kind.summaries]
        self._toward = {
            Side.ADVERSE: kind.outcomes.adverse.code,
            Side.FAVOURABLE: kind.outcomes.favourable.code,
        }

    def group_contributions(self, values: dict[str, float]) -> dict[str, float]:
        """Sum SHAP values (log-odds) by reason group."""
        # Rounded once: what `sum` makes of floats is another since Python 3.12.
        return {
            group: math.fsum(values[name] for name in features) + 0.0
            for group, features in self._groups
        }

    def reasons(
        self, snapshot: Snapshot, values: dict[str, float], side: Side
    ) -> tuple[Reason, ...]:
        """Return the reasons on one side, strongest first.

        Parameters
        ----------
        snapshot
            The values that conditions and texts may use.
        values
            Feature name to SHAP value, log-odds.
        side
            Which side to tell.
        """
        sign = 1.0 if side is Side.ADVERSE else -1.0
        pushing = [
            (group, contribution)
            for group, contribution in self.group_contributions(values).items()
            if contribution * sign > 0
        ]
        # A stable sort: equal contributions keep the kind's order of groups.
        pushing.sort(key=lambda item: -abs(item[1]))
        total = math.fsum(abs(contribution) for _, contribution in pushing)
        known = {**snapshot.context, **snapshot.features}
        return tuple(
            self._say(_Push(rank, group, contribution, abs(contribution) / total), side, known)
            for rank, (group, contribution) in enumerate(pushing, start=1)
        )

    def _say(self, push: _Push, side: Side, known: dict[str, JsonScalar]) -> Reason:
        prepared = next(p for p in self._templates[push.group, side] if _may_be_said(p, known))
        template = prepared.template
        return Reason(
            rank=push.rank,
            code=template.code,
            group=push.group,
            side=side,
            toward=self._toward[side],
            share=push.share,
            contribution=push.contribution,
            features=dict(self._groups)[push.group],
            facts={name: known.get(name) for name in prepared.facts},
            text=Text(render_text(template.zh, known), render_text(template.en, known)),
        )

    def both_sides(
        self, snapshot: Snapshot, values: dict[str, float], side: Side
    ) -> tuple[tuple[Reason, ...], tuple[Reason, ...]]:
        """Return the reasons on the outcome's side, and those against it.

        When no group pushes towards the outcome, the reasons against it stand in the first place,
        so that a decision always has reasons; each says what it pushes toward.
        """
        other = Side.ADVERSE if side is Side.FAVOURABLE else Side.FAVOURABLE
        pro, contra = (self.reasons(snapshot, values, one) for one in (side, other))
        return (pro, contra) if pro else (contra, ())

    def summary(
        self, level: Level, snapshot: Snapshot, hits: tuple[RuleHit, ...], said: tuple[Reason, ...]
    ) -> Text:
        """Return one sentence: the outcome, rules that fired, and the strongest reasons."""
        known = {**snapshot.context, **snapshot.features}
        opening = self._opening(level, known)
        strict = [hit.text for hit in hits]
        toward = self._toward[_side_of(level)]
        pro = [reason.text for reason in said[:_SHOWN] if reason.toward == toward]
        texts = [*strict, *pro][: len(_CIRCLED)] or [_NOTHING_FOR_IT[level]]
        chinese = ";".join(f"{_CIRCLED[i]}{text.zh}" for i, text in enumerate(texts))
        english = "; ".join(f"{i}. {text.en}" for i, text in enumerate(texts, start=1))
        return Text(
            render_text(opening.zh, known) + chinese, render_text(opening.en, known) + english
        )

    def _opening(self, level: Level, known: dict[str, JsonScalar]) -> SummaryTemplate:
        return next(
            summary
            for summary, conditions in self._summaries
            if summary.outcome == _OUTCOME_OF_LEVEL[level] and all_hold(conditions, known)
        )


def _side_of(level: Level) -> Side:
    return Side.FAVOURABLE if level is Level.FAVOURABLE else Side.ADVERSE


def _prepare(template: ReasonTemplate) -> _Prepared:
    conditions = template.conditions()
    shown = template.placeholders()
    read = [name for condition in conditions for name in condition.names()]
    return _Prepared(template, conditions, shown, tuple(dict.fromkeys([*shown, *read])))


def _may_be_said(prepared: _Prepared, known: dict[str, JsonScalar]) -> bool:
    return all(known.get(name) is not None for name in prepared.shown) and all_hold(
        prepared.conditions, known
    )
