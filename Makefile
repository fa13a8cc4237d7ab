# make demo      embed examples/library.csv and show what came out
# make test      the tests, without the slow ones
# make test-all  every test
# make check     ruff, mypy, import contracts, documentation
# make audit     known advisories on what is installed; needs a network, and says so
# make docs      the documentation as a site in build/site
# make notebooks run the notebooks again, in place
# make install-check  wheel, sdist and a new environment of each of PYTHONS; fetches several GB
# make students  distils the released students again: hours; goes on where it stopped
# make tables    evaluates all models under all protocols, beside published rows: hours; goes on where it stopped
# make clean     removes caches and what demo wrote; keeps .venv, and in build/ what took hours

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
# One torch thread for each of two workers: more only compete for the cores.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile
STORE  := build/library_embeddings.parquet

.PHONY: demo test test-all check audit docs notebooks install-check students tables clean
.DEFAULT_GOAL := demo

demo: $(VENV)/.molmv-core
	@mkdir -p build
	$(BIN)/molmv featurize examples/library.csv -o $(STORE) --id-column id --overwrite
	$(BIN)/python examples/demo.py $(STORE)

test: $(VENV)/.molmv-dev
	$(PYTEST) -m "not slow"

test-all: $(VENV)/.molmv-dev
	$(PYTEST)

check: $(VENV)/.molmv-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/mkdocs build --strict --quiet

# pip-audit has an environment of its own: it should not change the one that it looks at.
AUDIT := build/audit
audit: $(VENV)/.molmv-dev
	@test -x $(AUDIT)/bin/pip-audit || { $(PYTHON) -m venv $(AUDIT) && \
		$(AUDIT)/bin/python -m pip --disable-pip-version-check install -q "pip-audit==2.10.1"; } || \
		{ echo "NOT AUDITED: pip-audit cannot be installed. This needs a network." >&2; exit 2; }
	$(BIN)/python configs/audit.py $(AUDIT)/bin/pip-audit

docs: $(VENV)/.molmv-dev
	$(BIN)/mkdocs build --strict

notebooks: $(VENV)/.molmv-dev
	OMP_NUM_THREADS=1 $(BIN)/python notebooks/execute.py

PYTHONS ?= python3.11 python3.12 python3.13

install-check: $(VENV)/.molmv-dev
	benchmarks/install_check.sh $(PYTHONS)

CORPUS   ?= ../shared/data/corpus/permissive.smi.gz
TEACHERS := minimol pretrain-gnn-gcn-contextpred pretrain-gnn-graphsage-contextpred pretrain-gnn-gat-contextpred \
            rxnfp-bert-pretrained rdkit-descriptors ecfp ecfp-count atom-pair-count topological-torsion-count maccs

# 551,312 molecules of the wide corpus and 48,688 made from it: corpora/README.md.
build/corpus.smi: | $(VENV)/.molmv-dev
	mkdir -p build
	$(BIN)/python corpora/sample.py $(CORPUS) -n 950000 -o build/drawn.smi
	$(BIN)/python corpora/derive.py build/drawn.smi -n 50000 --exclude ../shared/data -o build/derived.smi
	head -n 551312 build/drawn.smi > build/sampled.smi
	$(BIN)/python corpora/mix.py build/sampled.smi build/derived.smi -o build/corpus.smi

# Whom the students ask when they go on.
AGAIN    := minimol pretrain-gnn-gcn-contextpred rdkit-descriptors ecfp maccs

# One teacher of each family, to whose space the students are turned.
SPACE := build/drawn.smi --width 512 --to minimol ecfp-count pretrain-gnn-gcn-contextpred maccs rdkit-descriptors

# On CPUs: days. As they were released, on a GPU: docs/train-on-a-gpu.md.
students: $(VENV)/.molmv-dev build/corpus.smi
	$(BIN)/molmv teachers embed $(TEACHERS) build/corpus.smi -o build/store --workers 2
	$(BIN)/molmv distill configs/molmv-base.toml --resume
	$(BIN)/molmv distill configs/molmv-small.toml --resume
	$(BIN)/python configs/turn.py build/molmv-base/student build/corpus.smi --width 512 -o build/molmv-base-512
	$(BIN)/python configs/turn.py build/molmv-base-512 $(SPACE) --name molmv-base -o build/molmv-base-turned
	head -n 240000 build/corpus.smi > build/corpus-240000.smi
	$(BIN)/molmv teachers embed $(AGAIN) build/corpus-240000.smi -o build/store-240000 --workers 2
	$(BIN)/python configs/turn.py build/molmv-small/student $(SPACE) --name molmv-small -o build/molmv-small-turned
	$(BIN)/molmv distill configs/molmv-base-longer.toml --resume
	$(BIN)/molmv distill configs/molmv-small-longer.toml --resume
	$(BIN)/python configs/turn.py build/molmv-base-longer/student build/corpus-240000.smi --name molmv-base -o build/molmv-base-named
	$(BIN)/python configs/turn.py build/molmv-small-longer/student build/corpus-240000.smi --name molmv-small -o build/molmv-small-named
	$(BIN)/python configs/release.py build/molmv-base-named build/molmv-small-named
	$(BIN)/python benchmarks/tables.py molmv-base molmv-small --corpus build/corpus.smi --corpus build/corpus-240000.smi
	$(BIN)/python configs/release.py build/molmv-base-named build/molmv-small-named

# CORPORA=FILE…: what the released students were distilled on, to count test molecules in it.
tables: $(VENV)/.molmv-dev
	$(BIN)/python benchmarks/tables.py $(CORPORA:%=--corpus %)

clean:
	rm -rf $(STORE) dist .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis
	find molmv tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "molmv needs Python 3.11 or newer: make PYTHON=python3.12 demo" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Stamps: an installed .venv is used as it is until pyproject.toml or constraints.txt change.
$(VENV)/.molmv-core: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -q -c constraints.txt -e .
	@touch $@

$(VENV)/.molmv-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -q -c constraints.txt -e ".[all,dev]"
	@touch $@ $(VENV)/.molmv-core
