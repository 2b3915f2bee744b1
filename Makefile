# Deskmate: every habit of the project is a target here; .ci/run calls the same ones.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# on a machine without a GPU a plain torch wheel brings gigabytes of CUDA packages along where the package
# index offers both; the exact version lets a local CPU wheel win
TORCH := torch==2.13.0
STAMP := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest -q

.PHONY: help setup demo serve test slow postgres sglang lint check fix bench bench-index bench-service bench-peers bench-serve clean

help: ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[all,dev]"
	@touch $(STAMP)

setup: $(STAMP) ## Make .venv and install everything; the command is .venv/bin/deskmate

demo: setup ## The whole loop on the sample collection: index, tune, measure, answer
	$(BIN)/deskmate demo

serve: setup ## Serve the demo's collection with its page at http://127.0.0.1:8080/
	$(BIN)/deskmate serve --collection demo

test: setup ## All tests: the fast ones, then those with real small models
	$(BIN)/deskmate models prepare
	$(PYTEST) -m "not slow and not sglang and not gpu"
	$(PYTEST) -m "slow and not sglang and not gpu"

slow: setup ## The tests with real small models
	$(BIN)/deskmate models prepare
	$(PYTEST) -m "slow and not sglang and not gpu"

postgres: setup ## The fast tests of store, service and jobs with their rows in PostgreSQL, where its server is installed
	$(PYTEST) -m "not slow and not browser" --postgres tests/store tests/service tests/jobs

sglang: setup ## The tests with a real SGLang server; make its environment first: deskmate engine install
	$(BIN)/deskmate models prepare --profile test
	$(PYTEST) -m sglang

lint: setup ## Format, ruff, mypy and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint ## Lint and the fast tests
	$(PYTEST) -m "not slow and not sglang and not gpu and not browser"

fix: setup ## Format and repair what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup ## Speed as a ratio: the local engine and training beside plain transformers
	$(BIN)/deskmate models prepare
	$(BIN)/python -m assistant.engine.bench
	$(BIN)/python -m training.bench

# needs deskmate engine install; GGUF=FILE also sets llama.cpp beside the local engine, both with those weights
GGUF :=
bench-serve: setup ## Deskmate beside raw SGLang, its prefix cache, and SGLang killed under load
	$(BIN)/deskmate models prepare --profile test
	$(BIN)/python -m eval.paced_bench
	$(BIN)/python -m eval.serving_bench
	$(BIN)/python -m eval.prefix_bench
	$(BIN)/python -m eval.chaos_bench
	$(if $(GGUF),$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[bench]")
	$(if $(GGUF),$(BIN)/python -m assistant.engine.llama_bench --gguf $(GGUF))

# documents to embed, for instance: make bench-index DOCUMENTS=/some/folder; CHUNKS=1000000 takes an hour;
# PDF=FILE also sets that file beside unstructured's own reader, which needs unstructured[pdf]
DOCUMENTS := assistant/samples/files
CHUNKS := 100000
PDF :=
bench-index: setup ## Speed and memory of an index beside their limits: building, searching, removing, swapping
	$(BIN)/deskmate models prepare
	$(BIN)/python -m indexing.bench search --chunks $(CHUNKS)
	$(BIN)/python -m indexing.bench swaps --chunks 10000
	$(BIN)/python -m indexing.bench encode --documents $(DOCUMENTS) --dtype bfloat16
	$(BIN)/python -m indexing.bench encode --documents $(DOCUMENTS) --dtype float32
	$(if $(PDF),$(BIN)/python -m indexing.bench pdf --documents $(PDF))

# SOAK=30 watches the memory for so many minutes instead; EMBEDDER=multilingual-e5-small needs prepared models
SOAK :=
EMBEDDER := hashing
bench-service: setup ## 200 streams at once beside the engine alone, indexing meanwhile; SOAK=30: memory
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[load]"
	$(BIN)/python -m assistant.service.bench --embedder $(EMBEDDER) $(if $(SOAK),--soak $(SOAK) --users 50)

# FOLDER of .md and .txt files and a FILE of questions; an environment of its own, because the libraries pin much
PEERS := .venv-peers
SUITE := assistant/samples/suite.jsonl
$(PEERS)/.installed: pyproject.toml
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -e ".[index,peers]"
	@touch $@

bench-peers: $(PEERS)/.installed ## Retrieval beside txtai, LlamaIndex and LangChain: make bench-peers DOCUMENTS=… SUITE=…
	$(PEERS)/bin/deskmate models prepare
	$(PEERS)/bin/python -m eval.peers_bench --documents $(DOCUMENTS) --suite $(SUITE)

clean: ## Remove what was built; the data folder stays
	rm -rf $(VENV) $(PEERS) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
