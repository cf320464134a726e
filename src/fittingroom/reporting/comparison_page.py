"""The page of a comparison: one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from fittingroom.reporting import explorer, heat_table, images, words
from fittingroom.reporting.gallery import Captioned, gallery
from fittingroom.reporting.model_section import section_of
from fittingroom.reporting.overview import (
    class_table,
    difference_table,
    interval_chart,
    overlap_table,
    time_plots,
)
from fittingroom.reporting.page import render_page
from fittingroom.reporting.pair_section import PairSection, analyse_pair, pair_section
from fittingroom.reporting.references import references_of
from fittingroom.reporting.sprite import COLUMNS, Sprite

if TYPE_CHECKING:
    from fittingroom.bench.comparison.analysis import Analysis
    from fittingroom.data.dataset import Dataset

#: Images shown without the script that every model gets wrong.
ALL_WRONG = 24
#: Training images with a possible label error that are shown.
SUSPECTS = 48


def render_comparison(analysis: Analysis, dataset: Dataset | None = None) -> str:
    """The whole page; equal analyses give byte-identical text."""
    board = analysis.board
    shown = [*analysis.models.values()][: heat_table.MODELS]
    names = [model.model for model in shown]
    sprite = None if dataset is None else Sprite(np.asarray(dataset.test.images))
    if sprite is not None:
        sprite.add(explorer.images_to_explore(analysis, sprite.shape, shown))
    sections = [section_of(model, analysis, sprite) for model in shown]
    all_wrong = gallery(analysis, sprite, analysis.wrong_for_all[:ALL_WRONG])
    pair = _first_pair(analysis, names, sprite)
    return render_page(
        "report.html",
        "report.js",
        board=board,
        summary=words.summary(board),
        more=words.findings(analysis),
        intervals=interval_chart(board),
        differences=difference_table(board),
        time_plots=time_plots(board),
        by_class=class_table(analysis, names) if names else None,
        overlap=overlap_table(analysis, names),
        pair=pair,
        models=sections,
        anchors={section.model: section.anchor for section in sections},
        numbers={name: number for number, name in enumerate(names)},
        models_left_out=len(analysis.models) - len(sections),
        all_wrong=all_wrong,
        n_all_wrong=len(analysis.wrong_for_all),
        average=words.average(analysis),
        train_suspects=_train_suspects(analysis, dataset),
        train_suspects_finding=words.train_suspects(analysis),
        sensitivity=analysis.sensitivity,
        sensitivity_finding=words.sensitivity(analysis),
        references=references_of(board.dataset_sha256),
        cite=words.cite(board),
        tiles=sprite.style() if sprite else "",
        payload=_payload(analysis, names, sprite) if sprite and names else None,
    )


def _first_pair(
    analysis: Analysis, names: Sequence[str], sprite: Sprite | None
) -> PairSection | None:
    """What the best model fixes and breaks in comparison with the second."""
    if len(names) < 2:
        return None
    pair = analyse_pair(analysis, names[1], names[0])
    return None if pair is None else pair_section(pair, analysis, sprite)


def _payload(analysis: Analysis, names: Sequence[str], sprite: Sprite) -> Mapping[str, Any]:
    sentences = {}
    for i, j in combinations(range(len(names)), 2):
        if (pair := analyse_pair(analysis, names[j], names[i])) is not None:
            sentences[f"{i}-{j}"] = words.close_pair(pair)
    models = [analysis.models[name] for name in names]
    return explorer.payload(analysis, sprite.positions, models, sentences, COLUMNS)


def _train_suspects(analysis: Analysis, dataset: Dataset | None) -> list[Captioned]:
    """The most doubtful training labels, each with the suggested class and its own probability."""
    if dataset is None or analysis.train_suspects is None:
        return []
    issues, names = analysis.train_suspects.suspects, words.short_names(analysis.board.class_names)
    shown = []
    for position, label, suggested, confidence in zip(
        issues.positions[:SUSPECTS], issues.given, issues.suggested, issues.confidence, strict=False
    ):
        caption = f"{position:,}: {names[label]} → {names[suggested]}? {confidence:.0%}"
        image = images.picture(np.asarray(dataset.train.images[position]), "")
        shown.append(Captioned(image, caption))
    return shown
