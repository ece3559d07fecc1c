PYTHON ?= python3
VENV ?= .venv
CORES ?= $(shell nproc)
BIN = $(abspath $(VENV))/bin
RUN = PATH="$(BIN):$$PATH"
PIP = -m pip --disable-pip-version-check
# Packages that "make offline" has fetched are installed without the network.
FROM = $(if $(wildcard wheels/complete),--no-index --find-links wheels)

.PHONY: demo test offline lint lock

$(VENV)/installed: envs/lock.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) install --quiet $(FROM) -r envs/lock.txt
	touch $@

# The whole workflow on the simulated cohort.
demo: $(VENV)/installed
	$(RUN) snakemake --cores $(CORES) --quiet rules reason
	@echo "Report: $(CURDIR)/results/report/index.html"

test: $(VENV)/installed
	$(RUN) python -m pytest tests

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
