"""The simulator: repeatable, valid orders whose truth adds up."""

import numpy as np
import numpy.typing as npt
import orjson
import pytest

from models.features import Extractor
from models.order import OrderSchema
from models.split.pairs import PAIR_FIELDS, build_pair_values, build_pairs
from models.split.request import order_schema, read_problem
from tests.training.kinds import simulated_kind
from training.errors import SimulationError
from training.simulation import admission, risk, split
from training.simulation.calendar import DAYS, draw_moments
from training.simulation.mechanism import Mechanism, Pair, expected_auc, ramp
from training.simulation.truth import explanation_truth
from training.simulator import Simulation, simulate

KINDS = ("admission", "risk", "split")
FEW = 3_000


@pytest.fixture(scope="module", params=KINDS)
def simulation(request: pytest.FixtureRequest) -> Simulation:
    return simulate(str(request.param), FEW, seed=11)


def snapshots(simulation: Simulation) -> dict[str, list[object]]:
    """Return each feature's and context value's column."""
    kind = simulated_kind(simulation.kind)
    schema, extractor = OrderSchema(kind), Extractor(kind)
    columns: dict[str, list[object]] = {}
    for order in simulation.orders:
        snapshot = extractor.snapshot(schema.parse(orjson.dumps(order)).values)
        for name, value in {**snapshot.context, **snapshot.features}.items():
            columns.setdefault(name, []).append(value)
    return columns


def test_same_seed_gives_the_same_orders_and_another_seed_gives_others() -> None:
    first, again, other = (simulate("risk", 300, seed) for seed in (5, 5, 6))
    assert orjson.dumps(first.orders) == orjson.dumps(again.orders)
    assert first.labels.tolist() == again.labels.tolist()
    assert orjson.dumps(first.orders) != orjson.dumps(other.orders)


def test_every_order_is_what_the_kind_asks_for(simulation: Simulation) -> None:
    """No simulated order is refused and none has a field that the kind does not know."""
    schema = OrderSchema(simulated_kind(simulation.kind))
    for order in simulation.orders:
        assert schema.parse(orjson.dumps(order)).unknown_fields == ()


def test_orders_come_in_time_order_over_eighteen_months(simulation: Simulation) -> None:
    placed = [str(order["placed_at"]) for order in simulation.orders]
    assert placed == sorted(placed)
    assert placed[0] < "2024-09-10"
    assert placed[-1] > "2026-02-20"


def test_drivers_are_the_reason_groups_of_the_kind(simulation: Simulation) -> None:
    groups = {group.name for group in simulated_kind(simulation.kind).groups}
    assert set(simulation.drivers) == groups
    assert set(simulation.true_effects) == groups


def test_base_rates_are_realistic_and_the_best_auc_leaves_doubt() -> None:
    ranges = (("admission", 0.15, 0.25), ("risk", 0.05, 0.10), ("split", 0.12, 0.22))
    for name, low, high in ranges:
        simulation = simulate(name, 20_000, seed=3)
        assert low <= simulation.labels.mean() <= high
        assert 0.85 < simulation.bayes_auc <= 0.92


def test_policy_thresholds_catch_enough_orders() -> None:
    for name, least in (("admission", 0.06), ("risk", 0.02), ("split", 0.03)):
        simulation = simulate(name, 20_000, seed=4)
        policy = simulated_kind(name).policy
        assert (simulation.true_probability >= policy.adverse_at).mean() >= least


def test_hard_rules_fire_seldom(simulation: Simulation) -> None:
    columns = snapshots(simulation)
    for rule in simulated_kind(simulation.kind).policy.rules:
        conditions = rule.conditions()
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        fired = [all(c.holds(row) for c in conditions) for row in rows]
        assert sum(fired) < 0.02 * len(rows)


def test_labels_follow_the_true_probability(simulation: Simulation) -> None:
    """The number of adverse orders lies within five standard deviations of its expectation."""
    p = simulation.true_probability
    surprise = (simulation.labels.sum() - p.sum()) / np.sqrt((p * (1 - p)).sum())
    assert abs(surprise) < 5


def test_no_feature_alone_gives_the_label_away(simulation: Simulation) -> None:
    """No single column ranks labels better than 0.8: nothing was made from the label."""
    labels = simulation.labels.astype(np.float64)
    for name, column in snapshots(simulation).items():
        if any(isinstance(value, str) for value in column):
            continue
        values = np.array([np.nan if value is None else value for value in column], dtype=float)
        score = np.nan_to_num(values, nan=-1.0)
        ranked = np.searchsorted(np.sort(score), score, "left") + np.searchsorted(
            np.sort(score), score, "right"
        )
        adverse = ranked[labels == 1].mean() / (2 * len(labels))
        fine = ranked[labels == 0].mean() / (2 * len(labels))
        assert abs(adverse - fine) < 0.3, name


