# make demo and make test do everything on a fresh machine: they make the environment in .venv first.
PYTHON ?= python3
BIN := .venv/bin
ENVIRONMENT := .venv/.complete
export PATH := $(CURDIR)/$(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: demo test bench lint format clean environment

demo: $(ENVIRONMENT)
	snakemake --configfile config/config.yaml
	@echo "The network's image of a sample it never saw: results/demo/seed0/demo-unseen/figures/reconstruction.png"
	@echo "Its scores: results/demo/seed0/demo-unseen/metrics.json"

test: $(ENVIRONMENT)
	pytest

bench: $(ENVIRONMENT)
	pytest tests/benchmarks --override-ini addopts=-ra --benchmark-only

lint: $(ENVIRONMENT)
	ruff check
	ruff format --check
	snakefmt --check Snakefile rules
	snakemake --lint
	snakemake --lint --configfile config/real/siemens.yaml

format: $(ENVIRONMENT)
	ruff check --fix
	ruff format
	snakefmt Snakefile rules

clean:
	rm -rf results .snakemake

environment: $(ENVIRONMENT)

# torch first: where a CPU build is at hand, nothing later may replace it.
$(ENVIRONMENT): envs/requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check $$(grep '^torch==' envs/requirements.txt)
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement envs/requirements.txt
	touch $@
