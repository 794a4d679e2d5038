"""The main path on real shipments and real transactions, from the CSV to the replay.

Each kind is trained by `candor train`; then a real service decides rows that the model has not
seen, over HTTP, and what it recorded is replayed and verified. The same in two sizes: the trial
holds the models to the reference figures on all rows, the short form runs with every test.
"""

import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import orjson
import pytest

from models.domain import Json
from models.invariants import ADDITIVITY_TOLERANCE
from models.kind import Kind, load_kind
from service.answers import JsonObject
from service.cli.child import find_free_port, running, wait_until
from service.cli.client import Client
from service.usecases.records import read_object
from tests.trials.public_data import scms_csv, write_ucsd_csv
from training.dataset import build_dataset, split_parts
from training.evaluate import weighted_auc
from training.pipeline import source_of_table
from training.tabular import read_orders

_SEED: Final = 1
_UCSD_ROWS: Final = 89_000
_READY_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Case:
    """A kind, its table, and what is asked of the model.

    Parameters
    ----------
    kind
        From ``kinds/``.
    csv
        The labelled table.
    auc, logloss
        At least and at most, on the whole held-out part.
    answers
        How many held-out rows are sent to the service.
    """

    kind: Kind
    csv: Path
    auc: float
    logloss: float
    answers: int


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Rows that the model has not seen, as a caller would post them."""

    orders: tuple[JsonObject, ...]
    labels: tuple[int, ...]


@pytest.mark.trial
def test_real_data_is_learned_decided_and_replayed(tmp_path: Path) -> None:
    """Both models reach the published references; 2,000 of their decisions replay and verify."""
    ucsd = tmp_path / "ucsd.csv"
    write_ucsd_csv(ucsd, _UCSD_ROWS)
    _walk(
        tmp_path / "var",
        Case(_kind("scms_late_delivery"), scms_csv(), auc=0.812, logloss=0.324, answers=1_000),
        Case(_kind("ucsd_fraud"), ucsd, auc=0.950, logloss=0.034, answers=1_000),
    )


def test_the_path_holds_on_real_data_in_short(tmp_path: Path) -> None:
    """The same path with one kind: learned, decided with reasons, replayed, verified."""
    kind = _kind("scms_late_delivery")
    _walk(tmp_path / "var", Case(kind, scms_csv(), auc=0.812, logloss=0.324, answers=40))


def _kind(name: str) -> Kind:
    return load_kind(_kind_file(name))


def _kind_file(name: str) -> Path:
    return Path(__file__).parent / "kinds" / f"{name}.toml"


def _walk(var: Path, *cases: Case) -> None:
    # 1. Train each kind; its first version that passes its gates is published.
    for case in cases:
        _check_trained(case, _candor("train", var, *_training_arguments(case)))
    # 2. Let a real service decide rows that the models have not seen.
    key = str(_candor("key", var, "create", "--name", "oms", "--role", "oms")["key"])
    with _serving(var) as client:
        for case in cases:
            _check_answers(case, client, key)
    # 3. Replay and verify what it recorded.
    total = sum(case.answers for case in cases)
    replayed = _candor("replay", var, "--sample", str(total))
    assert replayed == {"replayed": total, "identical": total, "differences": []}
    verified = _candor("verify", var)
    assert verified["ok"] is True, verified["problems"]
    assert verified["tree_size"] >= total  # type: ignore[operator]  # the contract says: a number


def _training_arguments(case: Case) -> tuple[str, ...]:
    kind = _kind_file(case.kind.name)
    return "--kind", str(kind), "--csv", str(case.csv), "--seed", str(_SEED)


def _candor(command: str, var: Path, *arguments: str) -> JsonObject:
    """Run a command of the CLI and return the one JSON object that it prints."""
    # `key` has subcommands, and options come after them.
    called = [sys.executable, "-m", "service.cli", command, *arguments]
    done = subprocess.run(
        [*called, "--var", str(var), "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return read_object(orjson.loads(done.stdout))


def _check_trained(case: Case, trained: JsonObject) -> None:
    assert (trained["name"], trained["version"]) == (case.kind.name, "1")
    assert trained["published"] is True
    metrics = read_object(trained["metrics"])
    auc, logloss = _number(metrics["auc"]), _number(metrics["logloss"])
    sys.stderr.write(f"\n{case.kind.name}: AUC {auc:.4f}, logloss {logloss:.4f}\n")
    assert auc >= case.auc
    assert logloss <= case.logloss


@contextmanager
def _serving(var: Path) -> Iterator[Client]:
    client = Client("127.0.0.1", find_free_port("127.0.0.1"))
    log = var / "service.log"
    command = [sys.executable, "-m", "service.cli", "serve", "--var", str(var)]
    with running([*command, "--host", client.host, "--port", str(client.port)], log) as child:
        wait_until(client.is_ready, child, log, _READY_SECONDS)
        yield client


def _held_out(case: Case) -> HeldOut:
    """Draw rows of the test part, which the same seed gives as in training."""
    table = read_orders(case.kind, case.csv)
    dataset = build_dataset(case.kind, source_of_table(table, case.csv.name))
    test = split_parts(dataset, _SEED).test
    drawn = np.random.default_rng(_SEED).permutation(test)[: case.answers]
    return HeldOut(
        tuple(table.orders[row] for row in drawn), tuple(int(table.labels[row]) for row in drawn)
    )


def _check_answers(case: Case, client: Client, key: str) -> None:
    held_out = _held_out(case)
    assert len(held_out.orders) == case.answers
    path = f"/v1/decisions/{case.kind.name}"
    answers = [client.post(path, key, order) for order in held_out.orders]
    for answer in answers:
        _check_answer(case.kind, answer)
    outcomes = [str(answer["outcome"]) for answer in answers]
    sys.stderr.write(f"{case.kind.name}: {_counts(outcomes)}\n")
    if len(set(held_out.labels)) > 1:
        assert _auc(answers, held_out.labels) > 0.5


def _check_answer(kind: Kind, answer: JsonObject) -> None:
    """Hold one answer to the contract: outcome, reasons in words, numbers that add up, receipt."""
    codes = {kind.outcomes.favourable.code, kind.outcomes.review.code, kind.outcomes.adverse.code}
    assert answer["outcome"] in codes
    assert answer["summary"]
    assert not answer["warnings"]
    reasons, counter_reasons = answer["reasons"], answer["counter_reasons"]
    assert isinstance(reasons, list)
    assert isinstance(counter_reasons, list)
    assert reasons
    for reason in map(read_object, [*reasons, *counter_reasons]):
        assert reason["text"]
        assert 0.0 <= _number(reason["share"]) <= 1.0
    attributions = read_object(answer["attributions"])
    values = [_number(value) for value in read_object(attributions["values"]).values()]
    total = _number(attributions["base_value"]) + math.fsum(values)
    assert abs(total - _number(attributions["margin"])) <= ADDITIVITY_TOLERANCE
    assert read_object(answer["receipt"])["proof"]


def _auc(answers: Sequence[JsonObject], labels: Sequence[int]) -> float:
    margins = [_number(read_object(answer["attributions"])["margin"]) for answer in answers]
    whole = np.ones((1, len(labels)))
    return float(weighted_auc(np.array(margins), np.array(labels, dtype=np.int8), whole)[0])


def _counts(outcomes: Sequence[str]) -> str:
    return ", ".join(f"{code} {outcomes.count(code)}" for code in sorted(set(outcomes)))


def _number(value: Json) -> float:
    assert isinstance(value, (int, float))
    return float(value)
