# One environment, one command each. `make demo` and `make test` need nothing but Python >= 3.11 and this folder.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint bench docs clean

$(BIN)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[plot,test,bench]" --group lint
	touch $@

demo: $(BIN)/.ready  ## The two examples; pictures go to build/
	$(BIN)/python docs/examples/plot_attention_pooling.py
	$(BIN)/python docs/examples/plot_image_from_pixels.py

test: $(BIN)/.ready
	SCIPY_ARRAY_API=1 $(BIN)/python -m pytest --numprocesses 2

lint: $(BIN)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell

bench: $(BIN)/.ready  ## This package beside its peers that are installed, in one run; the promises' tables go to docs/benchmarks.md
	$(BIN)/python benchmarks/compare.py
	$(BIN)/python benchmarks/page.py --write docs/benchmarks.md

$(BIN)/.docs-ready: $(BIN)/.ready
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	touch $@

docs: $(BIN)/.docs-ready  ## The site, in docs/_build/html; SPHINXOPTS="-D plot_gallery=0" leaves the examples unexecuted
	$(BIN)/sphinx-build -W --keep-going -b html $(SPHINXOPTS) docs docs/_build/html

clean:
	rm -rf $(VENV) build dist *.egg-info docs/_build docs/auto_examples docs/generated