def mechanism_of(kind: str, seed: int) -> Mechanism:
    """Return how 2,000 orders of a kind come to fail."""
    random = np.random.default_rng(seed)
    moments = draw_moments(random, 2_000)
    if kind == "admission":
        return admission.mechanism(admission.draw_signals(random, moments))
    if kind == "risk":
        return risk.mechanism(risk.draw_signals(random, moments))
    return split.mechanism(split.draw_signals(random, moments))


@pytest.mark.parametrize("kind", KINDS)
def test_effects_add_up_to_the_log_odds(kind: str) -> None:
    """Shapley values are efficient: over all drivers they sum to the log-odds less its mean."""
    truth = mechanism_of(kind, seed=8)
    shown = truth.log_odds()
    summed = np.sum(list(truth.effects().values()), axis=0)
    assert np.abs(summed - (shown - shown.mean())).max() < 1e-9
    assert truth.pairs


def test_effects_are_the_shapley_values_of_the_definition() -> None:
    """The closed form equals the mean marginal contribution over all orders of joining."""
    random = np.random.default_rng(2)
    a, b, c = random.random((3, 6))
    truth = Mechanism(
        0.5,
        {"a": a, "b": 2 * b, "c": -c},
        (Pair("a", "b", 3.0, a, b), Pair("b", "c", 1.0, b, c)),
        0.0,
    )

    def value(row: int, known: frozenset[str]) -> float:
        x, y, z = (
            np.full(6, values[row]) if name in known else values
            for name, values in (("a", a), ("b", b), ("c", c))
        )
        return float(np.mean(0.5 + x + 2 * y - z + 3 * x * y + y * z))

    joining = [("a", "b", "c"), ("a", "c", "b"), ("b", "a", "c")]
    joining += [("b", "c", "a"), ("c", "a", "b"), ("c", "b", "a")]
    for row in range(6):
        for name in "abc":
            gains = [
                value(row, frozenset(order[: order.index(name) + 1]))
                - value(row, frozenset(order[: order.index(name)]))
                for order in joining
            ]
            assert truth.effects()[name][row] == pytest.approx(np.mean(gains), abs=1e-12)


def test_mechanism_is_not_additive(simulation: Simulation) -> None:
    """Interactions move the true log-odds of many orders."""
    truth = mechanism_of(simulation.kind, seed=1)
    together = sum(pair.weight * pair.left * pair.right for pair in truth.pairs)
    assert (np.asarray(together) > 0.2).mean() > 0.02


def test_drivers_are_correlated(simulation: Simulation) -> None:
    names = {
        "admission": ("warehouse", "carrier"),
        "risk": ("device_reuse", "ip_reuse"),
        "split": ("warehouse", "carrier"),
    }
    first, second = (simulation.true_effects[name] for name in names[simulation.kind])
    assert np.corrcoef(first, second)[0, 1] > 0.05


def test_histories_agree_with_each_other() -> None:
    """A customer's next order quotes the order before as its newest."""
    seen: dict[str, int] = {}
    quoted = 0
    for order in simulate("admission", FEW, seed=9).orders:
        customer, lines = order["customer"], order["lines"]
        assert isinstance(customer, dict)
        assert isinstance(lines, list)
        recent, name = customer["recent_orders"], str(customer["customer_id"])
        assert isinstance(recent, list)
        if name in seen:
            newest = recent[0]
            assert isinstance(newest, dict)
            assert newest["ordered_pieces"] == seen[name]
            quoted += 1
        quantities = [line["quantity"] for line in lines if isinstance(line, dict)]
        seen[name] = sum(q for q in quantities if isinstance(q, int))
    assert quoted > FEW / 3


def test_ring_orders_share_devices() -> None:
    orders = simulate("risk", FEW, seed=9).orders
    devices = [str(order["device"]["device_id"]) for order in orders]  # type: ignore[index,call-overload]  # a device is an object
    counts = {device: devices.count(device) for device in set(devices) if "-R" in device}
    assert max(counts.values()) >= 2


