"""The server as an application of Ray Serve, for those who run Ray.

    serve run fittingroom.serving.ray:app model=swift

Ray starts as many copies as it is told, restarts those that end, and hands requests to them. Their
limits of time and size of connections are Ray's, not those of `run.py`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from ray import serve

from fittingroom.bundles.bundle import load
from fittingroom.errors import UsageError
from fittingroom.runs.find import find_saved_model
from fittingroom.serving.app import make_app
from fittingroom.serving.batching import WAITING
from fittingroom.serving.guard import LOCAL, Guard, check_access
from fittingroom.serving.served_model import name_bundles, serve_bundle

#: The deployment's name, by which a configuration of Ray Serve sets how many copies it has.
NAME = "fittingroom"
_ARGUMENTS = ("model", "runs", "name", "token")


def app(arguments: Mapping[str, str]) -> Any:
    """The application that `serve run` or a configuration of Ray Serve asks for.

    A copy uses as many threads as it has processors (`num_cpus`, 1 by default). Saved models are
    looked up here, and read where a copy runs: at the same path.

    Parameters
    ----------
    arguments
        model: saved models, names or folders, with commas between them. runs: the folder of saved
        runs, `runs` by default. name: other names under which the server is reached, with commas
        between them; these need a token. token: what requests must bring, as
        `Authorization: Bearer TOKEN`; by default what FITTINGROOM_TOKEN holds, if anything.

    Raises
    ------
    UsageError : an argument is unknown, missing or wrong
    UnknownNameError, StoreError : a model is unknown
    """
    if unknown := set(arguments) - set(_ARGUMENTS):
        raise UsageError(f"unknown argument {min(unknown)!r}; known: {', '.join(_ARGUMENTS)}.")
    models, names = (_split(arguments.get(key, "")) for key in ("model", "name"))
    if not models:
        raise UsageError("give the saved models to serve: model=swift, or model=swift,logistic.")
    token = arguments.get("token", os.environ.get("FITTINGROOM_TOKEN"))
    check_access(token, names)
    if names and token is None:
        raise UsageError("other names need a token; set FITTINGROOM_TOKEN.")
    runs = Path(arguments.get("runs", "runs"))
    folders = [find_saved_model(model, runs)[0].resolve() for model in models]
    hosts = LOCAL | frozenset(names)

    def build() -> Guard:
        return build_app(folders, hosts, token)

    # What waits is for our own queue to see, which computes it together.
    deployment = serve.deployment(name=NAME, max_ongoing_requests=WAITING)
    return deployment(serve.ingress(build)()).bind()


def build_app(folders: list[Path], hosts: frozenset[str], token: str | None) -> Guard:
    """The ASGI application of one copy, on the processors that Ray gave it."""
    processors = ray.get_runtime_context().get_assigned_resources().get("CPU", 1)
    bundles = name_bundles([load(folder) for folder in folders])
    models = [
        serve_bundle(name, bundle, threads=max(1, int(processors)))
        for name, bundle in bundles.items()
    ]
    return make_app(models, hosts=hosts, token=token)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
