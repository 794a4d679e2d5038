"""Checking an evidence bundle: with the very file that bundles carry, and by replaying it.

The copy of `verify.py` that runs is ours and not the bundle's, in a Python of its own that sees no
installed package. A replay takes models, policies and tables from the bundle alone.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from audit.records import EntryType, parse_personal
from audit.replay import Replay
from audit.store import Record
from models.content_store import is_kept
from models.domain import Json, Language
from models.kind import Kind
from models.lookup import Lookups
from models.reference import ReferencePins
from models.surroundings import ReferenceRef
from reports.errors import BundleUnreadableError
from reports.verifier.artefacts import FOLDERS
from reports.verifier.assembly import assemble_verifier
from reports.verifier.container import Container
from reports.verifier.findings import CheckError
from reports.verifier.parts import IndexedLines, cut_facts
from reports.verifier.statement import Scope, parse_manifest
from service.answers import JsonObject
from service.artefacts import Artefacts
from service.live import Shelf
from service.references import table_names
from service.usecases.records import read_header
from service.usecases.replay import MOST_DIFFERENCES, list_differences, replay_from

_FOLDERS = ("bundles", "policies", "kinds", "references")


def run_verifier(
    bundle: Path, keys: Sequence[str], witnesses: Sequence[str], *, as_json: bool
) -> tuple[int, str]:
    """Run `verify.py` on a bundle.

    Parameters
    ----------
    bundle
        A zip file or its unpacked folder.
    keys
        Verifier keys known from elsewhere.
    witnesses
        Verifier keys of witnesses, known from elsewhere.
    as_json
        Whether it prints JSON instead of text.

    Returns
    -------
    tuple
        Its exit code and what it printed.
    """
    given = [part for key in keys for part in ("--key", key)]
    given += [part for key in witnesses for part in ("--witness", key)]
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "verify.py"
        script.write_bytes(assemble_verifier())
        done = subprocess.run(
            [sys.executable, "-I", "-S", script, *given, *(["--json"] if as_json else []), bundle],
            stdout=subprocess.PIPE,
            encoding="utf-8",
            check=False,
        )
    return done.returncode, done.stdout


def replay_bundle(
    bundle: Path, on_progress: Callable[[int, int], None], language: Language = "en"
) -> JsonObject:
    """Make every decision of a verified bundle again from what the bundle holds.

    Parameters
    ----------
    bundle
        A zip file or its unpacked folder; `run_verifier` found no fault in it.
    on_progress
        Told how many of how many are done.
    language
        Of the causes.

    Returns
    -------
    JsonObject
        `replayed`, `identical`, and at most 100 `differences`, ten of one decision.

    Raises
    ------
    BundleUnreadableError
        When it does not hold what a replay reads.
    """
    replayed = identical = 0
    differences: list[Json] = []
    try:
        with closing(Container(bundle)) as container, tempfile.TemporaryDirectory() as folder:
            var = Path(folder)
            _unpack(container, var)
            scope = parse_manifest(container.read("manifest.json"))
            folders = Artefacts(*(var / name for name in _FOLDERS))
            shelf = Shelf(folders.bundles, folders.policies, folders.kinds)
            lookups = _lookups_of(folders.references)

            def replay_one(record: Record, order: bytes | None) -> Replay:
                return replay_from(record, shelf, folders, lambda _record: order, lookups)

            for record, order in _decisions(container, scope):
                again = partial(replay_one, record, order)
                found = list_differences(record.entry_id, again, language)
                replayed, identical = replayed + 1, identical + (not found)
                differences += found[: MOST_DIFFERENCES - len(differences)]
                on_progress(record.leaf_index + 1 - scope.begin, scope.end - scope.begin)
    except (CheckError, OSError, KeyError, ValueError) as error:
        raise BundleUnreadableError(f"the bundle cannot be replayed: {error}") from error
    return {"replayed": replayed, "identical": identical, "differences": differences}


def _unpack(container: Container, var: Path) -> None:
    # Names were checked by the container: none of them leads out of the folder.
    for name in container.sizes:
        if name.partition("/")[0] in FOLDERS:
            path = var / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.writelines(container.chunks(name))


def _decisions(container: Container, scope: Scope) -> Iterator[tuple[Record, bytes | None]]:
    facts = IndexedLines(container.lines("facts.jsonl"))
    personal = IndexedLines(container.lines("personal.jsonl")) if scope.is_personal else None
    for index, leaf in enumerate(container.lines("headers.jsonl"), start=scope.begin):
        found, opened = facts.take(index), personal.take(index) if personal else None
        header = read_header(leaf)
        if found is None or header.get("type") != EntryType.DECISION:
            continue
        plain = opened[1].get("plain") if opened else None
        order = None if plain is None else parse_personal(str(plain).encode()).order
        content = cut_facts(found[0], index)
        yield Record(index, str(header.get("id")), leaf, content, None, scope.end), order


def _lookups_of(folder: Path) -> Callable[[Kind, tuple[ReferenceRef, ...]], Lookups | None]:
    compiled: dict[tuple[int, tuple[tuple[str, str], ...]], tuple[Kind, Lookups]] = {}

    def load(kind: Kind, references: tuple[ReferenceRef, ...]) -> Lookups | None:
        named = {one.name: one.digest for one in references}
        names = table_names(kind)
        if not all(name in named and is_kept(folder, named[name]) for name in names):
            return None
        pins = tuple((name, named[name]) for name in names)
        key = (id(kind), pins)
        if key not in compiled:
            # The kind is kept with its look-ups, so no other kind gets its id.
            compiled[key] = (kind, Lookups(kind, ReferencePins(dict(pins)).load(folder)))
        return compiled[key][1]

    return load
