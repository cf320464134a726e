# Two commands: `make demo` and `make test`. What they install lives in .venv; nothing needs root.
PYTHON ?= python3
# Of the demo: one fit of each model in two minutes or so; three make intervals narrower.
SEEDS ?= 1
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: install install-dev demo test test-slow test-lowest cover docs dist dist-check bench bench-quick check format clean

install: $(BIN)/fittingroom

install-dev: $(VENV)/.dev

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; say PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

# Installed again when what is to be installed has changed. Everything but torch and what its builds for CUDA bring is compared with
# the hashes in requirements/ before it is installed, what builds the package included.
HASHED := $(PIP) install --quiet --require-hashes --no-deps --requirement
EDITABLE := $(PIP) install --quiet --constraint constraints.txt --no-build-isolation --editable

$(BIN)/fittingroom: pyproject.toml constraints.txt requirements/run.txt | $(BIN)/python
	$(HASHED) requirements/run.txt
	$(EDITABLE) '.[photos]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt requirements/run.txt requirements/dev.txt | $(BIN)/python
	$(HASHED) requirements/run.txt --requirement requirements/dev.txt
	$(EDITABLE) '.[dev]'
	@touch $@ $(BIN)/fittingroom

demo: install
	$(BIN)/fittingroom compare --suite quick --seeds $(SEEDS)

# All of them but the slow ones, or those of some files: make test T=tests/bench/test_verdict.py
test: install-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m 'not slow' $(T)

test-slow: install-dev
	$(BIN)/python -m pytest -m slow

# As `make test`, with the lowest versions that pyproject.toml allows, in an environment of their own; by
# Python 3.11 or 3.12, since the earliest Numba runs on no later one. On Linux, pip takes PyTorch's build
# for CUDA, gigabytes. Earlier packages use what the latest of those that they bring deprecate.
LOWEST := .venv-lowest
test-lowest: $(LOWEST)/.installed
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -n 2 --dist loadfile -W ignore::DeprecationWarning -m 'not slow' $(T)

$(LOWEST)/.installed: pyproject.toml requirements/lowest.py
	$(PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/python requirements/lowest.py > $(LOWEST)/floors.txt
	$(LOWEST)/bin/python -m pip --disable-pip-version-check install --quiet --constraint $(LOWEST)/floors.txt --editable '.[dev]'
	@touch $@

# Lines that no test runs; kernels are compiled, so that coverage can't see their lines. A child process
# writes figures of its own.
cover: install-dev
	$(BIN)/coverage erase
	OMP_NUM_THREADS=1 $(BIN)/coverage run -m pytest -n 2 --dist loadfile -m 'not slow' $(T)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered --sort=cover

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -b html docs docs/_build/html
	@echo docs/_build/html/index.html

$(VENV)/.docs: requirements/docs.txt $(VENV)/.dev
	$(HASHED) requirements/docs.txt
	@touch $@

# The source distribution and the wheel, in dist; built twice, they are the same to the byte.
dist: install-dev
	rm -rf dist
	$(BIN)/hatchling build --directory dist
	$(BIN)/hatchling build --directory dist/again
	for file in dist/*.*; do cmp $$file dist/again/$$(basename $$file) || exit 1; done
	rm -r dist/again

# What somebody has who installs the wheel alone, in an environment and a folder of its own.
dist-check: dist
	work=$$(mktemp -d) && cp -r tests/data/fashion-mnist-small dist/*.whl constraints.txt $$work && cd $$work \
	&& $(PYTHON) -m venv env && env/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt *.whl \
	&& env/bin/fittingroom --version && env/bin/python -m fittingroom doctor \
	&& env/bin/fittingroom compare --dataset fashion-mnist-small --models knn,mlp-256-256 --seeds 1 \
	&& env/bin/fittingroom report runs --format md,csv && test -s runs/*/report.html -a -s runs/*/leaderboard.csv \
	&& env/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt "fittingroom[onnx] @ file://$$(echo $$work/*.whl)" \
	&& env/bin/fittingroom export mlp-256-256 --dataset fashion-mnist-small \
	&& rm -rf $$work

# Beside Keras, which gets an environment of its own, and stock scikit-learn; some fourteen hours,
# eight of them for whole recipes. All is measured anew; stopped and started again it resumes where it
# was. The data sets of growth.py take 5.2 GB in the folder for temporary files.
RESULTS := benchmarks/results
SITTING := whole speed classical swift memory growth
bench: install .venv-peers/.installed
	test -e $(RESULTS)/.sitting || rm -f $(SITTING:%=$(RESULTS)/%.json)
	touch $(RESULTS)/.sitting
	$(BIN)/python benchmarks/whole.py --out benchmarks/results/whole.json
	$(BIN)/python benchmarks/speed.py --out benchmarks/results/speed.json
	$(BIN)/python benchmarks/classical.py --out benchmarks/results/classical.json
	$(BIN)/python benchmarks/swift.py --out benchmarks/results/swift.json
	$(BIN)/python benchmarks/ceiling.py --out benchmarks/results/ceiling.json
	$(BIN)/python benchmarks/memory.py --out benchmarks/results/memory.json
	$(BIN)/python benchmarks/growth.py --out benchmarks/results/growth.json
	$(BIN)/python benchmarks/speed_page.py
	rm $(RESULTS)/.sitting

# The main ratios, in less than ten minutes; nothing that is kept.
QUICK := benchmarks/results/quick
bench-quick: install .venv-peers/.installed
	rm -rf $(QUICK)
	$(BIN)/python benchmarks/speed.py --models mlp-10-10,mlp-256-256,cnn-32,cnn-64-128-64,cnn-16-16-100 --rounds 1 --out $(QUICK)/speed.json
	$(BIN)/python benchmarks/classical.py --quick --out $(QUICK)/classical.json
	$(BIN)/python benchmarks/swift.py --presets swift-90,swift-93 --seeds 1 --out $(QUICK)/swift.json
	$(BIN)/python benchmarks/ceiling.py --rounds 8 --out $(QUICK)/ceiling.json

.venv-peers/.installed: benchmarks/requirements-peers.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip --disable-pip-version-check install --quiet --requirement $<
	@touch $@

# The servers beside which ours is measured (benchmarks/serving.py), and KServe's client, which asks it.
.venv-serving/.installed: benchmarks/requirements-serving.txt
	$(PYTHON) -m venv .venv-serving
	.venv-serving/bin/python -m pip --disable-pip-version-check install --quiet --requirement $<
	@touch $@

.venv-kserve/.installed: benchmarks/requirements-kserve.txt
	$(PYTHON) -m venv .venv-kserve
	.venv-kserve/bin/python -m pip --disable-pip-version-check install --quiet --requirement $<
	@touch $@

check: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(LOWEST) .venv-peers .venv-serving .venv-kserve dist docs/_build docs/modules .mypy_cache .pytest_cache .ruff_cache .hypothesis
