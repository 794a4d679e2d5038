"""The triggers that keep the log's rows as they were written, for SQLite and PostgreSQL.

UPDATE and DELETE are refused on every table but the caps' counters, with three exceptions. An
erasure names its entries in `ErasingRow` for the time of its transaction and may take their keyed
hashes out of the look-up tables, nothing else. A purge names ranges of entries in `PurgingRow` and
may remove their parts and all that the look-up tables have of these. A release names entries that
are in the archive in `ReleasingRow` and may remove their facts and personal parts. On PostgreSQL
only the owner has the right to purge and to release.

An INSERT over an existing row is refused too (SQLite's INSERT OR REPLACE would delete without
firing a trigger; PostgreSQL's ON CONFLICT meets the trigger on UPDATE). The database itself refuses
a decision without features (a split: without order lines), model version, bundle or confidence.
Parts are inserted before their entry, so that the entry's trigger can see them.
"""

from typing import Final

from audit.tables import MAY_CHANGE, METADATA

# What makes a row the same row, for each table.
_SAME_ROW: Final = {
    "log_entry": "leaf_index = NEW.leaf_index OR entry_id = NEW.entry_id",
    "facts_part": "leaf_index = NEW.leaf_index",
    "personal_part": "leaf_index = NEW.leaf_index",
    "tree_node": "level = NEW.level AND node_index = NEW.node_index",
    "checkpoint": "tree_size = NEW.tree_size",
    "cosignature": "tree_size = NEW.tree_size AND witness = NEW.witness",
    "anchor": "tree_size = NEW.tree_size AND authority = NEW.authority",
    "entry_lookup": "leaf_index = NEW.leaf_index",
    "idempotency": "key_hash = NEW.key_hash",
}

_SQLITE_VOID: Final = """
CREATE TRIGGER IF NOT EXISTS log_entry_void_2 BEFORE INSERT ON log_entry
BEGIN
  SELECT RAISE(ABORT, 'void: the header is not JSON')
   WHERE NOT json_valid(CAST(NEW.leaf AS TEXT));
  SELECT RAISE(ABORT, 'void: the header lacks model version, bundle or confidence')
   WHERE json_extract(CAST(NEW.leaf AS TEXT), '$.type') = 'decision'
     AND NOT (
       COALESCE(json_extract(CAST(NEW.leaf AS TEXT), '$.model.version'), '') <> ''
       AND COALESCE(json_extract(CAST(NEW.leaf AS TEXT), '$.model.bundle'), '') <> ''
       AND COALESCE(json_type(CAST(NEW.leaf AS TEXT), '$.confidence'), '') IN ('real', 'integer'));
  SELECT RAISE(ABORT, 'void: the decision has no snapshot of features')
   WHERE json_extract(CAST(NEW.leaf AS TEXT), '$.type') = 'decision'
     AND NOT EXISTS (
       SELECT 1 FROM facts_part
        WHERE leaf_index = NEW.leaf_index
          AND CASE WHEN NOT json_valid(CAST(body AS TEXT)) THEN 0
            WHEN json_extract(CAST(body AS TEXT), '$.form') = 'split'
            THEN COALESCE(json_array_length(CAST(body AS TEXT), '$.problem.lines'), 0) > 0
            ELSE COALESCE(json_type(CAST(body AS TEXT), '$.features'), '') = 'object'
              AND json_extract(CAST(body AS TEXT), '$.features') <> '{}' END);
END
"""

_LOOKUP: Final = METADATA.tables["entry_lookup"]
# Columns that an erasure may empty; the others have to stay as they are.
_HASHES: Final[tuple[str, ...]] = _LOOKUP.info[MAY_CHANGE]
# Columns that follow from the facts, and leave with them.
FROM_FACTS: Final = ("outcome", "automated")
_IS_ERASING: Final = "EXISTS (SELECT 1 FROM erasing WHERE leaf_index = OLD.leaf_index)"
# Without COALESCE no range at all would be "unknown", which a trigger takes for allowed.
IN_PURGED_RANGE: Final = (
    "COALESCE((SELECT last_index FROM purging WHERE first_index <= {leaf_index} "
    "ORDER BY first_index DESC LIMIT 1), -1) >= {leaf_index}"
)
_IS_PURGING: Final = IN_PURGED_RANGE.format(leaf_index="OLD.leaf_index")


