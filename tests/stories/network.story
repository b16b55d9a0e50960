Without a network the host, the reason and the proxy are named, and no command of ours.

$ lockstitch lock --quiet
> pinned for the first time: 3 packages, 1 build requirement, 1 base, 1 tool
> locked: uv.lock, pylock.serve.toml, requirements-lock.txt, lockstitch.lock
$ lockstitch build serve --quiet
> serve: 3.3 kB, N kB compressed, 6 layers, 6 made
> serve sha256:DIGEST
> built in N s
$ lockstitch image push 127.0.0.1:9/tiny --image serve  # exits 1
> error: the registry `127.0.0.1:PORT` did not answer: connection refused
> hint: start the registry on 127.0.0.1:PORT, or name another one
$ sed -i 's!gamma>=2!gamma>=99!' pyproject.toml
$ lockstitch lock --quiet  # exits 1
> error: the packages cannot be locked: no versions fit together
> Because only gamma==2.0 is available and tiny:serve depends on gamma>=99, we can conclude that tiny:serve's requirements are unsatisfiable. And because your project requires tiny:serve, we can conclude that your project's requirements are unsatisfiable.
> hint: change the requirements that exclude each other in pyproject.toml

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
serve = ["gamma>=2"]

[tool.lockstitch.images.serve]
groups = ["serve"]
include = ["app/**"]
command = ["python", "app/main.py"]
-- src/tiny/__init__.py --
-- app/main.py --
import alpha
