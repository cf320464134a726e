"""The documentation, held against what it documents."""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
import json
import os
import re
import socket
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import pytest

from fittingroom.data.dataset import Dataset
from fittingroom.formatting import duration

ROOT = Path(__file__).parents[1]
FASHION_MNIST = "113e73cdb8cbafcde2b04d780350dbc3a49243dd192cd3b417c104123e7efe07"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text("utf8"), re.DOTALL)


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env=dict(os.environ), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_examples_for_own_models_run(tmp_path: Path, small_folder: Path) -> None:
    page = ROOT / "docs" / "own-models.md"
    fit_here, fit_elsewhere = blocks(page, "python")
    (add,) = blocks(page, "sh")
    for code in (fit_here, fit_elsewhere):
        assert len(code.strip().splitlines()) <= 16
        code_here = code.replace("fashion-mnist", str(small_folder))
        printed = run(tmp_path, sys.executable, "-c", code_here)
        assert code is fit_elsewhere or len(printed.splitlines()) > 6
    command = add.replace("fashion-mnist", str(small_folder)).split()[1:]
    table = run(tmp_path, sys.executable, "-m", "fittingroom.cli.main", *command)
    assert "naive-bayes" in table
    assert "pca-qda" in table


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)\)", page.read_text("utf8")):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_to_headings(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text("utf8")):
        to = page.parent / target if target else page
        headings = re.findall(r"^#+ (.*)$", to.read_text("utf8"), re.MULTILINE)
        slugs = [re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings]
        assert anchor in slugs, f"{target}#{anchor}"


