"""Exports asked for over HTTP: one at a time, in the background, each with its file of state.

The state lies beside the bundle, so that it outlives the process and every replica tells it. The
process that works on a job holds a lock on a third file, which the system takes away when the
process ends, however it ends: a job without that lock that is not finished was interrupted. Nothing
of an export can be had before its entry is in the log. Files with opened personal parts leave the
folder with the erasure of anybody in them (`service.usecases.exported`), and what a killed process
left half made with the next start.
"""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import orjson
from structlog.types import FilteringBoundLogger

from audit.errors import IdempotencyConflictError, StoreUnavailableError
from audit.records import Idempotency, format_time, hash_idempotency_key
from models.errors import PlatformError
from reports.evidence import EvidenceRequest
from service.answers import JsonObject
from service.errors import (
    ExportInterruptedError,
    ExportNotFoundError,
    ExportUnfinishedError,
    InternalError,
    OverloadedError,
)
from service.logs import describe_exception
from service.usecases.export import export_evidence
from service.usecases.exported import Work, open_work
from service.usecases.records import new_id, read_object
from service.wiring import Platform

_ID_CHARACTERS: Final = 32
_HEX: Final = frozenset("0123456789abcdef")
_UNFINISHED: Final = frozenset({"queued", "running"})
_PRIVATE: Final = 0o600


