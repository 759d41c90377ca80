# Every verb is also `python -m katib VERB`; a variable given to make is an option of the verb (MODEL=sepformer, TRIALS=6, YES=1).
.DEFAULT_GOAL := help
.PHONY: help setup test test-cluster lint bench bench-search demo render check corpus pack local
.PHONY: plan results log best confirm arch report sweep ui clean
.PHONY: install-katib images doctor deploy status logs pause resume stop delete
PYTHON ?= python3
CONSTRAINTS ?= constraints.txt
VENV := .venv
RUN := $(VENV)/.run
DEV := $(VENV)/.dev
BENCH := $(VENV)/.bench
KATIB := $(VENV)/bin/python -m katib

# Only variables of the command line count: an exported NAME or SEED of the user's shell must not change a search.
lower = $(shell printf %s '$1' | tr 'A-Z_' 'a-z-')
option = $(if $(filter command,$(origin $1)),--$(call lower,$1) '$($1)')
switch = $(if $(filter command,$(origin $1)),--$(call lower,$1))
options = $(foreach name,$1,$(call option,$(name)))
RENDER := PRESET NAME TRIALS EPOCHS PARALLEL SITE

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- the environment; every target below makes what it needs first ---------------------------------------------
constraint = $(if $(CONSTRAINTS),-c $(CONSTRAINTS))

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(RUN): pyproject.toml $(CONSTRAINTS) | $(VENV)/bin/python
	$(VENV)/bin/pip install -q --disable-pip-version-check $(constraint) -e '.[control,trainer,corpus]'
	@touch $@

$(DEV): $(RUN)
	$(VENV)/bin/pip install -q --disable-pip-version-check $(constraint) -e '.[control,trainer,corpus,services,dev]'
	@touch $@

$(BENCH): $(RUN)
	$(VENV)/bin/pip install -q --disable-pip-version-check $(constraint) -e '.[control,trainer,corpus,bench]'
	@touch $@

setup: $(DEV) ## the virtual environment, with pinned versions (CONSTRAINTS= leaves the pins out)

# --- quality ----------------------------------------------------------------------------------------------------
test: $(DEV) ## all tests but those of the cluster
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(VENV)/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --ignore=tests/cluster

test-cluster: $(DEV) ## those on a real one-node Kubernetes (root on Linux with Go; built once, 10 minutes), or on your Katib (CONTEXT= SITE=)
	@[ -n "$(call option,CONTEXT)" ] || ! $(VENV)/bin/python -m tests.cluster.rig || tests/cluster/one_node/build.sh || \
		echo "the one-node Kubernetes could not be built; its tests say what is missing" >&2
	$(VENV)/bin/python -m pytest -rs tests/cluster $(call options,CONTEXT SITE)

lint: $(DEV) ## ruff, mypy (strict), import-linter, yamllint
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/python -m mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/yamllint --strict katib k8s .pre-commit-config.yaml

bench: $(DEV) ## a training step against speechbrain's, the scan against an imitation of mamba-ssm's, the data readers; minutes (ROUNDS= MODELS= OUT=)
	$(VENV)/bin/python -m benchmarks.models $(foreach name,ROUNDS OUT,$(call option,$(name))) $(if $(MODELS),--models $(MODELS))
	$(VENV)/bin/python -m benchmarks.selective_scan $(call option,ROUNDS)
	$(VENV)/bin/python -m benchmarks.data $(call option,ROUNDS)

bench-search: $(BENCH) ## whole searches, simulated, against four others; hours (LEDGER= CURVES= SEEDS= PARALLEL= ROWS=)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(VENV)/bin/python -m benchmarks.search $(call options,LEDGER CURVES SEEDS ROWS) $(if $(PARALLEL),--parallel $(PARALLEL))

# --- verbs ------------------------------------------------------------------------------------------------------
demo: $(RUN) ## from nothing to a report in minutes: a small corpus, a small search, its table and report
	@$(KATIB) demo $(call options,OUT DATA)

render: $(RUN) ## the Katib Experiment of MODEL= on stdout
	@$(KATIB) render '$(MODEL)' $(call options,$(RENDER))

check: $(RUN) ## every defect of the Experiment manifest FILE=, offline (STRICT=1 JSON=1)
	@$(KATIB) check '$(FILE)' $(call switch,STRICT) $(call switch,JSON)

corpus: $(RUN) ## a corpus in PolSESS format in OUT=, from the recordings in SPEECH= or from synthetic voices
	@$(KATIB) corpus $(call options,OUT MIXTURES SECONDS SPEECH SEED)

pack: $(RUN) ## the corpus in DATA= as one memory-mapped file a subset, which the trainer reads faster (OUT=)
	@$(KATIB) pack $(call options,DATA OUT)

local: $(RUN) ## the search of MODEL= (or of FILE=x.yaml) on this machine, on the corpus in DATA=; goes on where it was
	@$(KATIB) local '$(or $(FILE),$(MODEL))' $(call options,DATA OUT $(RENDER))

plan: $(RUN) ## runs, GPU-hours, days and cost of MODEL= (default: all four), beside what is used (GPUS= PRICE= PARALLEL= JSON=1 CLUSTER=1)
	@$(KATIB) plan $(if $(MODEL),'$(MODEL)') $(call options,GPUS PRICE PARALLEL OUT SITE CONTEXT) $(call switch,CLUSTER) $(call switch,JSON)

