"""The history that is attacked: it holds every form, and nothing is wrong with it."""

import pytest

from audit.records import EntryType
from tests.attacks.history import Copy

pytestmark = pytest.mark.xdist_group("attacks")


@pytest.mark.both_databases
def test_the_history_holds_every_form_and_verifies(target: Copy) -> None:
    """Without this a verification that always alarms would pass for a good one."""
    report = target.verify()
    assert report.problems == ()
    assert report.erased == 3
    types = {row[0] for row in target.rows("SELECT DISTINCT entry_type FROM entry_lookup")}
    assert types >= {
        *(EntryType.DECISION, EntryType.OVERRIDE, EntryType.OUTCOME, EntryType.PUBLICATION),
        *(EntryType.ERASURE, EntryType.HOLD, EntryType.LOG_KEY_ROTATED, EntryType.EXPORT),
        *(EntryType.KEY_CREATED, EntryType.KEY_REVOKED),
    }
    kinds = {row[0] for row in target.rows("SELECT DISTINCT kind FROM entry_lookup")}
    assert kinds >= {"admission", "risk", "split", "parcel"}
    tables = ["cap_counter", "cosignature", "idempotency", "api_key", "tree_node", "checkpoint"]
    for table in tables:
        assert target.rows(f"SELECT count(*) FROM {table}") != [(0,)], table  # noqa: S608 - names above
