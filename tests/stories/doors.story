What is typed first in a folder of another kind is answered with what brings lockstitch in.

$ cd empty
$ lockstitch lock  # exits 1
> error: no pyproject.toml in `FOLDER/empty` or above it
> hint: lockstitch new NAME
$ cd ../requirements
$ lockstitch build  # exits 1
> error: no pyproject.toml in `FOLDER/requirements` or above it
> hint: lockstitch init
$ cd ../setup
$ lockstitch lock  # exits 1
> error: no pyproject.toml in `FOLDER/setup` or above it
> hint: lockstitch init
$ cd ../pipenv
$ lockstitch lock  # exits 1
> error: no pyproject.toml in `FOLDER/pipenv` or above it
> hint: lockstitch init
$ cd ../conda
$ lockstitch lock  # exits 1
> error: no pyproject.toml in `FOLDER/conda` or above it
> hint: lockstitch init
$ cd ../script
$ lockstitch lock  # exits 1
> error: no pyproject.toml in `FOLDER/script` or above it
> hint: lockstitch init
$ cd ../uv
$ lockstitch lock  # exits 1
> error: `FOLDER/uv/pyproject.toml` has no [tool.lockstitch] table
> hint: lockstitch init
$ cd ../poetry
$ lockstitch build  # exits 1
> error: `FOLDER/poetry/pyproject.toml` has no [tool.lockstitch] table
> hint: lockstitch init
$ cd ../open
$ lockstitch lock  # exits 1
> error: `FOLDER/open/pyproject.toml` is not valid TOML: `[` of line 3 is not closed
> hint: correct that line

-- empty/notes.txt --
-- requirements/requirements-dev.txt --
-- setup/setup.py --
-- pipenv/Pipfile --
-- conda/environment.yml --
-- script/train.py --
-- uv/pyproject.toml --
[project]
name = "a"
version = "1"
-- poetry/pyproject.toml --
[tool.poetry]
name = "a"
version = "1"
-- open/pyproject.toml --
[project]
name = "a"
dependencies = [
  "numpy",

[tool.lockstitch]
python = "3.11"
