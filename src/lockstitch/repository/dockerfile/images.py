"""The Dockerfiles of a repository and the images they build: base, steps, entry, user, uses."""

import functools
import posixpath
import re
from collections.abc import Iterator

from lockstitch.patterns import regex
from lockstitch.repository.dockerfile import bases, reader
from lockstitch.repository.dockerfile import contexts as context_facts
from lockstitch.repository.dockerfile.bases import Base
from lockstitch.repository.dockerfile.contexts import Context, Use, service_calls
from lockstitch.repository.dockerfile.entry import Entry, entry, serves
from lockstitch.repository.dockerfile.installs import Install
from lockstitch.repository.dockerfile.reader import Dockerfile, Stage
from lockstitch.repository.dockerfile.stages import State, Step, steps
from lockstitch.repository.files import File, Repository, once
from lockstitch.repository.text.image_names import Reference, reference

_DOCKERFILE = regex(r"(?:.*\.)?(?:dockerfile|containerfile)(?:[.-].+|_\w+)?", re.IGNORECASE)
_NO_DOCKERFILE = (
    *(".dockerignore", ".md", ".txt", ".py", ".sh", ".j2", ".jinja", ".tmpl", ".template"),
)
_DEVELOPMENT = regex(
    r"(?:^|[-_./])(?:dev|devel|develop|development|devcontainer|debug|tests?|testing|lint|ci|docs"
    r"|checks?|qa|notebooks?|jupyter|bench|benchmarks?|sandbox)(?:$|[-_./])"
)
_BUILDING = regex(r"(?:^|[-_.])(?:build|builder|deps|dependencies|base|export|cache|wheels?)")
_TEMPLATE = regex(r"\{%|\{\{")
_PYTHON_BASES = frozenset(
    {"python", "conda", "pytorch", "tensorflow", "mlflow", "jupyter", "tiangolo", "lambda"}
)
_PYTHON_CALLS = frozenset({"python", "pip", "uv", "poetry", "pdm", "pipenv", "conda"})


class Built:
    """One stage as an image, with all that it is made from and copies from."""

    def __init__(self, image: "ImageFile", stage: Stage) -> None:
        self.image = image
        self.stage = stage

    @functools.cached_property
    def chain(self) -> tuple[Stage, ...]:
        """The stages that it is made from, the first first, itself last."""
        stages = [self.stage]
        while (base := stages[0].base_stage) is not None:
            stages.insert(0, self.image.dockerfile.stages[base])
        return tuple(stages)

    @functools.cached_property
    def reference(self) -> Reference | None:
        """The image that the chain begins with, None when only a build can tell."""
        base = self.chain[0].base
        return None if base.unknown or base.wrong else reference(base.text)

    @functools.cached_property
    def base(self) -> Base | None:
        """The facts of that image."""
        return bases.known_base(self.reference) if self.reference else None

    @functools.cached_property
    def steps(self) -> tuple[Step, ...]:
        """The steps of the whole chain, in order."""
        return tuple(step for stage in self.chain for step in self.image.steps(stage.index)[0])

    @property
    def state(self) -> State:
        """Working folder, user and variables at its end."""
        return self.image.steps(self.stage.index)[1]

    @functools.cached_property
    def entry(self) -> Entry:
        """The programs that start in its containers."""
        return entry(self.steps, self.image.script)

    @functools.cached_property
    def installs(self) -> tuple[tuple[Step, Install], ...]:
        """The installs of the chain, in order."""
        return tuple((step, install) for step in self.steps for install in step.installs)

    @functools.cached_property
    def sources(self) -> tuple["Built", ...]:
        """The stages whose files it takes, by COPY or a mount, and those that they take from."""
        stages: dict[int, Built] = {}
        todo = [self]
        while todo:
            built = todo.pop()
            for stage in built.image.taken_from(built.steps):
                if stage.index not in stages and stage.index != self.stage.index:
                    stages[stage.index] = self.image.built(stage)
                    todo.append(stages[stage.index])
        return tuple(stages[index] for index in sorted(stages))

    @functools.cached_property
    def is_python(self) -> bool:
        """Whether it holds or runs Python."""
        if self.base is not None and self.base.kind in _PYTHON_BASES:
            return True
        if any(
            install.is_python for built in (self, *self.sources) for _, install in built.installs
        ):
            return True
        return any(call.program in _PYTHON_CALLS for call in self.entry.calls)

    @functools.cached_property
    def health(self) -> Step | None:
        """The HEALTHCHECK that counts."""
        checks = [step for step in self.steps if step.instruction.name == "HEALTHCHECK"]
        return checks[-1] if checks else None

    @functools.cached_property
    def serves(self) -> bool:
        """Whether its container answers requests."""
        calls = [
            *self.entry.calls,
            *(call for use in self.uses for call in service_calls(use.service)),
        ]
        exposes = any(step.instruction.name == "EXPOSE" for step in self.steps)
        return any(serves(call, exposes=exposes) for call in calls)

    @functools.cached_property
    def user(self) -> str | None:
        """The user that it runs as, None when not known; names of root are `root`."""
        user = self.state.user
        if user is None and self.base is not None:
            user = self.base.user
        if user in {None, "", "?"}:
            return None if user != "" else "root"
        return "root" if user in {"root", "0"} else user

    @functools.cached_property
    def uses(self) -> tuple[Use, ...]:
        """The services of compose files that are built as this stage."""
        last = self.image.dockerfile.stages[-1].index == self.stage.index
        return tuple(
            use
            for use in self.image.uses
            if use.target in {self.stage.name or None, str(self.stage.index)}
            or (last and not use.target)
        )


