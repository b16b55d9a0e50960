Wrong use exits with 2 and says how to use it.

$ lockstitch build --fast  # exits 2
> usage: lockstitch build [-h] [--from BUNDLE] [--layout PATH] [--base-only]
>                         [--output FILE]
>                         [--compression {passthrough,gzip-single,zstd}] [--try]
>                         [--tag NAME] [--allow-drift NAME] [--push REF]
>                         [--cache REF] [--insecure-registry HOST]
>                         [--engine {native,docker,podman,buildah}]
>                         [--load [ENGINE]] [--project PATH] [-q] [--json] [-v]
>                         [--dry-run]
>                         [IMAGE ...]
> error: unrecognized arguments: --fast
> hint: lockstitch build --help
$ lockstitch build serve --tag x  # exits 2
> error: --tag names an image in an archive or engine, and there is none
> hint: add --output FILE, --load or --engine
$ lockstitch build --output images.tar  # exits 2
> error: --output takes one image, not 2
> hint: lockstitch build serve --output FILE
$ lockstitch build nothing  # exits 2
> error: `nothing` is not an image of this project (it has: serve, train)
> hint: add a table [tool.lockstitch.images.nothing]
$ lockstitch image inspect  # exits 2
> usage: lockstitch image inspect [-h] [--layout PATH] [--platform P]
>                                 [--insecure-registry HOST]
>                                 [--sbom | --provenance] [--all] [--project PATH]
>                                 [-q] [--json] [-v] [--dry-run]
>                                 REF
> error: the following arguments are required: REF
> hint: lockstitch image inspect --help
$ lockstitch lock --check --upgrade  # exits 2
> usage: lockstitch lock [-h] [--check | --upgrade [NAME ...]] [--dry-run]
>                        [--insecure-registry HOST] [--project PATH] [-q] [--json]
>                        [-v]
> error: argument --upgrade: not allowed with argument --check
> hint: lockstitch lock --help
$ lockstitch image inspect serve  # exits 1
> error: `FOLDER/.lockstitch/images` has no image `serve` (it has: none)
> hint: lockstitch build serve
$ lockstitch --version
> lockstitch 0.2.0

-- pyproject.toml --
[project]
name = "tiny"

[tool.lockstitch.images.serve]

[tool.lockstitch.images.train]
