# Everything runs from .venv, which `setup` makes and keeps in step with pyproject.toml and
# constraints.txt.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo table results docs test fuzz chaos check audit format clean

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input
TORCH := $(shell grep '^torch==' constraints.txt)
ARGS ?=
SEED := $(or $(SEED),$(shell date +%s))

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed  ## Make .venv and install the project and its tools into it

# torch goes first and alone: it is the largest by far, and with the right build of it in place (CPU
# or CUDA, as pip's own settings say) the rest does not ask for another.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(BIN)/pip || { echo "1/3 creating $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "2/3 installing $(TORCH) (about 1 minute; longer where it comes with CUDA)"
	@$(PIP) -c constraints.txt '$(TORCH)'
	@echo "3/3 installing the project and everything else (about 2 minutes)"
	@$(PIP) -c constraints.txt -e '.[dev,wmt14]'
	@touch $@

demo: setup  ## Run five rows of Table 3 on the built-in corpus and print the table (7 minutes)
	$(BIN)/ablate sweep table3 --setting grammar --only base,A1,C1,D1,E --seeds 1

table: setup  ## Run all twenty rows of Table 3 on the built-in corpus, two seeds each
	$(BIN)/ablate sweep table3 --setting grammar --seeds 2

results: setup  ## Run the studies behind the guide again, into docs/results; ARGS="NAME" for one
	$(BIN)/python -m guide.results $(ARGS)

docs: $(VENV)/.docs  ## Build the guide, in English and Korean, into build/site
	rm -rf build/site build/doctrees
	set -e; for language in en ko; do \
		$(BIN)/sphinx-build -q -W --keep-going -c guide -d build/doctrees/$$language \
			-D language=$$language docs build/site/$$language; \
	done
	cp guide/landing.html build/site/index.html
	@echo "open build/site/index.html"

$(VENV)/.docs: $(VENV)/.installed
	@$(PIP) -c constraints.txt -e '.[docs]'
	@touch $@

test: setup  ## Run all tests; options for pytest go into ARGS, as in ARGS="-m 'not slow' -n 2"
	$(BIN)/python -m pytest $(ARGS)

fuzz: setup  ## Point 10,000 hostile files at the project; SEED=... repeats a round
	@echo "seed $(SEED)"
	$(BIN)/python -m pytest tests/fuzz --hypothesis-profile=fuzz --hypothesis-seed=$(SEED) --timeout=3600 $(ARGS)

chaos: setup  ## Do to real sweeps what machines do to them, 200 faults (an hour); ARGS="--seed 7"
	$(BIN)/python -m tests.chaos $(ARGS)

check: setup  ## Check format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# In an environment of its own, whose libraries are not ours. Strict: what could not be looked up is
# no good news.
audit:  ## Look the pinned libraries up among known security holes; needs the network
	$(PYTHON) -m venv build/audit
	build/audit/bin/pip install --quiet --disable-pip-version-check pip-audit
	build/audit/bin/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip

format: setup  ## Format the code and repair what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## Delete .venv, builds and caches; mlruns/ stays
	rm -rf $(VENV) build dist ./*.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
