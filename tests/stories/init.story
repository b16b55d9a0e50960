A project with a requirements file and a setup.py gets the rest; nothing that is there moves.

$ lockstep init --dry-run
> --- /dev/null
> +++ b/.gitignore
> @@ -0,0 +1,6 @@
> +.venv/
> +.lockstep/
> +__pycache__/
> +.mypy_cache/
> +.pytest_cache/
> +.ruff_cache/
> --- /dev/null
> +++ b/.python-version
> @@ -0,0 +1 @@
> +3.11
> --- /dev/null
> +++ b/pyproject.toml
> @@ -0,0 +1,56 @@
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
> +dev = ["black", "mypy", "prek", "pytest", "ruff"]
> +
> +[tool.uv]
> +default-groups = ["dev", "serve"]
> +
> +[tool.hatch.build.targets.wheel]
> +packages = ["scores"]
> +
> +[tool.lockstep]
> +python = "3.11"
> +base = "debian:bookworm"
> +platforms = ["linux/amd64"]
> +
> +[tool.lockstep.images.train]
> +include = ["api.py", "train.py"]
> +command = ["python", "train.py"]
> +
> +[tool.lockstep.images.serve]
> +groups = ["serve"]
> +include = ["api.py", "train.py"]
> +command = ["uvicorn", "api:app", "--host", "0.0.0.0", "--port", "8000"]
> +port = 8000
> +health = "/health"
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
> note: `setup.py`: `long_description`: left out, add to [project] what is missed
> note: `setup.py`: kept; what pyproject.toml says counts from now on
> note: `requirements.txt:2`: `-e` is a folder of one machine: left out
> note: `requirements.txt:3`: `--extra-index-url` is no requirement: left out
> note: once training has written a model, add it to the `include` of the image `serve`
> would write: .gitignore, .python-version, pyproject.toml
> next: lockstep init
$ ls -A
> api.py
> requirements.txt
> scores
> setup.py
> train.py
$ lockstep init
> --- /dev/null
> +++ b/.gitignore
> @@ -0,0 +1,6 @@
> +.venv/
> +.lockstep/
> +__pycache__/
> +.mypy_cache/
> +.pytest_cache/
> +.ruff_cache/
> --- /dev/null
> +++ b/.python-version
> @@ -0,0 +1 @@
> +3.11
> --- /dev/null
> +++ b/pyproject.toml
> @@ -0,0 +1,56 @@
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
> +dev = ["black", "mypy", "prek", "pytest", "ruff"]
> +
> +[tool.uv]
> +default-groups = ["dev", "serve"]
> +
> +[tool.hatch.build.targets.wheel]
> +packages = ["scores"]
> +
> +[tool.lockstep]
> +python = "3.11"
> +base = "debian:bookworm"
> +platforms = ["linux/amd64"]
> +
> +[tool.lockstep.images.train]
> +include = ["api.py", "train.py"]
> +command = ["python", "train.py"]
> +
> +[tool.lockstep.images.serve]
> +groups = ["serve"]
> +include = ["api.py", "train.py"]
> +command = ["uvicorn", "api:app", "--host", "0.0.0.0", "--port", "8000"]
> +port = 8000
> +health = "/health"
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
> note: `setup.py`: `long_description`: left out, add to [project] what is missed
> note: `setup.py`: kept; what pyproject.toml says counts from now on
> note: `requirements.txt:2`: `-e` is a folder of one machine: left out
> note: `requirements.txt:3`: `--extra-index-url` is no requirement: left out
> note: once training has written a model, add it to the `include` of the image `serve`
> wrote: .gitignore, .python-version, pyproject.toml
> next: uv sync
> next: lockstep lock && lockstep build
$ lockstep init
> nothing to do: the project has all of it
$ cat .gitignore .python-version
> .venv/
> .lockstep/
> __pycache__/
> .mypy_cache/
> .pytest_cache/
> .ruff_cache/
> 3.11

A setting of its own is kept; --force replaces it.

$ sed -i s/strict.=.true/strict=false/ pyproject.toml
$ lockstep init --json
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
$ lockstep init --force
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
> next: lockstep lock && lockstep build
$ lockstep init --manager conda  # exits 1
> error: `conda` is not a manager
> hint: there is: uv, poetry
$ lockstep init nowhere  # exits 1
> error: `nowhere` is no folder
> hint: lockstep new NAME, for a project from the beginning

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
