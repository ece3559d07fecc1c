PYTHON ?= python3
VENV ?= .venv
MIRP ?= .venv-mirp
CORES ?= $(shell nproc)
CONFIG ?= config.yaml
BIN = $(abspath $(VENV))/bin
RUN = PATH="$(BIN):$$PATH"
PIP = -m pip --disable-pip-version-check
# Packages that "make offline" has fetched are installed without the network.
FROM = $(if $(wildcard wheels/complete),--no-index --find-links wheels)
LOGGER = $(shell test -t 2 && echo --logger rich)
EXAMPLES = $(patsubst examples/%.yaml,%,$(wildcard examples/*.yaml))

.PHONY: mirp demo demos test test-full test-all test-truth docs offline lint lock

$(VENV)/installed: envs/lock.txt
	@$(PYTHON) -c "import sys; sys.exit(None if (3, 11) <= sys.version_info[:2] <= (3, 13) else \
	sys.version.split()[0] + ': Python 3.11 to 3.13 is needed; name one by PYTHON=python3.12')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) install --quiet $(FROM) -r envs/lock.txt
	touch $@

# mirp for radiomics, in an environment of its own, 2 GB: MIRP=/opt/mirp for another place.
mirp: $(MIRP)/installed
$(MIRP)/installed: envs/mirp.txt
	$(PYTHON) -m venv $(MIRP)
	$(MIRP)/bin/python $(PIP) install --quiet -r envs/mirp.txt
	touch $@

# The whole workflow on a simulated cohort, CONFIG=examples/NAME.yaml for another study. The
# bars are drawn in a terminal alone: elsewhere, Snakemake's own lines.
demo: $(VENV)/installed
	$(RUN) snakemake --cores $(CORES) $(LOGGER) --configfile $(CONFIG)
	@echo "Report: $$(realpath -m "$$(sed -n 's/^output_dir: *\([^ #]*\).*/\1/p' $(CONFIG))")/report/index.html"

demos: demo
	for name in $(EXAMPLES); do $(MAKE) demo CONFIG=examples/$$name.yaml || exit 1; done

# What proves wiring and behaviour.
test: $(VENV)/installed
	$(RUN) python -m pytest -m "not full and not truth"

# A real SLURM, an audit of everything, joints, real scans, what intervals cover.
test-full: $(VENV)/installed
	$(RUN) python -m pytest -m full

# Both in one session, which builds what they share once.
test-all: $(VENV)/installed
	$(RUN) python -m pytest -m "not truth"

# Before a release: the whole demo against its truth, a null cohort, heads as patients have them.
test-truth: $(VENV)/installed
	$(RUN) python -m pytest -m truth

# The pages of docs/ as a site, in the folder site; a link that leads nowhere fails.
docs: $(VENV)/installed
	$(RUN) mkdocs build --strict --quiet

# For machines without internet: run it where there is some, with the same system and Python,
# and take the whole folder along. The workflow itself fetches nothing.
offline:
	$(PYTHON) $(PIP) wheel --quiet --wheel-dir wheels -r envs/lock.txt
	touch wheels/complete

lint: $(VENV)/installed
	$(RUN) ruff check . && $(RUN) ruff format --check .
	$(RUN) snakefmt --check Snakefile rules
	$(RUN) snakemake --lint

# Resolve envs/requirements.txt anew, and write the conda environment from it.
lock:
	$(PYTHON) -m venv --clear $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet -r envs/requirements.txt
	$(VENV)-lock/bin/python -m pip freeze | sed 's/+cpu$$//' > envs/lock.txt
	rm -rf $(VENV)-lock
	(sed '/^  - pip:/q' envs/environment.yaml; sed 's/^/      - /' envs/lock.txt) > envs/environment.tmp
	mv envs/environment.tmp envs/environment.yaml
