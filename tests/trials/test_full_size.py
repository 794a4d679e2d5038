"""The simulator at full size: explanations against the truth, calibration, replay of ten thousand.

The models are those that `candor train` makes by default; the orders are of another seed, so
neither the model nor its calibration has seen any of them.
"""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import orjson
import pytest

from models.bundle import load_bundle
from models.decide import LoadedModel, build_case, decide_cases, load_model
from models.decision import Decision
from models.kind import built_in_kind
from models.lookup import Lookups
from models.reasons import ReasonCatalogue
from models.reference import built_in_references
from service.answers import JsonObject
from service.settings import Settings
from service.usecases.records import read_object
from service.wiring import open_platform
from tests.journeys.service_process import Service, candor, serving
from training.simulation.truth import explanation_truth
from training.simulator import Simulation, simulate

pytestmark = pytest.mark.trial
_KINDS = ("admission", "risk")
_OTHER_SEED = 4711
_REFUSED = 2_000
_TRUTH_ORDERS = {"admission": 30_000, "risk": 60_000}
_CALIBRATION_ORDERS = 20_000
_BAND = 2.5758293035489004
_PER_KIND = 5_000


@pytest.fixture(scope="module")
def trained_var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    var = tmp_path_factory.mktemp("full") / "var"
    for kind in _KINDS:
        _print(_candor("train", kind, "--var", str(var)))
    return var


@pytest.mark.parametrize("kind", _KINDS)
def test_explanations_name_the_true_drivers(trained_var: Path, kind: str) -> None:
    """Of 2,000 refused orders, 95 % show the strongest true driver, 90 % lead with a true one."""
    model, simulation, decisions = _decide(trained_var, kind, _TRUTH_ORDERS[kind])
    adverse = model.kind.outcomes.adverse.code
    refused = [n for n, d in enumerate(decisions) if d.verdict.outcome == adverse][:_REFUSED]
    assert len(refused) == _REFUSED
    catalogue = ReasonCatalogue(model.kind)
    groups = [
        catalogue.group_contributions(decisions[n].verdict.attributions.values) for n in refused
    ]
    truth = explanation_truth(
        simulation.drivers,
        [[row[driver] for driver in simulation.drivers] for row in groups],
        np.stack([simulation.true_effects[d][refused] for d in simulation.drivers], axis=1),
    )
    _print(f"{kind}: Bayes AUC {simulation.bayes_auc:.4f}")
    _print(truth.text())
    assert simulation.bayes_auc <= 0.92
    assert truth.strongest_in_top_3 >= 0.95
    assert truth.top_is_true >= 0.90


@pytest.mark.parametrize("kind", _KINDS)
def test_probabilities_are_frequencies(trained_var: Path, kind: str) -> None:
    """On the last months of unseen orders the ECE is small and at most one decile is off."""
    _, simulation, decisions = _decide(trained_var, kind, _CALIBRATION_ORDERS * 2)
    probabilities = np.array([d.verdict.probability for d in decisions])[-_CALIBRATION_ORDERS:]
    labels = simulation.labels[-_CALIBRATION_ORDERS:]
    margins = np.array([d.verdict.attributions.margin for d in decisions])[-_CALIBRATION_ORDERS:]
    error, outside = 0.0, 0
    for part in np.array_split(np.argsort(margins, kind="stable"), 10):
        mean, seen = probabilities[part].mean(), labels[part].mean()
        band = _BAND * np.sqrt(mean * (1 - mean) / len(part))
        outside += bool(abs(seen - mean) > band)
        error += abs(seen - mean) * len(part) / len(labels)
        _print(f"{kind}: {mean:.4f} {seen:.4f} band {band:.4f}")
    _print(f"{kind}: ECE {error:.4f}, {outside} of 10 deciles outside")
    assert error <= 0.02
    assert outside <= 1


def test_ten_thousand_decisions_replay_identically(trained_var: Path) -> None:
    """Half scored singly and half in batches; every value of every replay is the recorded one."""
    key = str(
        _candor("key", "create", "--name", "t", "--role", "oms", "--var", str(trained_var))["key"]
    )
    started = time.monotonic()
    with serving(trained_var) as service:
        for kind in _KINDS:
            orders = [orjson.dumps(o) for o in simulate(kind, _PER_KIND, _OTHER_SEED).orders]
            half = _PER_KIND // 2
            for order in orders[:half]:
                assert _post(service, f"/v1/decisions/{kind}", key, order, "application/json")
            lines = _post(
                service,
                f"/v1/decisions/{kind}/batch",
                key,
                b"\n".join(orders[half:]) + b"\n",
                "application/x-ndjson",
            ).splitlines()
            assert len(lines) == half
            assert all("outcome" in orjson.loads(line) for line in lines)
    _print(f"10,000 decisions in {time.monotonic() - started:.0f} s")
    replayed = _candor("replay", "--sample", "10000", "--var", str(trained_var))
    assert replayed == {"replayed": 10_000, "identical": 10_000, "differences": []}
    assert _candor("verify", "--var", str(trained_var))["ok"] is True


def _decide(var: Path, name: str, orders: int) -> tuple[LoadedModel, Simulation, list[Decision]]:
    with open_platform(Settings(var=var)) as platform:
        live = platform.live.publications()[name]
        policy = built_in_kind(name).policy
        bundle = load_bundle(platform.settings.bundles, live.model.bundle)
    model = load_model(bundle, live.model, policy, live.policy)
    simulation = simulate(name, orders, _OTHER_SEED)
    lookups = Lookups(model.kind, built_in_references())
    parsed = [model.schema.parse(orjson.dumps(order)) for order in simulation.orders]
    cases = [build_case(model, order, lookups) for order in parsed]
    return model, simulation, decide_cases(model, cases, time.perf_counter, time.perf_counter())


def _post(service: Service, path: str, key: str, body: bytes, content_type: str) -> bytes:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": content_type}
    status, answer = service.call("POST", path, body, headers=headers)
    assert status == 200, answer
    return answer


def _candor(*arguments: str) -> JsonObject:
    done = subprocess.run(candor(*arguments, "--json"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return read_object(orjson.loads(done.stdout))


def _print(text: object) -> None:
    sys.stderr.write(f"{text}\n")
