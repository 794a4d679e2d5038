"""A small HTTP client for the demonstration: it speaks to the service as any caller would."""

import http.client
from dataclasses import dataclass
from typing import Final

import orjson

from models.domain import Json
from service.answers import JsonObject
from service.errors import DemoFailedError
from service.usecases.records import read_object

_TIMEOUT_SECONDS: Final = 30.0
_READY_TIMEOUT_SECONDS: Final = 2.0
_GOOD: Final = range(200, 300)


@dataclass(frozen=True, slots=True)
class Client:
    """Calls the service at one address.

    Parameters
    ----------
    host, port
        Where it listens.
    """

    host: str
    port: int

    def is_ready(self) -> bool:
        """Tell whether the service says that it can serve."""
        try:
            return self._call("GET", "/health/ready", {}, None, _READY_TIMEOUT_SECONDS)[0] in _GOOD
        except (OSError, http.client.HTTPException):
            return False

    def get(self, path: str, key: str, language: str = "zh-CN") -> JsonObject:
        """Return the JSON answer of a GET.

        Raises
        ------
        DemoFailedError
            When it is not a good one.
        """
        return read_object(orjson.loads(self._good("GET", path, key, language, None)))

    def get_text(self, path: str) -> str:
        """Return the text of an open GET.

        Raises
        ------
        DemoFailedError
            When it is not a good one.
        """
        return self._good("GET", path, "", "en", None).decode()

    def post(self, path: str, key: str, body: Json = None) -> JsonObject:
        """Return the JSON answer of a POST.

        Raises
        ------
        DemoFailedError
            When it is not a good one.
        """
        return read_object(orjson.loads(self._good("POST", path, key, "zh-CN", body)))

    def _good(self, method: str, path: str, key: str, language: str, body: Json) -> bytes:
        headers = {"Accept-Language": language, "Authorization": f"Bearer {key}"}
        try:
            status, content = self._call(method, path, headers, body)
        except (OSError, http.client.HTTPException) as error:
            raise DemoFailedError(f"{method} {path} was not answered") from error
        if status not in _GOOD:
            raise DemoFailedError(f"{method} {path} was answered with {status}: {content[:500]!r}")
        return content

    def _call(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: Json,
        timeout: float = _TIMEOUT_SECONDS,
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        content = None if body is None else orjson.dumps(body)
        try:
            typed = {**headers, "Content-Type": "application/json"} if content else headers
            connection.request(method, path, content, typed)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()
