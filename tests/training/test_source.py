"""Sources say where their orders come from."""

from dataclasses import replace

from tests.training.kinds import shipments
from training.simulator import simulate
from training.source import source_of_simulation, source_of_table
from training.tabular import Table


def test_sources_say_where_orders_come_from() -> None:
    drawn = shipments(20)
    missing = {"Stock": {f"text {count}": count for count in range(9)}}
    table = Table([dict(o) for o in drawn.orders], drawn.labels, tuple(range(1, 21)), missing, 3)
    source = source_of_table(table, "table.csv")
    assert source.rows == tuple(range(1, 21))
    assert source.notes == {
        "missing in Stock": "'text 8' 8x, 'text 7' 7x, 'text 6' 6x, 'text 5' 5x, 'text 4' 4x",
        "rows without a label": "3",
    }
    complete = source_of_table(replace(table, missing={}, dropped=0), "table.csv")
    assert complete.notes == {}
    simulation = simulate("risk", 1000, 5)
    simulated = source_of_simulation(simulation, 5)
    assert simulated.name == "simulator, risk, seed 5"
    assert simulated.true_effects is simulation.true_effects
