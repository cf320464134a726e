"""JSON with a long array of pixels, which a compiled loop reads twenty times as fast as `json`."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fittingroom.kernels.compiled import compiled

#: Characters below which `json` alone is as fast.
SHORT = 512
_DATA = re.compile(rb'"data"\s*:\s*\[')
#: What stands in the text in place of the array: no JSON, so that nothing else can mean it.
_PLACE = "NaN"


def prepare() -> None:
    """Compile the loop, or load it from the cache, so that no request waits for that."""
    _read(b"0", 0, 1)


def read_json(text: bytes) -> Any:
    """What `json.loads` gives, but for long data of the first input: whole numbers 0 … 255, flat.

    They are an array uint8 (n,). Raises ValueError for what isn't JSON, and
    RecursionError for what is nested too deeply.
    """
    if (found := _DATA.search(text)) is not None:
        start, end = found.end(), text.find(b"]", found.end())
        if end - start > SHORT and (pixels := _read(text, start, end)) is not None:
            rest = b"".join([text[: start - 1], _PLACE.encode(), text[end + 1 :]])
            place = _Place()
            asked = json.loads(rest, parse_constant=place.taken_by)
            tensor = _first_input(asked)
            if place.times == 1 and tensor.get("data") is place:
                tensor["data"] = pixels
                return asked
    return json.loads(text)


class _Place:
    """What JSON gives where the array stood, or where the request has such a constant itself."""

    times = 0

    def taken_by(self, _: str) -> _Place:
        self.times += 1
        return self


def _first_input(asked: Any) -> dict[str, Any]:
    tensors = asked.get("inputs") if isinstance(asked, dict) else None
    tensor = tensors[0] if isinstance(tensors, list) and tensors else None
    return tensor if isinstance(tensor, dict) else {}


def _read(text: bytes, start: int, end: int) -> NDArray[np.uint8] | None:
    pixels = np.empty((end - start) // 2 + 1, np.uint8)
    n = _pixels(np.frombuffer(text, np.uint8)[start:end], pixels)
    return None if n < 0 else pixels[:n]


@compiled
def _pixels(text: NDArray[np.uint8], pixels: NDArray[np.uint8]) -> int:
    """Read numbers 0 … 255 with commas between them; how many, or -1 if it is anything else."""
    n = value = digits = 0
    ended = False  # whether a space has followed the number
    for i in range(len(text)):
        code = text[i]
        if 48 <= code <= 57:  # a digit
            if ended or (digits > 0 and value == 0):
                return -1
            value = 10 * value + code - 48
            digits += 1
            if value > 255:
                return -1
        elif code == 44:  # a comma
            if digits == 0:
                return -1
            pixels[n] = value
            n += 1
            value = digits = 0
            ended = False
        elif code == 32 or code == 10 or code == 13 or code == 9:
            ended = digits > 0
        else:
            return -1
    if digits == 0:
        return -1
    pixels[n] = value
    return n + 1
