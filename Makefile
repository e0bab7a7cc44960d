# `make demo` and `make test` set up everything they need in .venv and reuse it.
VENV ?= .venv
BIN := $(VENV)/bin
# the first interpreter on the path that is new enough and really runs
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && echo $$p && break; done)
# what is imported is compiled then, and kept; pip would compile all there is, which takes longer than to fetch it
export PYTHONDONTWRITEBYTECODE :=
# with what the tests were run with
INSTALL := $(BIN)/python .ci/install -c constraints.txt
# one thread a worker: two workers with two threads each are slower than two with one
TEST_ENV := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false

.PHONY: demo atlas league guide test fuzz test-blas test-thorough test-encoders check hooks bench docs wheel clean help
help:
	@echo "make demo    run the demonstration study on real pretrained models; the page is runs/demo/report.html"
	@echo "make atlas   the same for many models at once: ladders, specialists, families; runs/atlas/report.html"
	@echo "make league  which metric tells what, over networks that it trains; runs/league/report.html"
	@echo "make guide   keep that league as the table of the guide, and write docs/guide.md from it"
	@echo "make test    run the tests"
	@echo "make coverage  these and the thorough ones, and which lines and branches they reach"
	@echo "make fuzz    two hundred times the malformed inputs of the short run that make test includes (TIMES=20)"
	@echo "make test-thorough  the same asked of more cases, and of many simulated samples"
	@echo "make test-encoders  every family of encoders against its library by hand; writes docs/encoders.md"
	@echo "make check   formatting, lint, types, import directions, docstrings, generated docs"
	@echo "make hooks   run the checks before each commit and push (needs pre-commit on the path)"
	@echo "make bench   run the benchmarks: every claim about speed, measured here"
	@echo "make docs    write the generated pages of docs/, and build the site (site/index.html)"
	@echo "make wheel   build the package, install it in a clean environment and use it there"
	@echo "make clean   remove .venv and caches (runs/ and downloaded checkpoints stay)"

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Isomorph needs Python 3.11, 3.12 or 3.13 on the path (or: make PYTHON=/path/to/python)."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready-demo: $(BIN)/python pyproject.toml constraints.txt
	@echo "Setting up $(VENV) (a minute or more the first time; PyTorch is large) …"
	$(BIN)/python -m pip --disable-pip-version-check -q install -U pip uv
	$(INSTALL) -e '.[demo]'
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready-demo
	$(INSTALL) --group dev
	# axe-core for the tests of the page; the Playwright that its package asks for is not needed
	$(INSTALL) --no-deps axe-playwright-python
	# timm and open_clip ask for torchvision, whose compiled part fails beside the CPU build of torch: it lies in a folder
	# of its own, which only the tests that need it put on their path
	$(INSTALL) --no-deps timm open_clip_torch
	$(INSTALL) --no-deps --upgrade --target $(VENV)/torchvision torchvision
	@touch $@

demo: $(VENV)/.ready-demo
	$(BIN)/isomorph demo

atlas: $(VENV)/.ready-demo
	$(BIN)/isomorph demo --atlas

league: $(VENV)/.ready-demo
	@mkdir -p runs/league
	$(BIN)/isomorph league digits --to runs/league/league.json --report runs/league/report.html

# the table that `iso.diagnose`, its page and docs/guide.md read, and the pages that are written from it
guide: $(VENV)/.ready-dev
	$(BIN)/python docs/generate.py --guide runs/league/league.json

test: $(VENV)/.ready-dev
	$(TEST_ENV) $(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

# a separate run, for tracing takes half as long again; fails below the share that pyproject.toml names
coverage: $(VENV)/.ready-dev
	$(TEST_ENV) $(BIN)/python -m pytest -m "not families" -n 2 --dist loadgroup --cov --cov-report=term:skip-covered $(ARGS)

# the short run in `make test` makes a tenth of the cases; they are the same each time
TIMES ?= 20
fuzz: $(VENV)/.ready-dev
	ISOMORPH_FUZZ=$(TIMES) $(TEST_ENV) $(BIN)/python -m pytest -n 2 -s tests/fuzz $(ARGS)

# the rest of the tests: more variants of what `make test` asks, and frequencies over many simulated samples
test-thorough: $(VENV)/.ready-dev
	$(TEST_ENV) $(BIN)/python -m pytest -m "thorough and not families" -n 2 --dist loadgroup $(ARGS)

test-encoders: $(VENV)/.ready-dev
	$(TEST_ENV) $(BIN)/python -m pytest -m "families or not families" -n 2 --dist loadgroup -o junit_family=xunit1 --junitxml=runs/encoders.xml \
		tests/encoders/test_families.py $(ARGS)
	$(TEST_ENV) $(BIN)/python -m pytest -m families -n 2 tests/encoders/test_bundled.py
	$(BIN)/python docs/encoders.py runs/encoders.xml

# on a kernel of OpenBLAS that this processor would not choose: what hangs on the last bits shows
test-blas: $(VENV)/.ready-dev
	$(TEST_ENV) $(BIN)/python .ci/blas $(ARGS)

check: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

hooks: $(VENV)/.ready-dev
	pre-commit install

bench: $(VENV)/.ready-dev
	$(BIN)/python benchmarks/run.py $(ARGS)

docs: $(VENV)/.ready-dev
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

wheel: $(VENV)/.ready-dev
	$(BIN)/python .ci/wheel

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
