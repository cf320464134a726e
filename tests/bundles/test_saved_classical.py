"""saved_classical.py: what surrounds an estimator survives its files, and is checked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import save

from fittingroom.bundles import saved_classical
from fittingroom.bundles.bundle import Bundle
from fittingroom.bundles.manifest import Classical

Copied = Callable[[str], Path]
Resigned = Callable[..., Path]
Refused = Callable[..., None]


def test_the_mean_image_is_written_as_it_always_was(bundles: Mapping[str, Bundle]) -> None:
    """To the byte as by safetensors for PyTorch, which wrote it before."""
    classifier = bundles["logistic"].classifier
    written = saved_classical.files_of(classifier)["arrays.safetensors"]
    assert written == save({"mean": torch.from_numpy(classifier.mean_.copy())})


def test_a_description_leaves_out_what_a_model_lacks(bundles: Mapping[str, Bundle]) -> None:
    knn = saved_classical.describe(bundles["knn"].classifier)
    assert knn == Classical(
        kind="classical",
        estimator="KNeighborsClassifier",
        scale=1.0,
        centred=False,
        hog=None,
        temperature=None,
    )
    assert saved_classical.describe(bundles["logistic"].classifier).centred


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda mean: {"mean": mean[:-1]}, "doesn't hold a mean image"),
        (lambda mean: {"mean": mean, "other": mean}, "doesn't hold a mean image"),
        (lambda mean: {"mean": mean.astype(np.int64)}, "numbers that are not finite"),
        (lambda mean: {"mean": np.where(mean > 0.1, np.inf, mean)}, "numbers that are not finite"),
    ],
)
def test_another_mean_image(
    change: Callable[[np.ndarray], dict[str, np.ndarray]],
    reason: str,
    copied: Copied,
    resigned: Resigned,
    refused: Refused,
) -> None:
    folder = copied("logistic")
    file = folder / "arrays.safetensors"
    save_file(change(load_file(file)["mean"]), file)
    refused(resigned(folder), reason)


def test_a_mean_image_that_is_no_safetensors_file(
    copied: Copied, resigned: Resigned, refused: Refused
) -> None:
    folder = copied("logistic")
    (folder / "arrays.safetensors").write_bytes(b"mean")
    refused(resigned(folder), r"arrays\.safetensors isn't a safetensors file")


def test_a_classical_model_predicts_a_few_images_without_torch(saved: Path) -> None:
    code = (
        "import sys, numpy, fittingroom\n"
        f"bundle = fittingroom.load({str(saved / 'knn')!r})\n"
        "bundle.predict_proba(numpy.zeros((1, 28, 28), numpy.uint8))\n"
        "print(sorted({'torch', 'numba', 'skimage'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
