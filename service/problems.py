"""The only map from errors to HTTP: RFC 9457 problem documents.

Every subclass of `PlatformError` has its own entry; a test holds that. Nothing of an unforeseen
error's text reaches the caller.
"""

from dataclasses import dataclass

import orjson
from starlette.responses import Response

from audit import errors as audit_errors
from models import errors as models_errors
from models.domain import Json
from models.errors import FieldFault, OrderInvalidError, PlatformError
from models.split import errors as split_errors
from reports import errors as reports_errors
from service import errors
from service.errors import RequestInvalidError
from training import errors as training_errors

MEDIA_TYPE = "application/problem+json"
UNAVAILABLE = 503


@dataclass(frozen=True, slots=True)
class Problem:
    """How an error class is answered.

    Parameters
    ----------
    status
        HTTP status.
    title
        What the class means, the same for every occurrence.
    """

    status: int
    title: str


PROBLEMS: dict[type[PlatformError], Problem] = {
    models_errors.PlatformError: Problem(500, "The platform failed"),
    models_errors.KindFileError: Problem(500, "A kind file is invalid"),
    models_errors.OrderInvalidError: Problem(422, "The order is not as the kind asks"),
    models_errors.BundleCorruptError: Problem(503, "A model's files are damaged"),
    models_errors.ScorerError: Problem(503, "The model could not be evaluated"),
    models_errors.InvariantError: Problem(503, "The decision does not add up"),
    models_errors.MalformedJsonError: Problem(400, "The body is not JSON"),
    split_errors.SplitPolicyError: Problem(500, "The split policy is invalid"),
    split_errors.PlanInvalidError: Problem(503, "The plan breaks a constraint"),
    split_errors.SolverError: Problem(503, "The optimiser failed"),
    models_errors.PolicyError: Problem(500, "The policy is invalid"),
    models_errors.ReferenceTableError: Problem(500, "The reference table is invalid"),
    models_errors.ReferenceCorruptError: Problem(503, "A reference table is damaged"),
    audit_errors.AuditError: Problem(500, "The log is not as it has to be"),
    audit_errors.UnsafeStoreError: Problem(503, "The store could lose records"),
    audit_errors.StoreUnavailableError: Problem(503, "The store is unavailable"),
    audit_errors.LogDamagedError: Problem(503, "The log is damaged"),
    audit_errors.LogRolledBackError: Problem(503, "The log was rolled back or forked"),
    audit_errors.CheckpointLostError: Problem(503, "The last checkpoint is lost"),
    audit_errors.NothingToRecoverError: Problem(409, "There is nothing to recover"),
    audit_errors.LogKeyChangedError: Problem(409, "The log's key is another"),
    audit_errors.CosignatureInvalidError: Problem(422, "The cosignature is invalid"),
    audit_errors.AnchorInvalidError: Problem(503, "The timestamp is not of this checkpoint"),
    audit_errors.IdempotencyConflictError: Problem(409, "The Idempotency-Key was used before"),
    audit_errors.SchemaOutdatedError: Problem(503, "The database has another schema"),
    audit_errors.DatabaseUrlError: Problem(503, "The address of the database cannot be used"),
    audit_errors.EntryExistsError: Problem(409, "The entry is in the log already"),
    audit_errors.RecordNotFoundError: Problem(404, "There is no such record"),
    audit_errors.RecordVoidError: Problem(500, "The record would be void"),
    audit_errors.RecordMalformedError: Problem(500, "The record is malformed"),
    audit_errors.CheckpointInvalidError: Problem(500, "The checkpoint is invalid"),
    audit_errors.VerifierKeyInvalidError: Problem(500, "The verifier key is invalid"),
    audit_errors.ProofInvalidError: Problem(500, "The proof is invalid"),
    audit_errors.SealBrokenError: Problem(500, "The sealed part cannot be opened"),
    audit_errors.SearchInvalidError: Problem(422, "The search is malformed"),
    audit_errors.ErasedError: Problem(410, "The data subject was erased"),
    audit_errors.RecordPurgedError: Problem(410, "The record was purged"),
    audit_errors.PurgeInvalidError: Problem(500, "A purge's entry is invalid"),
    audit_errors.PurgeOutdatedError: Problem(409, "The purge was overtaken"),
    audit_errors.SubjectKeyMissingError: Problem(500, "The key of a sealed part is missing"),
    audit_errors.KeyEncryptionError: Problem(503, "The key-encryption key is another"),
    audit_errors.KeyUnavailableError: Problem(503, "The key-encryption key cannot be had"),
    audit_errors.LedgerDamagedError: Problem(503, "The erasure ledger is damaged"),
    audit_errors.LedgerBehindError: Problem(503, "The erasure ledger is not the newest"),
    audit_errors.SubjectNotFoundError: Problem(404, "There is no such data subject"),
    audit_errors.SubjectHeldError: Problem(409, "The data subject is under a legal hold"),
    audit_errors.ArchiveUnavailableError: Problem(503, "The archive cannot be read"),
    audit_errors.ArchiveDamagedError: Problem(503, "An archive file is damaged"),
    errors.ServiceError: Problem(500, "The service failed"),
    errors.UnauthenticatedError: Problem(401, "The caller is unknown"),
    errors.PermissionDeniedError: Problem(403, "The key's role may not do this"),
    errors.KindNotFoundError: Problem(404, "There is no such kind"),
    errors.DecisionNotFoundError: Problem(404, "There is no such decision"),
    errors.PageNotFoundError: Problem(404, "There is nothing at this path"),
    errors.MethodNotAllowedError: Problem(405, "The method is not allowed here"),
    errors.MediaTypeError: Problem(415, "The media type is not read here"),
    errors.BodyTooLargeError: Problem(413, "The body is too large"),
    errors.RequestRefusedError: Problem(400, "The request was refused"),
    errors.RequestInvalidError: Problem(422, "The request is malformed"),
    errors.NoLiveModelError: Problem(503, "No model of this kind is live"),
    errors.OverloadedError: Problem(503, "Too much waits to be recorded"),
    errors.DeadlineError: Problem(503, "The record was not durable in time"),
    errors.ClockBehindError: Problem(503, "The clock is behind the log"),
    errors.KeyFileError: Problem(503, "The store's keys are not whole"),
    errors.ApiKeyNotFoundError: Problem(404, "There is no such API key"),
    errors.ReferenceMissingError: Problem(503, "A reference table is missing"),
    errors.ReferenceNotFoundError: Problem(404, "There is no such reference table"),
    errors.ReferenceRefusedError: Problem(409, "The reference table may not come into force"),
    errors.AsOfUnavailableError: Problem(409, "Other tables cannot be asked about the decision"),
    errors.ReferenceUnreachableError: Problem(503, "A reference table could not be pulled"),
    errors.NotConfiguredError: Problem(409, "Nobody is configured to vouch for the log"),
    errors.CaFileError: Problem(503, "The CA file of an authority cannot be read"),
    errors.TimestampUnavailableError: Problem(503, "The timestamping authority is unavailable"),
    errors.WitnessUnavailableError: Problem(503, "The witness is unavailable"),
    errors.WitnessRefusedError: Problem(409, "The witness does not cosign"),
    errors.OutsideRefusedError: Problem(409, "The kind may not be served by a node"),
    errors.ExportNotFoundError: Problem(404, "There is no such export"),
    errors.ExportUnfinishedError: Problem(409, "The export is not done"),
    errors.ExportInterruptedError: Problem(503, "The export was interrupted"),
    errors.GatesFailedError: Problem(409, "The model did not pass its gates"),
    errors.DemoFailedError: Problem(500, "The demonstration failed"),
    errors.InternalError: Problem(500, "Something unforeseen happened"),
    reports_errors.ReportError: Problem(500, "The report failed"),
    reports_errors.EvidenceRequestError: Problem(422, "There is nothing such to export"),
    reports_errors.EvidenceTooLargeError: Problem(422, "The export would be too large"),
    reports_errors.EvidenceWriteError: Problem(503, "The bundle could not be written"),
    reports_errors.BundleUnreadableError: Problem(422, "The bundle cannot be replayed"),
    reports_errors.VerifierSourceError: Problem(500, "The verifier cannot be joined"),
    reports_errors.ColumnUnknownError: Problem(422, "The entries have no such column"),
    training_errors.TrainingError: Problem(500, "The training failed"),
    training_errors.TableError: Problem(422, "The table is not as the kind describes"),
    training_errors.RegistryError: Problem(503, "The model registry is not whole"),
    training_errors.SimulationError: Problem(500, "The simulation failed"),
}


