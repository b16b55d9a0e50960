A team has a configuration of pre-commit, and ruff and mypy in its lock. What the lock has becomes
local, on the lock's versions; the rest is pinned to the commit that its tag means now.

$ git init --quiet --initial-branch main own-hooks
$ cp manifest own-hooks/.pre-commit-hooks.yaml
$ cd own-hooks
$ git add --all && git commit --quiet --message hooks && git tag v3
$ cd ..
$ lockstitch hooks migrate --project nowhere  # exits 1
> error: there is no `.pre-commit-config.yaml` in `nowhere` or in a folder above
> hint: name the folder that has it with --project
$ sed -i 's/rev: v3/rev: v4/' .pre-commit-config.yaml
$ lockstitch hooks migrate  # exits 1
> error: `say` in line 15: `own-hooks` has no `v4`
> hint: write a tag or a whole commit after `rev:`
$ sed -i 's/rev: v4/rev: v3/' .pre-commit-config.yaml
$ lockstitch hooks migrate --dry-run
> hook         was     is now  version       why
> ruff         v0.9.1  local   ruff 0.17.3   uv.lock has it
> ruff-format  v0.9.1  local   ruff 0.17.3   uv.lock has it
> mypy         v1.8.0  local   mypy 2.1.0    uv.lock has it
> say          v3      frozen  SHORT  its program is not known here
>
> --- .pre-commit-config.yaml (before)
> +++ .pre-commit-config.yaml (after)
> @@ -1,18 +1,31 @@
>  # What we check, see CONTRIBUTING
>  repos:
> -  - repo: https://example.test/ruff-pre-commit
> -    rev: v0.9.1
> +  - repo: local
>      hooks:
>        - id: ruff
> +        name: ruff
> +        entry: uv run --quiet --locked --offline ruff check --force-exclude
> +        language: system
> +        types_or: [python, pyi, jupyter]
> +        require_serial: true
>          args: [--fix]  # and fix
>        - id: ruff-format
> -  - repo: https://example.test/mirrors-mypy
> -    rev: v1.8.0
> +        name: ruff-format
> +        entry: uv run --quiet --locked --offline ruff format --force-exclude
> +        language: system
> +        types_or: [python, pyi, jupyter]
> +        require_serial: true
> +  - repo: local
>      hooks:
>        - id: mypy
> -        additional_dependencies: [types-requests]
> +        name: mypy
> +        entry: uv run --quiet --locked --offline mypy
> +        language: system
> +        types_or: [python, pyi]
> +        require_serial: true
> +        args: [--ignore-missing-imports, --scripts-are-modules]
>    # our own
>    - repo: own-hooks
> -    rev: v3
> +    rev: 4b54fa7f90519007a411a64bb6d46c5c6a38deef  # frozen: v3
>      hooks:
>        - id: say
> `mypy` installs nothing of its own any more: `types-requests`
> uv.lock lacks some of that; if it is needed: uv add --dev 'types-requests'
> `.pre-commit-config.yaml` was not written; leave --dry-run out to write it
$ lockstitch hooks migrate
> hook         was     is now  version       why
> ruff         v0.9.1  local   ruff 0.17.3   uv.lock has it
> ruff-format  v0.9.1  local   ruff 0.17.3   uv.lock has it
> mypy         v1.8.0  local   mypy 2.1.0    uv.lock has it
> say          v3      frozen  SHORT  its program is not known here
>
> --- .pre-commit-config.yaml (before)
> +++ .pre-commit-config.yaml (after)
> @@ -1,18 +1,31 @@
>  # What we check, see CONTRIBUTING
>  repos:
> -  - repo: https://example.test/ruff-pre-commit
> -    rev: v0.9.1
> +  - repo: local
>      hooks:
>        - id: ruff
> +        name: ruff
> +        entry: uv run --quiet --locked --offline ruff check --force-exclude
> +        language: system
> +        types_or: [python, pyi, jupyter]
> +        require_serial: true
>          args: [--fix]  # and fix
>        - id: ruff-format
> -  - repo: https://example.test/mirrors-mypy
> -    rev: v1.8.0
> +        name: ruff-format
> +        entry: uv run --quiet --locked --offline ruff format --force-exclude
> +        language: system
> +        types_or: [python, pyi, jupyter]
> +        require_serial: true
> +  - repo: local
>      hooks:
>        - id: mypy
> -        additional_dependencies: [types-requests]
> +        name: mypy
> +        entry: uv run --quiet --locked --offline mypy
> +        language: system
> +        types_or: [python, pyi]
> +        require_serial: true
> +        args: [--ignore-missing-imports, --scripts-are-modules]
>    # our own
>    - repo: own-hooks
> -    rev: v3
> +    rev: 4b54fa7f90519007a411a64bb6d46c5c6a38deef  # frozen: v3
>      hooks:
>        - id: say
> `mypy` installs nothing of its own any more: `types-requests`
> uv.lock lacks some of that; if it is needed: uv add --dev 'types-requests'
> wrote `.pre-commit-config.yaml`
$ lockstitch hooks migrate
> hook  was           is now  version       why
> say   SHORT  kept    SHORT  its rev is a commit already
> `.pre-commit-config.yaml` needs no change
$ printf 'repos:\n\t- repo: local\n' > .pre-commit-config.yaml
$ lockstitch hooks migrate  # exits 1
> error: `.pre-commit-config.yaml` line 2: found character '\t' that cannot start any token
> hint: correct the file; nothing was changed

-- .pre-commit-config.yaml --
# What we check, see CONTRIBUTING
repos:
  - repo: https://example.test/ruff-pre-commit
    rev: v0.9.1
    hooks:
      - id: ruff
        args: [--fix]  # and fix
      - id: ruff-format
  - repo: https://example.test/mirrors-mypy
    rev: v1.8.0
    hooks:
      - id: mypy
        additional_dependencies: [types-requests]
  # our own
  - repo: own-hooks
    rev: v3
    hooks:
      - id: say
-- manifest --
- id: say
  name: say
  entry: echo
  language: system
-- uv.lock --
version = 1

[[package]]
name = "project"
source = { virtual = "." }

[package.dev-dependencies]
dev = [{ name = "mypy" }, { name = "ruff" }]

[[package]]
name = "mypy"
version = "2.1.0"

[[package]]
name = "ruff"
version = "0.17.3"
