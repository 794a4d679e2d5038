"""Which model is live: the latest publication of its kind in the log, and nothing else.

The log is asked for newer publications at most once in a while; bundles and policies come from
disk by digest, are checked there, and stay in memory.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

from pydantic import TypeAdapter, ValidationError

from audit.errors import RecordMalformedError
from audit.records import EntryType
from audit.store import Store
from models.bundle import Bundle, load_bundle, load_policy
from models.content_store import is_kept
from models.decide import LoadedModel, load_model
from models.domain import ModelRef, PolicyRef
from models.kind import Kind, built_in_names
from models.kind_store import load_stored_kind
from models.outside import OutsideModel, load_outside
from models.split.errors import SplitPolicyError
from models.split.policy import SplitPolicy
from models.split.policy_store import load_split_policy
from models.split.request import order_schema
from service.errors import KindNotFoundError, NoLiveModelError

SPLIT: Final = "split"
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
_Ready: TypeAlias = tuple[LoadedModel, SplitPolicy | None]


class Shelf:
    """Models by bundle and policy, read from disk once and kept while in use.

    Parameters
    ----------
    bundles, policies, kinds
        Folders.
    """

    def __init__(self, bundles: Path, policies: Path, kinds: Path) -> None:
        self._bundles = bundles
        self._policies = policies
        self._kinds = kinds
        self._models: OrderedDict[tuple[ModelRef, PolicyRef], _Ready] = OrderedDict()
        self._outside: OrderedDict[tuple[str, PolicyRef], OutsideModel] = OrderedDict()
        self._lock = threading.Lock()

    def load(self, model: ModelRef, policy: PolicyRef) -> LoadedModel:
        """Return a model ready to decide.

        Raises
        ------
        BundleCorruptError, ScorerError, InvariantError, KindFileError, PolicyError
            When its files are missing, altered or not for this version.
        SplitPolicyError
            When the policy of a split is another sort of policy.
        """
        return self._ready(model, policy)[0]

    def load_split(self, model: ModelRef, policy: PolicyRef) -> tuple[LoadedModel, SplitPolicy]:
        """Return the split's model of lateness and the weights that go with it.

        Raises
        ------
        SplitPolicyError
            When the model is of another kind.
        BundleCorruptError, ScorerError, InvariantError, KindFileError, PolicyError
            See `load`.
        """
        loaded, weights = self._ready(model, policy)
        if weights is None:
            raise SplitPolicyError(f"the model {model.name} is of a kind without a split policy")
        return loaded, weights

    def is_outside(self, model: ModelRef) -> bool:
        """Tell whether a model is an outside node's: its digest names a kind and no bundle."""
        return is_kept(self._kinds, model.bundle)

    def load_outside(self, model: ModelRef, policy: PolicyRef) -> OutsideModel:
        """Return what an outside node's answers are read and decided with.

        Raises
        ------
        BundleCorruptError, KindFileError, PolicyError
            When its files are missing, altered or not for this version.
        """
        place = (model.bundle, policy)
        with self._lock:
            ready = self._outside.pop(place, None)
            if ready is None:
                kind = load_stored_kind(self._kinds, model.bundle)
                rules = load_policy(self._policies, policy.digest)
                ready = load_outside(kind, model.bundle, rules, policy)
            self._outside[place] = ready
            while len(self._outside) > _KEPT_MODELS:
                self._outside.popitem(last=False)
            return ready

    def load_kind(self, model: ModelRef, policy: PolicyRef) -> Kind:
        """Return the kind of a model of any form.

        Raises
        ------
        PlatformError
            See `load` and `load_outside`.
        """
        load = self.load_outside if self.is_outside(model) else self.load
        return load(model, policy).kind

    def _ready(self, model: ModelRef, policy: PolicyRef) -> _Ready:
        with self._lock:
            ready = self._models.pop((model, policy), None)
            if ready is None:
                ready = self._read(load_bundle(self._bundles, model.bundle), model, policy)
            self._models[model, policy] = ready
            while len(self._models) > _KEPT_MODELS:
                self._models.popitem(last=False)
            return ready

    def _read(self, bundle: Bundle, model: ModelRef, policy: PolicyRef) -> _Ready:
        if bundle.kind.name != SPLIT:
            rules = load_policy(self._policies, policy.digest)
            return load_model(bundle, model, rules, policy), None
        # What a split's record pins are the plan's weights; the rules about one candidate are the
        # kind's own, and the bundle's digest pins them.
        weights = load_split_policy(self._policies, policy.digest)
        loaded = load_model(bundle, model, bundle.kind.policy, policy)
        # Callers post orders; what the model sees of a candidate is computed, never asked for.
        return replace(loaded, schema=order_schema(bundle.kind)), weights


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
        return sorted({*built_in_names(), SPLIT, *self.publications()})

    def get(self, kind: str) -> LoadedModel:
        """Return the live model of a kind.

        Raises
        ------
        KindNotFoundError, NoLiveModelError
            When there is no such kind, or none of its models is live.
        BundleCorruptError, ScorerError
            When the live model cannot be loaded.
        """
        publication = self._find(kind)
        return self._shelf.load(publication.model, publication.policy)

    def get_split(self) -> tuple[LoadedModel, SplitPolicy]:
        """Return the live model of the split, and its weights.

        Raises
        ------
        NoLiveModelError
            When none is live.
        BundleCorruptError, ScorerError, SplitPolicyError
            When the live model cannot be loaded.
        """
        publication = self._find(SPLIT)
        return self._shelf.load_split(publication.model, publication.policy)

    def is_outside(self, kind: str) -> bool:
        """Tell whether an outside node serves a kind."""
        publication = self.publications().get(kind)
        return publication is not None and self._shelf.is_outside(publication.model)

    def get_outside(self, kind: str) -> OutsideModel:
        """Return what decides a kind that an outside node serves.

        Raises
        ------
        KindNotFoundError, NoLiveModelError
            When there is no such kind, or nothing of it is live.
        BundleCorruptError, KindFileError, PolicyError
            When what is live cannot be loaded.
        """
        publication = self._find(kind)
        return self._shelf.load_outside(publication.model, publication.policy)

    def get_kind(self, kind: str) -> Kind:
        """Return a kind as it is live, whatever decides it.

        Raises
        ------
        PlatformError
            See `get` and `get_outside`.
        """
        publication = self._find(kind)
        return self._shelf.load_kind(publication.model, publication.policy)

    def _find(self, kind: str) -> Publication:
        publication = self.publications().get(kind)
        if publication is not None:
            return publication
        if kind in built_in_names() or kind == SPLIT:
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
