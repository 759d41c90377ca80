# Every verb is also `python -m katib VERB`; a variable given to make is an option of the verb (MODEL=sepformer, TRIALS=6, YES=1).
# Written for GNU make 3.81, which macOS has, and later.
.DEFAULT_GOAL := help
PYTHON ?= python3
CONSTRAINTS ?= constraints.txt
VENV := .venv
CONTROL := $(VENV)/.control
RUN := $(VENV)/.run
DEV := $(VENV)/.dev
BENCH := $(VENV)/.bench
# A quarter of their time the tests wait for processes and clocks: one worker more than there are processors.
WORKERS = $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
KATIB := $(VENV)/bin/python -m katib

# Only variables of the command line count: an exported NAME or SEED of the user's shell must not change a search. Their values
# are taken as they were typed, never expanded or exported (which expands them), so that none can run a command.
override given := $(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name)))
unexport $(given)

# --- which variables a target takes -----------------------------------------------------------------------------
# Recipes take their options from this one table, and a variable that it lacks is an error. @ marks the verb's argument,
# for which one variable is given; the others are options. tests/test_makefile.py compares it with the verbs themselves.
search := PRESET NAME TRIALS EPOCHS PARALLEL GPU_HOURS SITE
cluster := SITE CONTEXT
takes.test-cluster := $(cluster)
takes.bench := ROUNDS MODELS OUT
takes.bench-search := LEDGER CURVES SEEDS PARALLEL ROWS
takes.demo := OUT DATA
takes.render := @MODEL $(search) KIND
takes.check := @FILE SITE STRICT JSON
takes.corpus := OUT MIXTURES SECONDS SPEECH SEED
takes.pack := DATA OUT
takes.corpus-check := DATA OUT JSON
takes.init := @FILE SWEEP COMMAND METRIC DIRECTION UNIT RANGES REGEXP EPOCHS DATA
takes.local := @FILE @MODEL DATA OUT $(search) SLOTS NOTIFY TRACKERS YES
takes.again := @TRIAL @EXPERIMENT FAILED DATA OUT $(cluster) CLUSTER NOTIFY YES
takes.plan := @MODEL GPUS PRICE PARALLEL DATA OUT $(cluster) CLUSTER JSON
takes.results := @EXPERIMENT OUT FORMAT $(cluster) CLUSTER JSON
takes.log := @EXPERIMENT FILE OUT $(cluster) CLUSTER
takes.report := @EXPERIMENT OUT $(cluster) CLUSTER
takes.sweep := @MODEL DATA OUT PRESET NAME TRIALS EPOCHS SITE
takes.best := @EXPERIMENT @MODEL OUT TOP $(cluster) CLUSTER JSON
takes.confirm := @EXPERIMENT @MODEL DATA OUT SEEDS TOP BASELINE TRAIN_LIMIT $(cluster) CLUSTER NOTIFY YES JSON
takes.extend := @EXPERIMENT @MODEL EPOCHS DATA OUT TOP $(cluster) CLUSTER NOTIFY YES JSON
takes.arch := @MODEL EXPERIMENT DATA OUT SEEDS $(cluster) CLUSTER NOTIFY YES JSON
takes.fetch := @EXPERIMENT TOP TRIAL TO EXPORT DATA OUT $(cluster) CLUSTER
takes.watch := OUT PORT PRICE $(cluster) CLUSTER
takes.ui := @EXPERIMENT OUT PORT $(cluster) CLUSTER
takes.install-katib := OVERLAY CONTEXT YES
takes.images := REGISTRY SITE PUSH YES BUILD_ARGS
takes.claims := SITE
takes.data := DATA OUT $(cluster) YES
takes.doctor := @MODEL $(search) CONTEXT JSON
takes.deploy := @MODEL $(search) CONTEXT OUT WAIT ANEW DRY_RUN YES
takes.status := @MODEL $(cluster) WATCH NOTIFY JSON
takes.logs := @TRIAL $(cluster) FOLLOW
takes.pause := @MODEL $(cluster) YES
takes.resume := @MODEL $(cluster) YES
takes.stop := @MODEL $(cluster) YES
takes.delete := @MODEL NAME OUT $(cluster) RUNS UNSAVED YES
switches := ANEW CLUSTER DRY_RUN FAILED FOLLOW JSON PUSH RUNS STRICT UNSAVED WATCH YES
lists := BUILD_ARGS RANGES
override anywhere := PYTHON CONSTRAINTS SHELL .SHELLFLAGS MAKE MAKEFLAGS MFLAGS GNUMAKEFLAGS MAKEFILES MAKEOVERRIDES MAKELEVEL
override verbs := demo init render check corpus corpus-check pack local again plan results log best confirm extend arch report sweep watch ui fetch
override verbs += install-katib images claims data doctor deploy status logs pause resume stop delete
override targets := help setup schemas test test-cluster lint bench bench-search clean $(verbs)
.PHONY: $(targets)

