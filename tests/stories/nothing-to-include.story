A pattern without files, and an image over its budget: both say what to do.

$ lockstitch lock --quiet
> pinned for the first time: 2 packages, 1 base, 1 tool
> locked: uv.lock, pylock.serve.toml, pylock.small.toml, requirements-lock.txt, lockstitch.lock
$ lockstitch build  # exits 1
> error: `models/**` of image `serve` matches no file in `FOLDER`
> hint: train first, or take the pattern out of `include`
$ mkdir models
$ echo model > models/model.onnx
$ lockstitch build  # exits 1
> * fetch 13 files (N s)
> * fetch 2 files (N s)
> * build 6 layers (N s)
> error: image `small` has 2.5 kB unpacked, over its budget of 1.0 kB; most of it: /var 0.8 kB, alpha 1.0 0.7 kB, epsilon 5.0 0.5 kB, /etc 0.3 kB, /app data 0.2 kB
> hint: drop a package from its groups, set trim = true, or raise the budget of small
$ lockstitch build small  # exits 1
> error: image `small` has 2.5 kB unpacked, over its budget of 1.0 kB; most of it: /var 0.8 kB, alpha 1.0 0.7 kB, epsilon 5.0 0.5 kB, /etc 0.3 kB, /app data 0.2 kB
> hint: drop a package from its groups, set trim = true, or raise the budget of small
$ sed -i s/1kB/1MB/ pyproject.toml
$ lockstitch lock --check
> the locks fit
$ lockstitch build --quiet
> serve: 2.5 kB, N kB compressed, 5 layers, none made
> serve sha256:DIGEST
> small: 2.5 kB, N kB compressed, 5 layers, none made
> small sha256:DIGEST
> built in N s

-- pyproject.toml --
[project]
name = "tiny"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["alpha"]

[tool.lockstitch.images.serve]
include = ["models/**", "app/main.py"]
command = []

[tool.lockstitch.images.small]
budget = "1kB"
command = []
-- app/main.py --
print()
