"""`fittingroom serve`: saved models behind HTTP."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fittingroom.cli.doctor import EXTRAS
from fittingroom.cli.options import RUNS, RunsOption
from fittingroom.cli.saved_model import find_saved_model
from fittingroom.errors import UsageError, install_command

if TYPE_CHECKING:
    from fittingroom.bundles.manifest import Facts
    from fittingroom.serving.served_model import ServedModel
    from fittingroom.serving.training_images import TrainingImages

_ModelsArgument = Annotated[
    list[str],
    typer.Argument(metavar="MODEL", help="Saved models: names, such as swift, or folders."),
]
_HostOption = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS",
        help="The address to listen at. Any but this machine's own needs a token.",
    ),
]
_PortOption = Annotated[
    int, typer.Option(metavar="N", help="The port to listen at; 0 takes a free one.")
]
_TokenOption = Annotated[
    str | None,
    typer.Option(
        metavar="TOKEN",
        envvar="FITTINGROOM_TOKEN",
        help="What requests must bring, as Authorization: Bearer TOKEN. Where a token is needed "
        "and none is given, one is made up and printed.",
    ),
]
_NameOption = Annotated[
    list[str] | None,
    typer.Option(
        "--name",
        metavar="HOST",
        help="Another name under which the server is reached, as behind a proxy; repeatable. It "
        "needs a token.",
    ),
]
_TrainingImagesOption = Annotated[
    bool,
    typer.Option(
        "--training-images/--no-training-images",
        help="Show the nearest training images beside a picture, where the data set is found. "
        "Whoever may ask sees them.",
    ),
]


def command(
    models: _ModelsArgument,
    host: _HostOption = "127.0.0.1",
    port: _PortOption = 8000,
    token: _TokenOption = None,
    name: _NameOption = None,
    training_images: _TrainingImagesOption = True,
    runs: RunsOption = RUNS,
) -> None:
    """Serve saved models over HTTP: a page, the Open Inference Protocol, and photos."""
    if not EXTRAS["serve"].is_installed:
        raise UsageError(
            f"serving needs packages that aren't installed; run {install_command('serve')}."
        )
    from fittingroom.cli.output import say, warn
    from fittingroom.serving.app import make_app
    from fittingroom.serving.guard import check_access
    from fittingroom.serving.run import address_of, bind, hosts_of, make_server

    names = frozenset(name or ())
    check_access(token, names)
    address = address_of(host)
    with bind(host, port) as listening:
        hosts = hosts_of(host) | names
        if token is None and (names or not address.is_loopback):
            token = secrets.token_urlsafe(24)
            warn(f"Authorization: Bearer {token}")
        served = _served(models, runs, training_images=training_images)
        shown = str(address) if not address.is_unspecified else socket.gethostname()
        shown = f"[{shown}]" if ":" in shown else shown
        url = f"http://{shown}:{listening.getsockname()[1]}"
        _describe(served, url)
        say(url)
        make_server(make_app(served, hosts=hosts, token=token)).run(sockets=[listening])


def _describe(served: Sequence[ServedModel], url: str) -> None:
    """Where each model answers, and what computes."""
    from fittingroom.cli.output import note

    for model in served:
        why = "" if model.reason is None else f", since {model.reason.rstrip('.')}"
        note(f"{model.name}: {url}/v2/models/{model.name}/infer ({model.runtime}{why})")


def _served(names: list[str], runs: Path, *, training_images: bool) -> list[ServedModel]:
    """The models, ready to answer."""
    from fittingroom.bundles.bundle import load
    from fittingroom.cli.progress import busy
    from fittingroom.serving.served_model import name_bundles, serve_bundle

    folders = [find_saved_model(name, runs)[0] for name in names]
    bundles = name_bundles([load(folder) for folder in folders])
    training: dict[str, TrainingImages | None] = {}
    served = []
    for folder, (name, bundle) in zip(folders, bundles.items(), strict=True):
        data = bundle.facts.data.sha256
        if training_images and data not in training:
            training[data] = _training_images(bundle.facts, folder)
        with busy(f"preparing {name}"):
            model = serve_bundle(name, bundle)
        served.append(replace(model, training=training.get(data)))
    return served


def _training_images(facts: Facts, folder: Path) -> TrainingImages | None:
    """Those of a model's data set, if they can be shown."""
    from fittingroom.cli.output import note
    from fittingroom.cli.progress import busy
    from fittingroom.serving.training_images import find_training_images

    with busy(f"reading {facts.data.name}"):
        images = find_training_images(facts, folder)
    if images is None:
        note(f"{facts.data.name} isn't found, or is too large: its images aren't shown")
    return images
