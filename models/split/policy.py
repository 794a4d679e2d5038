"""How a plan's costs are weighed, and how long the optimiser may look: data, not code."""

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from models.sentences import Part, Slug
from models.split.errors import SplitPolicyError

Percent = Annotated[int, Field(ge=0, le=10_000)]
Cents = Annotated[int, Field(ge=0, le=10_000_000)]
NEUTRAL_PERCENT = 100


class SplitPolicy(Part):
    """Weights and limits of the split.

    Parameters
    ----------
    late_penalty_cents
        What one late line costs, before the weights of tier and channel.
    split_penalty_cents
        For each parcel after the first.
    tier_percent, channel_percent
        Weight of the late penalty by customer tier, and by channel (its margin); 100 is neutral
        and holds for those not listed.
    turnover_cents_per_100_days
        Per piece, for taking it where it sells 100 days faster than at the slowest warehouse.
    turnover_days_cap
        Longer turnovers count as this long.
    max_parcels
        Where the order itself says nothing.
    review_late_at
        A plan with a parcel at least so likely to be late is reviewed; 0 to 1.
    node_limit, time_limit_seconds
        Of each solve. The first is deterministic; the second is the last resort.
    """

    name: Slug
    version: str
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    late_penalty_cents: Cents
    split_penalty_cents: Cents
    tier_percent: dict[str, Percent] = Field(default_factory=dict)
    channel_percent: dict[str, Percent] = Field(default_factory=dict)
    turnover_cents_per_100_days: Cents = 0
    turnover_days_cap: Annotated[int, Field(ge=0, le=3650)] = 365
    max_parcels: Annotated[int, Field(ge=1, le=100)] = 5
    review_late_at: Annotated[float, Field(ge=0, le=1)] = 1.0
    node_limit: Annotated[int, Field(ge=1)] = 20_000
    time_limit_seconds: Annotated[float, Field(gt=0, le=600)] = 5.0

    def tier_weight(self, tier: str | None) -> int:
        """Return the late penalty's weight for a customer tier, percent."""
        return self.tier_percent.get(tier or "", NEUTRAL_PERCENT)

    def channel_weight(self, channel: str | None) -> int:
        """Return the late penalty's weight for a channel, percent."""
        return self.channel_percent.get(channel or "", NEUTRAL_PERCENT)


def parse_split_policy(text: str) -> SplitPolicy:
    r"""Read a policy from TOML.

    Raises
    ------
    SplitPolicyError
        When it is not TOML or not a split policy.

    Examples
    --------
    >>> parse_split_policy(
    ...     'name = "s"\nversion = "1"\ncurrency = "CNY"\n'
    ...     "late_penalty_cents = 10\nsplit_penalty_cents = 5"
    ... ).tier_weight("vip")
    100
    """
    try:
        return SplitPolicy.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SplitPolicyError(str(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SplitPolicyError(f"{place}: {first['msg']}") from error


def built_in_split_policy() -> SplitPolicy:
    """Return the policy that ships with Candor.

    Examples
    --------
    >>> built_in_split_policy().name
    'split'
    """
    return parse_split_policy(_BUILT_IN.read_text(encoding="utf-8"))


_BUILT_IN = Path(__file__).parent / "policy.toml"
