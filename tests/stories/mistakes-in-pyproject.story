Everything wrong with pyproject.toml is said at once, with the nearest known name.

$ lockstep build  # exits 1
> error: `tool.lockstep.images.serve.groups` names `trian`, which the project does not have
> hint: add it under [dependency-groups] (there: train)
> error: `tool.lockstep.images.serve.include` leads out of the project: `/etc/passwd`
> error: `tool.lockstep.images.serve.budget` is `large`, not a size
> hint: write it as "350MB"
> error: `tool.lockstep.images.serve.health` needs a `port`, and a path that starts with /
> error: `tool.lockstep.images.serve.comand` is not a setting of lockstep
> hint: did you mean `command`?
> error: `tool.lockstep.platforms` names `linux/mips`
> hint: supported: linux/amd64, linux/arm64
> error: `tool.lockstep.pyhton` is not a setting of lockstep
> hint: did you mean `python`?
$ lockstep lock  # exits 1
> error: `tool.lockstep.images.serve.groups` names `trian`, which the project does not have
> hint: add it under [dependency-groups] (there: train)
> error: `tool.lockstep.images.serve.include` leads out of the project: `/etc/passwd`
> error: `tool.lockstep.images.serve.budget` is `large`, not a size
> hint: write it as "350MB"
> error: `tool.lockstep.images.serve.health` needs a `port`, and a path that starts with /
> error: `tool.lockstep.images.serve.comand` is not a setting of lockstep
> hint: did you mean `command`?
> error: `tool.lockstep.platforms` names `linux/mips`
> hint: supported: linux/amd64, linux/arm64
> error: `tool.lockstep.pyhton` is not a setting of lockstep
> hint: did you mean `python`?

-- pyproject.toml --
[project]
name = "tiny"
version = "0.1.0"

[dependency-groups]
train = []

[tool.lockstep]
pyhton = "3.11"
platforms = ["linux/mips"]

[tool.lockstep.images.serve]
groups = ["trian"]
include = ["/etc/passwd"]
comand = ["python"]
health = "/health"
budget = "large"
