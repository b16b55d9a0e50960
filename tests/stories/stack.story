The stack's commands say what is so when nothing runs, and start nothing.

$ lockstitch status  # exits 1
> nothing runs; to start it: lockstitch up
$ lockstitch status --json  # exits 1
> {
>   "data": "FOLDER/.lockstitch/stack",
>   "ready": false,
>   "services": {}
> }
$ lockstitch logs --lines 5
$ lockstitch logs mlflow --json
> {
>   "mlflow": []
> }
$ lockstitch logs minio  # exits 2
> usage: lockstitch logs [-h] [-f] [--lines N] [--project PATH] [--quiet] [--json]
>                        [SERVICE]
> lockstitch logs: error: argument SERVICE: invalid choice: 'minio' (choose from 'postgres', 'objects', 'mlflow', 'supervisor')
$ lockstitch logs --json --follow  # exits 2
> error: `--json` and `--follow` cannot be used together
> hint: lockstitch logs --json
$ lockstitch env  # exits 1
> error: the stack of this project does not run
> hint: lockstitch up
$ lockstitch env --json  # exits 1
> error: the stack of this project does not run
> hint: lockstitch up
$ lockstitch down
> * stop the stack (N s)
> nothing ran
$ lockstitch down --json
> {
>   "ran": false
> }
$ lockstitch reset  # exits 2
> error: `lockstitch reset` deletes data, and nobody is here to be asked
> hint: lockstitch reset --yes
$ lockstitch reset --yes --json
> {
>   "deleted": "FOLDER/.lockstitch/stack"
> }
Nothing was left in the project.
$ ls -A
> pyproject.toml

-- pyproject.toml --
[project]
name = "tiny"

[tool.lockstitch.images.serve]
