"""What routes take from a request: the platform, the caller, the language."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Header, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from models.domain import Language
from service.auth import Action, Principal, authenticate, require
from service.language import negotiate, text_language
from service.turns import Turns
from service.wiring import Platform

BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="ApiKey",
    description="A key of `candor key create`, sent as `Authorization: Bearer KEY`.",
)


def get_platform(request: Request) -> Platform:
    """Return the running platform."""
    platform: Platform = request.app.state.platform
    return platform


OpenPlatform = Annotated[Platform, Depends(get_platform)]


def get_turns(request: Request) -> Turns:
    """Return the turns of requests that record."""
    turns: Turns = request.app.state.turns
    return turns


RecordingTurns = Annotated[Turns, Depends(get_turns)]


def get_language(
    platform: OpenPlatform,
    accept_language: Annotated[
        str | None, Header(description="`zh-CN` or `en`: language of the texts.")
    ] = None,
) -> Language:
    """Return the language of the answer's texts."""
    return text_language(negotiate(accept_language, platform.settings.language))


AnswerLanguage = Annotated[Language, Depends(get_language)]
IdempotencyKey = Annotated[
    str | None,
    Header(description="1 to 255 visible ASCII characters; a retry gets the first answer."),
]


def allow(action: Action) -> Callable[..., Principal]:
    """Return a dependency that lets only those through who may do this.

    Parameters
    ----------
    action
        What the route does.
    """

    def check(
        request: Request,
        platform: OpenPlatform,
        _scheme: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)],
    ) -> Principal:
        header = request.headers.get("authorization")
        principal = authenticate(header, platform.api_keys.find_principal)
        require(principal, action)
        return principal

    return check
