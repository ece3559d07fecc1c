PYTHON ?= python3
VENV ?= .venv
CORES ?= $(shell nproc)
CONFIG ?= config.yaml
PIP = $(VENV)/bin/python -m pip
RUN = PATH="$(abspath $(VENV))/bin:$$PATH"

.PHONY: demo test lint lock

$(VENV)/installed: envs/lock.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet -r envs/lock.txt
	touch $@

# The whole workflow on the simulated cohort.
demo: $(VENV)/installed
	$(RUN) snakemake --cores $(CORES) --configfile $(CONFIG) --quiet all
	@echo "Report: $(abspath results/report/index.html)"

test: $(VENV)/installed
	$(RUN) python -m pytest --numprocesses 2 --dist worksteal tests

lint: $(VENV)/installed
	$(RUN) ruff check . && $(RUN) ruff format --check .
	$(RUN) snakefmt --check Snakefile rules
	$(RUN) snakemake --lint

# Resolve envs/requirements.txt anew.
lock:
	rm -rf $(VENV)-lock
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet -r envs/requirements.txt
	$(VENV)-lock/bin/python -m pip freeze | sed 's/+cpu$$//' > envs/lock.txt
	rm -rf $(VENV)-lock
