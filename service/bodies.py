"""Reading request bodies: the media type, then no more bytes than allowed, then the form."""

from collections.abc import Collection
from typing import TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from models.errors import FieldFault, MalformedJsonError
from service.errors import BodyTooLargeError, MediaTypeError, RequestInvalidError

JSON = frozenset({"application/json"})
NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
Body = TypeVar("Body", bound=BaseModel)


async def read_body(request: Request, accepted: Collection[str], limit_bytes: int) -> bytes:
    """Read a request's body.

    Parameters
    ----------
    request
        Not yet read.
    accepted
        Media types; a request without Content-Type is taken at its word.
    limit_bytes
        Longest body.

    Raises
    ------
    MediaTypeError
        When the body is of another media type.
    BodyTooLargeError
        When it is longer, before the rest is read.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type and media_type not in accepted:
        raise MediaTypeError(f"the body is not {' or '.join(sorted(accepted))}")
    too_large = BodyTooLargeError(f"the body is longer than {limit_bytes} bytes")
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > limit_bytes:
        raise too_large
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit_bytes:
            raise too_large
        chunks.append(chunk)
    return b"".join(chunks)


def parse_body(form: type[Body], body: bytes) -> Body:
    """Check a JSON body against its form.

    Raises
    ------
    MalformedJsonError
        When it is not JSON.
    RequestInvalidError
        With a JSON pointer for each wrong place.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedJsonError(f"not JSON: {error}") from error
    try:
        return form.model_validate(document)
    except ValidationError as error:
        raise RequestInvalidError(list_faults(error)) from error


def list_faults(error: ValidationError) -> tuple[FieldFault, ...]:
    """Return the wrong places of a body, without their values."""
    return tuple(
        FieldFault("".join(f"/{part}" for part in item["loc"]), item["msg"])
        for item in error.errors(include_url=False, include_input=False, include_context=False)
    )
