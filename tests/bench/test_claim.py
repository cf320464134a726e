from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from fittingroom.bench.claim import (
    FOLDER,
    NOTES,
    Figure,
    claim_names,
    load_claims,
    nearest,
    parse_claim,
)
from fittingroom.errors import UnknownNameError, UsageError

#: Of the five projects: every block of docs/published.md's sources, and the differences and order.
BLOCKS = {
    *("s0-lr", "s0-rf", "s0-ann-sparse", "s0-ann-onehot", "s0-cnn", "s0-cnn-old", "s0-order"),
    *("s1-mlp-10", "s1-lr-sweep", "s1-mlp"),
    *("s2-ann1", "s2-cnn1", "s2-cnn2", "s2-rf", "s2-knn", "s2-svm", "s2-lr"),
    *("s3-cnn1", "s3-cnn2", "s3-cnn3"),
    *("s4-cnn", "s4-cnn-noaug", "s4-pooling", "s4-augmentation"),
}
GOOD = """
title = "a network"
kind = "accuracy"
claimed = "0.9"
says = "test accuracy"
protocol = ["clean"]
[source]
repository = "somebody/something"
revision = "0123abc"
[recipe]
model = "mlp-10-10"
preprocessing = "pixels divided by 255"
"""


def with_line(line: str, table: str = "") -> str:
    """`GOOD`, with a line added to a table, or at the top."""
    return GOOD.replace(f"[{table}]\n", f"[{table}]\n{line}\n") if table else f"{line}\n{GOOD}"


def test_all_claims_are_there_and_well_formed() -> None:
    names = claim_names()
    assert {name for name in names if not name.startswith("zalando-")} == BLOCKS
    claims = load_claims(names)
    assert [claim.id for claim in claims] == names
    revisions = {claim.source.repository: claim.source.revision for claim in claims}
    page = (Path(__file__).parents[2] / "docs" / "published.md").read_text("utf8")
    for claim in claims:
        if claim.id.startswith("zalando"):
            assert revisions[claim.source.repository] == "b2617bb"
        elif claim.id != "s0-cnn-old":  # of an older revision
            assert f"{claim.source.repository} @{claim.source.revision}" in page
        if claim.id.startswith("s0-") and claim.kind == "accuracy":
            assert claim.split.model_dump() == {
                "kind": "pooled",
                "test": 0.2,
                "validation": 0.1,
                "seed": 0,
            }
    order = next(claim for claim in claims if claim.kind == "order")
    assert [member.id for member in order.members] == ["s0-lr", "s0-rf", "s0-ann-sparse", "s0-cnn"]


def test_the_swept_rates_are_the_published_ones() -> None:
    (claim,) = load_claims(["s1-lr-sweep"])
    assert claim.search is not None
    rates = [1e-3 * 10 ** (epoch / 20) for epoch in range(40)]
    assert claim.search.values == pytest.approx(rates, rel=1e-3)
    assert nearest(claim.search.values, 0.003) == 0.003162


def test_a_claim_quotes_no_more_than_the_figure() -> None:
    for path in FOLDER.glob("*.toml"):
        (claimed,) = re.findall(r'^claimed = "(.*)"$', path.read_text("utf8"), re.M)
        assert re.fullmatch(r"[\d.]+%?", claimed) or path.stem == "s0-order"


@pytest.mark.parametrize(
    ("text", "value", "half"),
    [("0.8414", 0.8414, 5e-5), ("0.88", 0.88, 5e-3), ("89%", 0.89, 5e-3), ("2.5%", 0.025, 5e-4)],
)
def test_a_figure_stands_for_all_that_round_to_it(text: str, value: float, half: float) -> None:
    figure = Figure.parse(text)
    assert (figure.value, figure.half_digit) == pytest.approx((value, half))
    assert figure.bounds == pytest.approx((value - half, value + half))


def test_a_good_claim_is_taken_whole() -> None:
    claim = parse_claim(with_line("parameters = { epochs = 3 }", "recipe"), "mine")
    assert (claim.id, claim.kind, claim.protocol) == ("mine", "accuracy", ["clean"])
    assert claim.recipe is not None
    assert claim.recipe.parameters == {"epochs": 3}
    assert claim.split.kind == "official"
    lr = load_claims(["s0-lr"])[0]
    assert lr.recipe is not None
    assert math.isinf(lr.recipe.parameters["C"])


