"""Where a kind's answers come from when another system's model gives them: an outside node.

The node speaks the Open Inference Protocol V2 over HTTP. This is only its declaration in a kind
file; `models.inference` says what is sent and read, `models.outside` what follows from it.
"""

from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from models.sentences import Part, Slug

NODE_FAILED: Final = "node-failed"
NODE_NOT_ASKED: Final = "node-not-asked"
_Segment = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=128)]
_Tensor = Annotated[str, Field(min_length=1, max_length=128)]


class Node(Part):
    """An outside node that serves a kind.

    Parameters
    ----------
    url
        Base address, http or https, without user, query or fragment.
    model, version
        Name and version in the node's repository; without a version the node chooses.
    marks
        What the node is marked as for the policy's residency rules: ``domestic``.
    output
        Tensor that holds the probability of the adverse event, 0 to 1.
    attributions, base_value, margin
        Tensors that explain it, in the unit of `link`: one value per feature in the kind's order,
        what they start from and, if the node gives it, their sum. The first two go together.
    link
        How the margin becomes the probability.
    timeout_ms, max_response_bytes
        Bounds of one call; the service's settings bound them in turn.
    """

    url: Annotated[str, Field(max_length=2_000)]
    model: _Segment
    version: _Segment | None = None
    marks: tuple[Slug, ...] = ()
    output: _Tensor
    attributions: _Tensor | None = None
    base_value: _Tensor | None = None
    margin: _Tensor | None = None
    link: Literal["logit"] = "logit"
    timeout_ms: Annotated[int, Field(gt=0, le=60_000)] | None = None
    max_response_bytes: Annotated[int, Field(gt=0)] | None = None

    @field_validator("url")
    @classmethod
    def _is_plain_http(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or not url.isascii():
            raise ValueError("an http or https address")
        if parts.username is not None or parts.query or parts.fragment or parts.port == 0:
            raise ValueError("an address without user, query and fragment")
        if any(character.isspace() for character in url):
            raise ValueError("an address without spaces")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _explained_whole(self) -> Self:
        if (self.attributions is None) != (self.base_value is None):
            raise ValueError("attributions and base_value explain only together")
        if self.margin is not None and self.attributions is None:
            raise ValueError("a margin explains only with attributions and base_value")
        names = self.outputs()
        if len(set(names)) < len(names):
            raise ValueError("an output named twice")
        return self

    @property
    def explains(self) -> bool:
        """Whether the node says why."""
        return self.attributions is not None

    def outputs(self) -> tuple[str, ...]:
        """Return the names of the tensors that the node must give, and no others."""
        named = (self.output, self.attributions, self.base_value, self.margin)
        return tuple(name for name in named if name is not None)

    def model_path(self) -> str:
        """Return the protocol's path of the model below the base address.

        Examples
        --------
        >>> Node(url="http://n:8080", model="risk", version="3", output="p").model_path()
        '/v2/models/risk/versions/3'
        """
        path = f"/v2/models/{self.model}"
        return path if self.version is None else f"{path}/versions/{self.version}"