override quoted = '$(subst ','\'',$1)'
override goals := $(filter $(targets) $(VENV)/bin/python $(CONTROL) $(RUN) $(DEV) $(BENCH),$(or $(MAKECMDGOALS),$(.DEFAULT_GOAL)))
override fail = $(error make $(goals): $1)
override known := $(sort $(foreach goal,$(goals),$(subst @,,$(takes.$(goal)))))
override unknown := $(if $(goals),$(filter-out $(known) $(anywhere),$(given)))
override interpreter := $(foreach word,$(value PYTHON),$(call quoted,$(word)))
override each_quoted = $(foreach word,$1,$(call quoted,$(word)))
define newline


endef
ifneq ($(unknown),)
$(call fail,$(or $(shell $(interpreter) -m katib.cli._variables $(call each_quoted,$(unknown)) -- $(call each_quoted,$(known)) \
    -- $(call each_quoted,$(MAKEOVERRIDES)) 2>/dev/null),unknown variable $(unknown) (it takes $(known))))
endif
arguments = $(patsubst @%,%,$(filter @%,$(takes.$1)))
override strange := $(firstword $(filter-out $(targets) $(VENV)/bin/python $(CONTROL) $(RUN) $(DEV) $(BENCH),$(MAKECMDGOALS)))
ifneq ($(strange),)
$(error make $(strange): $(or $(shell $(interpreter) -m katib.cli._variables --target $(call quoted,$(strange)) -- $(targets) \
    -- $(call arguments,$(firstword $(goals))) 2>/dev/null),no such target; make help lists them))
endif
$(foreach goal,$(goals),$(if $(word 2,$(filter $(call arguments,$(goal)),$(given))),$(call fail,give one of $(call arguments,$(goal)))))
$(foreach name,$(filter $(known),$(given)),\
    $(if $(findstring $(newline),$(value $(name))),$(call fail,the value of $(name) has a line break))\
    $(if $(filter $(name),$(switches)),$(if $(filter-out 1 y yes true 0 n no false,$(value $(name))),\
        $(call fail,$(name)=$(value $(name)) is neither 1 nor 0)),\
        $(if $(value $(name)),,$(call fail,$(name) is empty; give it a value or leave it out))))
constraints := $(value CONSTRAINTS)
$(if $(constraints),$(if $(wildcard $(constraints)),,$(error CONSTRAINTS=$(constraints): no such file)))

lower = $(shell printf %s '$1' | tr 'A-Z_' 'a-z-')
switch = $(if $(filter 1 y yes true,$(value $1)),--$(call lower,$1))
list = $(foreach word,$(value $1),--$(patsubst %s,%,$(call lower,$1)) $(call quoted,$(word)))
option = $(if $(filter $1,$(switches)),$(switch),$(if $(filter $1,$(lists)),$(list),--$(call lower,$1) $(call quoted,$(value $1))))
options = $(foreach name,$(filter $(given),$1),$(call option,$(name)))
several = $(if $(filter $1,$(given)),--$(call lower,$1) $(call each_quoted,$(value $1)))
argument = $(foreach name,$(filter $(call arguments,$1),$(given)),$(call quoted,$(value $(name))))

