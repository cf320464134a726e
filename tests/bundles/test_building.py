"""building.py: what it builds is what skops builds of the same file."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from sklearn.tree._tree import Tree

from fittingroom.bundles.archive import Archive
from fittingroom.bundles.building import build


class _Anything(Collection[str]):
    """Allows every part, since the files here are our own."""

    def __contains__(self, part: object) -> bool:
        return True

    def __iter__(self) -> Any:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError


def test_it_is_what_skops_builds(classical: str, saved: Path) -> None:
    data = (saved / classical / "estimator.skops").read_bytes()
    trusted = skops.io.get_untrusted_types(data=data)
    theirs = skops.io.loads(data, trusted=trusted)
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        ours = build(Archive(file, _Anything()))
    check_same(ours, theirs)
    features = np.random.RandomState(0).rand(5, ours.n_features_in_) * 255
    np.testing.assert_array_equal(ours.predict(features), theirs.predict(features))


def check_same(ours: Any, theirs: Any) -> None:
    """Equal to the last attribute; arrays may be written to, and lie in the same order."""
    assert type(ours) is type(theirs)
    if isinstance(theirs, np.ndarray):
        assert ours.flags.writeable
        assert ours.flags.f_contiguous == theirs.flags.f_contiguous
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    elif isinstance(theirs, Tree):
        check_same(ours.__getstate__(), theirs.__getstate__())
    elif isinstance(theirs, Mapping):
        assert list(ours) == list(theirs)
        for name in theirs:
            check_same(ours[name], theirs[name])
    elif isinstance(theirs, list | tuple):
        assert len(ours) == len(theirs)
        for our, their in zip(ours, theirs, strict=True):
            check_same(our, their)
    elif hasattr(theirs, "__dict__") and not isinstance(theirs, type):
        check_same(vars(ours), vars(theirs))
    else:
        assert ours == theirs


def test_a_part_with_an_id_is_built_once(saved: Path) -> None:
    """The trees of a forest share their estimator's description."""
    data = (saved / "random-forest" / "estimator.skops").read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        archive = Archive(file, _Anything())
    archive.root["content"]["content"]["n_jobs"] = archive.root["content"]["content"]["classes_"]
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        archive._file = file
        forest = build(archive)
    assert forest.n_jobs is forest.classes_


def test_what_only_a_fit_calls_is_left_out(saved: Path) -> None:
    data = (saved / "hist-gradient-boosting" / "estimator.skops").read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        archive = Archive(file, _Anything())
        loss = archive.root["content"]["content"]["_loss"]["content"]["content"]
        loss["closs"] = {"__loader__": "LossNode", "__class__": "Cy", "__module__": "m"}
        assert build(archive)._loss.closs is None
