# `make` prints the targets. Every target installs what it needs into .venv first.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# `make test EXTRAS=dev` leaves torch out; the tests that hold the graphs against their networks are then skipped.
EXTRAS := dev,torch
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test lint types check bench install clean

help: ## print the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1|/' | column -t -s '|'

demo: $(VENV)/base ## stream the demo clips over loopback, show them and measure
	$(BIN)/latentcast demo $(ARGS)

test: $(VENV)/dev ## run the tests
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal $(ARGS)

lint: $(VENV)/dev ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev ## mypy, strict, sources and tests
	$(BIN)/mypy

check: test lint types ## everything CI runs

bench: $(VENV)/base ## measure the codec on this machine
	$(BIN)/latentcast bench speed $(ARGS)

install: $(VENV)/base ## only install, into .venv

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "latentcast needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12"; exit 2; }
	@echo "Installing into $(VENV); this takes a minute or two."
	@$(PYTHON) -m venv $(VENV)

# Compiled now, so that the first picture waits for neither: the entropy coder, and the bytecode of what a server and a
# viewer import (pip would compile everything, which is 80 MB more).
$(VENV)/base: pyproject.toml constraints.txt | $(BIN)/python
	@$(PIP) --editable .
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -c 'import client.view, client.window, client.chart, codec.warm, codec.nano.simd.engine, codec.nano.onnx_engine, server.app, latentcast.worker_child, uvloop, latentcast.summary'
	@touch $@

# torch: only for the tests that hold the shipped graphs against the networks they were exported from.
$(VENV)/dev: $(VENV)/base
	@$(PIP) --editable '.[$(EXTRAS)]'
	@touch $@
