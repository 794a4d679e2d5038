"""A split policy is data, checked when it is read."""

import pytest

from models.split.errors import SplitPolicyError
from models.split.policy import built_in_split_policy, parse_split_policy


def test_the_built_in_policy_weighs_tiers_and_channels() -> None:
    policy = built_in_split_policy()
    assert policy.tier_weight("vip") > policy.tier_weight("standard") == 100
    assert policy.tier_weight(None) == policy.channel_weight("nowhere") == 100


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name =", "Invalid value"),
        ('name = "s"', "version"),
        (
            'name = "s"\nversion = "1"\ncurrency = "CNY"\nlate_penalty_cents = -1',
            "late_penalty_cents",
        ),
    ],
)  # fmt: skip
def test_a_policy_that_is_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(SplitPolicyError, match=said):
        parse_split_policy(text)
