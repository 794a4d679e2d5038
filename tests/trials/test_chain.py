"""Many whole orders at once: decided from admission to split, verified, replayed, explained.

The orders are those of `chain_orders`, drawn from the simulated worlds with a seed that no model
has seen; the models are small and the policies those that ship.
"""

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import orjson
import pytest
from starlette.testclient import TestClient

from audit.reading import Record
from audit.split_facts import RecordedSplit, parse_split
from audit.verify import verify_store
from models.bundle import save_bundle
from models.domain import ModelRef
from models.split.policy import built_in_split_policy
from models.split.policy_store import save_split_policy
from models.split.request import split_kind
from service.answers import JsonObject
from service.app import create_app
from service.auth import Role
from service.live import SPLIT, Publication
from service.settings import Settings
from service.usecases.keys import create_key
from service.usecases.publish import publish
from service.usecases.records import find_decision, read_header, read_object
from service.usecases.replay import replay_sample
from service.wiring import Platform, open_platform
from tests.journeys.small_models import publish_built_in, train_bundle
from tests.trials.chain_orders import build_chain_orders

_SEED: Final = 20_260
# Forty orders of which some have no plan.
_SHORT_SEED: Final = 4
_CHAIN: Final = ("admission", "risk", SPLIT)
_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True)
class Chain:
    """One answered order.

    Parameters
    ----------
    order, said
        As posted, as answered.
    seconds
        From request to answer, among others at once.
    """

    order: JsonObject
    said: JsonObject
    seconds: float

    @property
    def decisions(self) -> list[JsonObject]:
        """The chain's decisions, in order."""
        return _objects(self.said["decisions"])


@pytest.mark.trial
def test_two_thousand_whole_orders_decide_verify_and_replay(settings: Settings) -> None:
    """Every chain is whole, every record verifies and replays, every warehouse has its reason."""
    _walk(settings, 2_000, _SEED)


def test_whole_orders_decide_verify_and_replay_in_short(settings: Settings) -> None:
    """The same with forty orders."""
    _walk(settings, 40, _SHORT_SEED)


def test_orders_come_again_by_their_seed_and_are_those_of_one_customer() -> None:
    orders = build_chain_orders(5, 3)
    assert orders == build_chain_orders(5, 3)
    assert orders != build_chain_orders(5, 4)
    assert len({str(order["order_id"]) for order in orders}) == 5
    for order in orders:
        destination = read_object(order["destination"])
        shipping = read_object(order["shipping"])
        assert shipping["country"] == destination["country"]
        assert 2 <= len(_objects(order["warehouses"])) <= 6


def _walk(settings: Settings, count: int, seed: int) -> None:
    with open_platform(settings) as platform:
        _publish(platform)
        key = create_key(platform, "oms", Role.OMS, "trial")[1]
    # As it is served: what is live is not read again for every order.
    served = settings.model_copy(update={"model_refresh_seconds": 1.0})
    client = TestClient(create_app(served), raise_server_exceptions=False)
    with client:
        platform = client.app.state.platform  # type: ignore[attr-defined]  # typed as ASGI
        # 1. Decide, some orders at once.
        chains = _decide(client, key, build_chain_orders(count, seed))
        assert len(chains) == count
        # 2. Each chain is whole, and each split of it explains what it left out.
        for chain in chains:
            _check_chain(chain)
        records = {kind: list(_records(platform, chains, kind)) for kind in _CHAIN}
        splits = {r.entry_id: parse_split(r.facts or b"") for r in records[SPLIT]}
        for chain in chains:
            _check_header_chain(platform, chain)
            if chain.decisions[-1]["kind"] == SPLIT:
                _check_split(chain, splits[str(chain.decisions[-1]["decision_id"])])
        _report(chains, records, list(splits.values()))
        # What was checked was there: orders with a plan and without, and warehouses left out.
        assert {one.verdict.plan is None for one in splits.values()} == {True, False}
        assert any(one.verdict.why_not for one in splits.values())
        # 3. All of it verifies and replays to the last bit.
        _check_proof(platform, sum(len(one) for one in records.values()))


def _publish(platform: Platform) -> None:
    for kind in ("admission", "risk"):
        publish_built_in(platform, kind)
    bundle = train_bundle(split_kind())
    save_bundle(platform.settings.bundles, bundle)
    policy = save_split_policy(platform.settings.policies, built_in_split_policy())
    model = ModelRef(SPLIT, "1", bundle.digest, "run")
    publish(platform, Publication(SPLIT, model, policy, bootstrap=True, actor="trial"))


def _decide(client: TestClient, key: str, orders: Sequence[JsonObject]) -> list[Chain]:
    headers = {"Authorization": f"Bearer {key}", "Accept-Language": "en"}

    def decide(order: JsonObject) -> Chain:
        started = time.perf_counter()
        answer = client.post("/v1/orders/decide", content=orjson.dumps(order), headers=headers)
        assert answer.status_code == 200, answer.text
        said = read_object(orjson.loads(answer.content))
        return Chain(order, said, time.perf_counter() - started)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(decide, orders))


