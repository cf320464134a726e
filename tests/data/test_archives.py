"""Archives of data sets, also from strangers."""

from __future__ import annotations

import dataclasses
import gzip
import io
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fittingroom.data import load_dataset
from fittingroom.data.archives import is_archive, unpacked
from fittingroom.data.dataset import content_sha256
from fittingroom.errors import DataError


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar"])
def test_the_same_data_as_the_folder(kind: str, small: Path, tmp_path: Path) -> None:
    data = load_dataset(small)
    data.write_idx(tmp_path / "in" / "garments")
    archive = Path(shutil.make_archive(str(tmp_path / "mine"), kind, tmp_path / "in"))
    loaded = load_dataset(archive)
    assert loaded.sha256 == data.sha256
    assert loaded.location == archive
    assert "an archive of the four IDX files of MNIST" in loaded.source
    assert loaded.name == data.name  # as its dataset.json says


def test_what_a_folder_says_of_itself_is_read(small: Path, tmp_path: Path) -> None:
    """Its name, and the size of the official validation part."""
    whole = load_dataset(small)
    sha256 = content_sha256(whole.train, whole.test, whole.class_names, 6)
    data = dataclasses.replace(whole, name="mine", validation_images=6, sha256=sha256)
    data.write_idx(tmp_path / "in")
    loaded = load_dataset(Path(shutil.make_archive(str(tmp_path / "a"), "zip", tmp_path / "in")))
    assert (loaded.name, loaded.sha256, loaded.validation_images) == ("mine", sha256, 6)


def test_kaggles_archive_of_csv_files(small: Path, tmp_path: Path) -> None:
    data = load_dataset(small)
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for split in ("train", "test"):
            part = getattr(data, split)
            table = np.column_stack([part.labels, part.images.reshape(len(part), -1)])
            text = io.StringIO()
            np.savetxt(text, table, fmt="%d", delimiter=",")
            archive.writestr(f"fashion-mnist_{split}.csv", text.getvalue())
            archive.writestr(f"__MACOSX/._fashion-mnist_{split}.csv", "")
        archive.writestr("readme.txt", "hello")
    loaded = load_dataset(path)
    np.testing.assert_array_equal(loaded.train.images, data.train.images)
    assert loaded.source.endswith("archive.zip, an archive of a folder of CSV files")