def _emptied(condition: str, emptied: tuple[str, ...]) -> str:
    kept = (column.name for column in _LOOKUP.columns if column.name not in emptied)
    rules = [f"NEW.{name} IS NULL" for name in emptied]
    rules += [f"NEW.{name} IS NOT DISTINCT FROM OLD.{name}" for name in kept]
    return " AND ".join([condition, *rules])


_EMPTIED: Final = (
    f"({_emptied(_IS_ERASING, _HASHES)}) OR ({_emptied(_IS_PURGING, (*_HASHES, *FROM_FACTS))})"
)
_IS_RELEASING: Final = "EXISTS (SELECT 1 FROM releasing WHERE leaf_index = OLD.leaf_index)"
_UNUSED: Final = f"{_IS_ERASING} OR {_IS_PURGING}"
_PART_LEAVES: Final = f"{_IS_PURGING} OR {_IS_RELEASING}"
# Changes that are allowed, and when.
_ALLOWED: Final = {
    ("entry_lookup", "UPDATE"): _EMPTIED,
    ("idempotency", "DELETE"): _UNUSED,
    ("facts_part", "DELETE"): _PART_LEAVES,
    ("personal_part", "DELETE"): _PART_LEAVES,
}

_POSTGRES_DELETE: Final = """
CREATE OR REPLACE FUNCTION candor_@TABLE@_delete() RETURNS trigger
LANGUAGE plpgsql AS $guard$
BEGIN
  IF @ALLOWED@ THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'immutable: @TABLE@'
    USING ERRCODE = 'integrity_constraint_violation';
END
$guard$;
"""
_DELETES: Final = {table: when for (table, change), when in _ALLOWED.items() if change == "DELETE"}
# The same rules in PL/pgSQL. It cannot take apart JSON that holds U+0000, though that is JSON; what
# the rules ask does not depend on it, so another character stands in.
_POSTGRES_FUNCTIONS: Final = (
    """
CREATE OR REPLACE FUNCTION candor_immutable() RETURNS trigger LANGUAGE plpgsql AS $guard$
BEGIN
  RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation',
    MESSAGE = 'immutable: ' || TG_TABLE_NAME;
END
$guard$;

CREATE OR REPLACE FUNCTION candor_entry_lookup_update() RETURNS trigger
LANGUAGE plpgsql AS $guard$
BEGIN
  IF @EMPTIED@ THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'immutable: entry_lookup'
    USING ERRCODE = 'integrity_constraint_violation';
END
$guard$;

CREATE OR REPLACE FUNCTION candor_parse_json(body bytea) RETURNS json
LANGUAGE plpgsql IMMUTABLE AS $guard$
BEGIN
  RETURN replace(convert_from(body, 'UTF8'), '\\u0000', '\\ufffd')::json;
EXCEPTION WHEN data_exception THEN
  RETURN NULL;
END
$guard$;

CREATE OR REPLACE FUNCTION candor_log_entry_void() RETURNS trigger LANGUAGE plpgsql AS $guard$
DECLARE
  header json := candor_parse_json(NEW.leaf);
  facts json;
  snapshot json;
BEGIN
  IF header IS NULL THEN
    RAISE EXCEPTION 'void: the header is not JSON'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF json_typeof(header) <> 'object' OR header->>'type' IS DISTINCT FROM 'decision' THEN
    RETURN NEW;
  END IF;
  IF coalesce(header->'model'->>'version', '') = ''
     OR coalesce(header->'model'->>'bundle', '') = ''
     OR coalesce(json_typeof(header->'confidence'), '') <> 'number' THEN
    RAISE EXCEPTION 'void: the header lacks model version, bundle or confidence'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  SELECT candor_parse_json(body) INTO facts FROM facts_part
   WHERE leaf_index = NEW.leaf_index AND month = NEW.month;
  IF facts->>'form' = 'split' THEN
    snapshot := facts->'problem'->'lines';
    IF json_typeof(snapshot) = 'array' AND json_array_length(snapshot) > 0 THEN
      RETURN NEW;
    END IF;
  ELSE
    snapshot := facts->'features';
    IF json_typeof(snapshot) = 'object' AND EXISTS (SELECT 1 FROM json_object_keys(snapshot)) THEN
      RETURN NEW;
    END IF;
  END IF;
  RAISE EXCEPTION 'void: the decision has no snapshot of features'
    USING ERRCODE = 'integrity_constraint_violation';
END
$guard$;
""".replace("@EMPTIED@", _EMPTIED)
    + "".join(
        _POSTGRES_DELETE.replace("@TABLE@", table).replace("@ALLOWED@", when)
        for table, when in _DELETES.items()
    )
)
_FUNCTIONS: Final = (
    "candor_immutable()",
    "candor_entry_lookup_update()",
    *(f"candor_{table}_delete()" for table in _DELETES),
    "candor_parse_json(bytea)",
    "candor_log_entry_void()",
)
_VOID_GUARD: Final = "log_entry_void"
PARTITIONED_TABLES: Final = ("facts_part", "personal_part")
_IMMUTABLE: Final = "candor_immutable"
_POSTGRES_CHANGES: Final = {"update": "ROW", "delete": "ROW", "truncate": "STATEMENT"}
GUARDED_TABLES: Final = tuple(_SAME_ROW)


