"""The log through pgbouncer in transaction mode; more of it wherever the marker `pooled` stands."""

from pathlib import Path

from tests.audit.test_postgres import check_replicas
from tests.databases import SampleDatabase
from tests.pooler import POOL_SIZE, Pooler
from tests.postgres import PostgresServer


def test_replicas_behind_one_pooler_write_one_history(
    tmp_path: Path, postgres_server: PostgresServer, pooler: Pooler
) -> None:
    """Behind pgbouncer in transaction mode, fewer server connections than writers: one history."""
    database = SampleDatabase(tmp_path, postgres_server, pooler=pooler)
    check_replicas(database, 3, 60, 40)
    pools = [pool for pool in pooler.ask("SHOW POOLS") if pool["database"] == database.name]
    assert [pool["pool_mode"] for pool in pools] == ["transaction"]
    servers = [one for one in pooler.ask("SHOW SERVERS") if one["database"] == database.name]
    assert 0 < len(servers) <= POOL_SIZE
    database.close()