def test_a_comparison_of_an_archive(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fittingroom

    path = shutil.make_archive(str(tmp_path / "two"), "zip", small)
    monkeypatch.chdir(tmp_path)
    board = fittingroom.compare(path, ["knn", "logistic"], n_seeds=1)
    assert all(row.status == "ok" for row in board.rows)


def pictures(folder: Path, n: int = 3) -> None:
    for label in ("bag", "boot"):
        (folder / label).mkdir(parents=True)
        for i in range(n):
            pixels = np.random.default_rng([i, len(label)]).integers(0, 255, (8, 8), np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{i}.png")


def test_messages_name_the_archive_and_the_file_in_it(tmp_path: Path) -> None:
    pictures(tmp_path / "in" / "train")
    pictures(tmp_path / "in" / "test")
    (tmp_path / "in" / "test" / "boot" / "1.png").write_bytes(b"no picture")
    path = Path(shutil.make_archive(str(tmp_path / "a"), "zip", tmp_path / "in"))
    with pytest.raises(DataError, match=r"a.zip/test/boot/1.png isn't a PNG"):
        load_dataset(path)


def test_several_data_sets(small: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        shutil.copytree(small, tmp_path / "in" / name)
    path = Path(shutil.make_archive(str(tmp_path / "a"), "zip", tmp_path / "in"))
    with pytest.raises(DataError, match=r"a.zip/first and .*/second are different data sets"):
        load_dataset(path)


def test_nothing_of_use(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes/readme.txt", "hello")
    with pytest.raises(DataError, match=r"a.zip holds no data set in a form that can be read"):
        load_dataset(path)


def zip_with(path: Path, name: str, mode: int = 0o644, content: str = "x") -> None:
    with zipfile.ZipFile(path, "w") as archive:
        member = zipfile.ZipInfo(name)
        member.external_attr = mode << 16
        archive.writestr(member, content)


def tar_with(path: Path, member: tarfile.TarInfo) -> None:
    with tarfile.open(path, "w") as archive:
        archive.addfile(member, io.BytesIO(b"x"))


def link(kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo("train.csv")
    member.type, member.linkname = kind, "/etc/passwd"
    return member


@pytest.mark.parametrize("name", ["/etc/evil", "../evil", "a/../../evil", "..\\evil", "C:\\evil"])
def test_nothing_is_written_outside(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    zip_with(path, name)
    before = set(tmp_path.iterdir())
    with pytest.raises(DataError, match=r"a.zip: .*evil' would unpack outside"), unpacked(path):
        pass
    named = tarfile.TarInfo(name)
    named.size = 1
    tar_with(tmp_path / "a.tar", named)
    with pytest.raises(DataError, match=r"a.tar: .*evil' would unpack outside"):
        load_dataset(tmp_path / "a.tar")
    assert set(tmp_path.iterdir()) == before | {tmp_path / "a.tar"}


def test_links_and_devices_are_refused(tmp_path: Path) -> None:
    zip_with(tmp_path / "a.zip", "train.csv", 0o120777, "/etc/passwd")
    with pytest.raises(DataError, match=r"train.csv is a link; replace it with a file"):
        load_dataset(tmp_path / "a.zip")
    for kind, what in (
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.CHRTYPE, "not a regular file"),
        (tarfile.FIFOTYPE, "not a regular file"),
    ):
        tar_with(tmp_path / "a.tar", link(kind))
        with pytest.raises(DataError, match=rf"train.csv is {what}"):
            load_dataset(tmp_path / "a.tar")


def test_a_file_that_is_there_twice(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("train.csv", "x")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("train.csv", "y")
    with pytest.raises(DataError, match=r"a.zip can't be read: file exists"):
        load_dataset(tmp_path / "a.zip")


def test_a_bomb(tmp_path: Path) -> None:
    """Half a gigabyte of zeros in half a megabyte."""
    with (
        zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("train.csv", "w") as member,
    ):
        for _ in range(32):
            member.write(bytes(2**24))
    with pytest.raises(DataError, match=r"but unpacks to more than 268,435,456; if you trust it"):
        load_dataset(tmp_path / "a.zip")


def test_no_room_for_temporary_files(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(shutil.make_archive(str(tmp_path / "a"), "gztar", small))
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(DataError, match="the 1,000 bytes that are free for temporary files"):
        load_dataset(path)


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar"])
def test_damage_is_found(kind: str, small: Path, tmp_path: Path) -> None:
    path = Path(shutil.make_archive(str(tmp_path / "a"), kind, small))
    whole = path.read_bytes()
    for end in (len(whole) // 2, 600):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError, match=path.name):
            load_dataset(path)


def test_mutated_archives_never_crash(
    complaint_about: Callable[[Path], str], small: Path, tmp_path: Path
) -> None:
    sha256, random = load_dataset(small).sha256, np.random.RandomState(1)
    for kind in ("zip", "gztar"):
        path = Path(shutil.make_archive(str(tmp_path / "a"), kind, small))
        whole, refused = path.read_bytes(), 0
        for _ in range(40):
            mutant = bytearray(whole)
            for position in random.randint(0, len(whole), 2):
                mutant[position] = random.randint(256)
            path.write_bytes(mutant)
            said = complaint_about(path)
            if not said:
                assert load_dataset(path).sha256 == sha256  # an unused byte was hit
            refused += bool(said)
            assert not said or path.name in said
        assert refused > 20


def test_which_files_are_archives(small: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    (tmp_path / "a.csv").write_text("1,2\n")
    assert not is_archive(tmp_path / "a.npz")
    assert not is_archive(tmp_path / "a.csv")
    assert not is_archive(tmp_path)
    assert not is_archive(small / "t10k-labels-idx1-ubyte.gz")
    packed = Path(shutil.make_archive(str(tmp_path / "a"), "zip", small))
    assert is_archive(packed.rename(tmp_path / "without-a-suffix"))


def test_nothing_is_left_behind(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(shutil.make_archive(str(tmp_path / "a"), "zip", small))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    load_dataset(path)
    assert list(scratch.iterdir()) == []


def plain_tar(small: Path, path: Path) -> bytes:
    """A tar file of members that have no checksum of their own."""
    load_dataset(small).write_idx(path.parent / "plain")
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for file in sorted((path.parent / "plain").iterdir()):
            archive.add(file, f"./{file.name}")
    return path.read_bytes()


def test_a_damaged_header_is_not_the_end(small: Path, tmp_path: Path) -> None:
    """`tarfile` would give the members before it, and nothing else."""
    path = tmp_path / "a.tar"
    whole = plain_tar(small, path)
    headers = [i for i in range(0, len(whole), 512) if whole[i + 257 : i + 262] == b"ustar"]
    assert len(headers) == 6
    for position in headers[1:]:
        path.write_bytes(whole[:position] + b"x" + whole[position + 1 :])
        with pytest.raises(DataError, match=r"a.tar can't be read: it is damaged or cut off"):
            load_dataset(path)
        path.write_bytes(whole[:position])
        with pytest.raises(DataError, match=r"a.tar can't be read: it is damaged or cut off"):
            load_dataset(path)


def test_the_checksum_of_a_compressed_tar_is_verified(small: Path, tmp_path: Path) -> None:
    whole = plain_tar(small, tmp_path / "a.tar")
    packed = gzip.compress(whole)
    wrong = packed[:-8] + struct.pack("<I", zlib.crc32(whole) ^ 1) + packed[-4:]
    for name in ("a.tar.gz", "a.tgz"):
        (tmp_path / name).write_bytes(packed)
        assert load_dataset(tmp_path / name).sha256 == load_dataset(small).sha256
        (tmp_path / name).write_bytes(wrong)
        with pytest.raises(DataError, match="incorrect data check"):
            load_dataset(tmp_path / name)


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_a_name_that_would_fill_the_memory(kind: bytes, tmp_path: Path) -> None:
    member = tarfile.TarInfo("train.csv")
    member.type, member.size = kind, 2**40
    (tmp_path / "a.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(10240))
    with pytest.raises(DataError, match="it claims a name of 1,099,511,627,776 bytes"):
        load_dataset(tmp_path / "a.tar")


def test_names_as_programs_for_windows_write_them(tmp_path: Path) -> None:
    pictures(tmp_path / "in", 12)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for file in (tmp_path / "in").rglob("*.png"):
            member = zipfile.ZipInfo("x")
            member.filename = f"mine\\{file.parent.name}\\{file.name}"
            archive.writestr(member, file.read_bytes())
    assert load_dataset(tmp_path / "a.zip").class_names == ("bag", "boot")


def test_a_member_in_very_many_folders(tmp_path: Path) -> None:
    zip_with(tmp_path / "a.zip", "a/" * 700 + "train.csv")
    with pytest.raises(DataError, match="lies in more than 32 folders"):
        load_dataset(tmp_path / "a.zip")


@pytest.mark.parametrize("name", ["..zip", "...zip", ".zip", "a b.zip"])
def test_odd_names_of_archives(name: str, small: Path, tmp_path: Path) -> None:
    packed = Path(shutil.make_archive(str(tmp_path / "a"), "zip", small))
    assert len(load_dataset(packed.rename(tmp_path / name)).train) == 2000


def test_a_command_in_a_message_can_be_pasted(tmp_path: Path) -> None:
    """It names the archive, and not a folder that is gone."""
    pictures(tmp_path / "in" / "mine")
    Image.new("L", (9, 8), 30).save(tmp_path / "in" / "mine" / "bag" / "0.png")
    path = Path(shutil.make_archive(str(tmp_path / "my files"), "zip", tmp_path / "in"))
    with pytest.raises(DataError) as refused:
        load_dataset(path)
    assert f"fittingroom data '{path}' --size 28 --convert COPY" in str(refused.value)
    assert "fittingroom-" not in str(refused.value)


def test_images_that_would_be_mapped(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that is mapped goes when the archive is read."""
    load_dataset(small).write_idx(tmp_path / "in")
    path = Path(shutil.make_archive(str(tmp_path / "a"), "zip", tmp_path / "in"))
    monkeypatch.setattr("fittingroom.data.idx.MAP_FROM", 100_000)
    with pytest.raises(DataError, match="unpack it, and give the folder"):
        load_dataset(path)
