from __future__ import annotations

from fittingroom.errors import UnknownNameError


def test_an_unknown_name_suggests_near_ones_or_lists_all() -> None:
    near = UnknownNameError("model", "SVM-rfb", ["swift", "svm-rbf", "knn"])
    assert str(near) == "unknown model 'SVM-rfb'; did you mean svm-rbf?"
    assert (near.name, near.near, near.exit_code) == ("SVM-rfb", ["svm-rbf"], 2)
    far = UnknownNameError("sampler", "a\nb", ["tpe", "grid"])
    assert str(far) == r"unknown sampler 'a\nb'; known: grid, tpe."
