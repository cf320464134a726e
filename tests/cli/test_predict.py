"""`fittingroom predict` on the command line."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from fittingroom.cli.main import app
from fittingroom.data.dataset import Dataset
from fittingroom.errors import FittingroomError

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def pictures(small: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images of the data, a broken picture, and a text file, which is skipped."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "deeper").mkdir()
    Image.fromarray(small.test.images[0]).save(folder / "boot.png")
    Image.fromarray(small.test.images[1]).save(folder / "deeper" / "pullover.WEBP", lossless=True)
    (folder / "bad.jpg").write_bytes(b"\xff\xd8 no picture")
    (folder / "notes.txt").write_text("skipped")
    return folder


def call(*arguments: str, code: int = 0, stdin: bytes | None = None) -> tuple[str, str]:
    """What it prints on stdout and stderr."""
    result = CliRunner().invoke(app, ["predict", *arguments], input=stdin, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.stdout, result.stderr


def refusal(*arguments: str) -> FittingroomError:
    with pytest.raises(FittingroomError) as caught:
        call(*arguments)
    return caught.value


def test_a_model_is_named(run: str, pictures: Path) -> None:
    runs = str(Path(run).parents[2])
    stdout, stderr = call("logistic", str(pictures / "boot.png"), "--runs", runs)
    assert stderr == f"logistic, seed 0: {run}\n"
    assert stdout == call(run, str(pictures / "boot.png"))[0]
    assert "unknown saved model 'logistics'; did you mean logistic" in str(
        refusal("logistics", str(pictures), "--runs", runs)
    )


def test_a_folder_as_json(run: str, pictures: Path, small: Dataset) -> None:
    """Readable pictures are predicted; others are named, and the exit code is 1."""
    stdout, stderr = call(run, str(pictures), "--json", code=1)
    facts = json.loads(stdout)
    assert facts["schema_version"] == 1
    bad, boot, pullover = facts["predictions"]
    assert [Path(p["file"]).name for p in facts["predictions"]] == [
        "bad.jpg",
        "boot.png",
        "pullover.WEBP",
    ]
    assert "isn't a PNG, JPEG or WebP" in bad["error"]
    assert (bad["top"], bad["set"], bad["unlike_data"], bad["unlike_score"]) == ([], [], None, None)
    assert "bad.jpg" in stderr
    for entry, label in ((boot, "Ankle boot"), (pullover, "Pullover")):
        assert entry["error"] is None
        assert entry["top"][0]["label"] == label
        assert sum(top["probability"] for top in entry["top"]) == pytest.approx(1)
        assert label in entry["set"]
        assert entry["unlike_data"] is None  # 100 validation images are too few to decide
        assert 0 <= entry["unlike_score"] <= 1
        assert entry["decisions"]


def test_a_picture_as_text(run: str, pictures: Path) -> None:
    stdout, _ = call(run, str(pictures / "boot.png"))
    first, coverage, seen = stdout.splitlines()
    assert first.startswith(f"{pictures / 'boot.png'}: Ankle boot ")
    assert coverage.startswith("    90% set: Ankle boot")
    assert "treated as an image of the data" in seen


def test_a_photo(run: str, small: Dataset, tmp_path: Path) -> None:
    """The set is calibrated on images of the data; the odds of photos are reported."""
    ground = np.full((300, 300), 240, np.uint8)
    image = np.kron(small.test.images[0], np.ones((8, 8), np.uint8))  # an ankle boot
    ground[40:264, 40:264][image > 8] = 255 - image[image > 8]
    Image.fromarray(ground).save(tmp_path / "boot.png")
    stdout, _ = call(run, str(tmp_path / "boot.png"))
    assert "90% coverage on images like the data, less on photos" in stdout
    (entry,) = json.loads(call(run, str(tmp_path / "boot.png"), "--json")[0])["predictions"]
    assert entry["is_photo"] is True
    assert entry["odds"].keys() == set(small.class_names)
    stdout, _ = call(run, str(tmp_path / "boot.png"), "--as", "image")
    assert "90% set:" in stdout
    assert "resized from 300×300 to 28×28" in stdout


def test_skipped_files_are_listed(run: str, pictures: Path, tmp_path: Path) -> None:
    boot = (pictures / "boot.png").read_bytes()
    Image.open(pictures / "boot.png").convert("RGB").save(tmp_path / "a.jfif", "JPEG")
    (tmp_path / "without-suffix").write_bytes(boot)
    Image.open(pictures / "boot.png").save(tmp_path / "b.gif")
    (tmp_path / "c.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (tmp_path / "._a.jfif").write_bytes(b"left by a Mac")
    (tmp_path / "Thumbs.db").write_bytes(b"left by Windows")
    stdout, stderr = call(run, str(tmp_path))
    assert stdout.count("Ankle boot") >= 2
    assert (
        f"skipped files in {tmp_path} that aren't PNG, JPEG or WebP pictures: b.gif, c.heic"
        in stderr
    )
    assert "._a" not in stdout + stderr
    assert "Thumbs" not in stdout + stderr


def test_a_picture_on_standard_input(run: str, pictures: Path) -> None:
    stdout, _ = call(run, "-", "--json", stdin=(pictures / "boot.png").read_bytes())
    (entry,) = json.loads(stdout)["predictions"]
    assert entry["file"] == "-"
    assert entry["top"][0]["label"] == "Ankle boot"


def test_contact_sheet(run: str, pictures: Path, tmp_path: Path) -> None:
    show = tmp_path / "seen.png"
    show.write_bytes(b"from an earlier call")
    _, stderr = call(run, str(pictures / "boot.png"), "--show", str(show))
    assert str(show) in stderr
    with Image.open(io.BytesIO(show.read_bytes())) as sheet:
        assert sheet.width > 300
    assert list(tmp_path.iterdir()) == [show]  # no half-written file beside it


def test_classes_of_pictures_as_csv(run: str, pictures: Path, tmp_path: Path) -> None:
    _, stderr = call(run, str(pictures), "--csv", str(tmp_path / "classes.csv"), code=1)
    assert str(tmp_path / "classes.csv") in stderr
    with (tmp_path / "classes.csv").open(newline="") as file:
        lines = {Path(line["image"]).name: line for line in csv.DictReader(file)}
    assert set(lines) == {"boot.png", "pullover.WEBP", "bad.jpg"}
    assert lines["boot.png"]["class"] == "Ankle boot"
    assert float(lines["boot.png"]["probability"]) > 0.3
    assert lines["bad.jpg"]["class"] == ""


def test_a_folder_with_unusual_names(
    run: str, pictures: Path, tmp_path: Path, run_cli: Cli
) -> None:
    """Names that aren't UTF-8 or hold control characters, and symlinks back to the folder."""
    folder = os.fsencode(tmp_path / "pictures")
    os.makedirs(folder + b"/below")
    picture = (pictures / "boot.png").read_bytes()
    names = [b"a\xff.png", b"b\n\x1b[2J.png", "ü😀.png".encode(), b"below/c.png"]
    for name in names:
        Path(os.fsdecode(folder + b"/" + name)).write_bytes(picture)
    for name in (b"round", b"and", b"below/round"):
        os.symlink(folder, folder + b"/" + name)
    os.mkfifo(folder + b"/pipe.png")
    show = tmp_path / "seen.png"
    done = run_cli("predict", run, os.fsdecode(folder), "--show", str(show))
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert len(lines) == len(names)
    assert "\x1b" not in done.stdout + done.stderr
    assert "b\\n\\x1b[2J.png: " in done.stdout
    assert show.read_bytes().startswith(b"\x89PNG")


def test_bad_input_is_one_sentence(run: str, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no PNG, JPEG or WebP" in str(refusal(run, str(tmp_path / "empty")))
    assert "isn't a bundle" in str(refusal(str(tmp_path / "empty"), str(pictures)))
    assert "doesn't exist" in str(refusal(str(tmp_path / "absent"), str(pictures)))
    wrong = refusal(run, str(pictures), "--show", "sheet.jpg")
    assert "sheet.png" in str(wrong)
    assert wrong.exit_code == 2
    assert "can't be written" in str(refusal(run, str(pictures), "--show", "/nowhere/x.png"))
    assert "--as takes photo or image" in str(refusal(run, str(pictures), "--as", "picture"))
    _, stderr = call(run, str(tmp_path / "absent.png"), code=1)
    assert "absent.png can't be read: no such file or directory" in stderr
