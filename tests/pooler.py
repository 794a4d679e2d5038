"""A pgbouncer in transaction mode in front of the tests' PostgreSQL."""

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.postgres import SERVICE, PostgresServer, as_postgres

# Fewer than the clients of a test, so that one after the other gets another's connection.
POOL_SIZE = 2
_ADMIN = "postgres"
_START_SECONDS = 30.0


def find_pooler() -> str | None:
    """Return the program; Debian keeps it out of a user's PATH."""
    return shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


class Pooler:
    """A pooler in a folder of its own, reached through a socket in it.

    Parameters
    ----------
    program
        See `find_pooler`.
    server
        What it stands in front of.
    """

    def __init__(self, program: str, server: PostgresServer) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="candor-pool-"))
        (self._folder / "users.txt").write_text(f'"{SERVICE}" ""\n"{_ADMIN}" ""\n')
        settings = {
            "listen_addr": "",
            "listen_port": "6432",
            "unix_socket_dir": self._folder,
            "auth_type": "trust",
            "auth_file": self._folder / "users.txt",
            "admin_users": _ADMIN,
            "pool_mode": "transaction",
            "default_pool_size": POOL_SIZE,
            "max_client_conn": "200",
        }
        lines = [f"{name} = {value}" for name, value in settings.items()]
        databases = f"[databases]\n* = host={server.folder}\n"
        (self._folder / "pgbouncer.ini").write_text(
            f"{databases}[pgbouncer]\n" + "\n".join(lines) + "\n"
        )
        as_user = as_postgres(self._folder)
        with (self._folder / "log").open("wb") as log:
            command = [*as_user, program, str(self._folder / "pgbouncer.ini")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self._wait()

    def _wait(self) -> None:
        give_up_at = time.monotonic() + _START_SECONDS
        while True:
            try:
                self.ask("SHOW VERSION")
            except psycopg.OperationalError:
                assert time.monotonic() < give_up_at, (self._folder / "log").read_text()
                assert self._process.poll() is None, (self._folder / "log").read_text()
                time.sleep(0.05)
            else:
                return

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database, through the pooler."""
        return f"postgresql+psycopg://{SERVICE}@:6432/{database}?host={self._folder}"

    def ask(self, command: str) -> list[dict[str, str]]:
        """Ask its console, such as ``SHOW POOLS``."""
        where = f"host={self._folder} port=6432 dbname=pgbouncer user={_ADMIN}"
        with psycopg.connect(where, autocommit=True) as connection:
            # The console speaks the simple protocol alone.
            cursor = psycopg.ClientCursor(connection)
            rows = cursor.execute(command.encode()).fetchall()
            names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, map(str, row), strict=True)) for row in rows]

    def stop(self) -> None:
        """Stop it and remove its folder."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()
        shutil.rmtree(self._folder)


def running_pooler(server: PostgresServer) -> Iterator[Pooler]:
    """Yield a pooler; skips where pgbouncer is not installed."""
    program = find_pooler()
    if program is None:
        pytest.skip("pgbouncer is not installed (apt install pgbouncer)")
    pooler = Pooler(program, server)
    try:
        yield pooler
    finally:
        pooler.stop()
