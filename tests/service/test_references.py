"""In force means the latest entry of the log; look-ups are compiled once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from audit.errors import RecordMalformedError
from audit.records import Entry, EntryType
from models.errors import ReferenceCorruptError
from models.kind import Kind
from models.surroundings import ReferenceRef
from service import references as references_module
from service.errors import ReferenceMissingError, ReferenceNotFoundError
from service.reference_versions import Origin
from service.references import References, table_names
from service.settings import Settings
from service.usecases.references import load_version
from service.wiring import Platform, open_platform
from tests.service.listed import TABLES, listed_kind, publish_listed, table

START = datetime(2026, 3, 1, tzinfo=UTC)


class Calendar:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        return self.at


@pytest.fixture
def calendar() -> Calendar:
    return Calendar()


@pytest.fixture
def listing(settings: Settings, calendar: Calendar) -> Iterator[Platform]:
    with open_platform(settings, now=calendar.now) as opened:
        yield opened


@pytest.fixture
def kind(listing: Platform) -> Kind:
    return publish_listed(listing)


def load(platform: Platform, *countries: str, **changes: object) -> ReferenceRef:
    made = table(*countries, **changes)
    loading = load_version(platform, made, actor="test", origin=Origin.FILE)
    return loading.loaded.version.reference


def matched(references: References, kind: Kind, country: str) -> object:
    order = {"country": country}
    return (
        references.lookups(kind).find({**order, "placed_at": START}).context["destination_matched"]
    )


def test_a_published_kind_finds_the_built_in_tables(listing: Platform, kind: Kind) -> None:
    in_force = listing.references.in_force()
    assert tuple(in_force) == TABLES == table_names(kind)
    assert all(loaded.version.bootstrap for loaded in in_force.values())
    assert {loaded.version.origin for loaded in in_force.values()} == {Origin.BUILT_IN}
    assert matched(listing.references, kind, "XX") is True
    assert matched(listing.references, kind, "SG") is False
    with listing.store.reading() as reading:
        before = reading.tree_size()
    publish_listed(listing)
    with listing.store.reading() as reading:
        assert reading.tree_size() == before + 1


def test_the_latest_entry_is_in_force_at_once(listing: Platform, kind: Kind) -> None:
    pinned = listing.references.lookups(kind).references
    load(listing, "SG")
    assert matched(listing.references, kind, "SG") is True
    assert matched(listing.references, kind, "XX") is False
    then = listing.references.pinned(kind, pinned)
    assert then.references == pinned
    assert then.find({"country": "XX"}).context["destination_entry"] == "DST-001"


def test_the_log_is_asked_once_in_a_while(listing: Platform, kind: Kind) -> None:
    """Another process that loads a version is noticed after the refresh time."""
    seconds = [0.0]
    folder = listing.settings.references
    elsewhere = References(listing.store, folder, 10.0, lambda: seconds[0])
    assert matched(elsewhere, kind, "SG") is False
    load(listing, "SG")
    seconds[0] = 9.0
    assert matched(elsewhere, kind, "SG") is False
    seconds[0] = 11.0
    assert matched(elsewhere, kind, "SG") is True


def test_many_versions_are_read_page_by_page(
    listing: Platform, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references_module, "_PAGE", 2)
    last = [load(listing, f"A{number}") for number in range(5)][-1]
    fresh = References(listing.store, listing.settings.references, 0.0, lambda: 0.0)
    assert fresh.in_force()["sanctioned_destinations"].version.reference == last
    assert len(fresh.versions("sanctioned_destinations")) == 6
    assert matched(fresh, kind, "A4") is True


def test_a_list_of_another_day_is_asked(listing: Platform, kind: Kind, calendar: Calendar) -> None:
    """A version is in force from the time of its entry until the next one's."""
    first = listing.references.lookups(kind).references
    calendar.at = START + timedelta(days=1)
    load(listing, "SG")
    calendar.at = START + timedelta(days=2)
    load(listing, "US")

    def named(moment: datetime) -> list[str]:
        found = listing.references.as_of(kind, moment)
        contexts = {one: found.find({"country": one}).context for one in ("XX", "SG", "US")}
        return [one for one, context in contexts.items() if context["destination_matched"]]

    assert listing.references.as_of(kind, START).references == first
    assert named(START + timedelta(hours=23)) == ["XX"]
    assert named(START + timedelta(days=1)) == ["SG"]
    assert named(START + timedelta(days=9)) == ["US"]
    with pytest.raises(ReferenceNotFoundError, match="had no version at 2026-02-28") as refused:
        listing.references.as_of(kind, START - timedelta(seconds=1))
    assert "2026-03-01" in refused.value.remedy