help: ## this list
	@awk -F ':.*## ' '/^# --- [a-z]+( [a-z]+)? -*$$/ { gsub(/^# --- | -*$$/, ""); print (n++ ? "\n" : "") $$0 } \
		n && /^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo; echo "Options are variables: --trials 6 is TRIALS=6. $(KATIB) VERB --help lists a verb's."

# --- the environment; every target below makes what it needs first ---------------------------------------------
constraint = $(if $(constraints),-c $(call quoted,$(constraints)))

# pip shows what it fetches: packages of 6 GB in silence look like a standstill. A log gets lines, and no bars.
bars = $(shell test -t 2 || echo --progress-bar off)

$(VENV)/bin/python:
	$(interpreter) -m venv $(VENV)

# What trains nothing needs no trainer; where there is one already, its environment serves.
control := $(if $(wildcard $(RUN)),$(RUN),$(CONTROL))

$(CONTROL): pyproject.toml $(wildcard $(constraints)) | $(VENV)/bin/python
	@echo "installs the packages into $(VENV): about 0.5 GB, once, without the trainer's" >&2
	$(VENV)/bin/pip install $(bars) --disable-pip-version-check $(constraint) -e .
	@touch $@

$(RUN): pyproject.toml $(wildcard $(constraints)) | $(VENV)/bin/python
	@echo "installs the packages into $(VENV): about 6 GB, once, which takes minutes" >&2
	$(VENV)/bin/pip install $(bars) --disable-pip-version-check $(constraint) -e '.[trainer,corpus]'
	@touch $@

$(DEV): $(RUN)
	$(VENV)/bin/pip install $(bars) --disable-pip-version-check $(constraint) -e '.[trainer,corpus,services,dev]'
	@touch $@

$(BENCH): $(RUN)
	$(VENV)/bin/pip install $(bars) --disable-pip-version-check $(constraint) -e '.[trainer,corpus,bench]'
	@touch $@

# --- this machine ------------------------------------------------------------------------------------------------------
$(verbs):
	@$(KATIB) $@ $(call argument,$@) $(call options,$(takes.$@))

demo: $(RUN) ## from nothing to a report in minutes: a small corpus, a small search
corpus: $(RUN) ## a corpus in OUT=, from the recordings in SPEECH= or from synthetic voices
pack: $(RUN) ## the corpus in DATA= as one file for each subset, which is read faster (OUT=)
corpus-check: $(RUN) ## duplicates, shared speakers and other faults of the corpus in DATA= (JSON=1)
init: $(control) ## the spec FILE= of your own trainer's COMMAND= (METRIC= RANGES=), or of W&B's SWEEP=
plan: $(control) ## runs, GPU-hours, days and cost of MODEL= or all (GPUS= PRICE= DATA= CLUSTER=1)
local: $(RUN) ## the search of MODEL= (or FILE=x.yaml) on the corpus in DATA=; resumes (YES=1)
again: $(if $(call switch,CLUSTER),$(control),$(RUN)) ## a failed TRIAL=, or all of EXPERIMENT= (FAILED=1), from the checkpoints
render: $(control) ## the Katib Experiment of MODEL= on stdout
check: $(control) ## every defect of the Experiment manifest or spec FILE=, offline (SITE= STRICT=1)
sweep: $(control) ## the search of MODEL= as a W&B sweep file on stdout (DATA= OUT=)
results: $(control) ## the trials of EXPERIMENT=, best on top (FORMAT=markdown|csv|json CLUSTER=1)
report: $(control) ## the search of EXPERIMENT= as one HTML file that needs no network (CLUSTER=1)
watch: $(control) ## one live page of all searches, read-only (PORT= PRICE= CLUSTER=1)
ui: $(control) ## the dashboard of EXPERIMENT= on this machine (PORT=; CLUSTER=1: Katib's own)
best: $(control) ## the most promising configurations of EXPERIMENT=, by all its trials (TOP=)
confirm: $(if $(call switch,CLUSTER),$(control),$(RUN)) ## the best of EXPERIMENT= with three seeds, and the verdict (SEEDS= TRAIN_LIMIT=)
extend: $(if $(call switch,CLUSTER),$(control),$(RUN)) ## the best of EXPERIMENT= trained further to EPOCHS=, from the checkpoints (TOP=)
arch: $(if $(call switch,CLUSTER),$(control),$(RUN)) ## the architectures of MODEL='s next phase, three seeds each (EXPERIMENT= SEEDS=)
log: $(control) ## the entry of EXPERIMENT= in EXPERIMENT_LOG.md, written or replaced (FILE=)
fetch: $(if $(filter EXPORT,$(given)),$(RUN),$(control)) ## the best model of EXPERIMENT= as a folder (TRIAL= TOP= TO= EXPORT=torchscript|onnx)

