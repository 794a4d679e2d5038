"""Making a model live: a publication entry of the log, and nothing else, does it."""

from audit.log import Appended
from audit.records import Entry, EntryType
from models.domain import Json
from service.live import Publication
from service.usecases.records import build_nonce, new_id
from service.usecases.references import ensure_built_in
from service.wiring import Platform


def publish(platform: Platform, publication: Publication) -> Appended:
    """Record that a model decides its kind from here on.

    Raises
    ------
    BundleCorruptError, ScorerError
        When the model cannot be loaded here; nothing is published then.
    ReferenceMissingError
        When the kind asks a reference table that nobody loaded and that is not built in.
    StoreUnavailableError, OverloadedError, DeadlineError
        When it was not recorded.
    """
    # A model that cannot decide must not become live.
    kind = platform.shelf.load_kind(publication.model, publication.policy)
    ensure_built_in(platform, kind, publication.actor)
    model, policy = publication.model, publication.policy
    named: dict[str, Json] = {"name": model.name, "version": model.version, "bundle": model.bundle}
    entry = Entry(
        entry_id=new_id(),
        entry_type=EntryType.PUBLICATION,
        recorded_at=platform.now(),
        header={"kind": publication.kind, "model": named, "policy": policy.digest},
        facts={
            **build_nonce(),
            "kind": publication.kind,
            "model": {**named, "run_id": model.run_id},
            "policy": {"name": policy.name, "version": policy.version, "digest": policy.digest},
            "bootstrap": publication.bootstrap,
            "actor": publication.actor,
        },
    )
    return platform.writer.record_one(entry)
