"""The errors of the edge: who asks, what was asked, and what cannot be served now."""

from models.errors import FieldFault, PlatformError


class ServiceError(PlatformError):
    """A request or a command cannot be served."""

    code = "service-failed"
    default_remedy = "Read the detail, correct the cause and try again."


class UnauthenticatedError(ServiceError):
    """No key, or a key that is unknown or revoked."""

    code = "unauthenticated"
    default_remedy = "Send `Authorization: Bearer KEY` with a key that is not revoked."


class PermissionDeniedError(ServiceError):
    """The key's role may not do this."""

    code = "permission-denied"
    default_remedy = "Use a key whose role may do this; docs/http.md lists who may do what."


class KindNotFoundError(ServiceError):
    """There is no kind of this name."""

    code = "kind-not-found"
    default_remedy = "Choose one of the kinds that `GET /v1/kinds` lists."


class DecisionNotFoundError(ServiceError):
    """There is no decision with this id."""

    code = "decision-not-found"
    default_remedy = "Check the id, or search with `GET /v1/decisions`."


class PageNotFoundError(ServiceError):
    """There is nothing at this path."""

    code = "not-found"
    default_remedy = "Check the path; `/openapi.json` lists them all."


class MethodNotAllowedError(ServiceError):
    """The path exists, but not with this method."""

    code = "method-not-allowed"
    default_remedy = "Use one of the methods in the Allow header."


class MediaTypeError(ServiceError):
    """The body is of a media type that is not read here."""

    code = "unsupported-media-type"
    default_remedy = "Send application/json (one order) or application/x-ndjson (a batch)."


class BodyTooLargeError(ServiceError):
    """The body is longer than the setting allows."""

    code = "body-too-large"
    default_remedy = "Send a smaller body; many orders go through the batch call in parts."


class RequestRefusedError(ServiceError):
    """The HTTP layer refused the request before anything read it."""

    code = "request-refused"
    default_remedy = "Send a well-formed HTTP request in UTF-8."


class RequestInvalidError(ServiceError):
    """A parameter, header or field of the request is malformed."""

    code = "request-invalid"
    default_remedy = "Correct the places listed in errors and send the request again."

    def __init__(self, faults: tuple[FieldFault, ...]) -> None:
        super().__init__(f"{len(faults)} place(s) of the request are malformed")
        self.faults = faults


class NoLiveModelError(ServiceError):
    """No model of this kind has been published."""

    code = "no-live-model"
    default_remedy = "Train and publish one: `candor train KIND`."


class OverloadedError(ServiceError):
    """More waits to be recorded than the queue may hold."""

    code = "overloaded"
    default_remedy = "Wait as Retry-After says and send the request again."


class DeadlineError(ServiceError):
    """The record was not durable within the deadline, so nothing was answered."""

    code = "deadline-exceeded"
    default_remedy = "Send the request again with the same Idempotency-Key."


class ClockBehindError(ServiceError):
    """The clock of this machine is behind what the log has recorded already."""

    code = "clock-behind"
    default_remedy = (
        "Set the clocks of all machines right (NTP); until then entries bear the time of the last "
        "one, and their own clock's beside it."
    )


class KeyFileError(ServiceError):
    """A key of the log or of the seals is missing or malformed."""

    code = "key-file-invalid"
    default_remedy = "Restore {var}/keys from a copy; a log cannot go on under new keys."


class ApiKeyNotFoundError(ServiceError):
    """There is no API key with this id."""

    code = "api-key-not-found"
    default_remedy = "List the keys: `candor key list`."


class ReferenceMissingError(ServiceError):
    """A kind asks a reference table of which no version is in force."""

    code = "reference-missing"
    default_remedy = "Load the table: `candor reference load FILE`."


class ReferenceNotFoundError(ServiceError):
    """There is no such table or version."""

    code = "reference-not-found"
    default_remedy = "Choose one that `GET /v1/references` lists."


class ReferenceRefusedError(ServiceError):
    """A version may not come into force: it is older, of the future, or does not fit a kind."""

    code = "reference-refused"
    default_remedy = "Correct the table as the detail says and load it again."


class AsOfUnavailableError(ServiceError):
    """A decision cannot be asked again with other reference tables."""

    code = "as-of-unavailable"
    default_remedy = "Replay it without other tables; that needs no order."


class ReferenceUnreachableError(ServiceError):
    """A table could not be pulled from its source."""

    code = "reference-unreachable"
    default_remedy = "Check the address in CANDOR_REFERENCE_SOURCES and that it serves the table."


class NotConfiguredError(ServiceError):
    """No timestamping authority or witness is configured."""

    code = "not-configured"
    default_remedy = "Name one in CANDOR_TIMESTAMP_URLS or CANDOR_WITNESS_URLS; docs/log.md."


class CaFileError(ServiceError):
    """The CA file of a timestamping authority cannot be read."""

    code = "ca-file-invalid"
    default_remedy = "Give CANDOR_TIMESTAMP_URLS the path of a PEM file with the CA's certificates."


class TimestampUnavailableError(ServiceError):
    """A timestamping authority gave no answer."""

    code = "timestamp-unavailable"
    default_remedy = "Check the address in CANDOR_TIMESTAMP_URLS, or wait: it is tried again."


class WitnessUnavailableError(ServiceError):
    """A witness gave no answer that it may give."""

    code = "witness-unavailable"
    default_remedy = "Check the address in CANDOR_WITNESS_URLS, or wait: it is tried again."


class WitnessRefusedError(ServiceError):
    """A witness does not cosign: it does not know the log, or saw another history of it."""

    code = "witness-refused"
    default_remedy = (
        "Register the log's present key with the witness; if it saw another history, run "
        "`candor verify` and restore the newest copy of the database."
    )


class OutsideRefusedError(ServiceError):
    """A kind may not be published as served by an outside node."""

    code = "outside-refused"
    default_remedy = "Choose another name, or replace what is live with `--replace`."


class ExportNotFoundError(ServiceError):
    """There is no export with this id, or it was removed."""

    code = "export-not-found"
    default_remedy = "Ask for a new one: `POST /v1/exports`."


class ExportUnfinishedError(ServiceError):
    """The export has no file, because it is not done or failed."""

    code = "export-unfinished"
    default_remedy = "Ask `GET /v1/exports/{id}` until its status is done."


class ExportInterruptedError(ServiceError):
    """The service stopped, or somebody was erased, while it exported; there is no file."""

    code = "export-interrupted"
    default_remedy = "Ask for it again: `POST /v1/exports`."


class GatesFailedError(ServiceError):
    """A trained model did not pass its gates and was not published."""

    code = "gates-failed"
    default_remedy = "Read the gates' measured values on the model card and train again."


class DemoFailedError(ServiceError):
    """A step of the demonstration did not give what it must."""

    code = "demo-failed"
    default_remedy = "Read the service's log lines above; `candor verify` checks the store."


class InternalError(ServiceError):
    """Something unforeseen happened; the log line with the request id says what."""

    code = "internal-error"
    default_remedy = "Report the request id; the same request may be sent again."