class ExportJobs:
    """The exports of one service.

    Parameters
    ----------
    platform
        Whose log is exported.
    log
        Where failures that nobody foresaw are told.
    """

    def __init__(self, platform: Platform, log: FilteringBoundLogger) -> None:
        self._platform = platform
        self._log = log
        self._folder = platform.settings.exports
        self._waiting: SimpleQueue[tuple[str, EvidenceRequest, str] | None] = SimpleQueue()
        # Open files whose locks say that this process works on the job.
        self._active: dict[str, int] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._work: Work | None = None
        self._thread = threading.Thread(target=self._run, name="exports", daemon=True)

    def start(self) -> None:
        """Remove what killed processes left and tell which jobs, and start the thread."""
        try:
            self._work = open_work(self._folder)
            for path in self._folder.glob("*.json"):
                self.read(path.stem)
        except StoreUnavailableError as error:
            # A full disk must not keep the service from starting; whoever asks tells it then.
            self._log.warning("unavailable", code=error.code, detail=error.detail)
        self._thread.start()

    def close(self) -> None:
        """Stop; what is being exported is given up and leaves nothing behind."""
        self._closing.set()
        self._waiting.put(None)
        self._thread.join()
        if self._work is not None:
            self._work.close()

    def submit(
        self, request: EvidenceRequest, actor: str, used: Idempotency | None
    ) -> tuple[JsonObject, bool]:
        """Take an export, or return the one that an Idempotency-Key led to before.

        Returns
        -------
        tuple
            Its state, and whether it is a new one.

        Raises
        ------
        OverloadedError
            When too many wait, or the service is stopping.
        IdempotencyConflictError
            When the key was used before with another body.
        StoreUnavailableError
            When its state cannot be written or locked.
        """
        sealer = self._platform.sealer
        body = None if used is None else sealer.keyed_hash("body", used.body_sha256.hex()).hex()
        with self._lock, self._alone():
            export_id = new_id()
            if used is not None:
                digest = hash_idempotency_key(used.caller, used.route, used.key, sealer)
                export_id = digest.hex()[:_ID_CHARACTERS]
                if (known := self._load(export_id)) is not None:
                    if known.get("body") != body:
                        raise IdempotencyConflictError(
                            "this Idempotency-Key was used before with another body"
                        )
                    known = self._settle(known)
                    # Nothing came of an interrupted one, so a retry begins it again.
                    if not _is_interrupted(known):
                        return self._describe(known), False
            if len(self._active) >= self._platform.settings.export_queue_max:
                raise OverloadedError(f"{len(self._active)} exports wait or run")
            if self._closing.is_set():
                raise OverloadedError("the service is stopping")
            state: JsonObject = {
                "export_id": export_id,
                "status": "queued",
                "requested_at": format_time(self._platform.now()),
                "actor": actor,
                "is_personal": request.reason is not None,
                "result": None,
                "problem": None,
                "body": body,
            }
            self._hold(export_id)
            try:
                self._save(state)
            except StoreUnavailableError:
                self._release(export_id)
                raise
            self._waiting.put((export_id, request, actor))
        return self._describe(state), True

    def read(self, export_id: str) -> JsonObject:
        """Return an export's state.

        Raises
        ------
        ExportNotFoundError
            When there is none.
        """
        state = self._load(export_id)
        if state is None:
            raise ExportNotFoundError("no export has this id")
        return self._describe(self._settle(state))

    def file(self, export_id: str) -> Path:
        """Return an export's zip file.

        Raises
        ------
        ExportNotFoundError, ExportUnfinishedError
            When there is no such export, or it is not done.
        """
        status = self.read(export_id)["status"]
        path = self._folder / f"{export_id}.zip"
        if status != "done":
            raise ExportUnfinishedError(f"the export is {status}")
        if not path.is_file():
            raise ExportNotFoundError("the export's file was removed")
        return path

    def _run(self) -> None:
        while True:
            job = self._waiting.get()
            if job is None:
                return
            export_id, request, actor = job
            try:
                self._export(export_id, request, actor)
            except Exception as error:  # noqa: BLE001 - the thread must outlive any failed export
                self._log.error("export failed", **describe_exception(error))
            finally:
                with self._lock:
                    self._release(export_id)

    def _export(self, export_id: str, request: EvidenceRequest, actor: str) -> None:
        state = self._load(export_id) or {"export_id": export_id}
        self._save({**state, "status": "running"})
        keys = self._platform.sealer.keys
        generation = keys.generation()
        try:
            result = export_evidence(
                self._platform,
                request,
                self._folder / f"{export_id}.zip",
                actor=actor,
                most_entries=self._platform.settings.export_max_entries,
                staging_folder=None if self._work is None else self._work.folder,
                on_progress=self._go_on,
            )
        except PlatformError as error:
            self._save({**state, "status": "failed", "problem": _problem(error)})
        except Exception:
            unforeseen = InternalError("the export failed")
            self._save({**state, "status": "failed", "problem": _problem(unforeseen)})
            raise
        else:
            self._save({**state, "status": "done", "result": result})
            # An erasure that fell into the export may have looked for its file too early.
            if request.reason is not None and keys.generation() != generation:
                (self._folder / f"{export_id}.zip").unlink(missing_ok=True)
                erased = ExportInterruptedError("a data subject was erased meanwhile")
                self._save({**state, "status": "failed", "problem": _problem(erased)})
            self._remove_old()

    def _go_on(self, _done: int, _total: int) -> None:
        if self._closing.is_set():
            raise ExportInterruptedError("the service is stopping")

    def _settle(self, state: JsonObject) -> JsonObject:
        export_id = str(state["export_id"])
        if state["status"] not in _UNFINISHED or self._is_held(export_id):
            return state
        # It may have been finished in the moment before its lock was found free.
        state = self._load(export_id) or state
        if state["status"] not in _UNFINISHED:
            return state
        for left in self._folder.glob(f".{export_id}.zip.*.part"):
            # May hold personal parts in clear.
            left.unlink(missing_ok=True)
        lost = ExportInterruptedError("the service stopped before the export was done")
        state = {**state, "status": "failed", "problem": _problem(lost)}
        self._save(state)
        return state

    def _describe(self, state: JsonObject) -> JsonObject:
        shown = {name: value for name, value in state.items() if name != "body"}
        path = f"/v1/exports/{state['export_id']}/file"
        return {**shown, "download": path if shown["status"] == "done" else None}

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # Two replicas given one Idempotency-Key at the same moment make one job of it.
        descriptor = self._open(self._folder / "submit.lock")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _hold(self, export_id: str) -> None:
        descriptor = self._open(self._folder / f"{export_id}.lock")
        # Whoever asks holds it only for a moment, to see that it is free.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        self._active[export_id] = descriptor

    def _release(self, export_id: str) -> None:
        (self._folder / f"{export_id}.lock").unlink(missing_ok=True)
        os.close(self._active.pop(export_id))

    def _is_held(self, export_id: str) -> bool:
        if export_id in self._active:
            return True
        try:
            descriptor = os.open(self._folder / f"{export_id}.lock", os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _open(self, path: Path) -> int:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            return os.open(path, os.O_RDWR | os.O_CREAT, _PRIVATE)
        except OSError as error:
            raise StoreUnavailableError("the state of the export could not be written") from error

    def _load(self, export_id: str) -> JsonObject | None:
        if len(export_id) != _ID_CHARACTERS or not _HEX.issuperset(export_id):
            return None
        try:
            content = (self._folder / f"{export_id}.json").read_bytes()
        except FileNotFoundError:
            return None
        return read_object(orjson.loads(content))

    def _save(self, state: JsonObject) -> None:
        path = self._folder / f"{state['export_id']}.json"
        staging = path.with_suffix(".part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            staging.write_bytes(orjson.dumps(state))
            staging.replace(path)
        except OSError as error:
            raise StoreUnavailableError("the state of the export could not be written") from error

    def _remove_old(self) -> None:
        with self._lock:
            states = sorted(self._folder.glob("*.json"), key=_changed_at, reverse=True)
            for path in states[self._platform.settings.export_keep :]:
                if not self._is_held(path.stem):
                    for suffix in (".zip", ".lock", ".json"):
                        path.with_suffix(suffix).unlink(missing_ok=True)


@contextmanager
def running_exports(platform: Platform, log: FilteringBoundLogger) -> Iterator[ExportJobs]:
    """Take exports while the block runs."""
    jobs = ExportJobs(platform, log)
    jobs.start()
    try:
        yield jobs
    finally:
        jobs.close()


def _changed_at(path: Path) -> float:
    # Another replica may remove it at the same moment.
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return 0.0


def _is_interrupted(state: JsonObject) -> bool:
    problem = state["problem"]
    return isinstance(problem, dict) and problem["code"] == ExportInterruptedError.code


def _problem(error: PlatformError) -> JsonObject:
    return {"code": error.code, "detail": error.detail, "remedy": error.remedy}
