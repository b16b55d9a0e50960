Wrong use exits with 2 and says how to use it.

$ lockstep build --fast  # exits 2
> usage: lockstep [-h] [--version] COMMAND ...
> lockstep: error: unrecognized arguments: --fast
$ lockstep build serve --tag x  # exits 2
> error: --tag names an image in an archive or engine, and there is none
> hint: add --output FILE, --load or --engine
$ lockstep build --output images.tar  # exits 2
> error: --output takes one image, not 2
> hint: lockstep build serve --output FILE
$ lockstep build nothing  # exits 1
> error: `nothing` is not an image of this project (it has: serve, train)
> hint: add a table [tool.lockstep.images.nothing]
$ lockstep inspect  # exits 2
> usage: lockstep inspect [-h] [--layout PATH] [--platform P]
>                         [--insecure-registry HOST] [--sbom | --provenance]
>                         [--all] [--project PATH] [--quiet] [--json]
>                         REF
> lockstep inspect: error: the following arguments are required: REF
$ lockstep lock --check --upgrade  # exits 2
> usage: lockstep lock [-h] [--check | --upgrade [NAME ...]] [--dry-run]
>                      [--insecure-registry HOST] [--project PATH] [--quiet]
>                      [--json]
> lockstep lock: error: argument --upgrade: not allowed with argument --check
$ lockstep inspect serve  # exits 1
> error: `FOLDER/.lockstep/images` has no image `serve` (it has: none)
> hint: lockstep build serve
$ lockstep --version
> lockstep 0.1.0

-- pyproject.toml --
[project]
name = "tiny"

[tool.lockstep.images.serve]

[tool.lockstep.images.train]
