# The two commands that matter: `make demo` and `make test`. `make serve` keeps the service running.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo serve test check format bench lock clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Bregnas needs Python 3.11 or newer; name one with: make PYTHON=python3.x")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(STAMP)
	$(BIN)/bregnas demo

serve: $(STAMP)
	$(BIN)/bregnas serve

test: $(STAMP)
	$(BIN)/pytest --durations=5

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Long; resumable; writes bench/results/. Not part of the tests.
bench: $(STAMP)
	$(BIN)/python -m bench.autoencoders

# The versions that are installed, for constraints.txt.
lock: $(STAMP)
	$(BIN)/pip list --format=freeze | grep -viE '^(bregnas|pip|setuptools)=' | sed 's/+cpu//' | sort -f > constraints.txt

clean:
	rm -rf $(VENV) demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis
