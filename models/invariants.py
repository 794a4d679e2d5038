"""What must hold for every verdict before it may be answered or recorded.

Invariants 2 to 4 of docs/architecture.md, checked at run time on each decision.
"""

import math
import re

from models.calibration import Calibration, logistic
from models.domain import Attributions, Reason, Side, Snapshot, Verdict
from models.errors import InvariantError
from models.kind import Kind
from models.sentences import PLACEHOLDER, ReasonTemplate
from models.wording import format_value

ADDITIVITY_TOLERANCE = 1e-9
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def verify_additivity(attributions: Attributions) -> None:
    """Check that base value plus attributions equals the margin to 1e-9.

    Raises
    ------
    InvariantError
        When it does not.

    Examples
    --------
    >>> verify_additivity(Attributions(-1.0, 0.5, "logit", {"stock": 1.5}))
    """
    total = math.fsum([attributions.base_value, *attributions.values.values()])
    if not abs(total - attributions.margin) <= ADDITIVITY_TOLERANCE:
        raise InvariantError(
            f"attributions sum to {total!r}, the margin is {attributions.margin!r}"
        )


def verify_verdict(
    calibration: Calibration, kind: Kind, snapshot: Snapshot, verdict: Verdict
) -> None:
    """Check a verdict against its snapshot and calibration.

    Raises
    ------
    InvariantError
        Naming what does not hold.
    """
    # 1. The explanation adds up and explains exactly the features that were seen.
    verify_additivity(verdict.attributions)
    if verdict.attributions.values.keys() != snapshot.features.keys():
        raise InvariantError("features and attributions have different names")
    # 2. Probability and interval are the tables at the margin, bit for bit.
    margin = verdict.attributions.margin
    if verdict.raw_probability != logistic(margin):
        raise InvariantError("the raw probability is not the link of the margin")
    if verdict.probability != calibration.probability(margin):
        raise InvariantError("the probability is not the calibration at the margin")
    if verdict.interval != calibration.interval(margin):
        raise InvariantError("the interval is not the calibration at the margin")
    # 3. The reasons say only what the snapshot holds, strongest first.
    templates = {(t.group, t.side, t.code): t for t in kind.reasons}
    known = {**snapshot.context, **snapshot.features}
    for side_reasons in (verdict.reasons, verdict.counter_reasons):
        _verify_order(side_reasons)
        for reason in side_reasons:
            for name, fact in reason.facts.items():
                if fact != known.get(name):
                    raise InvariantError(f"{reason.code}: {name} is not the snapshot's value")
            _verify_numbers(reason, templates[reason.group, reason.side, reason.code])
            _verify_contribution(reason, verdict.attributions)


def _verify_order(reasons: tuple[Reason, ...]) -> None:
    sizes = [abs(reason.contribution) for reason in reasons]
    if sizes != sorted(sizes, reverse=True):
        raise InvariantError("the reasons are not in the order of their contributions")
    if [reason.rank for reason in reasons] != list(range(1, len(reasons) + 1)):
        raise InvariantError("the ranks of the reasons are not 1, 2, 3, …")


def _verify_contribution(reason: Reason, attributions: Attributions) -> None:
    total = math.fsum(attributions.values[name] for name in reason.features)
    sign_fits = (reason.contribution > 0) == (reason.side is Side.ADVERSE)
    if not sign_fits or abs(total - reason.contribution) > ADDITIVITY_TOLERANCE:
        raise InvariantError(f"{reason.code} does not have the contribution of its features")


def _verify_numbers(reason: Reason, template: ReasonTemplate) -> None:
    for text, pattern in ((reason.text.zh, template.zh), (reason.text.en, template.en)):
        allowed = set(_NUMBER.findall(PLACEHOLDER.sub(" ", pattern)))
        for match in PLACEHOLDER.finditer(pattern):
            allowed |= set(_NUMBER.findall(format_value(reason.facts[match[1]], match[2])))
        extra = set(_NUMBER.findall(text)) - allowed
        if extra:
            raise InvariantError(f"{reason.code} shows {sorted(extra)}, which no fact holds")
