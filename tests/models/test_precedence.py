"""Who wins when voices disagree."""

from hypothesis import given
from hypothesis import strategies as st

from models.precedence import Level, Opinion, settle

_LEVELS = st.sampled_from(list(Level))
_VOICES = st.sampled_from(["rule", "cap", "reference", "model", "set", "admission", "risk"])
_OPINIONS = st.lists(st.builds(Opinion, _VOICES, _LEVELS, st.just("why")), min_size=1, max_size=6)
_FLOORS = {"rule", "cap", "reference"}


@given(_OPINIONS, st.lists(_VOICES, unique=True))
def test_no_order_of_precedence_goes_below_a_rule(
    opinions: list[Opinion], precedence: list[str]
) -> None:
    """The answer is never milder than any rule, cap or table, and is one that somebody gave."""
    settled = settle(opinions, precedence)
    assert all(o.level <= settled.level for o in opinions if o.voice in _FLOORS)
    assert settled.level in {o.level for o in opinions}
    if settled.conflict is None:
        assert len({o.level for o in opinions}) == 1
    else:
        assert settled.conflict.opinions == tuple(opinions)
        assert settled.level in {o.level for o in opinions if o.voice == settled.conflict.winner}


@given(_OPINIONS)
def test_without_precedence_the_strictest_wins(opinions: list[Opinion]) -> None:
    """Nobody listed, nobody overruled, unless a promise asks a person instead of refusing."""
    doubts = [o for o in opinions if o.voice == "set" and o.level is Level.REVIEW]
    heard = [o for o in opinions if o.voice in _FLOORS] + doubts if doubts else opinions
    assert settle(opinions).level == max(o.level for o in heard)


def test_a_promise_turns_a_refusal_that_the_model_is_not_sure_of_into_a_review() -> None:
    model, doubt = Opinion("model", Level.ADVERSE, "t"), Opinion("set", Level.REVIEW, "s")
    settled = settle([model, doubt])
    assert settled.level is Level.REVIEW
    assert settled.conflict is not None
    assert (settled.conflict.winner, settled.conflict.by) == ("set", "promise")
    rule = Opinion("rule", Level.ADVERSE, "embargo")
    assert settle([model, doubt, rule]).level is Level.ADVERSE


def test_the_first_listed_voice_wins_over_the_others() -> None:
    admission = Opinion("admission", Level.FAVOURABLE, "outcome")
    risk = Opinion("risk", Level.REVIEW, "outcome")
    settled = settle([admission, risk], ["split", "admission", "risk"])
    assert settled.level is Level.FAVOURABLE
    assert settled.conflict is not None
    assert (settled.conflict.winner, settled.conflict.by) == ("admission", "precedence")
    cap = Opinion("cap", Level.ADVERSE, "full")
    assert settle([admission, risk, cap], ["admission"]).level is Level.ADVERSE
