"""A split decision as JSON facts and back, and its replay.

Floats are kept to the last bit and moments in UTC, so what is read back equals what was written.
A verdict holds hundreds of candidates: `models.split.columns` writes each name once for all.
"""

from functools import cache

from pydantic import TypeAdapter

from models.decide import LoadedModel
from models.domain import Json
from models.errors import PlatformError
from models.split.columns import pack, unpack
from models.split.decide import decide_problem, price
from models.split.pairs import build_pairs
from models.split.policy import SplitPolicy
from models.split.problem import Problem
from models.split.releases import plan_outbound
from models.split.rules import attach_rules
from models.split.verdict import SplitVerdict
from models.split.verify import verify_plan


def problem_facts(problem: Problem) -> Json:
    """Return a problem as JSON data; it holds nothing personal."""
    facts: Json = _problems().dump_python(problem, mode="json")
    return facts


def read_problem_facts(facts: Json) -> Problem:
    """Return the problem that `problem_facts` wrote."""
    return _problems().validate_python(facts)


def verdict_facts(verdict: SplitVerdict) -> Json:
    """Return a verdict as JSON data; it holds nothing personal."""
    facts: Json = _verdicts().dump_python(verdict, mode="json")
    return pack(facts)


def read_verdict_facts(facts: Json) -> SplitVerdict:
    """Return the verdict that `verdict_facts` wrote."""
    return _verdicts().validate_python(unpack(facts))


def replay(
    model: LoadedModel, policy: SplitPolicy, problem: Problem, recorded: SplitVerdict
) -> tuple[str, ...]:
    """Decide again and name the parts of the verdict that differ; empty when it is the same.

    After a time-out the recorded plan is checked against constraints and costs instead: what a
    search finds in a number of seconds is not the same twice.
    """
    if recorded.is_timed_out:
        return check_plan(policy, problem, recorded)
    again = decide_problem(model, policy, problem)
    return tuple(
        name
        for name in SplitVerdict.__dataclass_fields__
        if getattr(again, name) != getattr(recorded, name)
    )


def check_plan(policy: SplitPolicy, problem: Problem, recorded: SplitVerdict) -> tuple[str, ...]:
    """Name what of a recorded plan breaks a constraint or does not cost what it says."""
    if recorded.plan is None:
        return ()
    lateness = {score.key: score.probability for score in recorded.scores}
    pairs = attach_rules(build_pairs(problem), recorded.rules)
    try:
        verify_plan(price(problem, pairs, lateness, policy), recorded.plan)
    except (PlatformError, KeyError) as error:
        return (f"plan: {error}",)
    return () if plan_outbound(problem, recorded.plan) == recorded.releases else ("releases",)


@cache
def _problems() -> TypeAdapter[Problem]:
    return TypeAdapter(Problem)


@cache
def _verdicts() -> TypeAdapter[SplitVerdict]:
    return TypeAdapter(SplitVerdict)
