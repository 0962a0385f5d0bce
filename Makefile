# Two commands on a fresh machine: `make demo` and `make test`. Both install what they need into .venv first.
SHELL := bash
CORES ?= $(shell nproc)
SCALE ?= demo
UV_VERSION := 0.13.8
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
# Of check-reference: a name under config/reference, by default the cheapest, and how long its runs may take.
REFERENCE :=
MINUTES := 10
# Of speedrun.
SEEDS := 5
THREADS := 1
# Of gpu: further arguments of scripts/gpu.py.
ARGS :=
# Further keys of config/config.yaml, as after `snakemake --config`; it comes last, and so wins.
CONFIG :=
# The shell takes no braces or brackets of CONFIG for patterns of its own.
PLAIN := set -f +B;
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup installed demo run status watch test test-slurm lint format bench speedrun gpu share compare compare-record check-reference known-outcomes error-rates lock schemas clean

help:  ## what each command does
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20
	@echo
	@echo "  variables: SCALE=demo|own|mnist|cpu|strong|standard|published  CORES=$(CORES)  PYTHON=$(PYTHON)  FRUGAL_DATA=<folder with downloaded data>"
	@echo "             CONFIG='results=/elsewhere studies=[ast] override=\"{seeds: 5}\"' for run, demo, status and watch"

setup: $(INSTALLED)  ## install the pinned packages into .venv (6.8 GB)

$(INSTALLED): requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	VIRTUAL_ENV="$(CURDIR)/.venv" $(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes requirements.lock
	touch $@

# setup, demo, run and test bring the environment up to date with the lock. Everything else takes it as it is, since who asks how
# far a run is, or compares two sets of results, must not change what the next run computes with.
installed:
	@test -x $(BIN)/python && test -e $(INSTALLED) || \
	    { echo "there is no environment in .venv, or not a whole one: run make setup first" >&2; exit 1; }
	@test ! requirements.lock -nt $(INSTALLED) || echo "note: .venv is older than requirements.lock; make setup brings it up to date" >&2

demo: setup  ## every study in small, on data that comes with the packages; ends with results/demo/index.html
	$(PLAIN) $(BIN)/snakemake --cores $(CORES) --config scale=demo $(CONFIG)

run: setup  ## every study at SCALE=own (your data), mnist, cpu, strong, standard or published
	$(PLAIN) $(BIN)/snakemake --cores $(CORES) --config scale=$(SCALE) $(CONFIG)

status: installed  ## how far the runs of SCALE are: done, running (epoch, seconds left), failed (why, log), waiting
	@$(PLAIN) $(BIN)/python scripts/status.py $(if $(PAGE),--page '$(PAGE)') scale=$(SCALE) $(CONFIG)

watch: installed  ## the same, kept up to date with the time left until all is done or Ctrl-C; PAGE=status.html: as a web page too
	@$(PLAIN) $(BIN)/python scripts/status.py --watch $(if $(PAGE),--page '$(PAGE)') scale=$(SCALE) $(CONFIG)

test: setup  ## the tests
	$(BIN)/python -m pytest

test-slurm: installed  ## the tests on a Slurm of their own: as root, with Debian's slurm-wlm, munge and rsync
	FRUGAL_SLURM=1 $(BIN)/python -m pytest -n 0 tests/slurm

lint: installed  ## ruff, snakefmt and snakemake --lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check workflow
	$(BIN)/snakemake --lint

format: installed  ## rewrite the code as `make lint` wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt workflow

bench: installed  ## measure this machine: ratios printed as a table, written under benchmarks/
	$(BIN)/python scripts/bench.py

speedrun: installed  ## train CIFAR-10 as fast as we can, seed after seed: SEEDS=5 THREADS=1; CIFAR-10 lies in FRUGAL_DATA
	$(BIN)/python scripts/speedrun.py --seeds $(SEEDS) --threads $(THREADS)

gpu: MINUTES :=
gpu: installed  ## all that waits for a GPU, to be cut off and started again: MINUTES=9 ARGS='--list'; see benchmarks/README.md
	@$(PLAIN) $(BIN)/python scripts/gpu.py $(if $(MINUTES),--minutes $(MINUTES)) $(ARGS)

share: installed  ## pages and tables of SCALE copied to be shown elsewhere: TO=<folder> FROM=<results/scale> ARGS="--largest 1 --leave-out '*.pdf'"
	@test -n '$(TO)' || { echo "say where to: make share SCALE=demo TO=/var/www/demo" >&2; exit 2; }
	$(BIN)/python scripts/share.py '$(or $(FROM),results/$(SCALE))' '$(TO)' $(ARGS)

compare: installed  ## differences beyond seed noise, printed and as a page: A=<results/scale> B=<results/scale> RELEVANT=0.002 OUT=; fails on a regression
	@test -n '$(A)' && test -n '$(B)' || { echo "give two sets of results: make compare A=results/demo B=/elsewhere/demo" >&2; exit 2; }
	$(BIN)/python scripts/compare.py '$(A)' '$(B)' $(if $(RELEVANT),--relevant $(RELEVANT)) \
	    $(if $(RELEVANT_COST),--relevant-cost $(RELEVANT_COST)) $(if $(OUT),--out '$(OUT)')

compare-record: installed  ## runs that frugal.meter measured, against a study's plain net: TABLES=<tables/study> RECORDS='a.json b.json' DATASET= MODEL=
	@test -n '$(TABLES)' && test -n '$(RECORDS)' || \
	    { echo "say against what: make compare-record TABLES=results/demo/tables/infobatch RECORDS=metered.json" >&2; exit 2; }
	$(BIN)/python scripts/compare_record.py '$(TABLES)' $(RECORDS) --dataset '$(DATASET)' --model '$(MODEL)'

check-reference: installed  ## does training here converge as it should: two seeds against config/reference; REFERENCE=<name> MINUTES=10
	$(BIN)/python scripts/check_reference.py $(REFERENCE) --cores $(CORES) --minutes $(MINUTES)

known-outcomes: SCALE := mnist
known-outcomes: installed  ## is what is known and claimed found here: cross at SCALE=mnist (or strong) is run where it is due; config/known_outcomes.yaml
	$(BIN)/snakemake --cores $(CORES) --config scale=$(SCALE) studies='[cross]' -- results/$(SCALE)/tables/cross/summary.csv
	$(BIN)/python scripts/known_outcomes.py --results results/$(SCALE)

error-rates: installed  ## how often comparisons call what is not there, and miss what is; written under benchmarks/
	OMP_NUM_THREADS=1 $(BIN)/python scripts/error_rates.py

lock: installed  ## resolve pyproject.toml anew into requirements.lock
	VIRTUAL_ENV="$(CURDIR)/.venv" $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --custom-compile-command "make lock" \
	    --all-extras --group dev pyproject.toml --output-file requirements.lock

schemas: installed  ## write workflow/schemas from the code, after a change of config keys
	$(BIN)/python scripts/write_schemas.py

clean:  ## remove what the demo, the tests and the linters made; other results, what is known of them, and .venv stay
	rm -rf results/demo .pytest_cache .ruff_cache .hypothesis
