"""The errors of reports and evidence bundles; none of them knows HTTP."""

from models.errors import PlatformError


class ReportError(PlatformError):
    """A report or an evidence bundle could not be made or read."""

    code = "report-failed"
    default_remedy = "Read the detail, correct the cause and try again."


class EvidenceRequestError(ReportError):
    """What was asked for cannot be exported."""

    code = "evidence-request-invalid"
    default_remedy = "Ask for a period in which from is before to, and for decisions that exist."


class EvidenceTooLargeError(ReportError):
    """The range holds more entries than one export may."""

    code = "evidence-too-large"
    default_remedy = "Export shorter periods, or use `candor export`, which has no such bound."


class EvidenceWriteError(ReportError):
    """The bundle could not be written; nothing was exported."""

    code = "evidence-write-failed"
    default_remedy = "Free disk space or choose another place, then export again."


class BundleUnreadableError(ReportError):
    """A bundle's decisions cannot be replayed from what it holds."""

    code = "evidence-unreadable"
    default_remedy = "Run `candor verify BUNDLE` and read which step failed."


class VerifierSourceError(ReportError):
    """The single-file verifier cannot be joined from its modules."""

    code = "verifier-source-invalid"
    default_remedy = "Give each top-level name of reports/verifier to one module only."


class ColumnUnknownError(ReportError):
    """A query over the entries asks for a column that they do not have."""

    code = "column-unknown"
    default_remedy = "Use the columns that docs/archive.md lists."