def sqlite_triggers() -> list[str]:
    """Return the SQLite statements that make the tables append-only."""
    # A store made before there were splits has a trigger that refuses them.
    statements = ["DROP TRIGGER IF EXISTS log_entry_void", _SQLITE_VOID]
    for table, same_row in _SAME_ROW.items():
        refuse = f"SELECT RAISE(ABORT, 'immutable: {table}')"
        for change in ("UPDATE", "DELETE"):
            allowed = _ALLOWED.get((table, change))
            when = "" if allowed is None else f"WHEN NOT ({allowed}) "
            statements.append(
                f"CREATE TRIGGER IF NOT EXISTS {table}_no_{change.lower()} "
                f"BEFORE {change} ON {table} {when}BEGIN {refuse}; END"
            )
        exists = f"EXISTS (SELECT 1 FROM {table} WHERE {same_row})"  # noqa: S608 - constants of this module
        statements.append(
            f"CREATE TRIGGER IF NOT EXISTS {table}_no_replace BEFORE INSERT ON {table} "
            f"WHEN {exists} BEGIN {refuse}; END"
        )
    return statements


def guard_names() -> list[tuple[str, str]]:
    """Return table and name of all triggers that a PostgreSQL database must have, switched on.

    A partition's own are in `partition_guard_names`.
    """
    changes = [
        (table, f"{table}_no_{change}") for table in GUARDED_TABLES for change in _POSTGRES_CHANGES
    ]
    return [("log_entry", _VOID_GUARD), *changes]


def partition_guard_names(table: str, partition: str) -> list[tuple[str, str]]:
    """Return partition and name of the triggers that a partition must have, switched on."""
    copied = [(partition, f"{table}_no_{change}") for change in ("update", "delete")]
    return [*copied, (partition, f"{partition}_no_truncate")]


def partition_guards(partition: str) -> list[str]:
    """Return the statements that guard a new partition; guards of rows it has from its table.

    Parameters
    ----------
    partition
        Its name.
    """
    return _trigger(f"{partition}_no_truncate", partition, "TRUNCATE", "STATEMENT", _IMMUTABLE)


def postgres_guards(schema: str) -> list[str]:
    """Return the PostgreSQL statements that make the tables append-only.

    Parameters
    ----------
    schema
        Where the tables are, quoted.
    """
    # Without a path of their own, a session's temporary table could stand in for a real one.
    paths = [f"ALTER FUNCTION {name} SET search_path = {schema}, pg_temp" for name in _FUNCTIONS]
    triggers = [(_VOID_GUARD, "log_entry", "INSERT", "ROW", "candor_log_entry_void")]
    triggers += [
        (f"{table}_no_{change}", table, change.upper(), each, _function(table, change))
        for table in GUARDED_TABLES
        for change, each in _POSTGRES_CHANGES.items()
    ]
    statements = [_POSTGRES_FUNCTIONS, *paths]
    for trigger in triggers:
        statements += _trigger(*trigger)
    return statements


def _trigger(name: str, table: str, change: str, each: str, function: str) -> list[str]:
    return [
        (
            f"CREATE OR REPLACE TRIGGER {name} BEFORE {change} ON {table} "
            f"FOR EACH {each} EXECUTE FUNCTION {function}()"
        ),
        # Always: also where a replication role would switch triggers off.
        f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}",
    ]


def _function(table: str, change: str) -> str:
    if (table, change.upper()) not in _ALLOWED:
        return _IMMUTABLE
    return f"candor_{table}_{change}"
