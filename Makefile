# Two commands: `make demo` and `make test`. Each makes .venv on its own.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-slow lint models clean

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

demo: $(STAMP)  ## train digits_cnn, run the whole pipeline on it, print the table
	$(BIN)/edgeworthy run sample:digits_cnn -o out/digits_cnn

# mypy takes the package's name from its folder, and a checkout may have any.
lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	mkdir -p $(VENV)/typing && ln -sfn ../.. $(VENV)/typing/edgeworthy
	cd $(VENV)/typing && ../bin/mypy --config-file edgeworthy/pyproject.toml edgeworthy

test: lint  ## what CI runs
	$(BIN)/pytest -n 2 --dist loadfile -m 'not slow'

test-slow: $(STAMP)  ## the tests that take minutes
	$(BIN)/pytest -m slow

models: $(STAMP)  ## rewrite docs/models.md: parity, ops, transposes, seconds and MB of every model in the table
	$(BIN)/python benchmarks/models.py --write docs/models.md

clean:
	rm -rf $(VENV) out build dist *.egg-info
