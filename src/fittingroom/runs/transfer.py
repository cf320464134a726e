"""Saved runs as bytes, for machines that share no disk.

A parcel is a zip archive of run folders, `<model>/<key>-s<seed>/...`, uncompressed, since
predictions and models are compressed already. Its runs are checked against their names, and
committed like any run: written aside, then renamed.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable

from fittingroom.errors import StoreError
from fittingroom.files import folder_aside
from fittingroom.runs.run import RECORD, Run, read_run
from fittingroom.runs.store import Store
from fittingroom.untrusted import raise_as

_MEMBER = re.compile(
    r"(?P<run>[A-Za-z0-9][\w.+-]*/[0-9a-f]{12}-s\d+)"
    r"/(?P<file>(?:model/)?[A-Za-z0-9][\w.+-]*)",
    re.ASCII,
)


def pack(runs: Iterable[Run], *, models: bool = True) -> bytes:
    """Pack runs into a parcel, with or without their fitted models."""
    parcel = io.BytesIO()
    with zipfile.ZipFile(parcel, "w") as archive:
        for run in runs:
            for file in sorted(path for path in run.folder.rglob("*") if path.is_file()):
                path_in_run = file.relative_to(run.folder)
                if models or path_in_run.parts[0] != "model":
                    spec = run.record.spec
                    name = f"{spec.model}/{spec.folder_name}/{path_in_run.as_posix()}"
                    archive.writestr(name, file.read_bytes())
    return parcel.getvalue()


def unpack(parcel: bytes, store: Store) -> list[Run]:
    """Commit the runs of a parcel to a store, which keeps its own of those that it has already.

    Raises
    ------
    StoreError
        When the parcel is damaged, holds anything but runs of that store's data set, or the store
        can't be written.
    """
    with (
        raise_as("the received parcel of runs", StoreError),
        zipfile.ZipFile(io.BytesIO(parcel)) as archive,
    ):
        members = {name: archive.read(name) for name in archive.namelist()}
    folders: dict[str, dict[str, bytes]] = {}
    for member, content in members.items():
        match = _MEMBER.fullmatch(member)
        if match is None:
            raise StoreError(f"the received {member[:100]!r} isn't part of a run.")
        folders.setdefault(match["run"], {})[match["file"]] = content
    return [_commit(store, name, files) for name, files in folders.items()]


def _commit(store: Store, name: str, files: dict[str, bytes]) -> Run:
    with folder_aside(store.folder) as folder:
        for file, content in files.items():
            path = folder / file
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        record = read_run(folder).record
        for file, content in files.items():
            if file != RECORD and not record.holds(file, content):
                raise StoreError(f"the received {name}/{file} was changed in transit.")
        spec = record.spec
        if f"{spec.model}/{spec.folder_name}" != name or spec.dataset != store.card.sha256:
            raise StoreError(f"the received {name} is another run.")
        return store.commit(folder, spec)
