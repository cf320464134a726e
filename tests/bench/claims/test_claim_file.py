from __future__ import annotations

import math
from pathlib import Path

import pytest

from fittingroom.bench.claims.claim import nearest
from fittingroom.bench.claims.claim_file import claim_names, load_claims, parse_claim
from fittingroom.errors import UnknownNameError, UsageError

#: What the sources say: every block of the five projects, their differences and order, and rows of
#: the makers' table.
PUBLISHED = {
    "s0-ann-onehot": "0.8813",
    "s0-ann-sparse": "0.8971",
    "s0-cnn": "0.9024",
    "s0-cnn-old": "0.9024",
    "s0-lr": "0.8414",
    "s0-order": "logistic regression < random forest < ANN < CNN",
    "s0-rf": "0.8718",
    "s1-lr-sweep": "0.003",
    "s1-mlp": "89%",
    "s1-mlp-10": "0.8662",
    "s2-ann1": "0.9759",
    "s2-cnn1": "0.8882",
    "s2-cnn2": "0.9008",
    "s2-knn": "0.86",
    "s2-lr": "0.75",
    "s2-rf": "0.88",
    "s2-svm": "0.8402",
    "s3-cnn1": "0.8960",
    "s3-cnn2": "0.9071",
    "s3-cnn3": "0.9062",
    "s4-augmentation": "2.5%",
    "s4-cnn": "0.9468",
    "s4-cnn-noaug": "0.93",
    "s4-pooling": "0.5%",
    "zalando-hog-svm": "0.926",
    "zalando-mlp-256-128-100": "0.8833",
    "zalando-wrn-28-10": "0.959",
    "zalando-wrn-28-10-erasing": "0.963",
    "zalando-wrn-40-4": "0.967",
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
    claims = load_claims(claim_names())
    assert {claim.id: claim.claimed for claim in claims} == PUBLISHED
    revisions = {claim.source.repository: claim.source.revision for claim in claims}
    page = (Path(__file__).parents[3] / "docs" / "published.md").read_text("utf8")
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


def test_a_good_claim_is_taken_whole() -> None:
    claim = parse_claim(with_line("parameters = { epochs = 3 }", "recipe"), "mine")
    assert (claim.id, claim.kind, claim.protocol) == ("mine", "accuracy", ["clean"])
    assert claim.recipe is not None
    assert claim.recipe.parameters == {"epochs": 3}
    assert claim.split.kind == "official"
    lr = load_claims(["s0-lr"])[0]
    assert lr.recipe is not None
    assert math.isinf(lr.recipe.parameters["C"])


KNN = GOOD.replace("mlp-10-10", "knn")
TEXT = GOOD.replace('"accuracy"', '"text"') + '[search]\nparameter = "epochs"\nvalues = [1, 2]\n'
UNTIL = "[until]\ntrain_accuracy = 0.9\nthen = 2\n"
BAD = [
    ("title = ", "not valid TOML"),
    (GOOD.replace('kind = "accuracy"', ""), "kind is missing"),
    (GOOD.replace('"accuracy"', '"guess"'), "kind: input should be 'accuracy'"),
    (GOOD.replace('"0.9"', "0.9"), "claimed: input should be a valid string"),
    (GOOD.replace('"0.9"', '"about 0.9"'), "'about 0.9' is no figure such as 0.8414 or 89%"),
    (GOOD.replace('"0.9"', '"90"'), "90 is not an accuracy between 0 and 1"),
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
    (GOOD.replace('["clean"]', '["test-not-scaled"]'), "divides the pixels, and mlp-10-10 doesn't"),
    (GOOD + '[split]\nkind = "official"\nvalidation = 0.1\n', "needs the seed of the draw"),
    (GOOD + '[split]\nkind = "official"\ntest = 0.1\nseed = 1\n', "has its own test part"),
    (GOOD + '[split]\nkind = "official"\nvalidation = 1.5\nseed = 1\n', "split.validation"),
    (GOOD + UNTIL, "until goes with the note"),
    (GOOD + '[search]\nparameter = "epochs"\nvalues = [1, 2]\n', "search goes with the note"),
    (GOOD + '[search]\nparameter = "epochs"\nvalues = [1]\n', "search.values"),
    (TEXT.replace("[1, 2]", "[2, 1, 2.0]"), "search.values: a value stands twice"),
    (GOOD.replace('"accuracy"', '"difference"'), "kind difference needs [difference]"),
    (GOOD.replace('"accuracy"', '"order"'), "kind order needs [order]"),
    (with_line('order = ["a", "b"]'), "kind accuracy takes no order"),
    (GOOD.split("[recipe]")[0], "kind accuracy needs [recipe]"),
    (with_line("parameters = { random_state = 3 }", "recipe"), "random_state isn't a parameter of"),
    (with_line("parameters = { dataset = 3 }", "recipe"), "unknown option 'dataset'"),
    (
        KNN.replace('["clean"]', '["test-not-scaled"]'),
        "test-not-scaled needs a model that divides the pixels, and knn doesn't",
    ),
    (KNN.replace('["clean"]', '["selected-on-test"]'), "selected-on-test needs a [search]"),
    (GOOD.replace('["clean"]', '["selected-on-test"]'), "mlp-10-10 chooses no epoch"),
    (
        KNN.replace('["clean"]', '["trained-on-test"]') + UNTIL,
        "only networks log their training, and knn is none",
    ),
    (
        GOOD.replace("mlp-10-10", "swift").replace('["clean"]', '["trained-on-test"]') + UNTIL,
        "until adds epochs at a constant rate, and swift has schedule one-cycle",
    ),
    (TEXT.replace("[1, 2]", "[0, 1]"), "numbers above 0"),
    (TEXT.replace("[1, 2]", '["constant", "cosine"]').replace('"epochs"', '"schedule"'), "above 0"),
    (TEXT.replace('"0.9"', '"0"'), "compared by ratio; 0 has none"),
    (TEXT + "[sweep]\nepochs = 2\n", "only a learning rate is read off one training's loss"),
    (
        GOOD.split("[recipe]")[0]
        .replace('"accuracy"', '"order"')
        .replace('["clean"]', "[]")
        .replace("[source]", 'order = ["s0-lr"]\n[source]'),
        "at least two claims, each once",
    ),
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
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.toml").write_text(GOOD)
    with pytest.raises(UsageError, match=r"are both called mine; rename one"):
        load_claims([str(tmp_path / "mine.toml"), str(tmp_path / "other" / "mine.toml")])


def test_an_order_names_claims_beside_it(tmp_path: Path) -> None:
    (tmp_path / "first.toml").write_text(GOOD)
    order = GOOD.split("[recipe]")[0].replace('"accuracy"', '"order"').replace('["clean"]', "[]")
    path = tmp_path / "order.toml"
    path.write_text('order = ["first", "order"]\n' + order)
    with pytest.raises(UsageError, match="order has no accuracy to be put in order"):
        load_claims([str(path)])
    path.write_text('order = ["first", "frist"]\n' + order)
    with pytest.raises(UnknownNameError, match="did you mean first"):
        load_claims([str(path)])
    (tmp_path / "frist.toml").write_text(GOOD.split("[recipe]")[0] + 'block = "x"\n')
    with pytest.raises(UsageError, match="claim frist: "):
        load_claims([str(path)])
    (tmp_path / "frist.toml").write_text(GOOD)
    (claim,) = load_claims([str(path)])
    assert [member.id for member in claim.members] == ["first", "frist"]
