# make demo   set up, then the shipped clip through the whole program (with the viewer where there is a display)
# make test   set up, lint, types, tests
#
# TORCH_INDEX=URL   take torch from this index: on Linux without an NVIDIA GPU, the CPU index that PyTorch's
#                   "Get started" page names saves 4 GB of CUDA packages.

# The first interpreter that is of a supported version (PYTHON=… overrides).
PYTHON ?= $(shell for p in python3 python3.12 python3.11 python3.10; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test lint setup setup-test clean

demo: setup
	@mkdir -p out && rm -f out/demo.npz out/demo.json
	$(BIN)/python run_live.py --source demo --record out/demo.npz --summary out/demo.json
	@$(BIN)/python -m bench.demo out/demo.npz

test: lint
	$(BIN)/python -m pytest -q

lint: setup-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

setup: $(VENV)/.ready
	@.ci/system-packages run

setup-test: setup $(VENV)/.ready-test
	@.ci/system-packages test

# torch comes first and alone: whatever else wants it then takes the build that is there.
$(VENV)/.ready: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "hmmr-live needs Python 3.10, 3.11 or 3.12, and found none: PYTHON=/path/to/python make …"; exit 2; }
	@.ci/system-packages run
	$(PYTHON) -m venv $(VENV)
	@command -v nvidia-smi >/dev/null 2>&1 || test "$$(uname)" != Linux || test -n "$(TORCH_INDEX)" || \
		echo "no NVIDIA GPU here: if pip now fetches CUDA packages, stop it and see TORCH_INDEX in the Makefile"
	$(PIP) install -q torch==2.13.0 $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	$(PIP) install -q -c constraints.txt -e .
	@touch $@

# smplx is under a non-commercial licence: one test holds our body against it, nothing else touches it.
$(VENV)/.ready-test: $(VENV)/.ready
	$(PIP) install -q -c constraints.txt -e ".[dev]"
	$(PIP) install -q --no-deps smplx==0.1.28 || echo "smplx could not be installed: the tests against it skip"
	@touch $@

clean:
	rm -rf $(VENV) out build *.egg-info
