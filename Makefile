# Every target sets up .venv by itself; only Python 3.11 or newer is assumed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXPORT_READY := $(VENV)/.export-ready
READY := $(VENV)/.ready
OUT := out
VIEW ?= 8000

.PHONY: demo view test docs lint lint-tensorrt bench clean

# What the demo uses: export and the runtime. Everything else adds to it.
$(EXPORT_READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "masklet needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[export]'
	touch $@

$(READY): $(EXPORT_READY) tests/oracle.txt demos/browser/package-lock.json
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[export,dev,docs]'
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt timm  # EdgeTAM's tests skip without it
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt -r tests/oracle.txt  # the tests against Meta's own code skip without it
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt --target $(VENV)/oracles/edgetam --upgrade edgetam-dimos  # apart: its module is called sam2, too
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt --target $(VENV)/oracles/efficienttam --upgrade efficient-track-anything  # and this one's
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings  # the tests that build engines skip without it
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt tritonclient grpcio python-rapidjson  # the tests of model servers skip without it; it asks for an older protobuf, and does with ours
	-npm ci --silent --prefix demos/browser  # the browser demo's tests skip without it
	touch $@

demo: $(EXPORT_READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python demos/nano/demo.py -o $(OUT)/demo

$(OUT)/nano.bundle: $(READY)
	$(BIN)/masklet export demos/nano/checkpoint -o $@ --image-size 256 --force

view: $(OUT)/nano.bundle
	$(BIN)/python demos/nano/live_scene.py | $(BIN)/masklet run $< - --size 480x480 --rate 12 --view $(VIEW)

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n logical --maxprocesses 4 --dist loadfile

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -P -m mkdocs build --strict

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	.ci/python310 $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/python .ci/rooms.py

lint-tensorrt: $(READY)
	.ci/tensorrt $(BIN)/python

bench: $(READY)
	$(BIN)/python profiles/benchmarks/stages.py
	$(BIN)/python profiles/benchmarks/host.py
	$(BIN)/python profiles/benchmarks/image.py
	$(BIN)/python profiles/benchmarks/concepts.py
	$(BIN)/python profiles/benchmarks/feeds.py

clean:
	rm -rf $(VENV) $(OUT)
