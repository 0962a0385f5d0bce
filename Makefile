# Two commands on a fresh machine: `make demo` and `make test`. Both install what they need into .venv first.
SHELL := bash
CORES ?= $(shell nproc)
SCALE ?= demo
UV_VERSION := 0.13.8
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup demo run status test test-slurm lint format bench compare lock schemas clean

help:  ## what each command does
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20
	@echo
	@echo "  variables: SCALE=demo|cpu|standard|published  CORES=$(CORES)  PYTHON=$(PYTHON)  FRUGAL_DATA=<folder with downloaded data>"

setup: $(INSTALLED)  ## install the pinned packages into .venv (6.2 GB)

$(INSTALLED): requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes requirements.lock
	touch $@

demo: setup  ## every study in small, on data that comes with the packages; ends with results/demo/index.html
	$(BIN)/snakemake --cores $(CORES) --config scale=demo
	@echo "open results/demo/index.html"

run: setup  ## every study at SCALE=cpu, standard or published
	$(BIN)/snakemake --cores $(CORES) --config scale=$(SCALE)

status: setup  ## how far the runs of SCALE are: done, running (epoch, seconds left), failed (why, log), waiting
	@$(BIN)/python scripts/status.py scale=$(SCALE)

test: setup  ## the tests
	$(BIN)/python -m pytest

test-slurm: setup  ## the tests on a Slurm of their own: as root, with Debian's slurm-wlm, munge and rsync
	FRUGAL_SLURM=1 $(BIN)/python -m pytest -n 0 tests/slurm

lint: setup  ## ruff, snakefmt and snakemake --lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check workflow
	$(BIN)/snakemake --lint

format: setup  ## rewrite the code as `make lint` wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt workflow

bench: setup  ## measure this machine: ratios printed as a table, written under benchmarks/
	$(BIN)/python scripts/bench.py

compare: setup  ## differences beyond seed noise: make compare A=<results/scale> B=<results/scale>; fails on a regression
	$(BIN)/python scripts/compare.py $(A) $(B)

lock: setup  ## resolve pyproject.toml anew into requirements.lock
	VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --custom-compile-command "make lock" \
	    --group dev pyproject.toml --output-file requirements.lock

schemas: setup  ## write workflow/schemas from the code, after a change of config keys
	$(BIN)/python scripts/write_schemas.py

clean:  ## remove what the demo, the tests and the linters made; other results, what is known of them, and .venv stay
	rm -rf results/demo .pytest_cache .ruff_cache .hypothesis
