# Two commands do everything on a fresh clone that has Python (3.11 or newer), git and make:
#   make demo   the main job on a real clip, into out/demo/  (VIDEO=path for your own, SYNTHETIC=1 for a rendered one)
#   make test   the tests that every change must pass, as far as this machine can run them
# Both share the environment in .venv/ and refresh it when pyproject.toml or constraints.txt has changed.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help env demo test test-all test-cpus check format quality docs matrix canary wheels

# The first interpreter that is new enough; PYTHON=... overrides it.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
STAMP := .venv/.installed
WORKERS ?= 2

# On Linux, the package index has torch with several gigabytes of CUDA libraries only; without an NVIDIA GPU, the CPU build
# of PyTorch's own index does, where that can be reached.
CPU_TORCH := https://download.pytorch.org/whl/cpu
ASK_FOR_CPU_TORCH := import urllib.request as web; web.urlopen('$(CPU_TORCH)/torch/', timeout=10)

help:
	@sed -n 's/^# \{0,2\}//p;/^$$/q' Makefile
	@echo "  make check  format, lint, types, import layers and the fast tests"
	@echo "  make test-all  all tests, also those of the laboratory that take minutes: before a release, and after a change there"
	@echo "  make test-cpus  all tests that need no media, as other processors would run them, in random order"
	@echo "  make matrix  before a release: lowest and highest versions under every Python on the path (CLIP=path TORCH='what pip installs')"
	@echo "  make canary  the newest of everything, and the end-to-end tests on it"
	@echo "  make wheels  which platforms have a wheel of every dependency"
	@echo "  make docs  the documentation site, into build/site; a warning is an error"
	@echo "  make quality  the dashboard on the media that UNISH_MEDIA_DIR names (METHOD=small FRAMES=48 COMPARE=old/quality.json)"

env: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer found; install one, or run make PYTHON=/path/to/python3." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "python -m venv failed; on Debian: apt install python3-venv." >&2; exit 1; }
	@index=""; \
	if test "$$(uname -s)" = Linux && ! command -v nvidia-smi > /dev/null && $(BIN)/python -c "$(ASK_FOR_CPU_TORCH)" 2> /dev/null; \
	then index="--extra-index-url $(CPU_TORCH)"; fi; \
	echo "installing torch $${index:+(the small build for CPUs)}"; \
	$(BIN)/python -m pip install --quiet $$index --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,render]'
	@touch $@

demo: $(STAMP)
	$(BIN)/python -m unish.cli.demo $(if $(VIDEO),--video "$(VIDEO)") $(if $(filter-out 0,$(SYNTHETIC)),--synthetic)

# Tests start hundreds of processes; where Python may not keep what it has compiled, each compiles all of the package.
unexport PYTHONDONTWRITEBYTECODE

# One thread per worker: two processes with a thread per core each get in one another's way.
CHOSEN :=
test: CHOSEN := not long
test test-all: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "$(CHOSEN)"

# The libraries choose their code by the processor; these variables name an older one. Each line: torch, oneDNN, MKL,
# OpenBLAS, workers, and which numbers of the order. What rounding decides, or the order, shows here.
CPUS := default,SSE41,SSE4_2,Nehalem,1,1 avx2,AVX2,AVX2,Haswell,2,2 default,AVX,AVX,Sandybridge,2,3
OWN := not media and not parity

test-cpus: $(STAMP)
	@red=""; for cpu in $(CPUS); do \
		IFS=, read -r aten dnnl mkl blas workers seed <<< "$$cpu"; echo "torch $$aten, oneDNN $$dnnl, MKL $$mkl, OpenBLAS $$blas:"; \
		ATEN_CPU_CAPABILITY=$$aten DNNL_MAX_CPU_ISA=$$dnnl MKL_ENABLE_INSTRUCTIONS=$$mkl OPENBLAS_CORETYPE=$$blas \
		OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $$workers --dist loadfile --shuffle $$seed -m "$(OWN)" || red="$$red $$cpu"; \
	done; test -z "$$red" || { echo "red on:$$red"; exit 1; }

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow and $(OWN)"

# Goes on where it stopped. With COMPARE it fails unless the method is better than that earlier run.
quality: $(STAMP)
	$(BIN)/python -m unish.cli.quality --workers $(WORKERS) $(if $(METHOD),--method "$(METHOD)") \
		$(if $(FRAMES),--frames $(FRAMES)) $(if $(COMPARE),--compare "$(COMPARE)")

# Its packages are installed on the first call. The build itself needs no network.
docs: $(STAMP)
	@$(BIN)/python -c "import material, mkdocstrings_handlers.python" 2>/dev/null || \
		$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "build/site/index.html; to search it: $(BIN)/python -m http.server --directory build/site"

# These make environments of their own, one at a time, and remove each. TORCH= names the torch to install first.
MATRIX = $(PYTHON) tools/matrix.py $(if $(CLIP),--clip "$(CLIP)") $(if $(TORCH),--torch "$(TORCH)")

matrix:
	$(MATRIX) --table docs/research/installs.md

canary:
	$(MATRIX) --python $(PYTHON) --ends highest --tests tests/e2e

wheels:
	$(PYTHON) tools/wheels.py

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
