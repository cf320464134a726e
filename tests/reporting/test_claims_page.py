from __future__ import annotations

import re
from html import unescape

from fittingroom.bench.claims.claim_file import load_claims
from fittingroom.bench.claims.verdict import Bar, Judgement, Score
from fittingroom.bench.claims.verification import ClaimResult, ClaimsReport
from fittingroom.evaluation.intervals import Interval
from fittingroom.reporting.claims_page import render_claims

LEAK = Judgement(
    verdict="not-what-it-says",
    as_claimed=Score(accuracy=0.976, interval=Interval(0.97, 0.982), n_seeds=3),
    honest=Score(accuracy=0.867, interval=Interval(0.86, 0.874), n_seeds=3),
    bars=(
        Bar(label="claimed", value=0.9759, interval=Interval(0.97585, 0.97595), is_claim=True),
        Bar(label="as claimed", value=0.976, interval=Interval(0.97, 0.982)),
        Bar(label="honest", value=0.867, interval=Interval(0.86, 0.874)),
    ),
)
UNKNOWN = Judgement(verdict="cannot-be-checked")


def verification(note: str = "Both are known.") -> ClaimsReport:
    leak, unknown, order = load_claims(["s2-ann1", "s4-cnn-noaug", "s0-order"])
    return ClaimsReport(
        dataset_title="Fashion-MNIST",
        dataset_sha256="ab" * 32,
        test_images=10_000,
        test_reads=1234,
        claims=(
            ClaimResult(claim=leak, judgement=LEAK, note=note),
            ClaimResult(claim=unknown, judgement=UNKNOWN, note="There is no code."),
            ClaimResult(claim=order, judgement=UNKNOWN, note=""),
        ),
        command="fittingroom verify s2-ann1",
    )


def text_of(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def test_every_claim_has_a_card() -> None:
    html = render_claims(verification())
    text = text_of(html)
    assert "3 published claims: 1 not-what-it-says and 2 cannot-be-checked." in text
    for name in ("s2-ann1", "s4-cnn-noaug", "s0-order"):
        assert html.count(f'<h2 id="{name}">') == 1
        assert f'<a href="#{name}">' in html
    assert html.count('class="card"') == 3
    assert "VIKNESH1211/Fassion_MNIST_Classification @29645aa, S2-ANN1" in text
    assert "Both are known." in text
    assert "0.9759 (test accuracy)" in text
    assert "logistic regression < random forest < ANN < CNN (order of test accuracies)" in text
    assert "fittingroom verify s2-ann1" in text
    assert "1,234" in text
    assert "http" not in html.replace("http-equiv", "")


def test_a_card_with_values_has_a_plot() -> None:
    html = render_claims(verification())
    assert html.count("<svg") == 1
    (label,) = re.findall(r'<svg [^>]*aria-label="([^"]*)"', html)
    assert label.startswith("s2-ann1: claimed 0.9759")
    assert "honest 0.8670 (0.8600 to 0.8740)" in label


def test_rendering_is_deterministic() -> None:
    assert render_claims(verification()) == render_claims(verification())


def test_notes_are_escaped() -> None:
    html = render_claims(verification("<script>alert(1)</script>"))
    assert html.count("<script") == 1
