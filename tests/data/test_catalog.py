from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest

from fittingroom.data import DATASETS, idx
from fittingroom.data.catalog import row_with
from fittingroom.data.dataset import check_class_names


@pytest.mark.parametrize("name", DATASETS)
def test_rows_are_complete(name: str) -> None:
    row = DATASETS[name]
    assert row.name == name
    assert tuple(row.sha256) == idx.FILES
    assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in row.sha256.values())
    assert row.licence
    assert row.citation
    check_class_names(row.class_names)
    assert row_with(row.sha256.__getitem__) is row


@pytest.mark.parametrize("name", DATASETS)
def test_mirrors_are_several_hosts_over_https(name: str) -> None:
    addresses = [urlsplit(mirror) for mirror in DATASETS[name].mirrors]
    assert len(addresses) >= 2
    assert len({address.hostname for address in addresses}) == len(addresses)
    assert {address.scheme for address in addresses} == {"https"}
    assert all(address.path.endswith("/") for address in addresses)


def test_no_two_rows_share_a_file() -> None:
    hashes = [sha256 for row in DATASETS.values() for sha256 in row.sha256.values()]
    assert len(set(hashes)) == len(hashes)


def test_only_garments_may_be_mirrored() -> None:
    assert DATASETS["fashion-mnist"].mirror_keeps_class
    assert not DATASETS["mnist"].mirror_keeps_class


def test_unknown_hashes_have_no_row_and_large_files_are_not_hashed_for_it() -> None:
    hashed: list[str] = []

    def sha256_of(name: str) -> str:
        hashed.append(name)
        return ""

    assert row_with(sha256_of) is None
    assert hashed == [idx.TEST_LABELS]
