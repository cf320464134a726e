from __future__ import annotations

import json

from fittingroom.bench.claims.claim_file import load_claims
from fittingroom.bench.claims.verdict import Judgement, Score
from fittingroom.bench.claims.verification import (
    COLUMNS,
    ClaimResult,
    ClaimsReport,
    cells,
    join_sentences,
    protocol_remark,
)
from fittingroom.evaluation.intervals import Interval


def make_result(name: str, **finding: object) -> ClaimResult:
    return ClaimResult(
        claim=load_claims([name])[0],
        judgement=Judgement(**finding),  # type: ignore[arg-type]
        note="A sentence.",
    )


LEAK = make_result(
    "s2-ann1",
    verdict="not-what-it-says",
    as_claimed=Score(accuracy=0.976, interval=Interval(0.97, 0.98), n_seeds=5),
    honest=Score(accuracy=0.867, interval=Interval(0.86, 0.87), n_seeds=5),
    accuracies={"honest": (0.866, 0.868)},
)
ORDER = make_result("s0-order", verdict="cannot-be-checked")
BETTER = make_result(
    "s4-pooling",
    verdict="too-low",
    honest=Score(accuracy=0.0123, interval=Interval(-0.001, 0.0241), n_seeds=3),
)


def test_the_json_is_as_documented() -> None:
    verification = ClaimsReport(
        dataset_title="Fashion-MNIST",
        dataset_sha256="ab",
        test_images=10_000,
        test_reads=3,
        claims=(LEAK, ORDER),
    )
    assert json.loads(verification.to_json()) == {
        "schema_version": 2,
        "confidence_each": 0.95,
        "claims": [
            {
                "id": "s2-ann1",
                "claimed": 0.9759,
                "verdict": "not-what-it-says",
                "as_claimed": {"accuracy": 0.976, "interval": [0.97, 0.98], "seeds": 5},
                "honest": {"accuracy": 0.867, "interval": [0.86, 0.87], "seeds": 5},
                "accuracies": {"honest": [0.866, 0.868]},
                "note": "A sentence.",
            },
            {
                "id": "s0-order",
                "claimed": "logistic regression < random forest < ANN < CNN",
                "verdict": "cannot-be-checked",
                "as_claimed": {"accuracy": None, "interval": None, "seeds": 0},
                "honest": {"accuracy": None, "interval": None, "seeds": 0},
                "accuracies": {},
                "note": "A sentence.",
            },
        ],
    }
    assert verification.complete


def test_a_claim_as_a_line_of_a_table() -> None:
    assert cells(LEAK) == [
        *("s2-ann1", "0.9759", "0.9760", "0.9700-0.9800", "0.8670", "0.8600-0.8700", "5"),
        "not-what-it-says",
    ]
    assert cells(ORDER)[1:] == ["order", "", "", "", "", "", "cannot-be-checked"]
    assert cells(BETTER)[4:6] == ["+0.0123", "-0.0010 to +0.0241"]
    assert {len(cells(result)) for result in (LEAK, ORDER, BETTER)} == {len(COLUMNS)}


def test_a_known_protocol_is_described() -> None:
    assert join_sentences("One.", None, "", "Two.") == "One. Two."
    (used, remark) = protocol_remark(LEAK.claim)
    assert used == "Protocol of the source: it was trained on the test images."
    assert remark == LEAK.claim.remark
    assert protocol_remark(load_claims(["zalando-hog-svm"])[0]) == []
    pooled = protocol_remark(load_claims(["s0-lr"])[0])
    sentence = "It was measured on other images than the official test images"
    assert sentence in pooled[1]
    assert sentence in protocol_remark(load_claims(["s3-cnn2"])[0])[1]
    assert sentence not in " ".join(protocol_remark(LEAK.claim))