@pytest.mark.slow
def test_the_commands_of_the_container_work_in_a_fresh_environment(
    tmp_path: Path, small: Dataset
) -> None:
    """In this order, in an environment and a folder of their own; there is no container here."""
    from fittingroom.runs.fit import fit
    from fittingroom.runs.spec import spec_of
    from fittingroom.runs.store import open_store

    (text,) = blocks(ROOT / "docs" / "serving.md", "dockerfile")
    lines = [line.split(maxsplit=1) for line in text.splitlines()]
    assert [word for word, _ in lines] == [
        "FROM",
        *("COPY", "RUN", "RUN", "USER"),
        "COPY",
        "EXPOSE",
        "CMD",
    ]
    named = dict(lines)
    install, add_user = (rest for word, rest in lines if word == "RUN")
    assert add_user == f"useradd --create-home {named['USER']}"
    run(ROOT, sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    run(tmp_path, sys.executable, "-m", "venv", "env")
    install = install.replace("python", "env/bin/python", 1).replace("/tmp/", f"{tmp_path}/")
    run(tmp_path, "sh", "-c", f"PIP_CONSTRAINT={ROOT / 'constraints.txt'} {install}")
    model = fit(spec_of(small, "logistic"), small, open_store(tmp_path / "runs", small)).folder
    program, *arguments = json.loads(named["CMD"])
    (place,) = [each for each in arguments if each.startswith("/models/")]
    assert f" {place}\n" in text  # where the model is copied to
    arguments = [str(model) if each == place else each for each in arguments]
    port = named["EXPOSE"]
    assert port == "8000"  # the default
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    token = "0123456789abcdef"
    process = subprocess.Popen(
        [tmp_path / "env" / "bin" / program, *arguments, "--port", port],
        env={**os.environ, "FITTINGROOM_TOKEN": token, "PYTHONPATH": ""},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().endswith(f":{port}\n")
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v2/models/logistic")
    request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.load(answer)["name"] == "logistic"
    process.terminate()
    process.communicate(timeout=60)


def test_every_dependency_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["project"]
    names = {re.split(r"[<>=;\s]", text)[0] for text in project["dependencies"]}
    decision = (ROOT / "docs" / "decisions" / "0001-dependencies.md").read_text("utf8")
    assert {name for name in names if name not in decision} == set()


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.split(r"[<>=;\s\[]", text)[0].lower() for text in wanted}
    pins = (ROOT / "constraints.txt").read_text("utf8").splitlines()
    assert "torch==2.13.0" in pins
    assert all("==" in pin for pin in pins)
    assert names <= {pin.split("==")[0].lower() for pin in pins}


def test_the_commands_and_options_that_are_shown_exist() -> None:
    from fittingroom.cli.main import COMMANDS

    @functools.cache
    def help_of(command: str) -> str:
        return run(ROOT, sys.executable, "-m", "fittingroom.cli.main", command, "--help")

    def options(text: str) -> set[str]:
        return set(re.findall(r"--[a-z][a-z-]*", text))

    for page in PAGES:
        # In a block a command goes on in the lines below it that are indented.
        shown = [
            *re.findall(r"fittingroom ([a-z]+)((?: [^\n`|]*)?)", page.read_text("utf8")),
            *re.findall(r"fittingroom ([a-z]+)((?:[^\n]|\n(?= ))*)", "\n".join(blocks(page, "sh"))),
        ]
        for command, rest in shown:
            if command in COMMANDS:
                unknown = options(rest) - options(help_of(command))
                assert not unknown, f"{page.name}: {command} {unknown}"


def test_what_the_examples_import_exists() -> None:
    cells = json.loads((ROOT / "docs" / "tutorial.ipynb").read_text("utf8"))["cells"]
    codes = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    codes += [code for page in PAGES for code in blocks(page, "python")]
    imports = [
        (node.module, alias.name)
        for code in codes
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fittingroom")
        for alias in node.names
    ]
    assert imports
    assert {module for module, _ in imports} == {"fittingroom"}  # nobody needs to know our rooms
    for module, name in imports:
        assert hasattr(importlib.import_module(str(module)), name), name


def test_every_model_of_the_catalogue_is_documented() -> None:
    from fittingroom.models.catalog import MODELS

    models = (ROOT / "docs" / "models.md").read_text("utf8")
    published = (ROOT / "docs" / "published.md").read_text("utf8")
    for name, row in MODELS.items():
        assert f"`{name}`" in models
        if row.source:
            assert row.source in published


def test_the_tables_of_the_exported_models_are_those_that_were_measured() -> None:
    from portable import parity_table, speed_table

    from fittingroom.models.catalog import MODELS

    found = json.loads((ROOT / "benchmarks" / "results" / "portable.json").read_text("utf8"))
    page = (ROOT / "docs" / "export.md").read_text("utf8")
    # In the catalogue's order; a new model has its figures when all are measured again.
    assert list(found["parity"]) == [name for name in MODELS if name in found["parity"]]
    for row in found["parity"].values():
        assert row["labels_equal"] == row["images"] == 10_000
        assert row["largest_difference"] <= 1e-4
    for table in (parity_table(found["parity"]), speed_table(found["speed"])):
        assert "\n".join(table) in page


def test_the_verdicts_are_those_that_were_found() -> None:
    from claims import table

    from fittingroom.bench.claims.claim_file import claim_names

    found = json.loads((ROOT / "benchmarks" / "results" / "claims.json").read_text("utf8"))
    assert [claim["id"] for claim in found["claims"]] == sorted(claim_names())
    assert all(claim["complete"] for claim in found["claims"])
    page = (ROOT / "docs" / "verify.md").read_text("utf8")
    assert "\n".join(table(found["claims"])) in page
    note = {claim["id"]: claim["note"] for claim in found["claims"]}
    for points in re.findall(r"\+(\d\.\d\d) points", note["s0-order"])[:3]:  # honestly
        assert points in page
    told = r"accuracy (\S+) is the best of 40 values \(0\.(\d{4}), and"
    best = re.search(told, note["s1-lr-sweep"])
    assert best is not None
    assert f"{float(best[1]):.4f} gets the highest" in page
    assert f"({int(best[2]) / 100:.1f}%, against" in page
    for name in ("s4-augmentation", "s4-pooling"):
        (claim,) = (claim for claim in found["claims"] if claim["id"] == name)
        assert f"{-100 * claim['honest']['accuracy']:.1f}" in page


def test_the_two_data_sets_side_by_side_are_as_measured() -> None:
    found = json.loads((ROOT / "benchmarks" / "results" / "side-by-side.json").read_text("utf8"))
    page = (ROOT / "docs" / "compare.md").read_text("utf8")
    for model in found["printed"]["models"]:
        figures = [f"{on[name]:.4f}" for on in model["on"] for name in ("accuracy", "error")]
        difference = model["error_differences"][0]["error"]
        line = f"| `{model['model']}` | {' | '.join(figures)} | −{-difference:.4f} "
        assert line in page


def test_the_points_of_the_makers_benchmark_are_as_measured() -> None:
    from fittingroom.models.settings import settings_in_words

    found = json.loads((ROOT / "benchmarks" / "results" / "zalando.json").read_text("utf8"))
    page = (ROOT / "docs" / "zalando.md").read_text("utf8")
    chosen = [grid for grid in found["printed"]["classifiers"] if grid["chosen"]]
    assert sum(grid["counts"]["ok"] for grid in chosen) == 49
    for grid in chosen:
        test, choose = grid["chosen"]["test"], grid["chosen"]["choose_accuracy"]
        low, high = test["ci95"]
        assert set(grid["counts"]) == {"points", "ok"}, "none reached the limit"
        points = grid["counts"]["points"]
        written = settings_in_words(grid["chosen"]["parameters"])
        of_point = re.escape(written if points > 1 else "the only point")
        line = rf"\| `{grid['classifier']}` \| {points} \| {of_point} "
        line += rf"\| {choose:.4f} \| {test['accuracy']:.4f} \| {low:.4f}–{high:.4f} \|"
        assert re.search(line, page)
    first, *others = found["printed"]["leaderboard"]["rows"]
    (perceptron,) = (row for row in others if row["model"].startswith("zalando-perceptron"))
    assert f"an sd of {100 * perceptron['test']['accuracy_sd']:.1f} points" in page
    assert first["model"].startswith("zalando-random-forest")
    assert not first["indistinguishable_from"]
    assert len(others) == 5


def test_the_search_that_is_told_of_is_the_one_that_was_made() -> None:
    results = ROOT / "benchmarks" / "results"
    page = (ROOT / "docs" / "tune.md").read_text("utf8")
    tuning, board = (
        json.loads((results / f"{name}.json").read_text("utf8"))["printed"]
        for name in ("tune", "tuned")
    )
    found = tuning["overstatement"]
    assert f"{found['observed']:.2%} of the images" in page
    assert f"{found['expected']:.2%} on new ones" in page
    for row, whose in zip(board["rows"], ("found", "published"), strict=True):
        test = row["test"]
        low, high = test["ci95"]
        line = next(line for line in page.splitlines() if line.startswith(f"| {whose}: "))
        cells = (
            f"{test['accuracy']:.4f} | {test['accuracy_sd']:.4f} | {low:.4f}–{high:.4f} "
            f"| {test['log_loss']:.3f} |"
        )
        assert cells in line
    (pair,) = board["pairs"]
    low, high = sorted(-100 * end for end in pair["ci95"])
    assert (
        f"{-100 * pair['difference']:.1f} points more (95% interval {low:.1f} to {high:.1f}" in page
    )
    assert pair["p_adjusted"] < 0.000001
    assert f"made {len(tuning['trials'])} trials in its 45 minutes" in page
    erased = [
        t["accuracy"] for t in tuning["trials"] if t["settings"]["augmentation"] == "crop-erase"
    ]
    assert f"the three trials with `crop-erase` reached {max(erased):.1%} at most" in page
    assert len(erased) == 3
    assert 0.7 < tuning["importance"]["augmentation"] < 0.8  # three quarters


def test_the_photos_that_are_right_are_as_measured() -> None:
    page = (ROOT / "docs" / "photos.md").read_text("utf8")
    names = ("photos-validation", "photos-test")
    both = [
        json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text("utf8"))
        for name in names
    ]

    def row(title: str, *cells: str) -> str:
        return f"| {title} | {' | '.join(cells)} |"

    for garment in both[0]["classes"]:
        figures = [found["classes"][garment] for found in both]
        assert (
            row(garment, *(f"{f['right']} of {f['n']} ({f['share']:.1%})" for f in figures)) in page
        )
    for each, title in (("micro", "all six"), ("macro", "mean of the six classes")):
        cells = []
        for figure in (found[each] for found in both):
            if isinstance(figure, float):
                cells.append(f"{figure:.1%}")
                continue
            low, high = figure["this_fit_ci95"]
            cells.append(f"**{figure['share']:.1%} ({low:.1%} to {high:.1%})**")
        assert row(title, *cells) in page
    unlike = [found["unlike"] for found in both]
    aurocs = (f"{f['auroc']:.3f} ({f['this_fit_ci95'][0]:.3f} to " for f in unlike)
    assert all(auroc in page for auroc in aurocs)
    warned = [f"{f['garments_flagged']['share']:.1%}" for f in unlike]
    assert row("garments warned of", *warned) in page
    wrong = both[1]["micro"]["n"] - both[1]["micro"]["right"]
    assert f"These are the {wrong} misclassified photos" in page


