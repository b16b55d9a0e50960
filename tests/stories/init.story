A project with a requirements file and a setup.py gets the rest; nothing that is there moves.

$ lockstitch init --dry-run
> found: setup.py, requirements.txt, train.py:1: a script, api.py:3: fastapi `app`
> images: serve, train
> commands: serve `uvicorn api:app --host 0.0.0.0 --port 8000`; train `python train.py`
> files: serve api.py; train train.py
> Python: 3.11 of debian:bookworm
> --- /dev/null
> +++ b/.gitignore
> @@ -0,0 +1 @@
> +.lockstitch/
> --- /dev/null
> +++ b/pyproject.toml
> @@ -0,0 +1,31 @@
> +[build-system]
> +requires = ["hatchling>=1.27"]
> +build-backend = "hatchling.build"
> +
> +[project]
> +name = "scores"
> +version = "1.4"
> +requires-python = ">=3.11"
> +dependencies = ["pandas>=2", "numpy==2.1.0"]
> +
> +[dependency-groups]
> +serve = ["fastapi>=0.110", "uvicorn>=0.30"]
> +
> +[tool.hatch.build.targets.wheel]
> +packages = ["scores"]
> +
> +[tool.lockstitch]
> +python = "3.11"
> +base = "debian:bookworm"
> +platforms = ["linux/amd64"]
> +
> +[tool.lockstitch.images.train]
> +include = ["train.py"]
> +command = ["python", "train.py"]
> +
> +[tool.lockstitch.images.serve]
> +groups = ["serve"]
> +include = ["api.py"]
> +command = ["uvicorn", "api:app", "--host", "0.0.0.0", "--port", "8000"]
> +port = 8000
> +health = "/health"
> note: `setup.py`: `long_description`: left out, add to [project] what is missed
> note: `setup.py`: kept; what pyproject.toml says counts from now on
> left out: `requirements.txt:2`: `-e .` is this project
> left out: `requirements.txt:3`: `--extra-index-url` is no requirement
> note: image `serve`: `fastapi>=0.110` and `uvicorn>=0.30` added, which its program needs
> note: once training has written a model, add it to the `include` of the image `serve`
> would write: .gitignore, pyproject.toml
> next: lockstitch init
$ ls -A
> api.py
> requirements.txt
> scores
> setup.py
> train.py
$ lockstitch init
> found: setup.py, requirements.txt, train.py:1: a script, api.py:3: fastapi `app`
> images: serve, train
> commands: serve `uvicorn api:app --host 0.0.0.0 --port 8000`; train `python train.py`
> files: serve api.py; train train.py
> Python: 3.11 of debian:bookworm
> --- /dev/null
> +++ b/.gitignore
> @@ -0,0 +1 @@
> +.lockstitch/
> --- /dev/null
> +++ b/pyproject.toml
> @@ -0,0 +1,31 @@
> +[build-system]
> +requires = ["hatchling>=1.27"]
> +build-backend = "hatchling.build"
> +
> +[project]
> +name = "scores"
> +version = "1.4"
> +requires-python = ">=3.11"
> +dependencies = ["pandas>=2", "numpy==2.1.0"]
> +
> +[dependency-groups]
> +serve = ["fastapi>=0.110", "uvicorn>=0.30"]
> +
> +[tool.hatch.build.targets.wheel]
> +packages = ["scores"]
> +
> +[tool.lockstitch]
> +python = "3.11"
> +base = "debian:bookworm"
> +platforms = ["linux/amd64"]
> +
> +[tool.lockstitch.images.train]
> +include = ["train.py"]
> +command = ["python", "train.py"]
> +
> +[tool.lockstitch.images.serve]
> +groups = ["serve"]
> +include = ["api.py"]
> +command = ["uvicorn", "api:app", "--host", "0.0.0.0", "--port", "8000"]
> +port = 8000
> +health = "/health"
> note: `setup.py`: `long_description`: left out, add to [project] what is missed
> note: `setup.py`: kept; what pyproject.toml says counts from now on
> left out: `requirements.txt:2`: `-e .` is this project
> left out: `requirements.txt:3`: `--extra-index-url` is no requirement
> note: image `serve`: `fastapi>=0.110` and `uvicorn>=0.30` added, which its program needs
> note: once training has written a model, add it to the `include` of the image `serve`
> wrote: .gitignore, pyproject.toml
> next: lockstitch lock && lockstitch build
$ lockstitch init
> nothing to do: the project has all of it
$ cat .gitignore
> .lockstitch/

Linters, hooks and pytest come when they are wanted.

$ lockstitch init --with-tools --yes
> found: pyproject.toml, setup.py
> images: serve, train
> commands: serve `uvicorn api:app --host 0.0.0.0 --port 8000`; train `python train.py`
> files: serve api.py; train train.py
> Python: 3.11 of debian:bookworm
> --- a/.gitignore
> +++ b/.gitignore
> @@ -1 +1,6 @@
>  .lockstitch/
> +.venv/
> +__pycache__/
> +.mypy_cache/
> +.pytest_cache/
> +.ruff_cache/
> --- /dev/null
> +++ b/.kingfisher-rules.yaml
> @@ -0,0 +1,13 @@
> +# What the hook `secrets` finds beside the scanner's own rules, which want the two halves of an AWS
> +# key near each other. Here one is enough. `kingfisher:ignore` in a line's comment allows that line.
> +rules:
> +  - name: AWS access key
> +    id: project.aws.1
> +    pattern: '\b((?:AKIA|ASIA)[A-Z2-7]{16})\b'
> +    min_entropy: 3.0
> +    confidence: medium
> +  - name: AWS secret access key
> +    id: project.aws.2
> +    pattern: '(?i)secret_?(?:access_?)?key["''\s]*[:=]+\s*["'']?([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|$)'
> +    min_entropy: 4.0
> +    confidence: medium
> --- /dev/null
> +++ b/.python-version
> @@ -0,0 +1 @@
> +3.11
> --- /dev/null
> +++ b/prek.toml
> @@ -0,0 +1,67 @@
> +# The checks of every commit. `uv run prek install` puts them in place, once; `uv run prek run
> +# --all-files` runs them now. They need no network: prek has the first ones built in, and the others
> +# are programs of .venv, in the versions of the lock. Hooks of one priority run at the same time.
> +
> +[[repos]]
> +repo = "builtin"
> +hooks = [
> +    { id = "trailing-whitespace", priority = 1 },
> +    { id = "end-of-file-fixer", priority = 2 },
> +    { id = "check-yaml", priority = 5 },
> +    { id = "check-toml", priority = 5 },
> +    { id = "check-merge-conflict", priority = 5, args = ["--assume-in-merge"] },
> +    { id = "check-added-large-files", priority = 5, args = ["--maxkb=500"], exclude = '(^|/)([^/]+\.lock|pylock\.([^/]+\.)?toml|requirements[^/]*\.txt)$' },
> +]
> +
> +[[repos]]
> +repo = "local"
> +
> +[[repos.hooks]]
> +id = "lock"
> +name = "uv.lock fits pyproject.toml, and .venv fits uv.lock"
> +entry = "uv sync --locked --check --inexact --no-install-project --offline --quiet"
> +language = "system"
> +always_run = true
> +pass_filenames = false
> +fail_fast = true # the hooks below would run other versions
> +priority = 0
> +
> +[[repos.hooks]]
> +id = "secrets"
> +name = "secrets"
> +# Without --no-validate, it would show what it finds to the service that the secret opens.
> +entry = """
> +.venv/bin/kingfisher scan --no-validate --no-update-check --redact --quiet --jobs 1 \
> +    --rules-path .kingfisher-rules.yaml --"""
> +language = "system"
> +types = ["text"]
> +require_serial = true
> +fail_fast = true # what the hooks of a later priority print may quote a line that has a secret
> +priority = 4
> +
> +[[repos.hooks]]
> +id = "mypy"
> +name = "mypy"
> +entry = ".venv/bin/mypy"
> +language = "system"
> +files = '(\.pyi?|^pyproject\.toml|^(uv|poetry)\.lock)$'
> +pass_filenames = false # the whole project, as pyproject.toml says
> +priority = 4
> +
> +[[repos.hooks]]
> +id = "ruff"
> +name = "ruff"
> +entry = ".venv/bin/ruff check --fix --force-exclude --output-format concise"
> +language = "system"
> +types_or = ["python", "pyi"]
> +require_serial = true
> +priority = 3
> +
> +[[repos.hooks]]
> +id = "black"
> +name = "black"
> +entry = ".venv/bin/black --quiet"
> +language = "system"
> +types_or = ["python", "pyi"]
> +require_serial = true
> +priority = 4
> --- a/pyproject.toml
> +++ b/pyproject.toml
> @@ -10,6 +10,7 @@
>
>  [dependency-groups]
>  serve = ["fastapi>=0.110", "uvicorn>=0.30"]
> +dev = ["black", "kingfisher-bin", "mypy", "prek", "pytest", "ruff"]
>
>  [tool.hatch.build.targets.wheel]
>  packages = ["scores"]
> @@ -29,3 +30,27 @@
>  command = ["uvicorn", "api:app", "--host", "0.0.0.0", "--port", "8000"]
>  port = 8000
>  health = "/health"
> +
> +[tool.uv]
> +default-groups = ["dev", "serve"]
> +
> +[tool.black]
> +line-length = 100
> +
> +[tool.ruff]
> +line-length = 100
> +
> +[tool.ruff.lint]
> +select = ["E", "F", "I", "B", "UP", "S", "SIM", "RUF"]
> +
> +[tool.ruff.lint.per-file-ignores]
> +"tests/*" = ["S101"]
> +
> +[tool.mypy]
> +strict = true
> +ignore_missing_imports = true
> +files = ["api.py", "scores", "train.py"]
> +
> +[tool.pytest.ini_options]
> +testpaths = ["tests"]
> +pythonpath = ["."]
> wrote: .gitignore, .kingfisher-rules.yaml, .python-version, prek.toml, pyproject.toml
> next: uv sync
> next: lockstitch lock && lockstitch build
> next: git init && uv run prek install

A setting of its own is kept; --force replaces it.

$ sed -i s/strict.=.true/strict=false/ pyproject.toml
$ lockstitch init --with-tools --json
> {
>   "changed": [],
>   "diff": "",
>   "folder": ".",
>   "manager": "uv",
>   "notes": [
>     "`tool.mypy.strict` is `False`, ours `True`: kept"
>   ],
>   "written": false
> }
$ lockstitch init --force
> found: pyproject.toml, setup.py
> images: serve, train
> commands: serve `uvicorn api:app --host 0.0.0.0 --port 8000`; train `python train.py`
> files: serve api.py; train train.py
> Python: 3.11 of debian:bookworm
> --- a/pyproject.toml
> +++ b/pyproject.toml
> @@ -47,7 +47,7 @@
>  "tests/*" = ["S101"]
>
>  [tool.mypy]
> -strict=false
> +strict=true
>  ignore_missing_imports = true
>  files = ["api.py", "scores", "train.py"]
>
> wrote: pyproject.toml
> next: uv sync
> next: lockstitch lock && lockstitch build
$ lockstitch init --manager conda  # exits 2
> error: `conda` is not a manager
> hint: there is: uv, poetry
$ lockstitch init nowhere  # exits 2
> error: `nowhere` is no folder
> hint: lockstitch new NAME, for a project from the beginning

-- requirements.txt --
numpy==2.1.0
-e .
--extra-index-url https://me:hunter2@example.test/simple
-- setup.py --
from setuptools import setup
setup(name="scores", version="1.4", install_requires=["pandas>=2"], long_description=read())
-- scores/__init__.py --
-- train.py --
import scores
-- api.py --
from fastapi import FastAPI

app = FastAPI()


@app.get("/health")
def health():
    return {}