def test_a_leg_shows_what_the_split_computes_of_a_candidate() -> None:
    """Every leg has the document that the split's own code makes of a candidate, field by field."""
    kind = simulated_kind("split")
    problem = read_problem(order_schema(kind).parse(kind.examples[0].order.encode()).values)
    document = build_pair_values(problem, build_pairs(problem)[0])["pair"]
    assert isinstance(document, dict)
    for leg in simulate("split", 200, seed=2).orders:
        pair = leg["pair"]
        assert isinstance(pair, dict)
        assert set(pair) == set(PAIR_FIELDS) == set(document)
        for name, value in pair.items():
            if value is not None and document[name] is not None:
                assert isinstance(value, (bool, str)) == isinstance(document[name], (bool, str))


def test_legs_are_as_the_mechanism_needs_them() -> None:
    """Vans serve windows to the minute, cold goods alone show the cold equipment's load."""
    pairs = [leg["pair"] for leg in simulate("split", FEW, seed=2).orders]
    rows = [pair for pair in pairs if isinstance(pair, dict)]
    assert all((r["cold_equipment_load"] is not None) == r["needs_cold_chain"] for r in rows)
    exact = [
        r
        for r in rows
        if r["carrier"] == "own-fleet" and 0 <= float(str(r["promise_slack_hours"])) < 0.6
    ]
    assert len(exact) > 0.03 * FEW
    assert all(float(str(r["distance_km"])) <= 200 for r in rows if r["carrier"] == "own-fleet")
    late_loads = [r for r in rows if r["forklift_load"] is None]
    assert 0.02 * FEW < len(late_loads) < 0.1 * FEW


def test_unknown_worlds_and_tiny_samples_are_refused() -> None:
    with pytest.raises(SimulationError, match="no simulated world for 'returns'"):
        simulate("returns", 1_000, seed=1)
    with pytest.raises(SimulationError, match="at least 100"):
        simulate("risk", 99, seed=1)


def test_moments_have_festivals_and_minutes() -> None:
    moments = draw_moments(np.random.default_rng(1), 50_000)
    by_day = np.bincount(moments.days, minlength=DAYS)
    singles_day = int(
        (np.datetime64("2025-11-11") - np.datetime64("2024-09-01"))
        .astype("timedelta64[D]")
        .astype(int)
    )
    assert by_day[singles_day] > 1.5 * np.median(by_day)
    assert 0 <= moments.hours.min() < moments.hours.max() < 24


def test_expected_auc_equals_the_auc_of_many_labels() -> None:
    random = np.random.default_rng(4)
    p = random.beta(0.6, 2.0, 400)
    drawn = []
    for _ in range(300):
        labels = random.random(400) < p
        drawn.append(np.mean(p[labels][:, None] > p[~labels]))
    assert expected_auc(p, p) == pytest.approx(np.mean(drawn), abs=0.01)


def test_noise_is_integrated_out() -> None:
    shown = np.array([-3.0, 0.0, 2.0])
    truth = Mechanism(0.0, {"a": shown}, (), 0.8)
    noise = np.random.default_rng(1).normal(0.0, 0.8, 400_000)
    expected = [float(np.mean(1 / (1 + np.exp(-(value + noise))))) for value in shown]
    assert truth.probability() == pytest.approx(expected, abs=2e-3)


def test_ramp_reads_missing_as_nothing() -> None:
    values: npt.NDArray[np.float64] = np.array([np.nan, 1.0, 5.0])
    assert ramp(values, 1.0, 5.0).tolist() == [0.0, 0.0, 1.0]


def test_truth_table_counts_what_it_says() -> None:
    table = explanation_truth(
        ("a", "b", "c", "d"),
        [[0.4, 0.3, 0.2, 0.1], [0.1, 0.9, 0.3, 0.2]],
        [[0.0, 0.0, 0.0, 2.0], [0.1, 2.0, -1.0, 0.0]],
    )
    assert (table.orders, table.strongest_in_top_3) == (2, 0.5)
    assert (table.top_is_true, table.top_is_strongest) == (0.5, 0.5)
    assert [(d.driver, d.strongest) for d in table.drivers if d.strongest] == [("b", 1), ("d", 1)]
    figures = table.figures()
    assert figures["strongest_in_top_3"] == 0.5
    assert orjson.loads(orjson.dumps(figures)) == figures
    assert "first reason is a true driver: 50.0%" in table.text()


@pytest.mark.parametrize(
    ("said", "true"),
    [([[1.0, 2.0]], [[1.0]]), ([1.0], [1.0]), ([[1.0, 2.0]], [[1.0, 2.0]])],
    ids=["other shape", "not a table", "other drivers"],
)
def test_truth_table_refuses_what_does_not_fit(said: object, true: object) -> None:
    with pytest.raises(ValueError, match=r"drivers|shapes"):
        explanation_truth(("a",), np.array(said), np.array(true))
