# One environment, one command each. `make demo` and `make test` need nothing but Python >= 3.11 and this folder.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test test-exhaustive lint bench docs clean

help:  ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[plot,test,bench]" --group lint
	touch $@

demo: $(BIN)/.ready  ## Run two examples; figures go to build/
	$(BIN)/python docs/examples/plot_attention_pooling.py
	$(BIN)/python docs/examples/plot_image_from_pixels.py

# Tests of one file run in one process, so that its loops are compiled or loaded once.
PYTEST := SCIPY_ARRAY_API=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

test: $(BIN)/.ready  ## Run the tests and the docstring examples; warnings are errors
	$(PYTEST)

test-exhaustive: $(BIN)/.ready  ## Run what `make test` leaves out: full products, wheels, scripts, processes, pages
	$(PYTEST) --rest

lint: $(BIN)/.ready  ## Check rules, format, types and spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell

bench: $(BIN)/.ready  ## Compare the speed with installed peers; results go to docs/benchmarks.md
	$(BIN)/python benchmarks/compare.py
	$(BIN)/python benchmarks/page.py --write docs/benchmarks.md

$(BIN)/.docs-ready: $(BIN)/.ready
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	touch $@

docs: $(BIN)/.docs-ready  ## Build the pages into docs/_build/html (SPHINXOPTS="-D plot_gallery=0" skips the examples)
	$(BIN)/sphinx-build -W --keep-going -b html $(SPHINXOPTS) docs docs/_build/html

clean:  ## Remove the environment and all built files
	rm -rf $(VENV) build dist *.egg-info docs/_build docs/auto_examples docs/generated
