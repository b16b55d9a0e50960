The stack's commands say what is so when nothing runs, and start nothing.

$ lockstep status  # exits 1
> nothing runs; to start it: lockstep up
$ lockstep status --json  # exits 1
> {
>   "data": "FOLDER/.lockstep/stack",
>   "ready": false,
>   "services": {}
> }
$ lockstep logs --lines 5
$ lockstep logs mlflow --json
> {
>   "mlflow": []
> }
$ lockstep logs minio  # exits 2
> usage: lockstep logs [-h] [-f] [--lines N] [--project PATH] [--quiet] [--json]
>                      [SERVICE]
> lockstep logs: error: argument SERVICE: invalid choice: 'minio' (choose from 'postgres', 'objects', 'mlflow', 'supervisor')
$ lockstep logs --json --follow  # exits 2
> error: `--json` and `--follow` cannot be used together
> hint: lockstep logs --json
$ lockstep env  # exits 1
> error: the stack of this project does not run
> hint: lockstep up
$ lockstep env --json  # exits 1
> error: the stack of this project does not run
> hint: lockstep up
$ lockstep down
> * stop the stack (N s)
> nothing ran
$ lockstep down --json
> {
>   "ran": false
> }
$ lockstep reset  # exits 2
> error: `lockstep reset` deletes data, and nobody is here to be asked
> hint: lockstep reset --yes
$ lockstep reset --yes --json
> {
>   "deleted": "FOLDER/.lockstep/stack"
> }
Nothing was left in the project.
$ ls -A
> pyproject.toml

-- pyproject.toml --
[project]
name = "tiny"

[tool.lockstep.images.serve]
