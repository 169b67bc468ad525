# Two commands do everything: `make demo` and `make test`. Both set up .venv first.
PYTHON ?= python3
CORES ?= all
BIN := .venv/bin

.PHONY: demo test lint setup setup-dev lock clean

demo: .venv/.run
	$(BIN)/kneeline run --cores $(CORES)

test: .venv/.dev
	$(BIN)/python -m pytest

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakemake --lint
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakemake --snakefile workflow/Snakefile --lint

setup: .venv/.run
setup-dev: .venv/.dev

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "kneeline needs Python 3.11 or newer; say where it is: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -m venv .venv || \
	  { rm -rf .venv; echo "Python cannot make virtual environments; on Debian or Ubuntu: apt-get install python3-venv"; exit 2; }

.venv/.run: requirements.lock pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.venv/.dev: requirements-dev.lock .venv/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

# Newest versions that the floors in pyproject.toml allow; the files hold hashes and no addresses.
lock: | .venv/bin/python
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --upgrade --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --quiet -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml --upgrade --group dev -c requirements.lock --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --quiet -o requirements-dev.lock

clean:
	rm -rf .venv .snakemake logs
	find results -mindepth 1 ! -name README.md -delete
