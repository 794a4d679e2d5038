"""Which model is live: the latest publication of its kind in the log, and nothing else.

The log is asked for newer publications at most once in a while; bundles and policies come from
disk by digest, are checked there, and stay in memory.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from audit.errors import RecordMalformedError
from audit.records import EntryType
from audit.store import Store
from models.bundle import load_bundle, load_policy
from models.decide import LoadedModel, load_model
from models.domain import ModelRef, PolicyRef
from models.kind import built_in_names
from service.errors import KindNotFoundError, NoLiveModelError

_PAGE: Final = 1000
_KEPT_MODELS: Final = 32


@dataclass(frozen=True, slots=True)
class Publication:
    """What a publication entry says: from here on this model decides this kind.

    Parameters
    ----------
    kind
        Name of the kind.
    model, policy
        What decides.
    bootstrap
        Whether it was the kind's first version, published without a second pair of eyes.
    actor
        Who published.
    """

    kind: str
    model: ModelRef
    policy: PolicyRef
    bootstrap: bool
    actor: str


_PUBLICATION: Final = TypeAdapter(Publication)


class Shelf:
    """Models by bundle and policy, read from disk once and kept while in use.

    Parameters
    ----------
    bundles, policies
        Folders.
    """

    def __init__(self, bundles: Path, policies: Path) -> None:
        self._bundles = bundles
        self._policies = policies
        self._models: OrderedDict[tuple[ModelRef, PolicyRef], LoadedModel] = OrderedDict()
        self._lock = threading.Lock()

    def load(self, model: ModelRef, policy: PolicyRef) -> LoadedModel:
        """Return a model ready to decide.

        Raises
        ------
        BundleCorruptError, ScorerError, InvariantError, KindFileError
            When its files are missing, altered or not for this version.
        """
        with self._lock:
            loaded = self._models.pop((model, policy), None)
            if loaded is None:
                loaded = load_model(
                    load_bundle(self._bundles, model.bundle),
                    model,
                    load_policy(self._policies, policy.digest),
                    policy,
                )
            self._models[model, policy] = loaded
            while len(self._models) > _KEPT_MODELS:
                self._models.popitem(last=False)
            return loaded


class LiveModels:
    """The live model of each kind.

    Parameters
    ----------
    store
        Whose publications count.
    shelf
        Where models come from.
    refresh_seconds
        How old the knowledge of publications may be.
    clock
        Seconds, rising.
    """

    def __init__(
        self, store: Store, shelf: Shelf, refresh_seconds: float, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._shelf = shelf
        self._refresh_seconds = refresh_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._published: dict[str, Publication] = {}
        self._seen = -1
        self._refresh_at = float("-inf")

    def publications(self) -> dict[str, Publication]:
        """Return the latest publication of each kind that has one.

        Raises
        ------
        StoreUnavailableError
            When the log cannot be read.
        RecordMalformedError
            When a publication is not one.
        """
        with self._lock:
            if self._clock() >= self._refresh_at:
                self._refresh()
                self._refresh_at = self._clock() + self._refresh_seconds
            return dict(self._published)

    def names(self) -> list[str]:
        """Return the kinds that there are: built in or published."""
        return sorted({*built_in_names(), *self.publications()})

    def get(self, kind: str) -> LoadedModel:
        """Return the live model of a kind.

        Raises
        ------
        KindNotFoundError, NoLiveModelError
            When there is no such kind, or none of its models is live.
        BundleCorruptError, ScorerError
            When the live model cannot be loaded.
        """
        publication = self.publications().get(kind)
        if publication is not None:
            return self._shelf.load(publication.model, publication.policy)
        if kind in built_in_names():
            raise NoLiveModelError(f"no model of the kind {kind} is live")
        raise KindNotFoundError("there is no such kind")

    def _refresh(self) -> None:
        while True:
            with self._store.reading() as reading:
                found = reading.found_after(self._seen, [EntryType.PUBLICATION], _PAGE)
                records = [reading.record_at(item.leaf_index) for item in found]
            for record in records:
                publication = parse_publication(record.facts or b"")
                self._published[publication.kind] = publication
                self._seen = record.leaf_index
            if len(found) < _PAGE:
                return


def parse_publication(facts: bytes) -> Publication:
    """Read the facts of a publication entry.

    Raises
    ------
    RecordMalformedError
        When they are not one's.
    """
    try:
        return _PUBLICATION.validate_json(facts)
    except ValidationError as error:
        raise RecordMalformedError("a publication entry does not hold a publication") from error
