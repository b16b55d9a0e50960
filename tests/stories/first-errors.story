What a newcomer types wrong, or has in the project, is answered with what to do.

$ lockstitch lock --quiet
> pinned for the first time: 2 packages, 1 build requirement, 1 base, 1 tool
> locked: uv.lock, pylock.serve.toml, requirements-lock.txt, lockstitch.lock
$ lockstitch build --quiet serve
> warning: `app/look.ipynb` is a notebook: nothing runs it in `serve`
> serve: 2.8 kB, N kB compressed, 6 layers, 6 made
> serve sha256:DIGEST
> built in N s
$ lockstitch build --quiet serve
> warning: `app/look.ipynb` is a notebook: nothing runs it in `serve`
> serve: 2.8 kB, N kB compressed, 6 layers, none made
> serve sha256:DIGEST
> up to date in N s
$ lockstitch run serve --out x
> * environment of serve (N s)
$ lockstitch run --ot x serve  # exits 2
> usage: lockstitch run [-h] [--watch | --in-image] [--gpus] [--on TARGET]
>                       [--dry-run] [--max-wait SECONDS] [--no-record]
>                       [--project PATH] [-q] [-v] [--json]
>                       IMAGE
> error: unrecognized arguments: --ot
> hint: did you mean `--on`?
$ lockstitch run serv  # exits 2
> error: `serv` is not an image of this project (it has: serve)
> hint: did you mean `serve`?
$ lockstitch image push 127.0.0.1:1/tiny/{image} --image serve  # exits 1
> error: the registry `127.0.0.1:PORT` did not answer: connection refused
> hint: start the registry on 127.0.0.1:PORT, or name another one
$ lockstitch image push tiny/serve --image nope  # exits 2
> error: `nope` is not an image of this project (it has: serve)
> hint: add a table [tool.lockstitch.images.nope]
$ lockstitch report --since nope  # exits 2
> error: `nope` is no revision of this repository
> hint: git log --oneline names some
$ lockstitch check --select IMG --quiet
$ sed -i s/build-requires.*/python=3.11/ pyproject.toml
$ lockstitch lock  # exits 1
> error: `tool.lockstitch.python` must be a text, found `3.11`
> hint: python = "3.11"
$ lockstitch check --quiet  # exits 1
> pyproject.toml:12:1: error PKG001 `tool.lockstitch.python` must be a text, found `3.11`
>     hint: python = "3.11"
$ sed -i /python=3.11/d pyproject.toml

Build requirements that exclude each other are named with the package that has them.

$ sed -i 's/"tinybuild>=1"/"tinybuild>=1", "tinybuild<1"/' pyproject.toml
$ lockstitch lock --quiet  # exits 1
> error: the requirements cannot be resolved: no versions fit together
> Because you require tinybuild>=1 and tinybuild<1, we can conclude that your requirements are unsatisfiable.
> hint: change the requirements that exclude each other in pyproject.toml
$ sed -i 's/, "tinybuild<1"//; s/alpha>=1/old/' pyproject.toml
$ lockstitch lock --quiet  # exits 1
> error: the build requirements of `old` cannot be locked: the requirements cannot be resolved: no versions fit together
> Because you require tinybuild<1 and tinybuild>=1, we can conclude that your requirements are unsatisfiable.
> hint: change the requirements that exclude each other of `old`, or take another version

-- pyproject.toml --
[build-system]
requires = ["tinybuild>=1"]
build-backend = "tinybuild"

[project]
name = "tiny"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["alpha>=1"]

[tool.lockstitch]
build-requires = ["beta"]

[tool.lockstitch.images.serve]
include = ["app/**"]
command = ["python", "app/main.py"]

[tool.uv.sources]
old = { path = "libs/old" }
-- libs/old/pyproject.toml --
[build-system]
requires = ["tinybuild>=1", "tinybuild<1"]
build-backend = "tinybuild"

[project]
name = "old"
version = "1.0"
requires-python = ">=3.11"
-- libs/old/old/__init__.py --
-- src/tiny/__init__.py --
-- app/main.py --
import sys

print(sys.argv[1:])
-- app/look.ipynb --
{}
