"""What the children that fit are given: modules, variables and threads.

Their imports begin as soon as a command knows its models, so importing this takes little itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from fittingroom.execution.ahead import compile_ahead
from fittingroom.execution.fork_server import start_server
from fittingroom.kernels.threads import default_threads
from fittingroom.models.catalog import row_of
from fittingroom.models.rows import Family

#: Keeps the working folder, which may have been downloaded with the data, off the module search
#: path: a child gets -P, the processes that it starts get this variable.
SAFE_PATH = {"PYTHONSAFEPATH": "1"}
#: GOMP_SPINCOUNT for networks: how often a waiting thread of GNU's OpenMP polls before it sleeps.
#: By default it spins so long that it takes the processor from our own threads between two matrix
#: products. Nearest neighbours have no such threads and are far slower if it sleeps.
SPIN = "1000"
#: What a child's fork server imports: what every fit of a family does, and what most do besides.
IMPORTED: dict[Family, tuple[str, ...]] = {
    "classical": ("fittingroom.runs.fit",),
    "network": ("fittingroom.runs.fit,fittingroom.models.network", "torch._dynamo"),
}


def prepare_children(models: Iterable[str], *, threads: int | None = None) -> None:
    """Begin to import what children for these models need, and to compile for the later ones.

    Models are in the order of their fits; `threads` as for `FitProcess`.
    """
    names = [*models]
    for family in {row_of(name).family for name in names}:
        start_server(IMPORTED[family], environment_of(family, threads))
    compile_ahead(names, os.environ | SAFE_PATH)


def environment_of(family: Family, threads: int | None) -> dict[str, str]:
    """The variables of a child; those of its parent come before what suits networks."""
    environment = {"GOMP_SPINCOUNT": SPIN} if family == "network" else {}
    environment |= os.environ
    if threads is not None:
        # OpenMP, BLAS, PyTorch and scikit-learn-intelex all obey this.
        environment["OMP_NUM_THREADS"] = str(threads)
    return environment | SAFE_PATH


def threads_of(at_once: int) -> int | None:
    """How many threads each of so many parallel fits uses; None leaves it to the libraries."""
    return None if at_once == 1 else max(1, default_threads() // at_once)