@pytest.mark.parametrize(("curve", "digits"), [("short-curve", 7), ("curve", 6)])
def test_the_loss_curves_of_one_process_and_two_are_those_that_were_measured(
    curve: str, digits: int
) -> None:
    found = json.loads((ROOT / "benchmarks" / "results" / f"{curve}.json").read_text("utf8"))
    page = (ROOT / "docs" / "scale.md").read_text("utf8")
    for number, row in enumerate(
        zip(*found["train_and_validation_loss"].values(), strict=True), start=1
    ):
        losses = [f"{loss:.{digits}f}" for part in zip(*row, strict=True) for loss in part]
        assert f"| {number} | {' | '.join(losses)} |" in page
    first, second, third = (f"{accuracy:.4f}" for accuracy in found["test_accuracy"].values())
    assert curve != "curve" or f"Test accuracy is {first}, {second} and {third}." in page


def test_what_another_number_of_threads_changes_is_as_measured() -> None:
    found = json.loads((ROOT / "benchmarks" / "results" / "threads.json").read_text("utf8"))
    page = " ".join((ROOT / "docs" / "scale.md").read_text("utf8").split())
    (sentence,) = re.findall(r"With one thread and with two, .*? after two epochs\.", page)
    equal, nearly, others = re.split("were equal to the bit|the largest difference", sentence)
    rows = {row["model"]: row for row in found["rows"]}
    assert set(re.findall(r"`([a-z0-9-]+)`", equal)) == {
        model for model, row in rows.items() if row["largest_difference"] == 0
    }
    for model in re.findall(r"`([a-z0-9-]+)`", nearly):
        assert 0 < rows[model]["largest_difference"] < 0.00001
    assert f"`hog-svm` {rows['hog-svm']['largest_difference']:.4f}" in others
    assert f"up to {rows['svm-rbf']['largest_difference']:.2f}" in others
    assert rows["svm-rbf"]["labels_otherwise"] == 0
    assert f"`cnn-32` labelled {rows['cnn-32']['labels_otherwise']} of 1,200" in others
    for network in ("swift-90", "cnn-32-64", "cnn-64x4"):
        assert f"`{network}` {rows[network]['labels_otherwise']}" in others


