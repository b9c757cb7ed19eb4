# seesaw: `make run` for a first experiment, `make test` for everything that must hold.
#
#   PYTHON=python3.12      another interpreter
#   TORCH_INDEX=https://download.pytorch.org/whl/cpu
#                          take torch's CPU build; on ordinary Linux the default build is gigabytes

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH_INDEX ?=
TORCH := 'torch>=2.6,<2.14'
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: run test lint validate bench clean check-system
.DELETE_ON_ERROR:

run: $(VENV)/.run
	@$(BIN)/seesaw run ecommerce

test: lint
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n auto --dist worksteal

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

validate: $(VENV)/.dev
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.validation
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

bench: $(VENV)/.dev
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.bench

$(VENV)/.run: pyproject.toml | check-system
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (the first time takes a few minutes)"
	@$(if $(TORCH_INDEX),$(PIP) --index-url $(TORCH_INDEX) $(TORCH))
	@$(PIP) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@$(PIP) --editable '.[dev]'
	@$(PIP) --no-deps gbstats==0.8.0  # an oracle of tests; its pin of pandas < 2 is not needed for what we ask of it
	@touch $@

check-system:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "Python >= 3.11 must be installed, found none as '$(PYTHON)'; install it or name one: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python must be >= 3.11, found $$($(PYTHON) --version 2>&1); name another: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "Python's venv module must be there, found none; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	@$(PYTHON) -c 'import ctypes.util, sys; sys.exit(sys.platform == "linux" and not ctypes.util.find_library("gomp"))' || { \
	  echo "libgomp (for LightGBM) must be there, found none; on Debian and Ubuntu: apt-get install libgomp1" >&2; exit 2; }

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
