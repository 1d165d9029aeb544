# Three commands set everything up, from a fresh clone on a machine with Python 3.11 or newer:
#   make train   trains the default system, DDPM on the embedded digits, on the CPU
#   make test    runs the whole test suite
#   make parity  compares samplers, networks, paths and solvers step for step with other libraries, which it installs
# Further: make bench, make clean. Options: PYTHON=python3.12, VENV=DIR, TESTS='tests/diffusion -k ddpm',
# WORKERS=4, WORKDIR=DIR, ARGS='--config.train.steps=100'.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?=
VENV ?= .venv
WORKERS ?= 2
TESTS ?=
WORKDIR ?= runs/ddpm_digits
ARGS ?=
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install -q --disable-pip-version-check
PACKAGING := setup.cfg pyproject.toml requirements.txt

.PHONY: help train test parity bench clean

help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile

train: $(VENV)/.installed
	$(BIN)/python -m experiments.train --config experiments/configs/diffusion/ddpm.py --workdir $(WORKDIR) $(ARGS)

# Compiled programs are shared by the workers of one run and dropped after it, so that every run starts cold.
test: $(VENV)/.installed-test
	@cache=$$(mktemp -d); trap 'rm -rf "$$cache"' EXIT; \
	JAX_PLATFORMS=cpu JAX_COMPILATION_CACHE_DIR="$$cache" JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0.2 \
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(TESTS)

# What is absent is an error here, where the tests alone would skip it.
parity: $(VENV)/.installed-parity
	$(BIN)/python -c 'import diffrax, diffusers, flow_matching, torch, torchcfm'
	JAX_PLATFORMS=cpu $(BIN)/python -m pytest -m parity $(TESTS)

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks.run $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# The stamps are touched last: an installation that was cut off is made again.
$(VENV)/.installed: $(VENV)/.made $(PACKAGING)
	@echo "Installing genjax into $(VENV); the first time this takes some minutes."
	$(INSTALL) -e .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.made $(PACKAGING)
	@echo "Installing genjax and its test tools into $(VENV); the first time this takes some minutes."
	$(INSTALL) -e '.[test,notebooks]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-parity: $(VENV)/.made $(PACKAGING)
	@echo "Installing genjax, its test tools and its peers into $(VENV); the first time this takes some minutes."
	$(INSTALL) -e '.[test,parity]'
	@touch $@ $(VENV)/.installed

# Without PYTHON=..., the first Python in sight that is new enough.
$(VENV)/.made:
	@for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python); do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    "$$python" -m venv --clear $(VENV) || { rm -rf $(VENV); \
	      echo "make: '$$python -m venv' failed (its reason is above); on Debian and Ubuntu the package python3-venv is missing." >&2; exit 1; }; \
	    touch $@; exit 0; \
	  fi; \
	done; \
	echo "make: genjax needs Python 3.11 or newer, and $(or $(PYTHON),python3) is not; install one and name it: make PYTHON=python3.12 ..." >&2; \
	exit 1