def test_the_lost_node_cost_nothing() -> None:
    found = json.loads((ROOT / "benchmarks" / "results" / "lost-node.json").read_text("utf8"))
    assert len(found["runs"]) == 11
    assert found["fits_under_way_there"] == 1
    assert all(run["equal"] for run in found["runs"])
    page = (ROOT / "docs" / "scale.md").read_text("utf8")
    assert all(f"`{run['model']}`" in page for run in found["runs"])


def test_the_table_of_the_readme_is_the_demos() -> None:
    results = ROOT / "benchmarks" / "results"
    board = json.loads((results / "demo.json").read_text("utf8"))["leaderboard"]
    measured = [
        (row["model"], f"{row['test']['accuracy']:.4f}", f"{row['validation']['accuracy']:.4f}")
        for row in board["rows"]
    ]
    (table,) = re.findall(r"^rank .*\n((?:.+\n)+)", (ROOT / "README.md").read_text("utf8"), re.M)
    shown = [line.split() for line in table.splitlines()]
    assert [(row[1], row[2], row[4]) for row in shown] == measured
    for cells, row in zip(shown, board["rows"], strict=True):
        first, last = row["rank"]
        low, high = row["test"]["ci95"]
        assert cells[0] == (f"{first}-{last}" if last > first else str(first))
        assert cells[3] == f"{low:.4f}-{high:.4f}"
        assert " ".join(cells[5:]) == duration(row["fit_seconds"])
    took = json.loads((results / "demo.json").read_text("utf8"))["seconds"]
    page = (ROOT / "README.md").read_text("utf8")
    assert f"{duration(took)} without the installation" in page
    best, second = board["rows"][:2]
    (pair,) = (p for p in board["pairs"] if {p["a"], p["b"]} == {best["model"], second["model"]})
    low, high = (100 * end for end in board["winner_ci95"])
    sign = 1 if pair["a"] == best["model"] else -1
    least, most = sorted(sign * 100 * end for end in pair["ci95"])
    assert (
        f"{best['model']} is best: {100 * best['test']['accuracy']:.1f}% (95% interval {low:.1f}–"
        f"{high:.1f}, one seed), {sign * 100 * pair['difference']:.1f} points (95% interval "
        f"{least:.1f}–{most:.1f}) ahead of {second['model']}."
    ) in (ROOT / "README.md").read_text("utf8")


