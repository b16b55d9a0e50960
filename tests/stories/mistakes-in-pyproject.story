Everything wrong with pyproject.toml is said at once, with the nearest known name.

$ lockstitch build  # exits 1
> error: `tool.lockstitch.platforms` names `linux/mips`
> hint: supported: linux/amd64, linux/arm64
> error: `tool.lockstitch.images.serve.include` leads out of the project: `/etc/passwd`
> error: `tool.lockstitch.images.serve.budget` is `large`, not a size
> hint: write it as "350MB"
> error: `tool.lockstitch.images.serve.comand` is not a setting of lockstitch
> hint: did you mean `command`?
> error: `tool.lockstitch.pyhton` is not a setting of lockstitch
> hint: did you mean `python`?
> error: `tool.lockstitch.images.serve.groups` names `trian`, which the project does not have
> hint: add it under [dependency-groups] (there: train)
> error: `tool.lockstitch.images.serve.health` needs a `port`, and a path that starts with /
$ lockstitch lock  # exits 1
> error: `tool.lockstitch.platforms` names `linux/mips`
> hint: supported: linux/amd64, linux/arm64
> error: `tool.lockstitch.images.serve.include` leads out of the project: `/etc/passwd`
> error: `tool.lockstitch.images.serve.budget` is `large`, not a size
> hint: write it as "350MB"
> error: `tool.lockstitch.images.serve.comand` is not a setting of lockstitch
> hint: did you mean `command`?
> error: `tool.lockstitch.pyhton` is not a setting of lockstitch
> hint: did you mean `python`?
> error: `tool.lockstitch.images.serve.groups` names `trian`, which the project does not have
> hint: add it under [dependency-groups] (there: train)
> error: `tool.lockstitch.images.serve.health` needs a `port`, and a path that starts with /

-- pyproject.toml --
[project]
name = "tiny"
version = "0.1.0"

[dependency-groups]
train = []

[tool.lockstitch]
pyhton = "3.11"
platforms = ["linux/mips"]

[tool.lockstitch.images.serve]
groups = ["trian"]
include = ["/etc/passwd"]
comand = ["python"]
health = "/health"
budget = "large"
