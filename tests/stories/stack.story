The stack's commands say what is so when nothing runs, and start nothing.

$ lockstitch stack status  # exits 1
> nothing runs; to start it: lockstitch stack up
$ lockstitch stack status --json  # exits 1
> {
>   "data": "FOLDER/.lockstitch/stack",
>   "ready": false,
>   "services": {}
> }
$ lockstitch stack logs --lines 5
$ lockstitch stack logs mlflow --json
> {
>   "mlflow": []
> }
$ lockstitch stack logs minio  # exits 2
> error: `minio` is no service of this stack; it has postgres, objects, mlflow, supervisor
> hint: lockstitch stack logs postgres
$ lockstitch stack logs --json --follow  # exits 2
> error: `--json` and `--follow` cannot be used together
> hint: lockstitch stack logs --json
$ lockstitch stack env  # exits 1
> error: the stack of this project does not run
> hint: lockstitch stack up
$ lockstitch stack env --json  # exits 1
> error: the stack of this project does not run
> hint: lockstitch stack up
$ lockstitch stack down
> * stop the stack (N s)
> nothing ran
$ lockstitch stack down --json
> {
>   "ran": false
> }
$ lockstitch stack reset  # exits 2
> error: `lockstitch stack reset` deletes data, and there is no terminal to ask on
> hint: lockstitch stack reset --yes
$ lockstitch stack reset --yes --json
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
