# make demo        set up what runs live, then the shipped clip through the whole program (with the viewer where there
#                  is a display)
# make test        set up also what the tests need (torch, mediapipe, …): lint, types, tests. What is skipped is told:
#                  on Linux nothing but what needs an NVIDIA GPU
# make gpu-check   on a machine with an NVIDIA GPU: set up also TensorRT; parity and speed of every engine on the GPU
#
# TORCH_INDEX=URL   take torch from this index: on Linux without an NVIDIA GPU, the CPU index that PyTorch's
#                   "Get started" page names saves 4 GB of CUDA packages.

# The first interpreter that is of a supported version (PYTHON=… overrides).
PYTHON ?= $(shell for p in python3 python3.12 python3.11 python3.10; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && { echo $$p; break; }; done)
# Tests at once, a file each: many of them wait for programs more than they compute.
JOBS ?= 3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test lint gpu-check setup setup-test clean

demo: setup
	@mkdir -p out && rm -f out/demo.npz out/demo.json
	$(BIN)/python run_live.py --source demo --record out/demo.npz --summary out/demo.json
	@$(BIN)/python -m bench.demo out/demo.npz

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -rs -n $(JOBS) --dist loadfile

gpu-check: setup-test $(VENV)/.ready-gpu
	$(BIN)/python -m bench.gpu

lint: setup-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

setup: $(VENV)/.ready
	@.ci/system-packages run

setup-test: setup $(VENV)/.ready-test
	@.ci/system-packages test
	@test -d clients/node/node_modules/zeromq || ! command -v npm >/dev/null || \
		npm install --silent --no-audit --no-fund --prefix clients/node || \
		echo "the Node client's packages could not be installed: its tests skip"

# An environment made by an earlier version may hold Open3D's wheel with CUDA, whose files are also open3d-cpu's.
$(VENV)/.ready: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "hmmr-live needs Python 3.10, 3.11 or 3.12, and found none: PYTHON=/path/to/python make …"; exit 2; }
	@.ci/system-packages run
	$(PYTHON) -m venv $(VENV)
	@test "$$(uname -sm)" != "Linux x86_64" || ! $(PIP) show -q open3d 2>/dev/null || $(PIP) uninstall -q -y open3d open3d-cpu
	$(PIP) install -q -c constraints.txt -e .
	@touch $@

# torch comes first and alone: whatever else wants it then takes the build that is there.
# smplx is under a non-commercial licence: one test holds our body against it, nothing else touches it.
$(VENV)/.ready-test: $(VENV)/.ready
	@command -v nvidia-smi >/dev/null 2>&1 || test "$$(uname)" != Linux || test -n "$(TORCH_INDEX)" || \
		echo "no NVIDIA GPU here: if pip now fetches CUDA packages, stop it and see TORCH_INDEX in the Makefile"
	$(PIP) install -q torch==2.13.0 $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	$(PIP) install -q -c constraints.txt -e ".[dev]"
	$(PIP) install -q --no-deps smplx==0.1.28 || echo "smplx could not be installed: the tests against it skip"
	@touch $@

# tensorrt comes from NVIDIA's own index, gigabytes of it: only where there is a GPU to run it.
$(VENV)/.ready-gpu: $(VENV)/.ready-test
	@! command -v nvidia-smi >/dev/null 2>&1 || $(PIP) install -q -c constraints.txt -e ".[tensorrt]" || \
		echo "tensorrt could not be installed: the check goes on without it"
	@touch $@

clean:
	rm -rf $(VENV) out build *.egg-info
