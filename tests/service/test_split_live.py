"""A split is served from its bundle and its own policy, both read by digest."""

from dataclasses import replace

import pytest

from models.bundle import save_policy
from models.domain import ModelRef
from models.errors import BundleCorruptError
from models.split.errors import SplitPolicyError
from models.split.policy import built_in_split_policy
from models.split.policy_store import load_split_policy, save_split_policy
from service.errors import NoLiveModelError
from service.live import SPLIT, Publication
from service.usecases.lines import Ask, Line
from service.usecases.publish import publish
from service.usecases.split import decide_any, decide_any_lines
from service.usecases.train import first_policy
from service.wiring import Platform
from tests.models.split.examples import example_order
from tests.splits import publish_split

ASK = Ask(SPLIT, "oms", "test", "en")


def test_a_policy_of_another_form_is_no_split_policy(platform: Platform) -> None:
    kind = platform.live.get("parcel").kind
    reference = save_policy(platform.settings.policies, kind.policy)
    publish_split(platform)
    publication = platform.live.publications()[SPLIT]
    with pytest.raises(SplitPolicyError):
        publish(platform, replace(publication, policy=reference))
    assert platform.live.publications()[SPLIT] == publication


def test_another_kinds_model_does_not_split(platform: Platform) -> None:
    parcel = platform.live.publications()["parcel"]
    with pytest.raises(SplitPolicyError, match="parcel"):
        platform.shelf.load_split(parcel.model, parcel.policy)


def test_without_a_publication_nothing_is_split(platform: Platform) -> None:
    assert SPLIT in platform.live.names()
    for ask in (lambda: platform.live.get(SPLIT), platform.live.get_split):
        with pytest.raises(NoLiveModelError, match="split"):
            ask()
    with pytest.raises(NoLiveModelError):
        decide_any(platform, ASK, Line(b"{}"))


def test_a_publication_takes_effect_with_its_weights(platform: Platform) -> None:
    """The policy in force is the published one, and the record names it."""
    publish_split(platform)
    loaded, weights = platform.live.get_split()
    assert platform.live.get(SPLIT) is loaded
    assert weights == built_in_split_policy()
    cautious = built_in_split_policy().model_copy(update={"review_late_at": 0.0, "version": "2"})
    publish_split(platform, cautious)
    assert platform.live.get_split()[1] == cautious
    answer = decide_any(platform, ASK, Line(example_order("just-in-time")))
    assert answer["outcome"] == "review"
    assert answer["policy"] == {
        "name": "split",
        "version": "2",
        "digest": platform.live.publications()[SPLIT].policy.digest,
    }


def test_any_kind_is_decided_by_its_own_path(platform: Platform) -> None:
    publish_split(platform)
    order = platform.live.get("parcel").kind.examples[0].order.encode()
    [parcel] = decide_any_lines(platform, replace(ASK, kind="parcel"), [Line(order)])
    [split] = decide_any_lines(platform, ASK, [Line(example_order("no-plan"))])
    assert isinstance(parcel, dict)
    assert isinstance(split, dict)
    assert "plan" not in parcel
    assert "plan" in split


def test_an_unpublished_bundle_is_not_served(platform: Platform) -> None:
    policy = save_split_policy(platform.settings.policies, built_in_split_policy())
    model = ModelRef(SPLIT, "1", "sha256:00", "run")
    with pytest.raises(BundleCorruptError):
        publish(platform, Publication(SPLIT, model, policy, bootstrap=True, actor="test"))


def test_the_first_split_is_published_with_the_weights_that_ship(platform: Platform) -> None:
    """Training knows the kind's rules; what a split is weighed by comes from its own policy."""
    publish_split(platform)
    trained = platform.live.publications()[SPLIT]
    kind = platform.live.get(SPLIT).kind
    rules = save_policy(platform.settings.policies, kind.policy)
    reference = first_policy(platform, kind, rules)
    assert reference == trained.policy
    assert load_split_policy(platform.settings.policies, reference.digest).late_penalty_cents > 0
    assert first_policy(platform, platform.live.get("parcel").kind, rules) == rules
