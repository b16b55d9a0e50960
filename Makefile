# What one can do here. `make help` lists it.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/ready
unexport PYTHONDONTWRITEBYTECODE # or each worker compiles every module and test again

.DEFAULT_GOAL := help
.PHONY: help programs setup demo test cover lint types contracts check peers nightly matrix ci bench shape docs golden release lock lock-stack clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(READY): requirements-lock.txt pyproject.toml tools/hatch_build.py src/lockstitch/oci/deflate.c
	$(PYTHON) -m venv .venv
	awk '/^[A-Za-z]/ {p = /^uv==/} p' requirements-lock.txt > .venv/uv.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r .venv/uv.txt
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements-lock.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

programs: ## install what `make peers` runs; needs Debian and root
	.ci/programs

setup: $(READY) ## a venv with a pinned uv and the locked dependencies

demo: $(READY) ## the whole story on the churn project, in ./demo, ending with a table
	$(BIN)/lockstitch self demo demo

test: $(READY) ## the fast suite
	HYPOTHESIS_PROFILE=quick $(BIN)/python -m pytest -q -n 2 --dist loadfile \
		-m "not peers and not network and not slow"

cover: $(READY) ## the fast suite and the slow one, with branch coverage and its gate
	rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -q -n 2 --dist loadgroup \
		-m "not peers and not network"
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

lint: $(READY) ## ruff
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY) ## mypy, strict
	$(BIN)/mypy

contracts: $(READY) ## the import direction of the layers
	$(BIN)/lint-imports

check: $(READY) ## lockstitch check on itself; whether hooks are installed is each clone's own
	$(BIN)/lockstitch check --ignore HOK002

peers: $(READY) ## other people's programs: a Docker engine, skopeo, umoci, other Pythons
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder \
		-m "(peers or network) and not nightly"

nightly: $(READY) matrix ## `make matrix`, ten minutes of load on the churn service, the real local stack
	LOAD_SECONDS=600 $(BIN)/python -m pytest -q tests/peers/test_serving.py -k lost
	$(BIN)/python -m pytest -q -m nightly
	$(BIN)/python bench/faults.py --cases 2000
	$(BIN)/python bench/fuzz.py --seconds 600

matrix: $(READY) ## the fast suite under each supported CPython that is here
	$(BIN)/python tools/matrix.py

ci: lint types contracts check docs cover peers demo ## all that .ci/run calls

bench: $(READY) ## ratios against the classic route, on this machine
	$(BIN)/python bench/start.py
	$(BIN)/python bench/images.py
	$(BIN)/python bench/edits.py
	$(BIN)/python bench/check.py
	$(BIN)/python bench/hooks.py
	$(BIN)/python bench/stack.py
	$(BIN)/python bench/push.py
	$(BIN)/python bench/answers.py

shape: $(READY) ## a report: lines of each room, the longest files and functions
	$(BIN)/python tools/shape.py

docs: $(READY) .venv/docs/ready ## rewrite the pages that are made from code, and build the site in build/site/
	$(BIN)/python docs/generate.py
	.venv/docs/bin/python docs/site.py

.venv/docs/ready: $(READY) docs/requirements.txt
	$(PYTHON) -m venv --without-pip .venv/docs
	$(BIN)/uv pip sync --quiet --python .venv/docs/bin/python --require-hashes docs/requirements.txt
	@touch $@

golden: $(READY) ## rewrite the expected results, of stories and rules too
	$(BIN)/python -m pytest -q -m "not peers and not network and not slow" tests/unit tests/stories --golden

release: $(READY) ## build the sdist and both wheels in dist/, and try each as a user does
	$(BIN)/python tools/release.py

lock: ## pin the newest of our own dependencies that pyproject.toml allows, the tests' Poetry, twine
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --group dev --upgrade \
		--no-header --no-annotate --no-emit-index-url pyproject.toml -o requirements-lock.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --upgrade --python-version 3.11 \
		--no-header --no-annotate --no-emit-index-url docs/requirements.in -o docs/requirements.txt
	echo 'poetry>=2.2,<3' | $(BIN)/uv pip compile --quiet --universal --generate-hashes --upgrade \
		--no-header --no-annotate --no-emit-index-url --python-version 3.11 - -o tests/peers/poetry.txt
	echo 'twine>=6.2' | $(BIN)/uv pip compile --quiet --universal --generate-hashes --upgrade \
		--no-header --no-annotate --no-emit-index-url --python-version 3.11 - -o tools/twine.txt

lock-stack: $(READY) ## pin the newest programs of the local stack
	cd src/lockstitch/services && for name in mlflow objects postgres; do \
		$(CURDIR)/$(BIN)/uv pip compile --quiet --universal --generate-hashes --upgrade \
		--python-version 3.11 --no-header --no-annotate --no-emit-index-url \
		--excludes excludes.in $$name.in -o $$name.txt || exit 1; done

clean: ## remove what make made
	rm -rf .venv .cache build .matrix demo dist .mypy_cache .ruff_cache .pytest_cache .coverage .coverage.*
