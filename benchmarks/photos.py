"""How right is a model about photos, and does it notice what is none of its classes?

    python benchmarks/photos.py FOLDER --model RUN --out benchmarks/results/photos-validation.json

`FOLDER` holds a folder of photos for each garment, called as in `GARMENTS` and `OTHERS`; what is
missing or called otherwise is left out. Six garments must be told among all ten classes; hats,
shorts and skirts are none of them. `--sheet` draws every photo beside what the model saw. About a
second a photo.

What was chosen by photos (how an object is cut out, the views, the odds, how photos are imitated)
was chosen on other photos than those of the test folder.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import record
from PIL import Image

from fittingroom.bundles.bundle import Bundle, load
from fittingroom.bundles.predictor import Prediction, predict_picture
from fittingroom.data.decode import SUFFIXES, Picture, decode
from fittingroom.evaluation.intervals import wilson
from fittingroom.evaluation.unlike import separation
from fittingroom.reporting.contact_sheet import SheetEntry, contact_sheet

GARMENTS = {
    "t-shirt": "T-shirt/top",
    "pants": "Trouser",
    "longsleeve": "Pullover",
    "dress": "Dress",
    "outwear": "Coat",
    "shirt": "Shirt",
}
OTHERS = ("hat", "shorts", "skirt")


@dataclass(frozen=True, eq=False)
class Photo:
    folder: str
    file: Path
    picture: Picture
    prediction: Prediction

    @property
    def label(self) -> str:
        return self.prediction.top(1)[0][0]

    @property
    def right(self) -> bool:
        return GARMENTS.get(self.folder) == self.label

    @property
    def right_without_odds(self) -> bool:
        return GARMENTS.get(self.folder) == self.prediction.without_odds[0]


def predicted(bundle: Bundle, folder: Path) -> list[Photo]:
    """All photos; several are looked at at a time."""
    files = [
        (name, file)
        for name in (*GARMENTS, *OTHERS)
        for file in sorted((folder / name).glob("*"))
        if file.suffix.lower() in SUFFIXES
    ]
    start = time.monotonic()

    def look(entry: tuple[str, Path]) -> Photo:
        name, file = entry
        picture = decode(file)
        return Photo(name, file, picture.shrunk(224), predict_picture(bundle, picture))

    photos = []
    with ThreadPoolExecutor(2) as threads:
        for photo in threads.map(look, files):
            photos.append(photo)
            if len(photos) % 50 == 0:
                left = (time.monotonic() - start) * (len(files) / len(photos) - 1)
                print(f"{len(photos)}/{len(files)}, about {left:.0f} s left", file=sys.stderr)
    return photos


def share(right: int, n: int) -> dict[str, Any]:
    interval = wilson(right, n)
    return {
        "right": right,
        "n": n,
        "share": right / n,
        "this_fit_ci95": [interval.low, interval.high],
    }


def figures(photos: Sequence[Photo]) -> dict[str, Any]:
    """Everything that is told of the photos."""
    garments = [photo for photo in photos if photo.folder in GARMENTS]
    others = [photo for photo in photos if photo.folder in OTHERS]
    classes = {}
    for name, label in GARMENTS.items():
        of_class = [photo for photo in garments if photo.folder == name]
        if of_class:
            right = sum(photo.right for photo in of_class)
            called = Counter(photo.label for photo in of_class).most_common()
            classes[label] = {**share(right, len(of_class)), "called": dict(called)}
    scores = [np.array([p.prediction.unlike_score for p in part]) for part in (garments, others)]
    apart = separation(*scores)
    return {
        "micro": share(sum(photo.right for photo in garments), len(garments)),
        "micro_without_odds": share(sum(p.right_without_odds for p in garments), len(garments)),
        "macro": float(np.mean([entry["share"] for entry in classes.values()])),
        "classes": classes,
        "unlike": {
            "auroc": apart.auroc,
            "this_fit_ci95": [apart.low, apart.high],
            "garments_flagged": flagged(garments),
            "others_flagged": {
                name: flagged([p for p in others if p.folder == name]) for name in OTHERS
            },
        },
        "in_their_set": share(
            sum(GARMENTS[p.folder] in p.prediction.labels for p in garments), len(garments)
        ),
        "found_by": dict(
            Counter(p.prediction.rendering.decisions[0] for p in photos).most_common()
        ),
    }


def flagged(photos: Sequence[Photo]) -> dict[str, Any] | None:
    if not photos:
        return None
    return share(sum(bool(photo.prediction.unlike_data) for photo in photos), len(photos))


def only_shrunk(bundle: Bundle, photos: Sequence[Photo]) -> dict[str, Any]:
    """What the same model makes of photos that are only shrunk to grey, or negated too."""
    garments = [photo for photo in photos if photo.folder in GARMENTS]
    height, width = bundle.facts.image_shape
    grey = np.stack(
        [
            np.asarray(Image.fromarray(p.picture.pixels).convert("L").resize((width, height)))
            for p in garments
        ]
    )
    truth = [GARMENTS[photo.folder] for photo in garments]
    found = {}
    for name, images in (("shrunk", grey), ("shrunk and negated", 255 - grey)):
        best = bundle.predict_proba(images).argmax(axis=1)
        right = sum(bundle.class_names[k] == label for k, label in zip(best, truth, strict=True))
        found[name] = share(right, len(truth))
    return found


def sheet(photos: Sequence[Photo]) -> bytes:
    entries = []
    for photo in photos:
        top = ", ".join(f"{label} {p:.0%}" for label, p in photo.prediction.top(3))
        warning = " (unlike the data)" if photo.prediction.unlike_data else ""
        lines = [f"{photo.folder}: {top}{warning}", "; ".join(photo.prediction.rendering.decisions)]
        good = photo.right if photo.folder in GARMENTS else bool(photo.prediction.unlike_data)
        entries.append(SheetEntry(photo.picture.pixels, photo.prediction, lines, good))
    return contact_sheet(entries)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path, required=True, help="the folder of a run or bundle")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--sheet", type=Path, help="a PNG picture of all photos")
    parser.add_argument("--failures", type=Path, help="a PNG picture of those that went wrong")
    options = parser.parse_args()
    bundle = load(options.model)
    photos = predicted(bundle, options.folder)
    if not photos:
        parser.error(f"{options.folder} has no photos in folders called {', '.join(GARMENTS)}")
    found = {
        "model": bundle.facts.model,
        "seed": bundle.facts.fitted.seed,
        **figures(photos),
        "without_cutting_out": only_shrunk(bundle, photos),
    }
    print_table(found)
    if options.sheet:
        options.sheet.write_bytes(sheet(photos))
    if options.failures:
        wrong = [p for p in photos if p.folder in GARMENTS and not p.right]
        options.failures.write_bytes(sheet(wrong))
    if options.out:
        record.write(options.out, found)


def print_table(found: dict[str, Any]) -> None:
    for label, entry in found["classes"].items():
        called = ", ".join(f"{name} {n}" for name, n in entry["called"].items())
        print(f"{label:12} {entry['right']:3}/{entry['n']:3} {entry['share']:6.1%}  {called}")
    micro, unlike = found["micro"], found["unlike"]
    low, high = micro["this_fit_ci95"]
    print(f"micro {micro['share']:.1%} ({low:.1%} to {high:.1%}), macro {found['macro']:.1%}")
    print("AUROC {:.3f} ({:.3f} to {:.3f})".format(unlike["auroc"], *unlike["this_fit_ci95"]))
    print(f"garments flagged {unlike['garments_flagged']['share']:.1%}")
    for name, entry in unlike["others_flagged"].items():
        print(f"{name} flagged {entry['share']:.1%}" if entry else f"no {name}")
    for name, entry in found["without_cutting_out"].items():
        print(f"{name} {entry['share']:.1%}")


if __name__ == "__main__":
    main()
