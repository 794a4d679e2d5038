"""A PostgreSQL server for tests, with the two database users that a real one has."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from audit.months import months_from
from audit.ownership import prepare_database
from service.state import METADATA

OWNER, SERVICE, ADMIN = "candor_owner", "candor", "postgres"
_TEMPLATE = "candor_template"
_START_SECONDS = 60.0

_RECOVERY_SECONDS = 60.0


def find_programs() -> Path | None:
    """Return the folder of PostgreSQL's programs: of the newest version that Debian has, or PATH's.

    Debian keeps initdb and postgres out of PATH.
    """
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = str(versions[-1]) if versions else shutil.which("initdb")
    return None if found is None else Path(found).parent


def as_postgres(folder: Path) -> list[str]:
    """Return how a program that refuses to run as root is started; it then owns the folder."""
    if os.geteuid() != 0:
        return []
    for path in (folder, *folder.iterdir()):
        shutil.chown(path, "postgres", "postgres")
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


class PostgresServer:
    """A server in a folder of its own, reached through a socket in it.

    Parameters
    ----------
    programs
        See `find_programs`.
    """

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="candor-pg-"))
        self._numbers = count()
        self._process: subprocess.Popen[bytes] | None = None
        self._as = as_postgres(self.folder)
        options = ["-A", "trust", "-U", ADMIN, "-E", "UTF8", "--locale=C", "--no-sync"]
        self._run("initdb", "-D", str(self.data), *options)

    @property
    def data(self) -> Path:
        """Return the data directory."""
        return self.folder / "data"

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as, str(self._programs / program), *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        where = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={self.folder}"]
        sizes = ["-c", "max_connections=60", "-c", "shared_buffers=32MB"]
        command = [*self._as, str(self._programs / "postgres"), "-D", str(self.data)]
        give_up_at = time.monotonic() + _START_SECONDS
        with (self.folder / "log").open("ab") as log:
            while not self._is_up():
                assert time.monotonic() < give_up_at, (self.folder / "log").read_text()
                # It refuses to start while a child of a killed postmaster still has the memory.
                if self._process is None or self._process.poll() is not None:
                    self._process = subprocess.Popen(
                        [*command, *where, *sizes], cwd=self.folder, stdout=log, stderr=log
                    )
                time.sleep(0.05)

    def _is_up(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            return False
        try:
            self.admin("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def kill(self) -> None:
        """Kill the postmaster as a power cut would; its children end when they see it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def kill_backend(self) -> bool:
        """Kill one backend that a service uses; False when there is none at the moment."""
        query = "SELECT pid FROM pg_stat_activity WHERE usename = %s ORDER BY state LIMIT 1"
        # After a kill the server takes its time to recover.
        give_up_at = time.monotonic() + _RECOVERY_SECONDS
        while not self._is_up() and time.monotonic() < give_up_at:
            time.sleep(0.05)
        with self.admin("postgres") as connection:
            row = connection.execute(query, (SERVICE,)).fetchone()
        if row is None:
            return False
        os.kill(row[0], signal.SIGKILL)
        return True

    def stop(self) -> None:
        """Stop it and remove its folder."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()
        shutil.rmtree(self.folder)

    def admin(self, database: str) -> "psycopg.Connection[Any]":
        """Connect as superuser, each statement a transaction of its own."""
        return self.connect(database, ADMIN)

    def connect(self, database: str, user: str) -> "psycopg.Connection[Any]":
        """Connect as anybody, each statement a transaction of its own."""
        where = f"host={self.folder} dbname={database} user={user}"
        return psycopg.connect(where, autocommit=True)

    def url(self, database: str, user: str = SERVICE) -> str:
        """Return the SQLAlchemy URL of a database."""
        return f"postgresql+psycopg://{user}@/{database}?host={self.folder}"

    def make_users(self) -> None:
        """Make the two users, and the database that others are copies of."""
        with self.admin("postgres") as connection:
            connection.execute(f"CREATE ROLE {OWNER} LOGIN")
            connection.execute(f"CREATE ROLE {SERVICE} LOGIN")
            connection.execute(f"CREATE DATABASE {_TEMPLATE} OWNER {OWNER}")
        months = months_from(datetime(2026, 1, 1, tzinfo=UTC), 2)
        prepare_database(self.url(_TEMPLATE, OWNER), SERVICE, [METADATA], months)

    def make_database(self, *, prepared: bool = True, template: str = "") -> str:
        """Return the name of a new database: with our schema, empty, or a copy of another."""
        name = f"candor_{next(self._numbers)}"
        template = template or (_TEMPLATE if prepared else "template1")
        statement = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}")
        names = (sql.Identifier(one) for one in (name, OWNER, template))
        with self.admin("postgres") as connection:
            connection.execute(statement.format(*names))
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""
        with self.admin("postgres") as connection:
            statement = sql.SQL("DROP DATABASE {} WITH (FORCE)")
            connection.execute(statement.format(sql.Identifier(name)))


def running_server() -> Iterator[PostgresServer]:
    """Yield a server; skips where PostgreSQL is not installed."""
    programs = find_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (apt install postgresql)")
    server = PostgresServer(programs)
    try:
        server.start()
        server.make_users()
        yield server
    finally:
        server.stop()
