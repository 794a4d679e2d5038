"""Checking a whole platform: the store, the API keys, and what is kept outside the database."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from audit.errors import AuditError
from audit.verify import Problem, Report, verify_store
from models.errors import PlatformError
from service.settings import Settings
from service.usecases.anchor import load_vouchers
from service.usecases.check_keys import verify_api_keys
from service.wiring import Platform, open_platform


def verify_everything(
    settings: Settings,
    vkey: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Check everything that a platform holds of its log.

    Parameters
    ----------
    settings
        Whose platform.
    vkey
        The log's verifier key, known from elsewhere; None takes the store's own.
    on_progress
        Called with entries checked and entries in all.

    Raises
    ------
    PlatformError
        When the platform cannot be opened, not even to look at it.
    """
    with ExitStack() as stack:
        # 1. As a service opens it; if that refuses, the reason is the first finding.
        found: list[Problem] = []
        try:
            platform = stack.enter_context(open_platform(settings))
        except AuditError as error:
            platform = stack.enter_context(open_platform(settings, applies_ledger=False))
            found.append(_outside(error))
        report = verify_platform(platform, vkey, on_progress)
        problems = tuple(dict.fromkeys([*found, *report.problems]))
    return replace(report, ok=not problems, problems=problems)


def verify_platform(
    platform: Platform,
    vkey: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Check everything that an open platform holds of its log; see `verify_everything`."""
    found: list[Problem] = []
    try:
        own = platform.signer.verifier_key
    except PlatformError as error:
        found.append(_outside(error))
        own = platform.notary.keyring.first_key
    # 1. Every value of the store, against keys and witnesses.
    report = verify_store(
        platform.store,
        [vkey or own],
        platform.sealer,
        on_progress,
        load_vouchers(platform.settings),
    )
    # 2. Who may come in, and the checkpoint outside.
    try:
        found += verify_api_keys(platform.store, platform.sealer)
        platform.notary.verify(platform.store)
    except AuditError as error:
        found.append(_outside(error))
    problems = (*report.problems, *found)
    return replace(report, ok=not problems, problems=problems)


def _outside(error: PlatformError) -> Problem:
    return Problem(None, None, error.code, error.detail)
