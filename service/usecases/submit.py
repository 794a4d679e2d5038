"""Submitting the newest checkpoint to witnesses over HTTP (C2SP tlog-witness)."""

from dataclasses import dataclass
from typing import Final

from audit.checkpoint import VerifierKey, parse_checkpoint
from audit.cosignature import Cosignature, add_cosignatures, parse_witness_key
from audit.errors import CheckpointInvalidError, CosignatureInvalidError
from audit.submission import Submission, build_submission, cosigned_size, parse_seen_size
from service.errors import NotConfiguredError, WitnessRefusedError, WitnessUnavailableError
from service.exchange import OK, Bounds, Reply, exchange
from service.settings import Settings
from service.wiring import Platform

_CONFLICT: Final = 409
_REFUSALS: Final = {
    400: "it cannot read the submission",
    403: "it does not trust the key that signed the checkpoint",
    404: "it does not know the log",
    422: "the consistency proof does not hold with what it saw of the log before",
}
_SIZE: Final = "text/x.tlog.size"
_TEXT: Final = {"Content-Type": "text/plain; charset=utf-8"}
# A witness that others submit to as well may move on between two questions.
_MOST_ATTEMPTS: Final = 4


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness that checkpoints are submitted to.

    Parameters
    ----------
    name
        Of its keys.
    url
        Of its `add-checkpoint`.
    keys
        Its keys; a rotated witness has several.
    """

    name: str
    url: str
    keys: tuple[VerifierKey, ...]


def list_witnesses(settings: Settings) -> list[Witness]:
    """Return the witnesses that checkpoints are submitted to, by name."""
    keys = [parse_witness_key(vkey) for vkey in settings.witnesses]
    return [
        Witness(
            name,
            f"{str(url).rstrip('/')}/add-checkpoint",
            tuple(key for key in keys if key.name == name),
        )
        for name, url in sorted(settings.witness_urls.items())
    ]


def require_witnesses(settings: Settings) -> list[Witness]:
    """Return the witnesses that checkpoints are submitted to, of which there has to be one.

    Raises
    ------
    NotConfiguredError
        When there is none.
    """
    witnesses = list_witnesses(settings)
    if not witnesses:
        raise NotConfiguredError("CANDOR_WITNESS_URLS names no witness")
    return witnesses


def submit_newest(platform: Platform, witness: Witness) -> list[Cosignature]:
    """Have the newest checkpoint cosigned, and keep the cosignatures.

    Returns
    -------
    list of Cosignature
        Empty when the log is empty or this witness cosigned its newest checkpoint already.

    Raises
    ------
    WitnessUnavailableError
        When the witness does not answer as it has to.
    WitnessRefusedError
        When it does not cosign, above all because it saw another history of the log.
    CosignatureInvalidError
        When what it answers is no cosignature of this checkpoint.
    StoreUnavailableError, LogDamagedError
        When the log cannot be read, or the cosignature not be kept.
    """
    # 1. The newest checkpoint, unless this witness cosigned it.
    with platform.store.reading() as reading:
        note = reading.head()
        seen = max((cosigned_size(reading, key) for key in witness.keys), default=0)
    if note is None or seen >= parse_checkpoint(note).tree_size:
        return []
    # Nobody sees a checkpoint that a crash and an older database could make untrue.
    platform.notary.keep(note)
    # 2. Ask, outside of every transaction, from the size that the witness says it saw last.
    for _ in range(_MOST_ATTEMPTS):
        with platform.store.reading() as reading:
            submission = build_submission(reading, note, seen)
        reply = _post(platform, witness, submission)
        if reply.status == OK and reply.content is not None:
            # 3. Keep what holds.
            return _keep(platform, witness, submission, reply.content)
        seen = _read_conflict(witness, submission, reply)
    raise WitnessUnavailableError(f"{witness.name} saw another size each time that it was asked")


def _post(platform: Platform, witness: Witness, submission: Submission) -> Reply:
    settings = platform.settings
    return exchange(
        witness.url,
        Bounds(settings.witness_timeout_seconds, settings.witness_max_bytes),
        platform.clock,
        body=submission.body,
        headers=_TEXT,
        read=(OK, _CONFLICT),
    )


def _keep(
    platform: Platform, witness: Witness, submission: Submission, content: bytes
) -> list[Cosignature]:
    try:
        lines = content.decode()
    except UnicodeDecodeError as error:
        raise CosignatureInvalidError(f"{witness.name}: the answer is not UTF-8") from error
    # Only its own: one witness cannot speak for another.
    return add_cosignatures(platform.store, submission.note + lines, witness.keys)


def _read_conflict(witness: Witness, submission: Submission, reply: Reply) -> int:
    if reply.status in _REFUSALS:
        raise WitnessRefusedError(f"{witness.name}: {_REFUSALS[reply.status]}")
    if reply.content is None:
        why = "no answer" if reply.failure is None else reply.failure.detail
        raise WitnessUnavailableError(f"{witness.name}: {why}")
    old, size = submission.old_size, submission.tree_size
    try:
        # Where it saw a tree of this very size, a conflict can only mean another root.
        seen = parse_seen_size(reply.content) if reply.media_type == _SIZE or old < size else old
    except CheckpointInvalidError as error:
        raise WitnessUnavailableError(f"{witness.name}: {error.detail}") from error
    if seen > size:
        raise WitnessRefusedError(f"{witness.name} saw {seen} entries, but the log holds {size}")
    if seen == old:
        raise WitnessRefusedError(f"{witness.name} saw another history of {seen} entries")
    return seen
