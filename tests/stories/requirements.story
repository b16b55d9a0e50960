A team that locks with requirements files keeps them; what pins nothing is named by its line.

$ lockstitch lock  # exits 1
> error: the image `serve` is locked by `requirements.txt`, which is not there
> hint: uv pip compile --universal --generate-hashes requirements.in -o requirements.txt
$ uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate requirements.in -o requirements.txt
$ lockstitch lock
> * fetch 2 files (N s)
> * choose packages of debian:bookworm for linux/amd64 (N s)
> * lock Python packages (N s)
> * export the locks (N s)
> pinned for the first time: 2 packages, 1 base, 1 tool
> locked: pylock.serve.toml, lockstitch.lock
$ lockstitch lock --check
> the locks fit
$ lockstitch build --quiet
> serve: 2.5 kB, N kB compressed, 5 layers, 5 made
> serve sha256:DIGEST
> built in N s
$ echo "-e ." >> requirements.txt
$ echo "gamma" >> requirements.txt
$ lockstitch lock --check  # exits 1
> error: `requirements.txt` is not the file that was locked: wanted sha256 SHORT…, found SHORT…
> hint: lockstitch lock
$ lockstitch lock --quiet  # exits 1
> error: `requirements.txt:5`: `-e .` is editable: a folder of one machine
> hint: uv export --no-emit-local --format requirements.txt -o requirements.txt
> error: `requirements.txt:6`: `gamma` is not pinned with `==`: any version
> hint: uv pip compile --universal --generate-hashes requirements.txt -o requirements-lock.txt
$ lockstitch lock --upgrade --quiet  # exits 1
> error: `requirements.txt`: written by another tool, which has to upgrade what they pin
> hint: uv pip compile --universal --generate-hashes --upgrade, then lockstitch lock

-- pyproject.toml --
[project]
name = "tiny"

[tool.lockstitch]
lock = "requirements.txt"

[tool.lockstitch.images.serve]
command = ["python"]
-- requirements.in --
alpha
