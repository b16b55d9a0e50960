What is locked, for pip, uv and scanners.

$ lockstitch export requirements --image serve  # exits 1
> error: no `lockstitch.lock` in `FOLDER`
> hint: lockstitch lock
$ lockstitch lock --quiet
> pinned for the first time: 4 packages, 1 base, 1 tool
> locked: uv.lock, pylock.serve.toml, pylock.train.toml, requirements-lock.txt, lockstitch.lock
$ lockstitch export requirements --image serve
> # From `pylock.serve.toml`, which `lockstitch lock` wrote; install it with --require-hashes.
> alpha==1.0 \
>     --hash=sha256:DIGEST
> epsilon==5.0 \
>     --hash=sha256:DIGEST
> gamma==2.0 \
>     --hash=sha256:DIGEST
$ lockstitch export requirements --image serve --platform linux/amd64 -o requirements-serve.txt
> wrote `requirements-serve.txt`
$ cat requirements-serve.txt
> # From `pylock.serve.toml`, which `lockstitch lock` wrote; install it with --require-hashes.
> # It is for: linux/amd64, CPython 3.11
> alpha==1.0 \
>     --hash=sha256:DIGEST
> epsilon==5.0 \
>     --hash=sha256:DIGEST
> gamma==2.0 \
>     --hash=sha256:DIGEST
$ lockstitch export requirements --image serve -o requirements-serve.txt --check  # exits 1
> error: `requirements-serve.txt` is stale: it is not what the lock gives
> hint: lockstitch export requirements --image serve --output requirements-serve.txt
$ lockstitch export pylock  # exits 2
> error: this project has more than one image: serve, train
> hint: lockstitch export pylock --image serve
$ lockstitch export pylock --image serve -o serve.toml  # exits 1
> error: `serve.toml` is no name of a PEP 751 lock
> hint: call it pylock.toml, or pylock.NAME.toml
$ lockstitch export sbom --image serve -o serve.cdx.json
> wrote `serve.cdx.json`
$ grep -c purl serve.cdx.json
> 16
$ lockstitch export sbom --image serve --platform linux/arm64  # exits 2
> error: `linux/arm64` is not a platform of this project (it has: linux/amd64)
> hint: add it to `platforms` in [tool.lockstitch]
$ sed -i s/gamma/delta/ pyproject.toml
$ lockstitch export sbom --image serve  # exits 1
> error: the lock is stale: pyproject.toml has changed since it was made
> hint: lockstitch lock

-- pyproject.toml --
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
command = []

[tool.lockstitch.images.train]
groups = ["train"]
command = []
