# The commands that matter: `make demo`, `make demo-unet` and `make test`. `make serve` keeps the service running.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Two at once: a test of a service waits much, and computes little.
PARALLEL := --numprocesses 2 --dist loadfile

.PHONY: install demo demo-unet serve test test-postgres check format bench results prove vendor lock clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Bregnas needs Python 3.11 or newer; name one with: make PYTHON=python3.x")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(STAMP)
	$(BIN)/bregnas demo

demo-unet: $(STAMP)
	$(BIN)/bregnas demo --unet

serve: $(STAMP)
	$(BIN)/bregnas serve

test: $(STAMP)
	$(BIN)/pytest $(PARALLEL) --durations=5

# All of them on PostgreSQL, and 300 histories: BREGNAS_TEST_POSTGRES names a server, else one is started.
test-postgres: $(STAMP)
	BREGNAS_LONG=1 $(BIN)/pytest $(PARALLEL) --durations=5 --database postgresql

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What compact steps take, against plain ones: tables in bench/results/, and one line of JSON. Not part of the tests.
# BENCH="--only mlp" is one part of it. The hour-glasses: python -m bench.autoencoders
bench: $(STAMP)
	$(BIN)/python -m bench.compact $(BENCH)

# Hours; resumable. Runs what docs/results.md has no record of, and writes its tables and pictures anew.
# DATA names the folder of MNIST and Fashion-MNIST; THREADS those of each of JOBS processes.
JOBS ?= 2
THREADS ?= 1
results: $(STAMP)
	$(BIN)/python -m bench.measure --jobs $(JOBS) --threads $(THREADS) $(if $(DATA),--data-root $(DATA)); \
	status=$$?; $(BIN)/python -m bench.report && exit $$status

# Long fault runs: what is killed, and what that costs. PROVE="--searches 20 --kills 100 --epochs 30" is the whole of it, with --postgres on that.
prove: $(STAMP)
	$(BIN)/python -m bench.prove $(PROVE)
	$(BIN)/python -m bench.retrieval $(LOAD)
	$(BIN)/python -m bench.load $(LOAD)

# What the pages use of others, as single files with licences and hashes. The only step that needs Node.
vendor:
	cd vendor && npm ci --silent --no-audit --no-fund && node build.mjs

# The versions that are installed, for constraints.txt.
lock: $(STAMP)
	$(BIN)/pip list --format=freeze | grep -viE '^(bregnas|pip|setuptools)=' | sed 's/+cpu//' | sort -f > constraints.txt

clean:
	rm -rf $(VENV) demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis
