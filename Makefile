# Everything runs in .venv, made from the pinned versions in requirements.lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SHARED ?= ../shared
WORKERS ?= 2

.PHONY: demo test acceptance lint types layers docs wheel check vendor browser lock clean

demo: $(STAMP)
	$(BIN)/runpages demo build/demo
	@echo "Or: make serve-demo"

serve-demo: demo
	$(BIN)/python -m http.server -d build/demo/site 8000 --bind 127.0.0.1

# On a busy machine a browser or a server may take too long: a test that ran out of time gets one more.
test: $(STAMP) browser
	$(BIN)/python -m pytest -n $(WORKERS) --reruns 1 --only-rerun "^\w*Timeout" --cov --cov-report=term

acceptance: $(STAMP) browser
	RUNPAGES_SHARED=$(SHARED) $(BIN)/python -m pytest -m acceptance -rA -s
	mkdir -p build
	$(BIN)/python benchmarks/labelled.py $(SHARED)/data/labelled build/labelled.json --by-repository
	$(BIN)/python $(SHARED)/data/labelled/score.py build/labelled.json | tail -n 12
	$(BIN)/python benchmarks/branch_writers.py 16 32

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

layers: $(STAMP)
	$(BIN)/lint-imports

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir build/docs

wheel: $(STAMP)
	rm -rf dist
	$(BIN)/python -m build --no-isolation

check: lint types layers test docs wheel

# The basic Plotly bundle (1.2 MB instead of 4.8 MB), checked against its digest.
PLOTLY_VERSION := 4.1.1
PLOTLY_SHA256 := 99784e3abfb07b142a15e521a439e6d9addceadb3f79553fd24c72774f0649ba
vendor:
	rm -rf build/vendor && mkdir -p build/vendor templates/vendor
	cd build/vendor && npm pack --silent plotly.js-basic-dist-min@$(PLOTLY_VERSION) >/dev/null && tar xzf *.tgz
	echo "$(PLOTLY_SHA256)  build/vendor/package/plotly-basic.min.js" | sha256sum --check --quiet
	cp build/vendor/package/plotly-basic.min.js templates/vendor/
	cp build/vendor/package/LICENSE templates/vendor/plotly-basic.LICENSE

# A headless Chromium for the browser tests, where there is none and apt can install one.
browser:
	@if command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || [ -n "$$RUNPAGES_CHROMIUM" ]; then :; \
	elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium fonts-liberation >/dev/null || true; \
	else echo "no Chromium and no way to install one: the browser tests will be skipped"; fi

lock: $(STAMP)
	$(BIN)/uv pip compile --quiet --universal --no-strip-extras --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --all-extras --group dev pyproject.toml -o requirements.lock

$(STAMP): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(STAMP)

clean:
	rm -rf $(VENV) build dist .cache .coverage .mypy_cache .pytest_cache .ruff_cache