def find_problem(error: PlatformError) -> Problem:
    """Return how an error is answered; a class without an entry is answered as its parent."""
    return next(PROBLEMS[base] for base in type(error).__mro__ if base in PROBLEMS)


def build_problem(error: PlatformError, instance: str) -> dict[str, Json]:
    """Return the problem document of an error.

    Parameters
    ----------
    error
        What went wrong.
    instance
        Path of the request.
    """
    problem = find_problem(error)
    document: dict[str, Json] = {
        "type": f"urn:candor:problem:{error.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": error.detail,
        "instance": instance,
        "code": error.code,
        "remedy": error.remedy,
    }
    if isinstance(error, OrderInvalidError | RequestInvalidError):
        document["errors"] = [_fault(fault) for fault in error.faults]
    return document


def render_problem(
    error: PlatformError, instance: str, retry_after_seconds: int, allow: str | None = None
) -> Response:
    """Return the response of an error.

    Parameters
    ----------
    retry_after_seconds
        What a 503 says.
    allow
        The Allow header of a 405.
    """
    document = build_problem(error, instance)
    status = find_problem(error).status
    headers = {}
    if status == UNAVAILABLE:
        headers["Retry-After"] = str(retry_after_seconds)
    if isinstance(error, errors.UnauthenticatedError):
        headers["WWW-Authenticate"] = 'Bearer realm="candor"'
    if allow is not None:
        headers["Allow"] = allow
    return Response(orjson.dumps(document), status, headers, MEDIA_TYPE)


def _fault(fault: FieldFault) -> Json:
    return {"pointer": fault.pointer, "message": fault.message}
