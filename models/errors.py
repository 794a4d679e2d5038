"""The root of every error that Candor raises, and the errors of deciding.

Each class carries a stable slug (`code`) and one sentence on what to do (`remedy`).
It knows nothing of HTTP: `service.problems` alone maps classes to status codes.
"""

from dataclasses import dataclass
from typing import ClassVar


class PlatformError(Exception):
    """What went wrong, with a stable code and a sentence that says what to do.

    Parameters
    ----------
    detail
        One sentence about this occurrence. It never holds personal data.
    remedy
        What the reader should do; the class's own sentence when omitted.

    Examples
    --------
    >>> error = PlatformError("the disk is full")
    >>> error.code, error.detail
    ('platform-error', 'the disk is full')
    """

    code: ClassVar[str] = "platform-error"
    default_remedy: ClassVar[str] = "Read the detail, correct the cause and try again."

    def __init__(self, detail: str, remedy: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.remedy = remedy or self.default_remedy


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One malformed place of a request.

    Parameters
    ----------
    pointer
        RFC 6901 JSON pointer to the value.
    message
        What is wrong with it, in words.
    """

    pointer: str
    message: str


class KindFileError(PlatformError):
    """A kind file does not say what a kind must say."""

    code = "kind-file-invalid"
    default_remedy = "Correct the kind file at the place that the detail names."


class OrderInvalidError(PlatformError):
    """An order has fields of a wrong type, range or form."""

    code = "order-invalid"
    default_remedy = "Correct the fields listed in errors and send the order again."

    def __init__(self, faults: tuple[FieldFault, ...]) -> None:
        super().__init__(f"{len(faults)} field(s) of the order are not as the kind asks")
        self.faults = faults


class BundleCorruptError(PlatformError):
    """A model bundle's bytes are not those that its digest names."""

    code = "bundle-corrupt"
    default_remedy = "Restore the bundle from a copy; its digest is in every record it made."


class ScorerError(PlatformError):
    """The model could not be loaded or evaluated."""

    code = "scorer-failed"
    default_remedy = "Train the model again, or roll back to the version before it."


class InvariantError(PlatformError):
    """A decision does not add up, so it must be neither answered nor recorded."""

    code = "invariant-broken"
    default_remedy = "Report it with the model version; roll back to the version before it."


class MalformedJsonError(PlatformError):
    """A body is not JSON."""

    code = "malformed-json"
    default_remedy = "Send one JSON object in UTF-8 (RFC 8259); NaN and Infinity are not JSON."


class PolicyError(PlatformError):
    """A policy does not say what a policy must say."""

    code = "policy-invalid"
    default_remedy = "Correct the policy at the node, row and column that the detail names."


class ReferenceTableError(PlatformError):
    """A reference table is not one, or a kind's look-up does not fit it."""

    code = "reference-invalid"
    default_remedy = "Correct the table at the row and column that the detail names."


class ReferenceCorruptError(PlatformError):
    """A reference table's bytes are missing or are not those that its digest names."""

    code = "reference-corrupt"
    default_remedy = "Restore the table from a copy; its digest is in every record that used it."