def _check_chain(chain: Chain) -> None:
    """Hold an answer to the contract: kinds in order, parents, and why it ended."""
    decisions = chain.decisions
    kinds = [str(one["kind"]) for one in decisions]
    assert tuple(kinds) == _CHAIN[: len(kinds)]
    assert decisions[0]["parent_id"] is None
    for before, after in pairwise(decisions):
        assert after["parent_id"] == before["decision_id"]
        assert _leaf_index(after) == _leaf_index(before) + 1
    for one in decisions:
        assert one["chain_id"] == chain.said["chain_id"]
        assert one["order_id"] == chain.order["order_id"]
        assert one["warnings"] == []
        assert one["summary"]
    # It goes on exactly where a kind says yes: no policy that ships lets a review pass.
    went_on = [one["outcome"] for one in decisions[:-1]]
    assert went_on == ["accept", "pass"][: len(went_on)]
    stopped = None if len(kinds) == len(_CHAIN) else kinds[-1]
    assert chain.said["stopped_at"] == stopped
    assert chain.said["outcome"] == decisions[-1]["outcome"]


def _check_header_chain(platform: Platform, chain: Chain) -> None:
    """Hold the Merkle leaves themselves to chain and parent."""
    parent: str | None = None
    for one in chain.decisions:
        header = read_header(find_decision(platform, str(one["decision_id"])).leaf)
        assert (header["chain_id"], header.get("parent_id")) == (chain.said["chain_id"], parent)
        parent = str(one["decision_id"])


def _check_split(chain: Chain, recorded: RecordedSplit) -> None:
    """Every warehouse of the request ships or says why not, in both languages."""
    verdict = recorded.verdict
    asked = {str(house["warehouse_id"]) for house in _objects(chain.order["warehouses"])}
    assert asked == {house.warehouse_id for house in recorded.problem.warehouses}
    shipments = () if verdict.plan is None else verdict.plan.shipments
    shipping = {shipment.warehouse_id for shipment in shipments}
    assert sorted(why.warehouse_id for why in verdict.why_not) == sorted(asked - shipping)
    for why in verdict.why_not:
        assert why.finding.text.zh
        assert why.finding.text.en
    answered = {
        str(why["warehouse_id"]): str(why["text"])
        for why in _objects(chain.decisions[-1]["why_not"])
        if why["line_id"] is None
    }
    assert answered == {why.warehouse_id: why.finding.text.en for why in verdict.why_not}
    if verdict.plan is None:
        _check_conflict(chain, recorded)
    else:
        assert verdict.conflict is None
        assert shipping <= asked


def _check_conflict(chain: Chain, recorded: RecordedSplit) -> None:
    """Ask for lines and constraints that cannot be kept together where there is no plan."""
    conflict = recorded.verdict.conflict
    assert conflict is not None
    assert conflict.constraints
    assert set(conflict.lines) <= {line["line_id"] for line in _objects(chain.order["lines"])}
    assert conflict.finding.text.zh
    assert conflict.finding.text.en
    said = read_object(chain.decisions[-1]["conflict"])
    assert said["text"] == conflict.finding.text.en
    assert chain.said["outcome"] != "ship"


def _check_proof(platform: Platform, decisions: int) -> None:
    report = verify_store(platform.store, [platform.signer.verifier_key], platform.sealer)
    assert report.problems == ()
    started = time.perf_counter()
    replayed = replay_sample(platform, decisions + 1, 1, lambda _done, _all: None)
    rate = decisions / (time.perf_counter() - started)
    assert replayed == {"replayed": decisions, "identical": decisions, "differences": []}
    _print(f"{decisions} decisions replayed identically, {rate:.0f} a second")


def _records(platform: Platform, chains: Iterable[Chain], kind: str) -> Iterator[Record]:
    for chain in chains:
        for one in chain.decisions:
            if one["kind"] == kind:
                yield find_decision(platform, str(one["decision_id"]))


def _report(
    chains: Sequence[Chain],
    records: dict[str, list[Record]],
    splits: Sequence[RecordedSplit],
) -> None:
    _print(f"\n{len(chains)} whole orders, {_AT_ONCE} at once")
    _print(f"outcomes {dict(Counter(str(chain.said['outcome']) for chain in chains))}")
    stopped = Counter(str(chain.said["stopped_at"]) for chain in chains)
    _print(f"stopped at { ({k: round(n / len(chains), 3) for k, n in stopped.items()}) }")
    by_length: dict[int, list[float]] = defaultdict(list)
    for chain in chains:
        by_length[len(chain.decisions)].append(chain.seconds * 1e3)
    for length, taken in sorted({0: [c.seconds * 1e3 for c in chains], **by_length}.items()):
        named = "all" if length == 0 else f"{length} decisions"
        median, late = np.percentile(taken, [50, 95])
        _print(f"answer of {named}: p50 {median:.0f} ms, p95 {late:.0f} ms ({len(taken)})")
    for kind, found in records.items():
        if found:
            sizes = [[len(r.leaf), len(r.facts or b""), len(r.sealed or b"")] for r in found]
            leaf, facts, sealed = np.mean(sizes, axis=0)
            _print(
                f"{kind}: {leaf + facts + sealed:.0f} bytes a record "
                f"(leaf {leaf:.0f}, facts {facts:.0f}, sealed {sealed:.0f})"
            )
    verdicts = [one.verdict for one in splits]
    _print(f"splits: {dict(Counter(verdict.outcome for verdict in verdicts))}")
    _print(f"why not: {dict(Counter(w.finding.code for v in verdicts for w in v.why_not))}")
    without = [v.conflict.constraints for v in verdicts if v.conflict is not None]
    _print(f"conflicts: {dict(Counter(name for names in without for name in names))}")


def _leaf_index(decision: JsonObject) -> int:
    index = read_object(decision["receipt"])["leaf_index"]
    assert isinstance(index, int)
    return index


def _objects(value: object) -> list[JsonObject]:
    assert isinstance(value, list)
    return [read_object(one) for one in value]


def _print(text: str) -> None:
    sys.stderr.write(f"{text}\n")
