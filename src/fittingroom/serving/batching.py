"""Images that wait for a model: few enough to be answered soon, computed together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Probabilities = NDArray[np.float32]

#: Images computed at once: more take no less time each, and delay whoever comes next.
BATCH = 64
#: Images of one request.
MOST_IMAGES = 512
#: Images that may wait for one model, those being computed included, unless one request alone has
#: more: five batches. Whoever is accepted is then answered about as soon as on a calm server.
WAITING = 320


class FullError(Exception):
    """More images wait than can be answered soon."""


@dataclass
class _Request:
    images: Images
    answer: asyncio.Future[Probabilities]
    parts: list[Probabilities] = field(default_factory=list)
    taken: int = 0

    @property
    def left(self) -> int:
        return len(self.images) - self.taken


class BatchQueue:
    """Computes what waits, as soon as the one before is computed, in batches without a delay.

    Requests are taken in the order in which they came; a large one is computed in parts.

    Parameters
    ----------
    predict : computes the probabilities of images, in a thread of its own
    batch, waiting : images computed at once, and images that may wait
    on_batch : called with the number of images of each batch
    """

    def __init__(
        self,
        predict: Callable[[Images], Probabilities],
        *,
        batch: int = BATCH,
        waiting: int = WAITING,
        on_batch: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._predict, self._batch, self._most, self._on_batch = predict, batch, waiting, on_batch
        self._requests: deque[_Request] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="predict")
        self._task: asyncio.Task[None] | None = None
        self.waiting = 0

    async def predict(self, images: Images) -> Probabilities:
        """The probabilities of images.

        Raises FullError if too many wait already; what the model raises is raised here.
        """
        self.check_room(len(images))
        request = _Request(images, asyncio.get_running_loop().create_future())
        self._requests.append(request)
        self.waiting += len(images)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._compute())
        return await request.answer

    def check_room(self, n: int) -> None:
        """Raise FullError if so many images can't wait any more; any number can where none does."""
        if self.waiting and self.waiting + n > self._most:
            raise FullError

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _compute(self) -> None:
        loop = asyncio.get_running_loop()
        while self._requests:
            parts = self._next_batch()
            if not parts:
                continue
            try:
                together = np.concatenate([images for _, images in parts])
                self._on_batch(len(together))
                found = await loop.run_in_executor(self._thread, self._predict, together)
            except Exception as error:  # belongs to those who asked, not to this loop
                for request, _ in parts:
                    if not request.answer.done():
                        request.answer.set_exception(error)
                continue
            finally:
                self.waiting -= sum(len(images) for _, images in parts)
            start = 0
            for request, images in parts:
                request.parts.append(found[start : start + len(images)])
                start += len(images)
                if not request.left and not request.answer.done():
                    request.answer.set_result(np.concatenate(request.parts))

    def _next_batch(self) -> list[tuple[_Request, Images]]:
        """The next images, each with its request; those that nobody waits for are dropped."""
        parts, room = [], self._batch
        while room and self._requests:
            request = self._requests[0]
            if request.answer.done():
                self.waiting -= request.left
                self._requests.popleft()
                continue
            images = request.images[request.taken : request.taken + room]
            parts.append((request, images))
            request.taken += len(images)
            room -= len(images)
            if not request.left:
                self._requests.popleft()
        return parts
