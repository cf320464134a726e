"""words.py: what is said follows from the figures."""

from fittingroom.reporting.words import fitted, listed, summary


def test_the_best_of_all(board):
    assert summary(board()) == (
        "swift is best: 94.1% (95% interval 93.6–94.6, 3 seeds), "
        "3.9 points (95% interval 3.4–4.4) ahead of svm-rbf."
    )


def test_the_first_that_others_equal(board, row):
    alike = row("a", 0.91, 1, ["b", "c"])
    b, c, d = row("b", 0.908, 1, ["a"]), row("c", 0.905, 1, ["a"]), row("d", 0.8, 4)
    first = "a comes first with 91.0% (95% interval 90.5–91.5, 3 seeds), but can't be told apart"
    assert summary(board(rows=(alike, b, c))) == f"{first} from b and c."
    assert summary(board(rows=(alike, b, c, d))) == f"{first} from b and c; it is better than d."
    more = tuple(row(f"e{i}", 0.7, 5) for i in range(4))
    assert summary(board(rows=(alike, b, c, d, *more))).endswith("than the other 5 models.")


def test_little_to_compare(board, row):
    assert summary(board(rows=())) == "No model has test figures."
    assert summary(board(rows=board().rows[4:])) == "No model has test figures."
    once = row("one", 0.9, 1, deterministic=True, seeds=1)
    assert summary(board(rows=(once,))) == (
        "one reaches 90.0% (95% interval 89.5–90.5, deterministic); "
        "there is nothing to compare it with."
    )
    assert summary(board(pairs=(), rows=(once, row("b", 0.8, 2)))).endswith("deterministic).")


def test_how_often_fitted(row):
    assert fitted(row("a", 0.9, 1)) == "3 seeds"
    assert fitted(row("a", 0.9, 1, seeds=1)) == "one seed"
    assert fitted(row("a", 0.9, 1, seeds=1, deterministic=True)) == "fitted once"


def test_lists():
    assert [listed(n) for n in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
