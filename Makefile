# make demo and make test do everything on a fresh machine: they make the environment in .venv first.
PYTHON ?= python3
BIN := .venv/bin
ENVIRONMENT := .venv/.complete
export PATH := $(CURDIR)/$(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true

# What `make bench` compares with.
BEFORE ?= HEAD~1
STORE = sqlite:///$(CURDIR)/results/mlflow/mlflow.db

.PHONY: demo gallery check test bench gpu mlflow lint format schema notebooks envs clean environment

demo: $(ENVIRONMENT)
	snakemake --configfile config/config.yaml
	@echo "The network's image of a sample it never saw: results/demo/seed0/demo-unseen/figures/reconstruction.png"
	@echo "Its scores: results/demo/seed0/demo-unseen/metrics.json"
	@echo "The same sample by the pretrained network: results/pretrained/seed0/demo-unseen/figures/reconstruction.png"

# Simulated and measured scans by the pretrained network, into docs/gallery.md and its pictures.
gallery: $(ENVIRONMENT)
	snakemake --configfile config/gallery.yaml
	python docs/make_gallery.py results

# Several processes share the cores: threads that wait for each other take many times as long.
check test: export OMP_NUM_THREADS := 1
check test: export OMP_WAIT_POLICY := passive

# After each edit: style, and the tests of the library that are quick.
check: $(ENVIRONMENT)
	ruff check
	ruff format --check
	pytest --quiet --numprocesses 2 --dist loadfile -m "not slow" tests/unit

# Two processes compute while the third waits for a cluster and for servers; what takes longest begins first, see conftest.py.
test: $(ENVIRONMENT)
	pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder --durations 25

bench: $(ENVIRONMENT)
	mkdir -p results/benchmarks
	pytest tests/benchmarks --override-ini addopts=-ra --benchmark-only --benchmark-json results/benchmarks/speed.json
	python tests/benchmarks/speed_table.py results/benchmarks/speed.json | tee results/benchmarks/speed.md
	python tests/benchmarks/compare.py --before $(BEFORE) | tee results/benchmarks/compared.md
	python tests/benchmarks/beside_ptychi.py | tee results/benchmarks/beside_ptychi.md
	python tests/benchmarks/live_lag.py | tee results/benchmarks/live_lag.md

# Where a GPU is: that it computes what the CPU does, and how fast. Any Python with torch, Lightning, pytest-benchmark and what
# the library computes with will do, and pure wheels of jaxtyping, wadler-lindig, jsonargparse and docstring-parser; no
# Snakemake, MLflow, pydantic or isal is asked for.
gpu:
	mkdir -p results/benchmarks
	pytest tests/gpu --override-ini addopts=-ra
	pytest tests/benchmarks/test_speed.py --override-ini addopts=-ra -k "limit or cuda" --benchmark-only --benchmark-max-time 0.5 \
		--benchmark-json results/benchmarks/gpu.json
	python tests/benchmarks/speed_table.py results/benchmarks/gpu.json | tee results/benchmarks/gpu.md

# All tracked runs in a browser, http://127.0.0.1:5000; those whose process was killed are marked as failed first.
mlflow: $(ENVIRONMENT)
	python scripts/close_runs.py --mlflow_tracking_uri $(STORE)
	mlflow server --host 127.0.0.1 --port 5000 --workers 1 --backend-store-uri $(STORE)

lint: $(ENVIRONMENT)
	ruff check
	ruff format --check
	snakefmt --check Snakefile rules
	snakemake --lint
	snakemake --lint --configfile config/real/siemens.yaml
	snakemake --lint --configfile config/studies/time.yaml

format: $(ENVIRONMENT)
	ruff check --fix
	ruff format
	snakefmt Snakefile rules

# After a change of a setting: the schema of configs and the tables of config/README.md.
schema: $(ENVIRONMENT)
	python scripts/write_reference.py

# After a change of what the notebooks of docs/ show.
notebooks: $(ENVIRONMENT)
	python tests/workflow/notebook_runs.py

# After a change of envs/requirements.txt.
envs: $(ENVIRONMENT)
	python envs/write_environments.py

clean:
	rm -rf results .snakemake

environment: $(ENVIRONMENT)

# torch first: where a CPU build is at hand, nothing later may replace it.
$(ENVIRONMENT): envs/requirements.txt envs/requirements-baseline.txt envs/requirements-ptychodus.txt
	@echo "Making the environment in .venv, which takes some minutes"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check $$(grep '^torch==' envs/requirements.txt)
	$(BIN)/pip install --disable-pip-version-check --requirement envs/requirements.txt
	$(BIN)/pip install --disable-pip-version-check --no-deps --requirement envs/requirements-baseline.txt
	$(BIN)/pip install --disable-pip-version-check --no-deps --requirement envs/requirements-ptychodus.txt
	touch $@