BAD = [
    ("title = ", "not valid TOML"),
    (GOOD.replace('kind = "accuracy"', ""), "kind is missing"),
    (GOOD.replace('"accuracy"', '"guess"'), "kind: input should be 'accuracy'"),
    (GOOD.replace('"0.9"', "0.9"), "claimed: input should be a valid string"),
    (GOOD.replace('"0.9"', '"about 0.9"'), "'about 0.9' is no figure such as 0.8414 or 89%"),
    (GOOD.replace('"0.9"', '"90"'), "90 is no share between 0 and 1"),
    (with_line('id = "other"'), "id is no field of a claim's file"),
    (with_line('titel = "x"'), "unknown field 'titel'; did you mean title"),
    (with_line("parametres = {}", "recipe"), "unknown field 'parametres'; did you mean parameters"),
    (with_line("parameters = { epoch = 3 }", "recipe"), "unknown option 'epoch'; did you mean"),
    (GOOD.replace("mlp-10-10", "mlp-10-11"), "unknown model 'mlp-10-11'; did you mean mlp-10-10"),
    (with_line("parameters = { epochs = 0 }", "recipe"), "epochs must be a whole number"),
    (GOOD.replace("0123abc", "main"), "source.revision"),
    (GOOD.replace('["clean"]', '["dirty"]'), "protocol.0"),
    (GOOD.replace('["clean"]', '["clean", "clean"]'), "a note stands twice"),
    (GOOD.replace('["clean"]', '["clean", "trained-on-test"]'), "what is clean has no other note"),
    (GOOD.replace('["clean"]', '["own-random-split"]'), "goes with split kind pooled"),
    (GOOD.replace('["clean"]', '["never-tested"]'), "needs the share of the validation part"),
    (GOOD.replace('["clean"]', '["test-not-scaled"]'), "test-not-scaled is for classical models"),
    (GOOD + '[split]\nkind = "official"\nvalidation = 0.1\n', "needs the seed of the draw"),
    (GOOD + '[split]\nkind = "official"\ntest = 0.1\nseed = 1\n', "has its own test part"),
    (GOOD + '[split]\nkind = "official"\nvalidation = 1.5\nseed = 1\n', "split.validation"),
    (GOOD + "[until]\ntrain_accuracy = 0.9\nthen = 2\n", "until goes with the note"),
    (GOOD + '[search]\nparameter = "epochs"\nvalues = [1, 2]\n', "search goes with the note"),
    (GOOD + '[search]\nparameter = "epochs"\nvalues = [1]\n', "search.values"),
    (GOOD.replace('"accuracy"', '"difference"'), "kind difference needs [difference]"),
    (GOOD.replace('"accuracy"', '"order"'), "kind order needs [order]"),
    (with_line('order = ["a", "b"]'), "kind accuracy takes no order"),
    (GOOD.split("[recipe]")[0], "kind accuracy needs [recipe]"),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=[message for _, message in BAD])
def test_what_is_no_claim_is_refused_in_one_sentence(text: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_claim(text, "mine")
    sentence = str(refused.value)
    assert message in sentence
    assert sentence.startswith("claim mine")
    assert "\n" not in sentence
    assert refused.value.exit_code == 2


def test_claims_are_found_by_name_and_by_path(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean s2-ann1"):
        load_claims(["s2-ann"])
    with pytest.raises(UsageError, match=r"nowhere\.toml can't be read"):
        load_claims([str(tmp_path / "nowhere.toml")])
    (tmp_path / "mine.toml").write_text(GOOD)
    claims = load_claims([str(tmp_path / "mine.toml"), "s2-knn", "s2-knn"])
    assert [claim.id for claim in claims] == ["mine", "s2-knn"]


def test_an_order_names_claims_beside_it(tmp_path: Path) -> None:
    (tmp_path / "first.toml").write_text(GOOD)
    order = GOOD.split("[recipe]")[0].replace('"accuracy"', '"order"').replace('["clean"]', "[]")
    path = tmp_path / "order.toml"
    path.write_text('order = ["first", "frist"]\n' + order)
    with pytest.raises(UnknownNameError, match="did you mean first"):
        load_claims([str(path)])
    (tmp_path / "frist.toml").write_text(GOOD.split("[recipe]")[0] + 'block = "x"\n')
    with pytest.raises(UsageError, match="claim frist: "):
        load_claims([str(path)])
    (tmp_path / "frist.toml").write_text(GOOD)
    (claim,) = load_claims([str(path)])
    assert [member.id for member in claim.members] == ["first", "frist"]


def test_every_note_has_its_words() -> None:
    used = {note for claim in load_claims(claim_names()) for note in claim.protocol}
    assert used == set(NOTES), "each is met among the published claims"
