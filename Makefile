.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -o pipefail -c
PYTHON ?= $(firstword $(foreach version,3.11 3.12 3.13,$(shell command -v python$(version))) python3.11)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
OLDEST := .venv-oldest
OLDEST_TESTS := tests/pipelines/learning tests/pipelines/tasks tests/pipelines/test_any_task.py \
	$(addprefix tests/pipelines/stages/test_,expert.py record.py pretrain.py finetune.py) \
	$(addprefix tests/trajstore/interop/test_,environment.py foreign_environments.py gymnasium.py \
	imitation.py recorded_loops.py spaces.py stable_baselines3.py) \
	tests/trajstore/quality/test_replay_environments.py
PYTHONS ?= 3.11 3.13
EXCHANGE := .venv-exchange
CROISSANT := .exchange/croissant
PINNED := $(BIN)/python -m pip install --disable-pip-version-check --no-warn-conflicts -c constraints.txt
SHOW := $(PYTHON) .ci/fetched.py "at most $$(grep -c == constraints.txt)"
export OMP_NUM_THREADS := 1
export DVC_NO_ANALYTICS := 1

help:  ## say what each target does
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

venv: $(READY)  ## prepare .venv from the pinned constraints

$(READY): pyproject.toml pipelines/pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PINNED) --progress-bar off -e '.[imitation,play,interop,lerobot,dev]' -e pipelines | $(SHOW)
	$(PINNED) --quiet --no-deps imitation
	@touch $@

repro: $(READY)  ## run the whole experiment: expert, dataset, cloning, comparison, report
	$(BIN)/python -m pipelines repro

study: $(READY)  ## the sweep over demonstrations and the transfer setting, on top of repro
	$(BIN)/python -m pipelines repro study

tasks: $(READY)  ## the table of public tasks, docs/tasks.md; TASK=LunarLander-v3 runs one
	$(BIN)/python -m pipelines tasks $(if $(TASK),--task $(TASK))

pull: $(READY)  ## bring every output from the DVC remote, checked before it is put in place
	$(BIN)/python -m pipelines pull

test: $(READY)  ## lint, types and the tests, but the longest sweeps
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -p no:cacheprovider -m "not torture"

quick: $(READY)  ## the tests that take a minute or two
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow and not torture"

torture: $(READY)  ## the long fault-injection sweeps
	TORTURE=10 $(BIN)/python -m pytest -q -m "slow or torture" tests

bench: $(READY)  ## measure the store beside its peers; writes benchmarks/out
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python -m benchmarks

oldest: $(OLDEST)/.ready  ## the recording and training tests beside the oldest gymnasium and Stable-Baselines3
	$(OLDEST)/bin/python -m pytest -q -n 2 --dist loadfile -p no:cacheprovider -m "not slow and not torture" $(OLDEST_TESTS)

$(OLDEST)/.ready: tests/oldest.txt $(READY)  # what it lacks comes from .venv
	$(BIN)/python -m venv --clear --without-pip $(OLDEST)
	site=$$($(OLDEST)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))") && \
	all=$$($(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))") && \
	echo "import site; site.addsitedir('$$all')" > $$site/all.pth && \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $$site -r tests/oldest.txt
	@touch $@

wheel:  ## build the wheel, and try it in empty environments of several versions of Python
	.ci/wheel $(PYTHONS)

docs: $(READY)  ## build the site from docs/ into build/site; a dead link fails
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	PYTHONPATH=. $(BIN)/python docs/make_gallery.py build/gallery
	$(BIN)/python -m sphinx -q -W --keep-going -b html -d build/doctrees docs build/site

exchange: $(EXCHANGE)/.ready $(CROISSANT)/.ready  ## hold our files against other packages, in environments of their own
	PYTHONPATH=. $(EXCHANGE)/bin/python -m pytest -q -p no:cacheprovider tests/exchange
	$(CROISSANT)/bin/python -m pytest -q -p no:cacheprovider -W default tests/trajstore/playback/test_croissant.py

$(EXCHANGE)/.ready: pyproject.toml tests/exchange/requirements.txt tests/exchange/packages.txt
	$(PYTHON) -m venv $(EXCHANGE)
	$(EXCHANGE)/bin/python -m pip install --quiet --disable-pip-version-check -r tests/exchange/requirements.txt
	$(EXCHANGE)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r tests/exchange/packages.txt
	$(EXCHANGE)/bin/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(CROISSANT)/.ready: pyproject.toml
	$(PYTHON) -m venv $(CROISSANT)
	$(CROISSANT)/bin/python -m pip install --quiet --disable-pip-version-check \
		mlcroissant==1.1.1 pytest==$(shell sed -n 's/^pytest==//p' constraints.txt) -e '.[play]'
	@touch $@

format: $(READY)  ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## remove what the tools left; keeps .venv and data
	rm -rf .pytest_cache .mypy_cache .ruff_cache build dist *.egg-info
	find trajstore pipelines tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

.PHONY: help venv repro study tasks pull test quick torture bench docs oldest wheel exchange format clean
