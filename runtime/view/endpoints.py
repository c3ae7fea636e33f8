"""The control API, declared once: what is served, and what its document says."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from masklet.runtime.view.messages import Failure

ANSWERS = {
    400: "The request is not understood.",
    401: "The token is missing or wrong.",
    403: "The page that asks is not this server's.",
    404: "There is no such stream or object.",
    409: "The stream has ended, or had no frame in time.",
    413: "The request is too large.",
    422: "The request does not fit the stream or its newest frame.",
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path.

    path:    with {names} of integers, as Starlette has them. does: what it does, one line.
    handle:  gets the integers of the path by name, and the body where one is declared.
    body:    the type of the request's body; None for none.
    answer:  the type of the answer; None for none, 204; or the media type of bytes that `handle` returns.
    """

    method: str
    path: str
    does: str
    handle: Callable[..., Awaitable[Any]]
    body: Any = None
    answer: Any = None

    @property
    def parameters(self) -> list[str]:
        """The names in the path."""
        return [part.strip("{}") for part in self.path.split("/") if part.startswith("{")]


def document(title: str, version: str, endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The API as OpenAPI 3.1 describes it."""
    import msgspec

    types = [kind for one in endpoints for kind in (one.body, one.answer) if kind is not None and kind not in MEDIA]
    schemas, components = msgspec.json.schema_components([*types, Failure], ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(map(id, [*types, Failure]), schemas, strict=True))
    paths: dict[str, Any] = {}
    for one in endpoints:
        operation: dict[str, Any] = {"summary": one.does, "operationId": one.handle.__name__, "responses": {}}
        if one.parameters:
            operation["parameters"] = [_parameter(name) for name in one.parameters]
        if one.body is not None:
            content = {"application/json": {"schema": schema_of[id(one.body)]}}
            operation["requestBody"] = {"required": True, "content": content}
        operation["responses"] = _responses(one, schema_of)
        paths.setdefault(one.path, {})[one.method.lower()] = operation
    security = {"token": {"type": "http", "scheme": "bearer", "description": "Needed where a host was named."}}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": security},
        "security": [{}, {"token": []}],
    }


FRAME = "application/octet-stream"  # a frame as `pack_message` has it
MEDIA = (FRAME, "image/jpeg", "application/zip", "application/json")


def _parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "integer", "minimum": 0}}


def _responses(one: Endpoint, schema_of: dict[int, Any]) -> dict[str, Any]:
    failure = {"application/json": {"schema": schema_of[id(Failure)]}}
    responses: dict[str, Any] = {"204": {"description": "Done."}}
    if one.answer in MEDIA:
        responses = {"200": {"description": "Done.", "content": {one.answer: {}}}}
    elif one.answer is not None:
        responses = {
            "200": {"description": "Done.", "content": {"application/json": {"schema": schema_of[id(one.answer)]}}}
        }
    return responses | {str(code): {"description": what, "content": failure} for code, what in ANSWERS.items()}
