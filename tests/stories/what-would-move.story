Before a lock is written, it is shown what would move, and which images are touched.

$ lockstitch lock --quiet
> pinned for the first time: 4 packages, 1 build requirement, 1 base, 1 tool
> locked: uv.lock, pylock.serve.toml, pylock.train.toml, requirements-lock.txt, lockstitch.lock
$ sed -i 's/"beta"/"delta"/' pyproject.toml
$ lockstitch lock --dry-run
> * lock Python packages (N s)
> * export the locks (N s)
> name   change   from  to   what     images
> beta   removed  3.1   -    package  train
> delta  added    -     0.4  package  train
> would lock: uv.lock, pylock.train.toml, requirements-lock.txt, lockstitch.lock
$ lockstitch lock --check  # exits 1
> error: the lock is stale: pyproject.toml has changed since it was made
> hint: lockstitch lock
$ lockstitch lock --quiet
> name   change   from  to   what     images
> beta   removed  3.1   -    package  train
> delta  added    -     0.4  package  train
> locked: uv.lock, pylock.train.toml, requirements-lock.txt, lockstitch.lock
$ lockstitch lock --upgrade alpha gamma --quiet
> nothing to do: the locks fit
$ lockstitch lock --upgrade numpi --quiet  # exits 2
> error: `numpi` is not locked, so it has no upgrade
> hint: lockstitch export requirements lists them
$ lockstitch lock --upgrade --dry-run --json --quiet
> {
>   "changed": [],
>   "moved": []
> }

What was rendered is a part of the lock.

$ lockstitch export dockerfile
> rendered: .dockerignore, Dockerfile.serve, Dockerfile.train, requirements-build.txt
$ echo "RUN true" >> Dockerfile.serve
$ lockstitch lock --check  # exits 1
> error: `Dockerfile.serve` is not the file that was rendered: wanted sha256 SHORT…, found SHORT…
> hint: lockstitch export dockerfile --force

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