class ImageFile:
    """One Dockerfile with its stages, the images that are made of it, and where it is built."""

    def __init__(self, repo: Repository, file: File[Dockerfile], used: tuple[Use, ...]) -> None:
        """Keep the file; `used` are the uses of all Dockerfiles."""
        self.repo = repo
        self.path = file.path
        self.text = file.text
        self.dockerfile = file.value
        self.uses = tuple(use for use in used if use.path == file.path)
        self._steps: dict[int, tuple[tuple[Step, ...], State]] = {}
        self._built: dict[int, Built] = {}

    @functools.cached_property
    def is_development(self) -> bool:
        """Whether its name says that it is for developing or testing only."""
        return _DEVELOPMENT.search(self.path.lower()) is not None

    def steps(self, index: int) -> tuple[tuple[Step, ...], State]:
        """Return a stage's own steps and the state at its end."""
        if index not in self._steps:
            stage = self.dockerfile.stages[index]
            before = State() if stage.base_stage is None else self.steps(stage.base_stage)[1]
            self._steps[index] = steps(stage, before)
        return self._steps[index]

    def built(self, stage: Stage) -> Built:
        """Return a stage with all that it is made from."""
        return self._built.setdefault(stage.index, Built(self, stage))

    @functools.cached_property
    def stages(self) -> tuple[Built, ...]:
        """Every stage."""
        return tuple(self.built(stage) for stage in self.dockerfile.stages)

    @property
    def all_steps(self) -> list[Step]:
        """The steps of all stages, each once."""
        return [step for stage in self.dockerfile.stages for step in self.steps(stage.index)[0]]

    @functools.cached_property
    def products(self) -> tuple[Built, ...]:
        """The images that run somewhere: the last stage, targets, and stages that no other needs.

        Those for developing or testing are not among them.
        """
        stages = self.dockerfile.stages
        if not stages or self.is_development:
            return ()
        targets = {use.target for use in self.uses}
        used = {stage.base_stage for stage in stages}
        used |= {e.index for stage in self.stages for e in self.taken_from(stage.steps)}
        images = []
        for stage in stages:
            last = stage is stages[-1]
            leaf = stage.index not in used and not _BUILDING.search(stage.name)
            chosen = last or leaf or stage.name in targets - {""} or str(stage.index) in targets
            if chosen and not _DEVELOPMENT.search(stage.name):
                images.append(self.built(stage))
        return tuple(images)

    def taken_from(self, taking: tuple[Step, ...]) -> Iterator[Stage]:
        """Yield the stages that steps take files from."""
        for step in taking:
            names = [(step.instruction.flag("from") or "", True)]
            names += [(mount.get("from", ""), False) for mount in step.mounts("bind")]
            for name, numbers in names:
                stage = self.dockerfile.stage(name, numbers=numbers) if name else None
                if stage is not None:
                    yield stage

    @functools.cached_property
    def contexts(self) -> tuple[Context, ...]:
        """The folders that it may be built in."""
        sources = [
            source
            for step in self.all_steps
            if step.copied and step.copied.known and not step.copied.origin
            for source in step.copied.sources
            if "://" not in source
        ]
        return context_facts.contexts(self.repo, self.path, self.uses, sources)

    def script(self, name: str) -> tuple[str, str] | None:
        """Return the path and text of a script of the repository that an image starts, by name."""
        base = posixpath.basename(name)
        if not base.endswith((".sh", ".bash")) and "." in base:
            return None
        paths = [
            name
            for name in self.repo.names
            if posixpath.basename(name) == base
            and any(not c.folder or name.startswith(f"{c.folder}/") for c in self.contexts)
        ]
        text = self.repo.text(paths[0]) if len(paths) == 1 else None
        if text is None or not (base.endswith((".sh", ".bash")) or text.startswith("#!")):
            return None
        return paths[0], text


@once
def image_files(repo: Repository) -> tuple[ImageFile, ...]:
    """Return every Dockerfile that is not a template of one."""
    used = context_facts.uses(repo)
    return tuple(
        ImageFile(repo, file, used)
        for file in dockerfiles(repo)
        if not _TEMPLATE.search(file.text) and "{" not in file.path
    )


def products(repo: Repository) -> Iterator[Built]:
    """Yield the images that run somewhere, of all Dockerfiles."""
    for image in image_files(repo):
        yield from image.products


@once
def dockerfiles(repo: Repository) -> tuple[File[Dockerfile], ...]:
    """Return every Dockerfile, read."""
    bases = [(name, name.rpartition("/")[2]) for name in repo.names]
    return tuple(
        File(path=name, text=text, value=reader.read(text))
        for name, base in bases
        if _DOCKERFILE.fullmatch(base) and not base.lower().endswith(_NO_DOCKERFILE)
        if (text := repo.text(name)) is not None
    )