def test_look_ups_are_compiled_once_and_leave_memory(
    listing: Platform, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    references = listing.references
    first = references.lookups(kind)
    assert references.lookups(kind) is first
    assert references.pinned(kind, first.references) is first
    other = listed_kind("other")
    assert references.lookups(other) is not first
    monkeypatch.setattr(references_module, "_KEPT_LOOKUPS", 1)
    assert references.lookups(listed_kind("third")).references == first.references
    assert len(references._lookups) == 1
    assert references.lookups(kind) is not first


def test_many_that_ask_at_once_compile_once(listing: Platform, kind: Kind) -> None:
    listing.references._lookups.clear()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: listing.references.lookups(kind), range(32)))
    assert {id(one) for one in found} == {id(found[0])}


def test_a_kind_without_look_ups_needs_no_table(platform: Platform) -> None:
    kind = platform.live.get("parcel").kind
    assert platform.references.lookups(kind).references == ()
    assert platform.references.in_force() == {}


def test_a_kind_is_not_published_without_its_tables(listing: Platform) -> None:
    lookup = {"name": "x", "table": "unheard_of", "inputs": ["country"], "keys": ["country"]}
    kind = listed_kind("listed", [lookup])
    with pytest.raises(ReferenceMissingError, match="unheard_of") as refused:
        publish_listed(listing, kind)
    assert "candor reference load" in refused.value.remedy
    assert listing.live.publications() == {}
    with pytest.raises(ReferenceMissingError, match="unheard_of"):
        listing.references.lookups(kind)


def test_versions_are_named_by_table_and_digest(listing: Platform, kind: Kind) -> None:
    references = listing.references
    name = "sanctioned_destinations"
    first = references.version(name).version
    second = load(listing, "SG")
    assert references.version(name).version.reference == second
    assert references.version(name, first.digest).version == first
    assert references.table(first.digest).rows[0].id == "DST-001"
    for wrong in (name, "unheard_of"):
        with pytest.raises(ReferenceNotFoundError):
            references.version(wrong, "sha256:../../keys")
    with pytest.raises(ReferenceCorruptError, match="is pinned to the table"):
        references.chosen(kind, _other_pins(references))


def _other_pins(references: References) -> dict[str, str]:
    pins = {name: loaded.version.digest for name, loaded in references.in_force().items()}
    return dict(zip(pins, reversed(list(pins.values())), strict=True))


def test_a_damaged_version_is_noticed(listing: Platform, kind: Kind) -> None:
    load(listing, "SG")
    for path in listing.settings.references.iterdir():
        path.write_bytes(path.read_bytes().replace(b"SG", b"SE"))
    fresh = References(listing.store, listing.settings.references, 0.0, lambda: 0.0)
    with pytest.raises(ReferenceCorruptError):
        fresh.lookups(kind)


def test_facts_of_something_else_are_no_version(listing: Platform, kind: Kind) -> None:
    entry = Entry("odd", EntryType.REFERENCE, START, {}, facts={"name": "x"})
    listing.writer.record_one(entry)
    with pytest.raises(RecordMalformedError, match="does not name a version"):
        listing.references.lookups(kind)
