"""The server's routes."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.metadata import version
from time import perf_counter
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fittingroom.errors import DataError, InputError, UnknownNameError
from fittingroom.serving import openapi, pixels, protocol
from fittingroom.serving.batching import MOST_IMAGES, BatchQueue, FullError
from fittingroom.serving.guard import RETRY, Guard
from fittingroom.serving.metrics import Metrics
from fittingroom.serving.page import Page, describe_model
from fittingroom.serving.photo import PhotoQuery, classify_photo
from fittingroom.serving.served_model import ServedModel

T = TypeVar("T")
Endpoint = Callable[[Request], Awaitable[Response]]

#: Photos prepared at once, and those that may wait: finding the object takes a core for a while.
PHOTOS, PHOTOS_WAITING = 2, 16


class Server:
    """Models, what waits for them, and the answers."""

    def __init__(self, models: Sequence[ServedModel], *, with_token: bool = False) -> None:
        self.models = {model.name: model for model in models}
        self.metrics = Metrics(models)
        self.queues = {
            model.name: BatchQueue(model.predict, on_batch=self.metrics.batch_of(model.name))
            for model in models
        }
        pixels.prepare()
        self._photos = ThreadPoolExecutor(PHOTOS, thread_name_prefix="photo")
        self._photos_under_way = 0
        self._about = protocol.server_metadata(version("fittingroom"))
        self._description = openapi.describe(models, version("fittingroom"), with_token=with_token)

    def routes(self) -> list[Route]:
        of_model = "/v2/models/{model}"
        with_version = f"{of_model}/versions/{{version}}"
        infer, photo = self._timed("infer", self.infer), self._timed("photo", self.photo)
        return [  # in this order they are compared with a path, so that the busiest come first
            *(Route(f"{path}/infer", infer, methods=["POST"]) for path in (of_model, with_version)),
            Route("/v2", self.about),
            Route("/v2/health/live", self.live),
            Route("/v2/health/ready", self.ready),
            *(Route(path, self.about_model) for path in (of_model, with_version)),
            *(Route(f"{path}/ready", self.model_ready) for path in (of_model, with_version)),
            Route("/v1/photo", photo, methods=["POST"]),
            Route("/v1/models", self.about_models),
            Route("/metrics", self.counted),
            Route(openapi.PATH, self.described),
            *Page().routes(),
        ]

    def close(self) -> None:
        for queue in self.queues.values():
            queue.close()
        self._photos.shutdown(wait=False, cancel_futures=True)

    async def about(self, _: Request) -> Response:
        return JSONResponse(self._about)

    async def live(self, _: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(self, _: Request) -> Response:
        return JSONResponse({"ready": True})

    async def about_model(self, request: Request) -> Response:
        return JSONResponse(protocol.model_metadata(self._model(request)))

    async def about_models(self, _: Request) -> Response:
        return JSONResponse({"models": [describe_model(each) for each in self.models.values()]})

    async def model_ready(self, request: Request) -> Response:
        return JSONResponse({"name": self._model(request).name, "ready": True})

    async def counted(self, _: Request) -> Response:
        for name, queue in self.queues.items():
            self.metrics.waiting(name, queue.waiting)
        return Response(self.metrics.text(), media_type=Metrics.MEDIA_TYPE)

    async def described(self, _: Request) -> Response:
        return JSONResponse(self._description)

    async def infer(self, request: Request) -> Response:
        """Classify images by the Open Inference Protocol."""
        model = self._model(request)
        if request.headers.get("content-encoding", "identity") != "identity":
            raise HTTPException(415, "bodies are sent uncompressed.")
        queue = self.queues[model.name]
        queue.check_room(1)
        body = await request.body()
        if len(body) > _longest_request(model):
            raise HTTPException(413, f"a request has at most {MOST_IMAGES} images.")
        asked = protocol.parse(body, request.headers.get(protocol.HEADER_LENGTH), model)
        if len(asked.images) > MOST_IMAGES:
            raise HTTPException(413, f"a request has at most {MOST_IMAGES} images.")
        probabilities = await _unless_gone(request, queue.predict(asked.images))
        self.metrics.classified(model, probabilities.argmax(axis=1))
        body, length = protocol.answer(asked, probabilities, model)
        if length is None:
            return Response(body, media_type="application/json")
        headers = {protocol.HEADER_LENGTH: str(length)}
        return Response(body, media_type="application/octet-stream", headers=headers)

    async def photo(self, request: Request) -> Response:
        """Classify one picture, by one model or by all."""
        name = request.query_params.get("model")
        models = [*self.models.values()] if name is None else [self._find(name)]
        if request.headers.get("content-type", "").startswith("multipart/"):
            raise HTTPException(415, "the body is the picture itself, not a form.")
        query = PhotoQuery.parse(request.query_params)
        content = await request.body()
        if self._photos_under_way >= PHOTOS + PHOTOS_WAITING:
            raise FullError
        self._photos_under_way += 1
        try:
            loop = asyncio.get_running_loop()
            work = loop.run_in_executor(self._photos, classify_photo, models, content, query)
            found = await _unless_gone(request, work)
        finally:
            self._photos_under_way -= 1
        for model, entry in zip(models, found, strict=True):
            self.metrics.photo(model, entry["top"][0]["label"], entry["unlike_data"])
        predictions = {model.name: entry for model, entry in zip(models, found, strict=True)}
        return JSONResponse({"predictions": predictions})

    def _model(self, request: Request) -> ServedModel:
        if request.path_params.get("version", protocol.VERSION) != protocol.VERSION:
            raise HTTPException(404, f"the only version of a model is {protocol.VERSION}.")
        return self._find(request.path_params["model"])

    def _find(self, name: str) -> ServedModel:
        if name not in self.models:
            raise UnknownNameError("model", name[:100], self.models)
        return self.models[name]

    def _timed(self, kind: str, endpoint: Endpoint) -> Endpoint:
        """The endpoint, with its requests counted and timed."""

        async def timed(request: Request) -> Response:
            start, status = perf_counter(), 500
            try:
                response = await endpoint(request)
                status = response.status_code
                return response
            except tuple(REFUSALS) as error:
                status = status_of(error)
                raise
            finally:
                self.metrics.request(kind, status, perf_counter() - start)

        return timed


def _longest_request(model: ServedModel) -> int:
    """Bytes of `MOST_IMAGES` images: as JSON, or as numbers of eight bytes."""
    return MOST_IMAGES * math.prod(model.image_shape) * 8 + 2**16


async def _unless_gone(request: Request, answer: Awaitable[T]) -> T:
    """Wait for an answer as long as somebody waits for it; raises ClientDisconnect."""
    work = asyncio.ensure_future(answer)
    gone = asyncio.ensure_future(_hang_up(request))
    gone.add_done_callback(lambda _: work.cancel())
    try:
        return await work
    except asyncio.CancelledError:
        if gone.done():
            raise ClientDisconnect from None
        raise
    finally:
        gone.cancel()


async def _hang_up(request: Request) -> None:
    """Wait until the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


