"""Reported outcomes move the working error rates of a promise, each move an entry of the log."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from audit.canonical import parse_json
from audit.errors import IdempotencyConflictError, RecordMalformedError
from audit.facts import parse_decision
from audit.records import EntryType, Idempotency
from audit.verify import verify_store
from models.bundle import build_bundle, save_bundle, save_policy
from models.conformal import Conformal
from models.domain import ModelRef, Promised, Side
from models.policy_document import Policy, Promise
from models.surroundings import ErrorRates
from service import adaptation as adaptation_module
from service.adaptation import Adaptation, Basis, Correction, basis_of, correct, parse_correction
from service.errors import DeadlineError
from service.live import Publication
from service.settings import Settings
from service.usecases.amend import report_outcome
from service.usecases.decide import decide_one
from service.usecases.lines import Ask, Line
from service.usecases.publish import publish
from service.usecases.records import read_header, read_object
from service.usecases.replay import replay_sample
from service.wiring import Platform, open_platform
from tests.models import examples

ASK = Ask("parcel", "test", "/v1/decisions/parcel", "en")
STEP = 0.05
# At any working rate that leaves something out: every adverse order, and no favourable one.
TABLE = Conformal((9.0,) * 50, (9.0,) * 50, 100, 100)
PROMISE = Promise(adverse=0.1, favourable=0.2)
RATES = ErrorRates(0.1, 0.2)
WHEN = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"adaptation_step": STEP})


@pytest.fixture
def promising(platform: Platform) -> Platform:
    """Return a platform on which `parcel` keeps a promise."""
    publish_promise(platform)
    return platform


def publish_promise(
    platform: Platform, version: str = "2", promise: Promise | None = PROMISE, seen: str = "00"
) -> str:
    """Publish `parcel` with a conformal table; `seen` makes another bundle of it."""
    made = examples.bundle()
    bundle = build_bundle(
        kind=made.kind,
        model_text=made.model_text,
        calibration=made.calibration,
        conformal=TABLE,
        categories=made.categories,
        explainer=made.explainer,
        background_digest=f"sha256:{seen}",
        feature_code=made.feature_code,
        libraries=made.libraries,
    )
    save_bundle(platform.settings.bundles, bundle)
    policy: Policy = made.kind.policy.model_copy(update={"promise": promise})
    reference = save_policy(platform.settings.policies, policy)
    model = ModelRef("parcel", version, bundle.digest, "run-1")
    publish(platform, Publication("parcel", model, reference, bootstrap=False, actor="test"))
    return bundle.digest


def decide(platform: Platform) -> str:
    return str(decide_one(platform, ASK, Line(examples.order()))["decision_id"])


def report(
    platform: Platform, decision_id: str, label: str, key: Idempotency | None = None
) -> dict[str, Any]:
    return report_outcome(
        platform,
        decision_id=decision_id,
        actor="oms",
        label=label,
        observed_at=WHEN,
        details=None,
        idempotency=key,
    )


def present(platform: Platform) -> tuple[float, ...] | None:
    rates = platform.adaptation.rates(basis_of(platform.live.get("parcel")))
    return None if rates is None else astuple(rates)


def corrections(platform: Platform) -> list[Correction]:
    with platform.store.reading() as reading:
        records = reading.latest(EntryType.CORRECTION, 100)
    return [parse_correction(record.facts or b"") for record in records[::-1]]


def test_an_outcome_and_its_correction_are_recorded_together(promising: Platform) -> None:
    assert present(promising) is None
    decision_id = decide(promising)
    receipt = report(promising, decision_id, "reject")["receipt"]
    with promising.store.reading() as reading:
        record = reading.record_at(receipt["leaf_index"] + 1)
        assert reading.tree_size() == receipt["tree_size"] == receipt["leaf_index"] + 2
    header = read_header(record.leaf)
    facts = read_object(parse_json(record.facts or b""))
    assert (header["type"], header["about"], header["kind"]) == (
        "correction",
        decision_id,
        "parcel",
    )
    assert facts["label"] == "adverse"
    assert facts["left_out"] is True
    assert facts["before"] == {"adverse": 0.1, "favourable": 0.2}
    assert facts["after"] == {"adverse": pytest.approx(0.055), "favourable": 0.2}
    assert present(promising) == pytest.approx((0.055, 0.2))


def test_the_next_decision_works_with_what_was_corrected(promising: Platform) -> None:
    """The rates are in the record, and the record replays with them after they moved on."""
    for _ in range(2):
        report(promising, decide(promising), "adverse")
    with promising.store.reading() as reading:
        facts = [record.facts or b"" for record in reading.latest(EntryType.DECISION, 2)[::-1]]
    worked = [parse_decision(body).verdict.promise for body in facts]
    assert worked[0] == Promised(0.1, 0.2, 0.1, 0.2)
    assert worked[1] == Promised(0.1, 0.2, pytest.approx(0.055), 0.2)  # type: ignore[arg-type]  # compares as a float
    replayed = replay_sample(promising, 10, 1, lambda *_step: None)
    assert replayed == {"replayed": 2, "identical": 2, "differences": []}


def test_each_name_of_a_label_counts_and_other_words_do_not(promising: Platform) -> None:
    for label in ("late", "review", "ADVERSE", ""):
        report(promising, decide(promising), label)
    assert corrections(promising) == []
    for label in ("adverse", "reject"):
        report(promising, decide(promising), label)
    assert [made.label for made in corrections(promising)] == [Side.ADVERSE] * 2


def test_a_decision_counts_once(promising: Platform) -> None:
    key = Idempotency("oms", "/outcome", "k", bytes(32))
    decision_id = decide(promising)
    report(promising, decision_id, "pending")
    first = report(promising, decision_id, "adverse", key)
    assert report(promising, decision_id, "adverse", key) == first
    for label in ("adverse", "favourable"):
        report(promising, decision_id, label)
    assert len(corrections(promising)) == 1


def test_a_key_used_for_another_outcome_corrects_nothing(promising: Platform) -> None:
    key = Idempotency("oms", "/outcome", "k", bytes(32))
    report(promising, decide(promising), "pending", key)
    with pytest.raises(IdempotencyConflictError):
        report(promising, decide(promising), "adverse", replace(key, body_sha256=bytes([1] * 32)))
    assert corrections(promising) == []


def test_a_rate_falls_until_nothing_is_left_out_and_never_works_below_zero(
    promising: Platform,
) -> None:
    for _ in range(5):
        report(promising, decide(promising), "adverse")
    made = corrections(promising)
    assert [one.left_out for one in made] == [True, True, True, False, False]
    assert made[2].after.adverse == pytest.approx(-0.035)
    assert made[4].after.adverse == pytest.approx(-0.025)
    assert present(promising) == (0.0, 0.2)


def test_a_rate_rises_above_its_promise_only_where_that_is_allowed(settings: Settings) -> None:
    for relaxes, wanted in ((False, None), (True, pytest.approx((0.1, 0.21)))):
        allowed = settings.model_copy(update={"adaptation_relaxes": relaxes})
        with open_platform(allowed) as platform:
            publish_promise(platform)
            report(platform, decide(platform), "favourable")
            assert present(platform) == wanted


def test_without_a_promise_a_table_or_a_step_nothing_is_corrected(
    platform: Platform, settings: Settings
) -> None:
    assert basis_of(platform.live.get("parcel")) is None
    assert present(platform) is None
    report(platform, decide(platform), "adverse")
    publish_promise(platform, promise=None)
    report(platform, decide(platform), "adverse")
    with open_platform(settings.model_copy(update={"adaptation_step": 0.0})) as still:
        publish_promise(still)
        report(still, decide(still), "adverse")
    assert corrections(platform) == []


@pytest.mark.parametrize(
    "other",
    [
        lambda platform: publish_promise(platform, "3", seen="01"),
        lambda platform: publish_promise(
            platform, "3", promise=Promise(adverse=0.3, favourable=0.1)
        ),
        lambda platform: publish_promise(platform, "3", promise=None),
    ],
    ids=["bundle", "promise", "no-promise"],
)
def test_what_something_else_decided_moves_nothing(
    promising: Platform, other: Callable[[Platform], str]
) -> None:
    report(promising, decide(promising), "adverse")
    decided_before = decide(promising)
    other(promising)
    assert present(promising) is None
    report(promising, decided_before, "adverse")
    assert len(corrections(promising)) == 1


def test_a_new_bundle_begins_at_its_promise(promising: Platform) -> None:
    report(promising, decide(promising), "adverse")
    publish_promise(promising, "3", seen="01")
    report(promising, decide(promising), "adverse")
    assert [one.before for one in corrections(promising)] == [RATES, RATES]
    assert present(promising) == pytest.approx((0.055, 0.2))


def test_concurrent_reports_follow_from_one_another(promising: Platform) -> None:
    """Of reports that arrive together each starts from the rates that the one before it left."""
    decided = [decide(promising) for _ in range(4)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda one: report(promising, one, "adverse"), decided * 3))
    made = corrections(promising)
    assert len(made) == len(decided)
    assert [one.before for one in made] == [RATES, *(one.after for one in made[:-1])]
    assert verify_store(promising.store, [promising.signer.verifier_key], promising.sealer).ok


def test_rates_come_from_the_log_alone(
    promising: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adaptation_module, "_PAGE", 2)
    seconds = [0.0]
    elsewhere = Adaptation(promising.store, 10.0, lambda: seconds[0])
    basis = basis_of(promising.live.get("parcel"))
    assert elsewhere.rates(basis) is None
    for _ in range(5):
        report(promising, decide(promising), "adverse")
    assert elsewhere.rates(basis) is None
    seconds[0] = 11.0
    assert elsewhere.rates(basis) == ErrorRates(0.0, 0.2)


def test_a_report_waits_for_its_turn_only_so_long(promising: Platform) -> None:
    basis = Basis("parcel", "sha256:00", RATES)
    with promising.adaptation.turn(basis, 1.0) as rates:
        assert rates == RATES
        with pytest.raises(DeadlineError), promising.adaptation.turn(basis, 0.01):
            pytest.fail("two had the turn at once")
    with promising.adaptation.turn(basis, 1.0) as rates:
        assert rates == RATES


def test_late_outcomes_move_a_rate_to_where_the_promise_held() -> None:
    """A hundred outcomes at once, of orders all decided at the promise, do not overshoot."""
    basis = Basis("parcel", "sha256:00", RATES)
    rates, table = RATES, Conformal(tuple(range(50)), tuple(range(50))[::-1], 100, 100)
    for _ in range(100):
        correction = correct(basis, rates, table, 4.5, Side.ADVERSE, step=STEP, relaxes=True)
        rates = correction.after
    assert rates.favourable == RATES.favourable
    # The fifth smallest margin is 4, so from a rate of 5/101 on the order is held.
    assert 5 / 101 - STEP < rates.adverse < 6 / 101 + STEP


def test_facts_of_something_else_are_no_correction() -> None:
    with pytest.raises(RecordMalformedError):
        parse_correction(b"{}")
