"""Products of matrices of bytes, summed exactly in 32 bits, where AVX-512 VNNI has them.

Unsigned numbers, of which there are many, are arranged once: in panels of 64 rows, in which four
successive numbers of each row lie together. Rows of signed numbers are then multiplied with one
panel after another, which stays in the cache meanwhile.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fittingroom.kernels.products import LANES, WIDE, Product, as_array

#: Rows of a panel.
PANEL = 4 * LANES
#: Numbers that lie together.
QUAD = 4
#: Bytes between two quads of a row of a panel.
STEP = PANEL * QUAD
#: Where the fields of a product hold the addresses of its signed rows, its panel and its result.
A, B, C = (Product._fields.index(name) for name in "abc")


def arrange(numbers: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Panels (panels, quads, 64, 4) of rows (n, k); zeros fill the last panel and quad."""
    n, k = numbers.shape
    shape = (-(-n // PANEL), PANEL, -(-k // QUAD), QUAD)
    whole = shape[0] * PANEL, shape[2] * QUAD
    if whole != numbers.shape:
        filled = np.zeros(whole, np.uint8)
        filled[:n, :k] = numbers
        numbers = filled
    return np.ascontiguousarray(numbers.reshape(shape).transpose(0, 2, 1, 3))


def signed_rows(n: int, k: int) -> NDArray[np.int8]:
    """Zeros (rows, columns): memory for n rows of k signed numbers, in full tiles and quads."""
    return np.zeros((-(-n // WIDE) * WIDE, -(-k // QUAD) * QUAD), np.int8)


class ByteProduct:
    """The product of signed rows and a panel, for a kernel that takes it with many panels.

    Attributes
    ----------
    fields : int64 (fields,), for `multiply_bytes`; a kernel writes entries `B` and `C` of a copy,
        and `A` if the signed rows are elsewhere
    """

    def __init__(
        self,
        rows: NDArray[np.int8],
        offsets: NDArray[np.int64],
        *,
        step: int,
        quads: int,
        result_row: int,
        adds: bool = False,
    ) -> None:
        """Address everything but the panel and the result.

        Parameters
        ----------
        rows : the memory of the signed numbers
        offsets : bytes from its start to each row; as many as full tiles have
        step : bytes from a quad of a row to the next
        quads : in a row
        result_row : bytes from a row of the int32 result to the next
        adds : whether products are added to what the result holds
        """
        assert len(offsets) % WIDE == 0
        # Kept, since addresses keep nothing.
        self._memory: tuple[NDArray[Any], ...] = (
            rows,
            offsets.astype(np.int64),
            result_row * np.arange(len(offsets), dtype=np.int64),
            np.zeros(PANEL, np.int32),
        )
        a, a_rows, c_rows, zeros = (array.ctypes.data for array in self._memory)
        product = Product(
            a=a,
            a_rows=a_rows,
            rows=len(offsets),
            a_step=step,
            a_jump=0,
            b=0,
            b_step=STEP,
            inner=quads,
            outer=1,
            c=0,
            c_rows=c_rows,
            start=0 if adds else zeros,
            vectors=PANEL // LANES,
            rectify=0,
        )
        (self.fields,) = as_array([product])
