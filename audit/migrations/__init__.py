"""The schema's history: `run` upgrades a database, `versions` holds one file per revision.

Revisions are run by `audit.schema` in a transaction of its own, on SQLite and PostgreSQL alike; no
alembic.ini and no env.py are needed.
"""

__all__ = ["run", "versions"]
