"""The page at `/`, whose files are the same for everybody."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fittingroom.serving.guard import PAGE, PAGE_FILES
from fittingroom.serving.served_model import ServedModel

#: Where each file lies.
_FOLDERS = {
    "fittingroom.serving": (
        *("page.html", "serve.css", "serve.js", "server.js", "model_card.js", "explanation.js"),
    ),
    "fittingroom.bundles": (
        *("page.css", "bars.js", "cutout.js", "drawing.js", "picture_input.js", "resize.js"),
    ),
}
_MEDIA_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
#: The page's own files and requests, and pictures that are given; nothing from anywhere else.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",
}


class Page:
    """The page's files."""

    def __init__(self) -> None:
        self._files = {
            name: files(package).joinpath("web", name).read_bytes()
            for package, names in _FOLDERS.items()
            for name in names
        }

    def routes(self) -> list[Route]:
        others = [name for name in self._files if name != "page.html"]
        return [
            Route(PAGE, self._sender("page.html"), include_in_schema=False),
            *(
                Route(f"{PAGE_FILES}{name}", self._sender(name), include_in_schema=False)
                for name in others
            ),
        ]

    def _sender(self, name: str) -> Any:
        content, media_type = self._files[name], _MEDIA_TYPES[name.rpartition(".")[2]]

        async def send(_: Request) -> Response:
            return Response(content, media_type=media_type, headers=_HEADERS)

        return send


def describe_model(model: ServedModel) -> dict[str, Any]:
    """What the page needs to know of a model, for JSON."""
    facts = model.facts
    return {
        "name": model.name,
        "data": facts.data.name,
        "labels": list(model.class_names),
        "image_shape": list(model.image_shape),
        "preparation": model.preparation,
        "coverage": None if facts.calibrated is None else facts.calibrated.coverage,
        "training_images": None if model.training is None else len(model.training),
    }
