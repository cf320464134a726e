"""batching.py: what waits is computed together, in order, and never too much of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from fittingroom.serving.batching import BatchQueue, FullError


def images(*values: int) -> np.ndarray:
    return np.array(values, np.uint8)[:, None, None]


def doubled(batch: np.ndarray) -> np.ndarray:
    return 2.0 * batch[:, 0].astype(np.float32)


class Gate:
    """A model that computes only when it may, and remembers its batches."""

    def __init__(self) -> None:
        self.open, self.begun = threading.Event(), threading.Event()
        self.batches: list[list[int]] = []

    def predict(self, batch: np.ndarray) -> np.ndarray:
        self.begun.set()
        assert self.open.wait(10)
        self.batches.append(batch.ravel().tolist())
        if 13 in batch:
            raise ValueError("thirteen")
        return doubled(batch)


def run_with(
    gate: Gate, ask: Callable[[BatchQueue], Awaitable[None]], batch: int = 64, waiting: int = 512
) -> None:
    async def main() -> None:
        queue = BatchQueue(gate.predict, batch=batch, waiting=waiting)
        try:
            await ask(queue)
        finally:
            queue.close()
        assert queue.waiting == 0

    asyncio.run(main())


async def begin(
    queue: BatchQueue, gate: Gate, *requests: np.ndarray
) -> list[asyncio.Task[np.ndarray]]:
    """Ask for the first, and for the others once that is under way."""
    tasks = [asyncio.create_task(queue.predict(requests[0]))]
    await asyncio.to_thread(gate.begun.wait, 10)
    tasks += [asyncio.create_task(queue.predict(request)) for request in requests[1:]]
    await asyncio.sleep(0)
    return tasks


def test_what_waits_is_computed_together_in_order() -> None:
    gate, sizes = Gate(), list[int]()

    async def ask(queue: BatchQueue) -> None:
        tasks = await begin(queue, gate, images(1), images(2, 3), images(4), images(5, 6, 7))
        assert queue.waiting == 7
        gate.open.set()
        for task, expected in zip(tasks, ([2], [4, 6], [8], [10, 12, 14]), strict=True):
            assert (await task).ravel().tolist() == expected

    async def main() -> None:
        await ask(BatchQueue(gate.predict, batch=4, on_batch=sizes.append))

    asyncio.run(main())
    assert gate.batches == [[1], [2, 3, 4, 5], [6, 7]]
    assert sizes == [1, 4, 2]


def test_too_many_are_refused_at_once() -> None:
    gate = Gate()

    async def ask(queue: BatchQueue) -> None:
        tasks = await begin(queue, gate, images(1, 2, 3), images(4), images(5))
        with pytest.raises(FullError):
            await tasks[2]
        gate.open.set()
        assert (await tasks[0]).ravel().tolist() == [2, 4, 6]
        assert (await tasks[1]).ravel().tolist() == [8]
        assert (await queue.predict(images(8))).ravel().tolist() == [16]

    run_with(gate, ask, batch=2, waiting=4)


def test_a_request_of_more_than_may_wait_is_taken_when_nothing_waits() -> None:
    gate = Gate()

    async def ask(queue: BatchQueue) -> None:
        tasks = await begin(queue, gate, images(1, 2, 3, 4, 5), images(6))
        with pytest.raises(FullError):
            await tasks[1]
        gate.open.set()
        assert (await tasks[0]).ravel().tolist() == [2, 4, 6, 8, 10]

    run_with(gate, ask, batch=2, waiting=4)


def test_an_error_concerns_those_of_its_batch_alone() -> None:
    gate = Gate()

    async def ask(queue: BatchQueue) -> None:
        tasks = await begin(queue, gate, images(1), images(2, 13), images(3, 4))
        gate.open.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(answer) for answer in answers] == [np.ndarray, ValueError, np.ndarray]

    run_with(gate, ask, batch=2)


def test_nothing_is_computed_for_who_has_gone() -> None:
    gate = Gate()

    async def ask(queue: BatchQueue) -> None:
        tasks = await begin(queue, gate, images(1), images(2, 3), images(4))
        tasks[1].cancel()
        gate.open.set()
        assert (await tasks[2]).ravel().tolist() == [8]

    run_with(gate, ask)
    assert gate.batches == [[1], [4]]
