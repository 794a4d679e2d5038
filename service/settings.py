"""Every setting, read from `CANDOR_*` variables; the only reader of the environment.

Each field has a default that works and a line in docs/settings.md. Secrets have no default: they
are created as files under `var` at the first start (`service.keyfiles`).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import orjson
from pydantic import Field, HttpUrl, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from audit.anchor import LARGEST_REPLY_BYTES
from audit.cosignature import parse_witness_key
from audit.errors import VerifierKeyInvalidError
from audit.retention import LEAST_DAYS, Retention

_MIB = 1024 * 1024


class Settings(BaseSettings):
    """What can be set; frozen.

    Parameters
    ----------
    var
        Folder of everything that a run writes; a copy of it works as the original.
    host, port
        Where the service listens.
    database_url
        Store, ``sqlite:///…`` or ``postgresql+psycopg://…``; ``{var}`` is replaced.
    database_owner_url
        PostgreSQL: the owner's URL, for `candor database` alone; no service needs it.
    log_origin
        Name of the log in its checkpoints and verifier key.
    archive_url
        Where months that are over are archived: a folder, or an address that fsspec knows;
        ``{var}`` is replaced.
    checkpoint_file
        Where the last signed checkpoint is kept outside the database; None for a file in ``var``.
    witnesses
        Verifier keys of those whose cosignatures are kept; in the environment as JSON.
    witness_urls
        Name of a witness to the address that checkpoints are submitted to; as JSON.
    witness_seconds, witness_timeout_seconds, witness_max_bytes
        How often the newest checkpoint is submitted, how long one submission may take, and how
        large its answer may be.
    timestamp_urls
        Address of a timestamping authority to the file of its CA, or None; as JSON.
    timestamp_seconds, timestamp_timeout_seconds, timestamp_max_bytes
        How often the newest checkpoint is stamped, how long one query may take, and how large its
        answer may be.
    language
        Language of texts when a request does not say.
    max_body_bytes, max_batch_bytes, max_batch_lines
        Largest body of one order, of a batch, and lines of a batch.
    batch_chunk_lines
        How many lines of a batch are scored and recorded together.
    queue_max_entries
        How many entries may wait to be recorded before 503.
    commit_max_entries
        How many entries one transaction takes at most.
    request_deadline_seconds
        How long a request waits for its record before 503.
    request_threads
        How many requests are worked on at once.
    shutdown_grace_seconds
        How long a stopping service waits for requests that have begun.
    retry_after_seconds
        What 503 answers say.
    sqlite_wal_autocheckpoint_pages
        SQLite's wal_autocheckpoint.
    disk_free_min_bytes
        Less free space than this makes the service unready.
    model_refresh_seconds
        How often the log is asked for a newer publication.
    reference_sources
        Table name to the address that it is pulled from; in the environment as JSON.
    reference_pull_seconds
        How long the service waits between two pulls.
    reference_timeout_seconds
        How long one pull may take.
    reference_max_bytes
        Largest reference table as JSON, however it comes in.
    event_poll_seconds, event_stream_seconds
        How often a stream of events looks for new ones, and after how long it ends.
    adaptation_step
        How fast reported outcomes move the working error rates of a promise; 0 leaves them alone.
    adaptation_relaxes
        Whether a working error rate may also rise above its promise.
    export_max_entries, export_queue_max, export_keep
        Largest range of an export over HTTP, how many may wait or run, and how many are kept.
    node_timeout_seconds, node_max_bytes, node_parallel_calls
        How long one call of an outside node may take, how large its answer may be, and how many
        calls one batch makes at once.
    retention_days
        Kind to the days that its records are kept, at least 184; ``*`` is every other kind. In the
        environment as JSON.
    partition_months
        PostgreSQL: for how many months ahead `candor database` makes partitions.
    search_max_limit
        Largest page of a search.
    openapi_enabled
        Whether /docs and /openapi.json are served.
    log_level
        Lowest level of log lines.
    mlflow_host, mlflow_port, mlflow_public_url
        Where `candor demo --keep-running` starts MLflow's pages, and their address for people.
    kms_command
        Program of a key service that wraps the key-encryption key; in the environment as JSON.
    kms_timeout_seconds, kms_lease_seconds
        How long one call of it may take, and after how long it is asked for the key again.
    log_signing_key, key_encryption_key, lookup_key
        Base64 of 32 bytes each; instead of the files in ``{var}/keys``. The second may hold
        several epochs: ``1:base64,2:base64``.
    """

    model_config = SettingsConfigDict(
        env_prefix="CANDOR_", frozen=True, extra="ignore", env_ignore_empty=True
    )

    var: Path = Path("var")
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    database_url: str = "sqlite:///{var}/candor.db"
    log_origin: str = "candor.local/log"
    archive_url: str = "{var}/archive"
    checkpoint_file: Path | None = None
    witnesses: Annotated[tuple[str, ...], NoDecode] = ()
    witness_urls: Annotated[dict[str, HttpUrl], NoDecode] = Field(default_factory=dict)
    witness_seconds: float = Field(default=300.0, gt=0)
    witness_timeout_seconds: float = Field(default=10.0, gt=0, le=600)
    witness_max_bytes: int = Field(default=16 * 1024, ge=1, le=_MIB)
    timestamp_urls: Annotated[dict[HttpUrl, Path | None], NoDecode] = Field(default_factory=dict)
    timestamp_seconds: float = Field(default=3_600.0, gt=0)
    timestamp_timeout_seconds: float = Field(default=30.0, gt=0, le=600)
    timestamp_max_bytes: int = Field(default=LARGEST_REPLY_BYTES, ge=1, le=LARGEST_REPLY_BYTES)
    language: Literal["zh-CN", "en"] = "zh-CN"
    max_body_bytes: int = Field(default=_MIB, ge=1)
    max_batch_bytes: int = Field(default=32 * _MIB, ge=1)
    max_batch_lines: int = Field(default=10_000, ge=1)
    batch_chunk_lines: int = Field(default=256, ge=1)
    queue_max_entries: int = Field(default=2_048, ge=1)
    commit_max_entries: int = Field(default=512, ge=1)
    request_deadline_seconds: float = Field(default=10.0, gt=0)
    request_threads: int = Field(default=64, ge=1)
    shutdown_grace_seconds: int = Field(default=10, ge=0)
    retry_after_seconds: int = Field(default=1, ge=1)
    sqlite_wal_autocheckpoint_pages: int = Field(default=1_000, ge=1)
    disk_free_min_bytes: int = Field(default=64 * _MIB, ge=0)
    model_refresh_seconds: float = Field(default=1.0, ge=0)
    reference_sources: Annotated[dict[str, HttpUrl], NoDecode] = Field(default_factory=dict)
    reference_pull_seconds: float = Field(default=3_600.0, gt=0)
    reference_timeout_seconds: float = Field(default=30.0, gt=0)
    reference_max_bytes: int = Field(default=16 * _MIB, ge=1)
    event_poll_seconds: float = Field(default=1.0, gt=0)
    event_stream_seconds: float = Field(default=300.0, gt=0)
    adaptation_step: float = Field(default=0.02, ge=0, le=0.2)
    adaptation_relaxes: bool = False
    export_max_entries: int = Field(default=1_000_000, ge=1)
    export_queue_max: int = Field(default=8, ge=1)
    export_keep: int = Field(default=32, ge=1)
    node_timeout_seconds: float = Field(default=2.0, gt=0, le=60)
    node_max_bytes: int = Field(default=256 * 1024, ge=1)
    node_parallel_calls: int = Field(default=8, ge=1, le=64)
    retention_days: Annotated[dict[str, int], NoDecode] = Field(default_factory=dict)
    partition_months: int = Field(default=12, ge=1, le=120)
    search_max_limit: int = Field(default=200, ge=1, le=1_000)
    openapi_enabled: bool = True
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    mlflow_host: str = "127.0.0.1"
    mlflow_port: int = Field(default=5000, ge=0, le=65535)
    mlflow_public_url: str = ""
    kms_command: Annotated[tuple[str, ...], NoDecode] = ()
    kms_timeout_seconds: float = Field(default=5.0, gt=0, le=60)
    kms_lease_seconds: float = Field(default=300.0, gt=0)
    database_owner_url: SecretStr | None = None
    log_signing_key: SecretStr | None = None
    key_encryption_key: SecretStr | None = None
    lookup_key: SecretStr | None = None

    @field_validator(
        "reference_sources",
        "retention_days",
        "witnesses",
        "witness_urls",
        "timestamp_urls",
        "kms_command",
        mode="before",
    )
    @classmethod
    def _read_json(cls, value: object) -> object:
        # Read here and not by the library, whose own error names neither setting nor remedy.
        try:
            return orjson.loads(value) if isinstance(value, str) else value
        except orjson.JSONDecodeError as error:
            raise ValueError("not JSON, as docs/settings.md describes it") from error

    @field_validator("reference_sources", "witness_urls")
    @classmethod
    def _hold_no_secret(cls, sources: dict[str, HttpUrl]) -> dict[str, HttpUrl]:
        _refuse_secrets(sources.values())
        return sources

    @field_validator("timestamp_urls")
    @classmethod
    def _stamp_without_secret(
        cls, authorities: dict[HttpUrl, Path | None]
    ) -> dict[HttpUrl, Path | None]:
        _refuse_secrets(authorities)
        return authorities

    @field_validator("witnesses")
    @classmethod
    def _know_witnesses(cls, witnesses: tuple[str, ...]) -> tuple[str, ...]:
        for vkey in witnesses:
            try:
                parse_witness_key(vkey)
            except VerifierKeyInvalidError as error:
                raise ValueError(f"not a witness's verifier key: {error.detail}") from error
        return witnesses

    @field_validator("retention_days")
    @classmethod
    def _keep_long_enough(cls, days: dict[str, int]) -> dict[str, int]:
        short = sorted(kind for kind, least in days.items() if least < LEAST_DAYS)
        if short:
            raise ValueError(f"{short[0]} is kept less than {LEAST_DAYS} days (six months)")
        return days

    @property
    def retention(self) -> Retention:
        """Return how long the records of each kind are kept."""
        return Retention(self.retention_days)

    @field_validator("witness_urls")
    @classmethod
    def _name_witnesses(cls, urls: dict[str, HttpUrl], info: ValidationInfo) -> dict[str, HttpUrl]:
        known = {parse_witness_key(vkey).name for vkey in info.data.get("witnesses", ())}
        unknown = sorted(urls.keys() - known)
        if unknown:
            raise ValueError(f"CANDOR_WITNESSES names no witness {unknown[0]}")
        return urls

    @property
    def store_url(self) -> str:
        """Return the database's URL with `var` filled in."""
        return self.database_url.replace("{var}", str(self.var))

    @property
    def archive(self) -> str:
        """Return the archive's address with `var` filled in."""
        return self.archive_url.replace("{var}", str(self.var))

    @property
    def kept_checkpoint(self) -> Path:
        """Return the file of the checkpoint kept outside the database."""
        return self.checkpoint_file or self.var / "checkpoints" / "latest"

    @property
    def bundles(self) -> Path:
        """Return the folder of model bundles."""
        return self.var / "bundles"

    @property
    def policies(self) -> Path:
        """Return the folder of policies."""
        return self.var / "policies"

    @property
    def kinds(self) -> Path:
        """Return the folder of kinds that outside nodes serve."""
        return self.var / "kinds"

    @property
    def references(self) -> Path:
        """Return the folder of reference tables."""
        return self.var / "references"

    @property
    def exports(self) -> Path:
        """Return the folder of evidence bundles asked for over HTTP."""
        return self.var / "exports"

    @property
    def keys(self) -> Path:
        """Return the folder of the log's and the seals' keys."""
        return self.var / "keys"

    @property
    def mlflow(self) -> Path:
        """Return the folder of the training registry."""
        return self.var / "mlflow"


def _refuse_secrets(urls: Iterable[HttpUrl]) -> None:
    if any(url.username or url.password for url in urls):
        raise ValueError("an address with a password would stand in logs; use one without")
