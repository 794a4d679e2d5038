"""What a model learns from: labelled orders, wherever they come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.domain import Json
from training.simulator import Simulation
from training.tabular import Table

Labels = npt.NDArray[np.int8]
_TEXTS_NOTED = 5


@dataclass(frozen=True, slots=True)
class Source:
    """Labelled orders to learn from.

    Parameters
    ----------
    name
        Where they come from: a file name, or the simulator and its seed.
    orders
        JSON-able orders as a caller would post them.
    labels
        1 where the adverse event happened, shape ``(n_orders,)``.
    rows
        What to call each order in an error; None for 1, 2, 3, …
    true_effects
        For simulated orders: reason group to each order's true effect in log-odds.
    notes
        What the card should say of the data, name to text.
    """

    name: str
    orders: Sequence[Mapping[str, Json]]
    labels: Labels
    rows: tuple[int, ...] | None = None
    true_effects: Mapping[str, npt.NDArray[np.float64]] | None = None
    notes: Mapping[str, str] | None = None


def source_of_table(table: Table, name: str) -> Source:
    """Return a CSV's orders as a source; the card tells what was read as missing.

    Parameters
    ----------
    table
        From `training.tabular.read_orders`.
    name
        What to call it: the file's name.
    """
    notes = {
        f"missing in {column}": ", ".join(f"{text!r} {count}x" for text, count in texts.items())
        for column, texts in (
            (column, dict(sorted(counts.items(), key=lambda item: -item[1])[:_TEXTS_NOTED]))
            for column, counts in table.missing.items()
        )
    }
    if table.dropped:
        notes["rows without a label"] = str(table.dropped)
    return Source(name, table.orders, table.labels, rows=table.rows, notes=notes)


def source_of_simulation(simulation: Simulation, seed: int) -> Source:
    """Return simulated orders as a source, with their true effects.

    Parameters
    ----------
    simulation
        From `training.simulator.simulate`.
    seed
        It was drawn with.
    """
    return Source(
        f"simulator, {simulation.kind}, seed {seed}",
        simulation.orders,
        simulation.labels,
        true_effects=simulation.true_effects,
        notes={"best possible AUC": f"{simulation.bayes_auc:.4f}"},
    )