def test_the_table_of_requests_is_what_was_measured() -> None:
    found = json.loads((ROOT / "benchmarks" / "results" / "serving.json").read_text("utf8"))
    page = (ROOT / "docs" / "serving.md").read_text("utf8")
    for named, cell in found["cells"].items():
        clients, images = re.findall(r"\d+", named)
        servers = ("ours", "ours-binary", "litserve", "mlserver")
        requests = " | ".join(f"{cell[server]['per_second']:,.0f}" for server in servers)
        times, p99 = cell["times_as_many_as_the_better"], (cell[s]["p99_ms"] for s in servers)
        ratio = f"{times['median']:.1f} ({times['min']:.1f}–{times['max']:.1f})"
        ours, _, litserve, mlserver = p99
        row = f"| {clients} | {images} | {requests} | {ratio} "
        assert f"{row}| {ours:.1f}, {litserve:.1f}, {mlserver:.1f} |" in page
    alone = [found["bare_ms"][images] for images in ("1", "32")]
    assert "{:.2f} ms for one image and {:.2f} ms for 32".format(*alone) in page


def test_the_tables_of_error_rates_are_those_that_were_simulated() -> None:
    import error_rates
    import honesty

    page = (ROOT / "docs" / "figures.md").read_text("utf8")
    assert error_rates.with_tables(page) == page
    scenarios = [
        row
        for name in ("honesty", "honesty-unbalanced")
        for row in json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text("utf8"))[
            "scenarios"
        ]
    ]
    equal = [row["called"] for row in scenarios if not row["scenario"]["gap"]]
    assert len(scenarios) == sum(1 for _ in (*honesty.scenarios(), *honesty.unbalanced()))
    above = [f"{share:.1%}" for share in sorted(equal) if share > 0.065]
    assert above == ["6.8%", "7.9%", "10.5%", "17.1%"]
    assert all(share in page for share in above)
    assert "Four kinds exceed 6.5%" in page


def test_the_shares_of_wrong_tables_are_those_that_were_measured() -> None:
    found = json.loads((ROOT / "benchmarks" / "results" / "same-recipe.json").read_text("utf8"))
    page = (ROOT / "docs" / "figures.md").read_text("utf8")
    rows = {(r["model"], r["seeds"], r["measured"]): r for r in found["recipes"]}

    def ours(model: str, seeds: int, measured: bool) -> str:
        return f"{rows[model, seeds, measured]['wrong_tables']:.1%}"

    def usual(model: str, seeds: int) -> str:
        row = rows.get((model, seeds, True)) or rows[model, seeds, False]
        return f"{row['wrong_tables_by_the_usual_test']:.1%}"

    for model in dict.fromkeys(model for model, _, _ in rows):
        cells = [ours(model, 1, True), usual(model, 1)]
        for seeds in (2, 3):
            cells += [ours(model, seeds, True), ours(model, seeds, False), usual(model, seeds)]
        cells += [ours(model, 5, False), usual(model, 5)]
        assert f"| `{model}` | {' | '.join(cells)} |" in page
    worst = max(row["wrong_tables"] for row in rows.values())
    assert worst <= 0.065, "as it is promised"


