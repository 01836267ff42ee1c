# Every target sets up what it needs in .venv, from the pinned constraints.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Workers of xdist and mypy; the suite is sized for two cores.
WORKERS ?= 2

# for `make fuzz`
SECONDS ?= 600

.PHONY: compiled demo test test-slow fuzz browser slurm site release-check lint check bench bench-search chaos warm ranks format clean

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@# torch first and alone: the pinned version, from the CPU index when the machine has no other source for it
	$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt torch || \
		$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt torch --index-url https://download.pytorch.org/whl/cpu
	$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt -e '.[dev]'
	@# pip compiles with one core. The packages have some files for other Pythons, which do not compile.
	$(BIN)/python -m compileall -q -j $(WORKERS) -x '/tests?/' $(CURDIR)/$(VENV)/lib >/dev/null || true
	@# Without it, reports are larger.
	$(BIN)/python release/plotly.py || echo "the npm registry does not answer: run release/plotly.py later"
	touch $(STAMP)

# Where PYTHONDONTWRITEBYTECODE is set, each of the many processes of tests would compile the library again. Python takes
# what lies there all the same. What the tests write is left alone: some edit a module twice within a second.
compiled: $(STAMP)
	@$(BIN)/python -m compileall -q -x '/(starters|stand_in/path)/' $(CURDIR)/lightsweep $(CURDIR)/integrations

demo: $(STAMP)
	$(BIN)/python examples/lightning_digits/demo.py

# All but the slow tests, under seven minutes on two cores; the same examples each time.
test: compiled
	$(BIN)/python -m pytest -m "not slow" -n $(WORKERS) --dist worksteal --durations=15

# The others: launches of several ranks, clusters of agents, storms, mypy on users' code, the report in a browser.
test-slow: compiled browser slurm
	$(BIN)/python -m pytest -m slow -n $(WORKERS) --dist worksteal --durations=15

# Random examples of every Hypothesis test, for as long as told: make fuzz SECONDS=600
fuzz: $(STAMP)
	$(BIN)/python tests/fuzz.py $(SECONDS)

# The report is tested in a real browser.
browser:
	@command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq chromium; }

# Agents are tested on a real Slurm, which tests/clusters/slurm.sh starts.
slurm:
	@command -v slurmctld >/dev/null && command -v munged >/dev/null || \
		{ apt-get update -qq && apt-get install -y -qq slurm-wlm munge; }

# The documentation as a site in build/website/site, with a gallery of reports of real sweeps; no broken link is let through.
site: compiled browser
	$(BIN)/python website/build.py

# Source distribution and wheel in dist/, checked and then installed: on each Python of this machine, with each extra, with
# the lowest versions of the dependencies. Takes the network and half an hour; by hand, before a release.
release-check: $(STAMP)
	$(BIN)/python release/plotly.py
	$(BIN)/python release/make.py
	$(BIN)/python release/install.py dist/*.whl

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python tests/typed.py --num-workers $(WORKERS)

check: lint test test-slow site

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP)
	$(BIN)/python -m benchmarks

# Search methods on the same problems and seeds. W&B's engine needs an older numpy, and SMAC much else: each gets an environment of its own.
bench-search: $(STAMP)
	@[ -x .engine/bin/python ] || { $(PYTHON) -m venv .engine && .engine/bin/python -m pip install --quiet sweeps==0.3.0; }
	@[ -x .engine-smac/bin/python ] || { $(PYTHON) -m venv .engine-smac && .engine-smac/bin/python -m pip install --quiet smac==2.4.1; }
	$(BIN)/python -m benchmarks.search

chaos: $(STAMP)
	$(BIN)/python tests/chaos/storm.py --database postgresql
	$(BIN)/python tests/chaos/storm.py --database sqlite

# 10,000 runs that are forked from one process; takes some minutes.
warm: $(STAMP)
	LIGHTSWEEP_TEST_RUNS=10000 $(BIN)/python -m pytest tests/agents/warm -k many_runs --timeout 0

# Every way to train on two ranks, fifty times each: takes most of an hour.
ranks: $(STAMP)
	LIGHTSWEEP_REPETITIONS=50 LIGHTSWEEP_FITS=50 $(BIN)/python -m pytest tests/integrations/test_ranks.py \
		-k "leaves_at or one_training"

clean:
	rm -rf $(VENV) build dist .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