results: $(RUN) ## the trials of EXPERIMENT=, best on top (FORMAT=markdown|csv|json, JSON=1; CLUSTER=1: those on the cluster)
	@$(KATIB) results '$(EXPERIMENT)' $(call options,OUT FORMAT SITE CONTEXT) $(call switch,CLUSTER) $(call switch,JSON)

log: $(RUN) ## the entry of EXPERIMENT= in EXPERIMENT_LOG.md, written or replaced (FILE= CLUSTER=1)
	@$(KATIB) log '$(EXPERIMENT)' $(call options,FILE OUT SITE CONTEXT) $(call switch,CLUSTER)

report: $(RUN) ## OUT/EXPERIMENT/report.html: the search of EXPERIMENT= as one file that opens without network (CLUSTER=1)
	@$(KATIB) report '$(EXPERIMENT)' $(call options,OUT SITE CONTEXT) $(call switch,CLUSTER)

sweep: $(RUN) ## the search of MODEL= as a W&B sweep file on stdout, for agents that see the corpus in DATA= (OUT=)
	@$(KATIB) sweep '$(MODEL)' $(call options,DATA OUT PRESET NAME TRIALS EPOCHS SITE)

best: $(RUN) ## the most promising configurations of EXPERIMENT=, by what all its trials say (TOP= JSON=1 CLUSTER=1)
	@$(KATIB) best '$(or $(EXPERIMENT),$(MODEL))' $(call options,OUT TOP SITE CONTEXT) $(call switch,CLUSTER) $(call switch,JSON)

confirm: $(RUN) ## the three best of EXPERIMENT= (or MODEL=) with three seeds on the corpus in DATA=, and the verdict (CLUSTER=1 BASELINE= SEEDS= TOP= YES=1 JSON=1)
	@$(KATIB) confirm '$(or $(EXPERIMENT),$(MODEL))' $(call options,DATA OUT SEEDS TOP BASELINE SITE CONTEXT) $(call switch,CLUSTER) $(call switch,YES) $(call switch,JSON)

arch: $(RUN) ## the architectures of MODEL='s next phase with the best settings of its search (or of EXPERIMENT=), three seeds each (CLUSTER=1 DATA= SEEDS= YES=1 JSON=1)
	@$(KATIB) arch '$(MODEL)' $(call options,EXPERIMENT DATA OUT SEEDS SITE CONTEXT) $(call switch,CLUSTER) $(call switch,YES) $(call switch,JSON)

ui: $(RUN) ## the dashboard of EXPERIMENT= on this machine (PORT=; CLUSTER=1: Katib's UI of the cluster)
	@$(KATIB) ui $(if $(EXPERIMENT),'$(EXPERIMENT)') $(call options,OUT PORT SITE CONTEXT) $(call switch,CLUSTER)

# --- the cluster ------------------------------------------------------------------------------------------------
install-katib: $(RUN) ## Katib v0.19.0 with our services on the cluster (YES=1)
	@$(KATIB) install-katib $(call options,OVERLAY CONTEXT) $(call switch,YES)

images: $(RUN) ## both images with docker, podman or buildah, tagged with the commit (PUSH=1 REGISTRY= BUILD_ARGS='BASE=…' YES=1)
	@$(KATIB) images $(call options,REGISTRY SITE) $(call switch,PUSH) $(call switch,YES) \
		$(if $(call option,BUILD_ARGS),$(foreach word,$(BUILD_ARGS),--build-arg '$(word)'))

doctor: $(RUN) ## is the cluster fit for the search of MODEL= (default: all), and the mend of what is not (JSON=1)
	@$(KATIB) doctor '$(or $(MODEL),all)' $(call options,$(RENDER) CONTEXT) $(call switch,JSON)

deploy: $(RUN) ## the search of MODEL= (or all) on the cluster: examined, shown, asked for, applied, waited for (YES=1)
	@$(KATIB) deploy '$(MODEL)' $(call options,$(RENDER) CONTEXT WAIT) $(call switch,YES)

status: $(RUN) ## what runs on the cluster, of MODEL= or all (WATCH=1 JSON=1)
	@$(KATIB) status $(if $(MODEL),'$(MODEL)') $(call options,SITE CONTEXT) $(call switch,WATCH) $(call switch,JSON)

logs: $(RUN) ## what TRIAL= prints (FOLLOW=1)
	@$(KATIB) logs '$(TRIAL)' $(call options,SITE CONTEXT) $(call switch,FOLLOW)

steer = $(KATIB) $@ '$(MODEL)' $(call options,SITE CONTEXT) $(call switch,YES)

pause: $(RUN) ## frees the GPUs of the search of MODEL= for a while; every checkpoint is kept (YES=1)
	@$(steer)

resume: $(RUN) ## lets the paused search of MODEL= go on (YES=1)
	@$(steer)

stop: $(RUN) ## ends the search of MODEL= for good and keeps its results (YES=1)
	@$(steer)

delete: $(RUN) ## the Experiment of MODEL= and its trials, after its table is in OUT= (RUNS=1: run directories too, YES=1)
	@$(KATIB) delete '$(MODEL)' $(call options,NAME OUT SITE CONTEXT) $(call switch,RUNS) $(call switch,YES)

clean: ## removes the virtual environment and caches; never data/ or runs/
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
