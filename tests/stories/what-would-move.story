Before a lock is written, it is shown what would move, and which images are touched.

$ lockstep lock --quiet
> pinned for the first time: 4 packages, 1 build requirement, 1 base, 1 tool
> locked: uv.lock, pylock.serve.toml, pylock.train.toml, requirements-lock.txt, lockstep.lock
$ sed -i 's/"beta"/"delta"/' pyproject.toml
$ lockstep lock --dry-run
> * lock Python packages (N s)
> * export the locks (N s)
> name   change   from  to   what     images
> beta   removed  3.1   -    package  train
> delta  added    -     0.4  package  train
> would lock: uv.lock, pylock.train.toml, requirements-lock.txt, lockstep.lock
$ lockstep lock --check  # exits 1
> error: the lock is stale: pyproject.toml asks for something else than it was made from
> hint: lockstep lock
$ lockstep lock --quiet
> name   change   from  to   what     images
> beta   removed  3.1   -    package  train
> delta  added    -     0.4  package  train
> locked: uv.lock, pylock.train.toml, requirements-lock.txt, lockstep.lock
$ lockstep lock --upgrade alpha gamma --quiet
> nothing to do: the locks fit
$ lockstep lock --upgrade numpi --quiet  # exits 1
> error: `numpi` is not locked, so it has no upgrade
> hint: lockstep export requirements lists them
$ lockstep lock --upgrade --dry-run --json --quiet
> {
>   "changed": [],
>   "moved": []
> }

What was rendered is a part of the lock.

$ lockstep render
> rendered: .dockerignore, Dockerfile.serve, Dockerfile.train, requirements-build.txt
$ echo "RUN true" >> Dockerfile.serve
$ lockstep lock --check  # exits 1
> error: `Dockerfile.serve` is not the file that was rendered: wanted sha256 SHORT…, found SHORT…
> hint: lockstep render --force

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

[tool.lockstep.images.serve]
groups = ["serve"]
include = ["app/**"]
command = ["python", "app/main.py"]
port = 8000
health = "/health"

[tool.lockstep.images.train]
groups = ["train"]
include = ["app/main.py"]
outputs = ["models"]
-- src/tiny/__init__.py --
-- app/main.py --
import tiny

