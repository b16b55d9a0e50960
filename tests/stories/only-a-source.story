A package that has no wheel is named, with the way out.

$ lockstitch lock --quiet
> locked in pyproject.toml: 1 build requirement of `only-source 1.0`
> pinned for the first time: 3 packages, 1 base, 1 tool
> locked: uv.lock, pyproject.toml, pylock.serve.toml, requirements-lock.txt, lockstitch.lock
$ lockstitch build  # exits 1
> error: `only-source 1.0` has no wheel for linux/amd64, CPython 3.11: the lock has only a source distribution (image `serve`)
> hint: pin a version that has one, or build its wheel first: uv build --wheel

-- pyproject.toml --
[project]
name = "tiny"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["alpha", "only-source"]

[tool.lockstitch.images.serve]
