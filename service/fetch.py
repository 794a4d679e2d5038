"""Fetching a reference table over HTTP: bounded in time, size and where it may be led.

Rules kept here: only http and https; a redirect never leaves https; no more bytes are read than
allowed; the whole exchange has one deadline. Proxies and the environment are not asked.
"""

import time
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage
from typing import IO, Final
from urllib.error import HTTPError, URLError
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    Request,
)

from service.errors import ReferenceUnreachableError

_CHUNK_BYTES: Final = 65_536
_NOT_MODIFIED: Final = 304


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a source answered.

    Parameters
    ----------
    content
        The body.
    etag
        The source's name for it, to ask with the next time; None when it gives none.
    """

    content: bytes
    etag: str | None


class _SameOrSaferScheme(HTTPRedirectHandler):
    """Follows a redirect to http only from http, and to https."""

    def redirect_request(  # noqa: PLR0917 - the signature is the library's
        self,
        req: Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> Request | None:
        scheme = newurl.partition(":")[0].lower()
        if scheme not in {"https", req.type}:
            raise URLError(f"it redirects from {req.type} to {scheme}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(url: str, etag: str | None, *, timeout_seconds: float, max_bytes: int) -> Fetched | None:
    """Fetch a document unless it is still the one that is known.

    Parameters
    ----------
    url
        http or https.
    etag
        Of the document known; None to fetch in any case.
    timeout_seconds
        For the whole exchange.
    max_bytes
        Largest document.

    Returns
    -------
    Fetched or None
        None when the source says that it has not changed.

    Raises
    ------
    ReferenceUnreachableError
        When the source does not answer with a document in time.
    """
    give_up_at = time.monotonic() + timeout_seconds
    headers = {"Accept": "application/json", "User-Agent": "candor"}
    if etag is not None:
        headers["If-None-Match"] = etag
    request = Request(url, headers=headers)  # noqa: S310 - the opener knows http and https only
    try:
        with _opener().open(request, timeout=timeout_seconds) as response:
            content = bytearray()
            while chunk := response.read1(_CHUNK_BYTES):
                content += chunk
                if len(content) > max_bytes:
                    raise ReferenceUnreachableError(f"it is larger than {max_bytes} bytes")
                if time.monotonic() > give_up_at:
                    raise ReferenceUnreachableError(f"it took longer than {timeout_seconds:g} s")
            _check_whole(response.headers.get("Content-Length"), len(content))
            return Fetched(bytes(content), response.headers.get("ETag"))
    except HTTPError as error:
        with error:
            if error.code == _NOT_MODIFIED and etag is not None:
                return None
            raise ReferenceUnreachableError(f"it answered {error.code}") from error
    except URLError as error:
        raise ReferenceUnreachableError(f"it cannot be reached: {error.reason}") from error
    except TimeoutError as error:
        raise ReferenceUnreachableError(f"it kept silent for {timeout_seconds:g} s") from error
    except (OSError, HTTPException, ValueError) as error:
        name = type(error).__name__
        raise ReferenceUnreachableError(f"the exchange with it broke off: {name}") from error


def _opener() -> OpenerDirector:
    # Put together by hand: the library's default also reads files and asks the environment.
    opener = OpenerDirector()
    for handler in (
        HTTPHandler(),
        HTTPSHandler(),
        HTTPDefaultErrorHandler(),
        HTTPErrorProcessor(),
        _SameOrSaferScheme(),
    ):
        opener.add_handler(handler)
    return opener


def _check_whole(declared: str | None, received: int) -> None:
    # Reading piece by piece does not notice by itself that the other side stopped early.
    if declared is not None and declared.isdigit() and int(declared) != received:
        raise ReferenceUnreachableError("the exchange with it broke off: less came than announced")
