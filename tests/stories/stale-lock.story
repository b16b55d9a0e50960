pyproject.toml was changed after the lock: nothing is built until it is locked.

$ lockstitch build  # exits 1
> error: no `lockstitch.lock` in `FOLDER`
> hint: lockstitch lock
$ lockstitch lock --check  # exits 1
> error: no `lockstitch.lock` in `FOLDER`
> hint: lockstitch lock
$ lockstitch lock --quiet
> pinned for the first time: 4 packages, 1 build requirement, 1 base, 1 tool
> locked: uv.lock, pylock.serve.toml, pylock.train.toml, requirements-lock.txt, lockstitch.lock
$ sed -i s/gamma.=2/gamma/ pyproject.toml
$ lockstitch lock --check  # exits 1
> error: the lock is stale: pyproject.toml has changed since it was made
> hint: lockstitch lock
$ lockstitch build  # exits 1
> error: the lock is stale: pyproject.toml has changed since it was made
> hint: lockstitch lock
$ lockstitch lock --check --json  # exits 1
> {
>   "stale": [
>     "the lock is stale: pyproject.toml has changed since it was made"
>   ]
> }
$ lockstitch lock --quiet
> locked: uv.lock, lockstitch.lock
$ lockstitch lock --check
> the locks fit

A lock that was edited, and one that is gone, are both named.

$ sed -i s/beta/betta/ pylock.train.toml
$ rm requirements-lock.txt
$ lockstitch build  # exits 1
> error: `pylock.train.toml` is not the file that was locked: wanted sha256 SHORT…, found SHORT…
> hint: lockstitch lock
> error: `requirements-lock.txt` is missing
> hint: lockstitch lock
$ lockstitch lock
> * lock Python packages (N s)
> * export the locks (N s)
> name   change   from  to   what     images
> beta   added    -     3.1  package  train
> betta  removed  3.1   -    package  train
> locked: pylock.train.toml, requirements-lock.txt
$ lockstitch lock --check
> the locks fit

A lock that cannot be read is made again.

$ echo "<<<<<<< ours" >> lockstitch.lock
$ lockstitch build  # exits 1
> error: `lockstitch.lock` cannot be read: it is not valid TOML: Invalid statement (at line 150, column 1)
> hint: lockstitch lock
$ lockstitch lock
> warning: `lockstitch.lock` cannot be read: it is not valid TOML: Invalid statement (at line 150, column 1); all of it is pinned anew
> * lock Python packages (N s)
> * export the locks (N s)
> name         change  from  to           what               images
> tinybuild    added   -     1.0          build requirement  -
> linux/amd64  added   -     13 packages  base               serve, train
> uv           added   -     0.13.9       tool               -
> locked: lockstitch.lock

-- pyproject.toml --
[build-system]
requires = ["tinybuild>=1"]
build-backend = "tinybuild"

[project]
name = "tiny"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["alpha>=1"]

[dependency-groups]
train = ["beta"]
serve = ["gamma>=2"]

[tool.lockstitch.images.serve]
groups = ["serve"]
include = ["app/**"]
command = ["python", "app/main.py"]
port = 8000
health = "/health"

[tool.lockstitch.images.train]
groups = ["train"]
include = ["app/main.py"]
outputs = ["models"]
command = []
-- src/tiny/__init__.py --
-- app/main.py --
import tiny

