"""Publishing a kind that an outside node serves, and checking that the node is what it says."""

from dataclasses import dataclass
from pathlib import Path

import orjson

from audit.log import Appended
from models.bundle import save_policy
from models.domain import Json, ModelRef
from models.errors import KindFileError
from models.inference import datatype
from models.kind import Kind, built_in_names, load_kind
from models.kind_store import save_kind
from models.node import Node
from models.outside import UNKNOWN_VERSION, load_outside
from service.answers import JsonObject
from service.errors import OutsideRefusedError
from service.live import SPLIT, Publication
from service.outside import call_node
from service.usecases.outside import bounds_of
from service.usecases.publish import publish
from service.usecases.records import read_object
from service.wiring import Platform


@dataclass(frozen=True, slots=True)
class PublishedOutside:
    """A kind that a node serves from here on.

    Parameters
    ----------
    publication
        What the log says.
    appended
        Where; None when it said so already.
    """

    publication: Publication
    appended: Appended | None

    def describe(self) -> JsonObject:
        """Return what `candor outside publish --json` prints."""
        model, policy = self.publication.model, self.publication.policy
        return {
            "kind": self.publication.kind,
            "model": {"name": model.name, "version": model.version, "bundle": model.bundle},
            "policy": {"name": policy.name, "version": policy.version, "digest": policy.digest},
            "bootstrap": self.publication.bootstrap,
            "recorded": self.appended is not None,
            "leaf_index": None if self.appended is None else self.appended.leaf_index,
        }


def read_outside_kind(file: Path) -> Kind:
    """Read a kind file with a node.

    Raises
    ------
    KindFileError, PolicyError
        When it is none, or what it says does not fit together.
    """
    kind = load_kind(file)
    if kind.node is None:
        raise KindFileError(f"the kind {kind.name} has no [node]: `candor train` makes its model")
    return kind


def publish_outside(
    platform: Platform, kind: Kind, *, actor: str, is_replacing: bool
) -> PublishedOutside:
    """Record that a node decides a kind from here on; saying it again records nothing.

    Parameters
    ----------
    kind
        From `read_outside_kind`.
    actor
        Who publishes.
    is_replacing
        Whether another version of the kind may be live.

    Raises
    ------
    OutsideRefusedError
        When the kind ships with Candor, is decided by a trained model, or is live and
        `is_replacing` is false.
    KindFileError, PolicyError
        When it could not decide.
    ReferenceMissingError, StoreUnavailableError, OverloadedError, DeadlineError
        See `publish`.
    """
    # 1. A chain of decisions rests on trained models, and so does what was learned from outcomes.
    if kind.name in built_in_names() or kind.name == SPLIT:
        raise OutsideRefusedError(f"the kind {kind.name} ships with Candor and is decided by it")
    live = platform.live.publications().get(kind.name)
    if live is not None and not platform.shelf.is_outside(live.model):
        raise OutsideRefusedError(f"the kind {kind.name} is decided by a trained model")
    # 2. Keep what decides for good.
    policy = save_policy(platform.settings.policies, kind.policy)
    digest = save_kind(platform.settings.kinds, kind)
    node = load_outside(kind, digest, kind.policy, policy).node
    model = ModelRef(node.model, node.version or UNKNOWN_VERSION, digest, "")
    publication = Publication(kind.name, model, policy, bootstrap=live is None, actor=actor)
    # 3. Publish it, unless it is live already.
    if live is not None and (live.model, live.policy) == (model, policy):
        return PublishedOutside(live, None)
    if live is not None and not is_replacing:
        raise OutsideRefusedError(f"another version of the kind {kind.name} is live")
    return PublishedOutside(publication, publish(platform, publication))


def check_node(platform: Platform, kind: Kind) -> list[str]:
    """Ask a kind's node whether it is ready and what it takes and gives; return what does not fit.

    Metadata without inputs or outputs, which the protocol allows, are not held against it.

    Raises
    ------
    KindFileError
        When the kind has no node.
    """
    node = kind.node
    if node is None:
        raise KindFileError(f"the kind {kind.name} has no [node]")
    bounds, path = bounds_of(platform), node.model_path()
    ready = call_node(node, f"{path}/ready", bounds, platform.clock)
    if ready.failure is not None:
        return [f"{path}/ready: {ready.failure.code}: {ready.failure.detail}"]
    told = call_node(node, path, bounds, platform.clock)
    if told.failure is not None or told.content is None:
        return [f"{path}: {told.failure.detail if told.failure else 'no answer'}"]
    try:
        metadata = read_object(orjson.loads(told.content))
    except orjson.JSONDecodeError:
        return [f"{path}: the metadata are not JSON"]
    return [
        *_misnamed(node, metadata),
        *_unfit_inputs(kind, metadata),
        *_unfit_outputs(node, metadata),
    ]


def _misnamed(node: Node, metadata: JsonObject) -> list[str]:
    name = metadata.get("name")
    return [] if name == node.model else [f"the node calls the model {name!r}"]


def _unfit_inputs(kind: Kind, metadata: JsonObject) -> list[str]:
    given = _tensors(metadata.get("inputs"))
    sent = {feature.name: datatype(feature) for feature in kind.features}
    if not given:
        return []
    wrong = [f"it takes no input {name}" for name in sent if name not in given]
    wrong += [f"it wants an input {name}" for name in given if name not in sent]
    return wrong + [
        f"the input {name} is {given[name]} there and {known} here"
        for name, known in sent.items()
        if name in given and given[name] != known
    ]


def _unfit_outputs(node: Node, metadata: JsonObject) -> list[str]:
    given = _tensors(metadata.get("outputs"))
    return [f"it gives no output {name}" for name in node.outputs() if given and name not in given]


def _tensors(listed: Json) -> dict[str, str]:
    tensors = [read_object(one) for one in listed] if isinstance(listed, list) else []
    return {str(one.get("name")): str(one.get("datatype")) for one in tensors}