# --- the cluster ------------------------------------------------------------------------------------------------
doctor: $(control) ## can the cluster run the search of MODEL= (default: all); how to fix what is not
install-katib: $(control) ## Katib v0.19.0 with our services on the cluster (YES=1)
images: $(control) ## both images, tagged with the commit (PUSH=1 REGISTRY= BUILD_ARGS='BASE=…')
claims: $(control) ## the claims of the site's storage, for kubectl apply -f - (SITE=)
data: $(control) ## the corpus in DATA= onto the cluster's data claim; goes on after Ctrl-C (YES=1)
deploy: $(control) ## the search of MODEL= (or all) on the cluster; an ended one continues (ANEW=1)
status: $(control) ## what runs on the cluster, of MODEL= or all (WATCH=1)
logs: $(control) ## what TRIAL= prints (FOLLOW=1)
pause: $(control) ## frees the GPUs of the search of MODEL= for a while; checkpoints are kept (YES=1)
resume: $(control) ## continues the paused search of MODEL= (YES=1)
stop: $(control) ## ends the search of MODEL= and keeps its results; deploy can continue it (YES=1)
delete: $(control) ## the Experiment of MODEL= once its table is in OUT= (RUNS=1: run directories too)

# --- development -----------------------------------------------------------------------------------------------
setup: $(DEV) ## the virtual environment, with pinned versions (CONSTRAINTS= leaves the pins out)

schemas: $(control) ## the JSON schemas of site and spec from their models, for editors
	$(VENV)/bin/python -m katib.schemas

test: $(DEV) ## all tests but those of the cluster
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(VENV)/bin/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --ignore=tests/cluster

test-cluster: $(DEV) ## tests on a one-node Kubernetes (root, Linux, Go), or your Katib (CONTEXT= SITE=)
	@$(if $(filter CONTEXT,$(given)),,! $(VENV)/bin/python -m tests.cluster.rig || tests/cluster/one_node/build.sh || \
		echo "the one-node Kubernetes could not be built; its tests say what is missing" >&2)
	$(VENV)/bin/python -m pytest -rs tests/cluster $(call options,CONTEXT SITE)

lint: $(DEV) ## ruff, mypy (strict), import-linter, yamllint
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/python -m mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/yamllint --strict katib k8s .pre-commit-config.yaml

bench: $(DEV) ## a step and the data readers, measured against others (ROUNDS= MODELS= OUT=)
	$(VENV)/bin/python -m benchmarks.steps.models $(call options,ROUNDS OUT) $(call several,MODELS)
	$(VENV)/bin/python -m benchmarks.steps.selective_scan $(call options,ROUNDS)
	$(VENV)/bin/python -m benchmarks.steps.data $(call options,ROUNDS)

bench-search: $(BENCH) ## whole searches, simulated, against four others; hours (LEDGER= SEEDS= ROWS= ...)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(VENV)/bin/python -m benchmarks.search.compare $(call options,LEDGER CURVES SEEDS ROWS) $(call several,PARALLEL)

clean: ## removes the virtual environment and caches; never data/ or runs/
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