def test_the_lengths_of_swift_are_told_as_they_were_chosen() -> None:
    from seed_spread import measured

    found = json.loads((ROOT / "benchmarks" / "results" / "presets.json").read_text("utf8"))
    page = (ROOT / "docs" / "log.md").read_text("utf8")
    for network in ("small", "pooled", "wide maps", "large"):
        trials = sorted(
            (trial["epochs"], trial["mean"])
            for trial in found["trials"]
            if trial["network"] == network
        )
        assert f"| {network} | {' | '.join(f'{mean:.4f}' for _, mean in trials)} |" in page
    for preset in ("swift-93", "swift", "swift-95"):
        assert f"{found['chosen'][preset]['mean']:.4f}" in page
    recipes = {row["model"]: row for row in measured().values()}
    told = [f"{recipes[name]['accuracy']:.4f}" for name in ("swift-93", "swift")]
    assert f"ten seeds each, trained on 54,000, have {' and '.join(told)} on them" in page


def test_what_is_said_of_validation_accuracy_is_what_the_demo_showed() -> None:
    found = json.loads((ROOT / "benchmarks" / "results" / "demo.json").read_text("utf8"))
    rows = {row["model"]: row for row in found["leaderboard"]["rows"]}
    page = (ROOT / "docs" / "figures.md").read_text("utf8")
    told = [
        f"`{model}` {rows[model]['validation']['accuracy']:.4f} and "
        f"{rows[model]['test']['accuracy']:.4f}"
        for model in ("knn", "logistic")
    ]
    assert ", ".join(told) in page


def test_the_runs_that_the_pages_name_are_those_of_the_catalogue(small: Dataset) -> None:
    """The key of a run of `swift` on Fashion-MNIST, as `run.json` would have it."""
    from fittingroom.models.making import classifier_of
    from fittingroom.runs.spec import RunSpec, to_plain

    mirrored = dataclasses.replace(small, mirror_keeps_class=True)
    parameters = to_plain(classifier_of("swift", {}, dataset=mirrored, random_state=0))
    spec = RunSpec(dataset=FASHION_MNIST, model="swift", parameters=parameters)
    named = {
        path
        for page in PAGES
        for path in re.findall(r"runs/fashion-mnist-(\w{8}/swift/\w+)-s0", page.read_text("utf8"))
    }
    assert named == {f"{FASHION_MNIST[:8]}/swift/{spec.key}"}


def test_who_cites_the_package_cites_its_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text("utf8")
    assert f"\nversion: {project['version']}\n" in citation
    assert f"\nlicense: {project['license']}\n" in citation


def test_as_many_models_re_create_published_ones_as_the_readme_says() -> None:
    from fittingroom.models.catalog import MODELS

    assert sum(row.source is not None for row in MODELS.values()) == 15
    assert "that fifteen of them re-create" in (ROOT / "README.md").read_text("utf8")


def test_the_project_speaks_of_itself_alone() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    hosts = [
        "pypi" + ".org",
        "files.python" + "hosted.org",
        "deb.debian" + ".org",
        "npm" + "js.org",
    ]
    for name in filter(None, listed):
        path = ROOT / name
        if path.suffix in (".gz", ".png") or not path.exists():
            continue
        text = path.read_text("utf8", errors="ignore")
        assert not [host for host in hosts if host in text], name


def test_the_files_in_the_commands_of_the_readme_exist() -> None:
    commands = "\n".join(blocks(ROOT / "README.md", "sh"))
    files = re.findall(r"(?<= )[\w.-]+/[\w./-]+\.\w+", commands)
    assert files
    assert [file for file in files if not (ROOT / file).exists()] == []
