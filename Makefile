# make train   create .venv, install, train on the job shop (about ten minutes on two cores)
# make test    create .venv if need be and run everything that CI runs
#
# PYTHON  an interpreter of version 3.11 to 3.13, found by itself where it is on the PATH
# TORCH   the requirement that is installed first, for instance TORCH=torch==2.13.0

TORCH ?= torch>=2.9,<2.14
PYTHONS := $(if $(PYTHON),$(PYTHON),python3 python3.13 python3.12 python3.11 python)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help train test test-slow lint types imports tests format clean

help:
	@sed -n '/^\#/!q;s/^\# \{0,1\}//p' Makefile

train: .venv/.installed
	$(BIN)/python scripts/train.py env=jssp agent=gnn-ppo

# Every check runs, also after one has failed; pytest is the last, so that its summary is the last line.
test: .venv/.installed-dev
	@status=0; for check in lint types imports tests; do \
		$(MAKE) --no-print-directory $$check || status=1; done; exit $$status

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.installed-dev
	$(BIN)/mypy src tests scripts

imports: .venv/.installed-dev
	$(BIN)/lint-imports --no-logo

# tests/house holds the wheel test and runs the commands of README.md and CONTRIBUTING.md.
tests: .venv/.installed-dev
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not slow"

test-slow: .venv/.installed-dev
	$(BIN)/python -m pytest -m slow

format: .venv/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

.venv/.pip:
	@for python in $(PYTHONS); do \
		if "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then \
			"$$python" -m venv .venv && touch $@ && exit 0; \
			echo "optgap: $$python cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; \
			exit 2; \
		fi; \
	done; \
	echo "optgap: needs Python 3.11, 3.12 or 3.13, tried: $(PYTHONS); run: make PYTHON=/path/to/python3.12 ..." >&2; \
	exit 2

# On Linux, PyPI's torch brings gigabytes of CUDA libraries: without an NVIDIA driver its CPU build is offered as well,
# and pip prefers it. --no-deps keeps that second index to torch alone.
.venv/.torch: .venv/.pip
	@if nvidia-smi -L >/dev/null 2>&1; then index=; \
	else index="--retries 1 --timeout 20 --extra-index-url https://download.pytorch.org/whl/cpu"; fi; \
	echo "installing $(TORCH)"; $(PIP) --no-deps $$index '$(TORCH)'
	@touch $@

.venv/.installed: pyproject.toml .venv/.torch
	$(PIP) --editable '.[cp]'
	@touch $@

.venv/.installed-dev: pyproject.toml .venv/.torch
	$(PIP) --editable '.[dev]'
	@touch .venv/.installed $@
