"""Training a model, and publishing a kind's first version.

Only `candor train` imports this module: it brings in everything that trains, which the serving
process never loads.
"""

from dataclasses import dataclass
from pathlib import Path

from models.domain import Json, ModelRef, PolicyRef
from models.errors import KindFileError
from models.kind import Kind, built_in_kind
from models.split.policy import built_in_split_policy
from models.split.policy_store import save_split_policy
from models.split.request import split_kind
from service.answers import JsonObject
from service.live import SPLIT, Publication
from service.usecases.publish import publish
from service.wiring import Platform
from training.dataset import Progress
from training.pipeline import TrainingResult, run, source_of_simulation, source_of_table
from training.registry import mirror_alias
from training.simulator import simulate
from training.source import Source
from training.tabular import read_orders


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained model, and whether it decides from now on.

    Parameters
    ----------
    kind
        Name of the kind.
    result
        What the pipeline made.
    published
        True for a kind's first version that passed its gates.
    """

    kind: str
    result: TrainingResult
    published: bool

    def describe(self) -> JsonObject:
        """Return what `candor train --json` prints."""
        metrics: dict[str, Json] = {**self.result.metrics}
        return {
            "name": self.kind,
            "version": self.result.version,
            "bundle": self.result.bundle.digest,
            "metrics": metrics,
            "published": self.published,
            "failed_gates": [gate.name for gate in self.result.failed_gates()],
        }


def simulated(kind_name: str, orders: int, seed: int) -> tuple[Kind, Source]:
    """Return a built-in kind and simulated orders of it.

    Raises
    ------
    KindFileError, SimulationError
        When there is no such kind or world.
    """
    # The split is the one kind with code of its own, and its file lies beside that code.
    kind = split_kind() if kind_name == SPLIT else built_in_kind(kind_name)
    return kind, source_of_simulation(simulate(kind_name, orders, seed), seed)


def tabled(kind: Kind, csv: Path) -> Source:
    """Return the labelled orders of a CSV file.

    Raises
    ------
    TableError
        When the file is not the table that the kind describes.
    """
    return source_of_table(read_orders(kind, csv), csv.name)


def train(
    platform: Platform,
    kind: Kind,
    source: Source,
    *,
    seed: int,
    actor: str,
    on_progress: Progress,
) -> Trained:
    """Train a model of a kind; publish it when it is the kind's first and passed its gates.

    Parameters
    ----------
    kind, source, seed
        See `training.pipeline.run`.
    actor
        Who trains.
    on_progress
        Told the step's name and the part of it that is done.

    Raises
    ------
    TrainingError
        When the orders, the labels or the kind do not allow it.
    KindFileError
        When an outside node serves the kind.
    StoreUnavailableError
        When the publication could not be recorded.
    """
    if kind.node is not None:
        raise KindFileError(
            f"the kind {kind.name} has a [node]: `candor outside publish` serves it"
        )
    var = platform.settings.var
    result = run(kind, source, seed=seed, var=var, now=platform.now, on_progress=on_progress)
    is_first = kind.name not in platform.live.publications()
    if result.failed_gates() or not is_first:
        return Trained(kind.name, result, published=False)
    # The log makes it live; the registry's alias only mirrors the log.
    model = ModelRef(kind.name, result.version, result.bundle.digest, result.run_id)
    policy = first_policy(platform, kind, result.policy)
    publish(platform, Publication(kind.name, model, policy, bootstrap=True, actor=actor))
    mirror_alias(var, kind.name, result.version)
    return Trained(kind.name, result, published=True)


def first_policy(platform: Platform, kind: Kind, trained: PolicyRef) -> PolicyRef:
    """Return the policy that a kind's first model is published with.

    Parameters
    ----------
    trained
        The kind's own policy, as training saved it. A split is weighed by a policy of its own
        form instead; the rules in its kind stay in the bundle.
    """
    if kind.name == SPLIT:
        return save_split_policy(platform.settings.policies, built_in_split_policy())
    return trained