#: What is refused, and with which status.
REFUSALS: dict[type[Exception], int] = {
    HTTPException: 0,  # it says so itself
    InputError: 400,
    DataError: 400,
    UnknownNameError: 404,
    ClientDisconnect: 499,  # as nginx has it; nobody reads it
    FullError: 503,
}


def status_of(error: Exception) -> int:
    """The HTTP status of a refusal."""
    if isinstance(error, HTTPException):
        return error.status_code
    return next(status for kind, status in REFUSALS.items() if isinstance(error, kind))


async def _refused(_: Request, error: Exception) -> Response:
    """One sentence, in the form that the protocol has for errors."""
    text, headers = str(error), None
    if isinstance(error, HTTPException):
        text, headers = error.detail, error.headers
    elif isinstance(error, FullError):
        text = "too many images wait; try again in a moment."
        headers = {"retry-after": RETRY}
    return JSONResponse({"error": text}, status_of(error), headers)


async def _failed(_: Request, error: Exception) -> Response:
    """A mistake of ours; the log has its traceback."""
    return JSONResponse({"error": f"the server failed: {type(error).__name__}."}, 500)


def make_app(
    models: Sequence[ServedModel], *, hosts: Collection[str], token: str | None = None
) -> Guard:
    """The ASGI application that serves `models` to those who ask for one of `hosts`."""
    server = Server(models, with_token=token is not None)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            server.close()

    handlers: Mapping[Any, Any] = {**dict.fromkeys(REFUSALS, _refused), Exception: _failed}
    app = Starlette(routes=server.routes(), exception_handlers=handlers, lifespan=lifespan)
    return Guard(
        app,
        hosts=hosts,
        token=token,
        on_refusal=lambda status: server.metrics.request("refused", status, 0.0),
    )
