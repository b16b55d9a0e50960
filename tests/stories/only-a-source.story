A package that has no wheel is built once, from the source that the lock names.

$ lockstitch lock --quiet
> pinned for the first time: 3 packages, 1 base, 1 tool
> locked: uv.lock, pylock.serve.toml, requirements-lock.txt, lockstitch.lock
$ lockstitch build
> * fetch 13 files (N s)
> * fetch 2 files (N s)
> * build 6 layers (N s)
> serve: 2.8 kB, N kB compressed, 6 layers, 6 made
> serve sha256:DIGEST
> built in N s

-- pyproject.toml --
[project]
name = "tiny"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["alpha", "only-source"]

[tool.lockstitch.images.serve]
command = []
