From a project to an image: lock, check, build, look. A second build has nothing to do.

$ lockstitch lock
> * fetch 2 files (N s)
> * choose packages of debian:bookworm for linux/amd64 (N s)
> * lock Python packages (N s)
> * export the locks (N s)
> pinned for the first time: 4 packages, 1 build requirement, 1 base, 1 tool
> locked: uv.lock, pylock.serve.toml, pylock.train.toml, requirements-lock.txt, lockstitch.lock
$ lockstitch lock
> * lock Python packages (N s)
> * export the locks (N s)
> nothing to do: the locks fit
$ lockstitch lock --check
> the locks fit
$ lockstitch build
> * fetch 13 files (N s)
> * fetch 4 files (N s)
> * build 9 layers (N s)
> serve: 4.0 kB, N kB compressed, 6 layers, 6 made
> serve sha256:DIGEST
> train: 3.3 kB, N kB compressed, 7 layers, 7 made
> train sha256:DIGEST
> built in N s
$ lockstitch build
> serve: 4.0 kB, N kB compressed, 6 layers, none made
> serve sha256:DIGEST
> train: 3.3 kB, N kB compressed, 7 layers, none made
> train sha256:DIGEST
> up to date in N s
$ lockstitch build serve --quiet
> serve: 4.0 kB, N kB compressed, 6 layers, none made
> serve sha256:DIGEST
> up to date in N s
$ lockstitch image inspect serve
> serve  sha256:DIGEST
> platform  linux/amd64
> size      4.0 kB unpacked, N kB compressed
> created   2026-07-12T10:16:37Z
> command   python app/main.py
> user      65532:65532
>
> LAYER             PACKED  UNPACKED  WHAT
> SHORT      N kB    1.1 kB  debian bookworm: system
> SHORT      N kB    0.0 kB  debian bookworm: python 3.11.2
> SHORT      N kB    0.1 kB  virtual environment
> SHORT      N kB    1.8 kB  alpha 1.0, epsilon 5.0, gamma 2.0
> SHORT      N kB    0.3 kB  tiny 0.1.0
> SHORT      N kB    0.7 kB  app files
>
> PACKAGE                                   UNPACKED
> /var                                        0.8 kB
> /app code                                   0.7 kB
> alpha 1.0                                   0.7 kB
> epsilon 5.0                                 0.5 kB
> gamma 2.0                                   0.5 kB
> tiny 0.1.0                                  0.3 kB
> /etc                                        0.3 kB
> /app data                                   0.2 kB
> /usr/lib/x86_64-linux-gnu                   0.0 kB
> /usr/bin/python3.11                         0.0 kB
> /usr/lib/python3.11                         0.0 kB
> /usr/lib/os-release                         0.0 kB
> /usr/share/zoneinfo                         0.0 kB
> /usr/lib/locale                             0.0 kB
>
> LABELS
> dev.lockstitch.lock=sha256:DIGEST
> dev.lockstitch.python=3.11.2
> org.opencontainers.image.base.name=debian:bookworm
> org.opencontainers.image.title=tiny-serve
> org.opencontainers.image.version=0.1.0

One file of the application changes: one layer is made.

$ echo "# changed" >> app/main.py
$ lockstitch build serve --quiet
> serve: 4.0 kB, N kB compressed, 6 layers, 1 made
> serve sha256:DIGEST
> built in N s

From a folder below the project, or from anywhere:

$ cd app
$ lockstitch lock --check
> the locks fit
$ cd /
$ lockstitch lock --check --project nowhere  # exits 1
> error: no pyproject.toml in `/nowhere` or above it
> hint: lockstitch new NAME

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

