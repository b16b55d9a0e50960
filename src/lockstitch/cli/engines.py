"""What `lockstitch build` does with an engine: lets it build, or loads what lockstitch built."""

import argparse
import sys
from collections.abc import Sequence

from lockstitch import files
from lockstitch.cli.session import Session, layout_folder, print_json
from lockstitch.dockerfile import engines, render
from lockstitch.dockerfile.engines import BUILDERS, RUNNERS, Engine, Recipe
from lockstitch.errors import LockstitchError, UsageError, raise_all
from lockstitch.image.build import Builder, Built
from lockstitch.lock.bases import kind_of
from lockstitch.lock.file import Lock
from lockstitch.oci.layout import Layout
from lockstitch.progress import say
from lockstitch.python.model import ImageSpec, Project

__all__ = ["add_options", "build", "checked", "load", "target"]

_NATIVE = "leave out --engine: lockstitch build needs none"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that name an engine."""
    group = parser.add_argument_group("engines")
    group.add_argument(
        "--engine",
        choices=("native", *BUILDERS),
        default="native",
        help="who builds: lockstitch, or a program that builds the files of `lockstitch render` "
        "and whose digest is not promised; it gets the words after -- (default: native)",
    )
    group.add_argument(
        "--load",
        metavar="ENGINE",
        nargs="?",
        const="",
        help="also put the images into a running docker or podman (default: the one that answers)",
    )


def checked(options: argparse.Namespace) -> None:
    """Raise UsageError for options that exclude each other; sort out what --load took."""
    if options.load and options.load not in RUNNERS:
        options.image.append(options.load)  # `--load serve` loads the image `serve`
        options.load = ""
    if options.engine == "native":
        if options.rest:
            message = "words after `--` are for an engine's build, and there is no --engine"
            raise UsageError(message, hint="add --engine docker")
        return
    given = {
        "--output": options.output,
        "--layout": options.layout,
        "--base-only": options.base_only,
        "--load": options.load is not None,
        "--push": options.push,
        "--cache": options.cache,
        "--compression": options.compression != "wheel",
    }
    wrong = [name for name, value in given.items() if value]
    if wrong:
        message = f"--engine {options.engine} keeps what it builds itself: no {', '.join(wrong)}"
        raise UsageError(message, hint=_NATIVE)


def target(project: Project, options: argparse.Namespace) -> Engine | None:
    """Return the engine that --load asks for, or None without it."""
    if options.load is None:
        return None
    return _find((options.load,) if options.load else RUNNERS, "leave out --load", project)


def load(
    session: Session, found: Engine, built: Sequence[Built], options: argparse.Namespace
) -> None:
    """Put the images of the engine's platform into the engine."""
    project = session.project
    for each in built:
        if str(each.image.platform) != found.platform:
            continue
        tag = options.tag or engines.tag(project, each.prepared.spec)
        with session.progress.task(f"load {tag} into {found.name}", 0):
            identity = engines.load(found, each.image, tag)
        if not options.json:
            say(f"{each.name}: {tag} in {found.name}, image ID {identity.short}")


def build(
    session: Session, lock: Lock, specs: Sequence[ImageSpec], options: argparse.Namespace
) -> int:
    """Let an engine build the rendered Dockerfiles, and print `NAME TAG`, one image a line."""
    project = session.project
    _check_rendered(project, lock, specs)
    found = _find((options.engine,), _NATIVE, project)
    _give_base(session, lock, found)
    line = _unseen if options.quiet or options.json else _shown
    answers = []
    for spec in specs:
        tag = options.tag or engines.tag(project, spec)
        recipe = Recipe(
            folder=project.root, dockerfile=render.name(spec), tag=tag, words=options.rest
        )
        with session.progress.task(f"{found.name} build {tag}", 0):
            identity = engines.build(found, recipe, line)
        answers.append({"name": spec.name, "tag": tag, "id": identity, "engine": found.name})
        if not options.json:
            say(f"{spec.name}: {tag} in {found.name}, image ID {identity[:12]}")
            sys.stdout.write(f"{spec.name} {tag}\n")
    if options.json:
        print_json([each | {"promised": False} for each in answers])
    else:
        say(f"the digest is not promised: {found.name} writes the time of the build into it")
    return 0


def _shown(text: str) -> None:
    if text:
        say(text if text.startswith("> ") else f"< {text}")


def _unseen(_: str) -> None:
    """Drop a line: the end of the output is in the error, should there be one."""


def _find(names: Sequence[str], hint: str, project: Project) -> Engine:
    found = engines.find(names, hint=f"install or start {' or '.join(names)}, or {hint}")
    if found.platform not in project.platforms:
        message = f"`{found.name}` here is for {found.platform}, "
        message += f"the project has {', '.join(project.platforms)}"
        raise LockstitchError(
            message, hint=f'platforms = ["{found.platform}"] in [tool.lockstitch]'
        )
    return found


def _check_rendered(project: Project, lock: Lock, specs: Sequence[ImageSpec]) -> None:
    """Raise LockstitchError for each file that the engine would read and `render` would change."""
    others = {render.name(each) for each in project.images if each not in specs}
    problems = []
    for name, text in render.everything(project, lock).items():
        path = project.root / name
        if name not in others and (not path.is_file() or files.read_text(path) != text):
            message = f"`{name}` is not what pyproject.toml and the lock give"
            problems.append(LockstitchError(message, hint="lockstitch render"))
    raise_all(problems)


def _give_base(session: Session, lock: Lock, found: Engine) -> None:
    """Put the base into the engine where no registry has it."""
    project = session.project
    if kind_of(project.base).in_registry:
        return
    builder = Builder(project, lock, session.store, session.fetcher, session.progress)
    image = builder.base(found.platform, Layout(layout_folder(project)))
    tag = render.base_tag(project)
    with session.progress.task(f"load {tag} into {found.name}", 0):
        engines.load(found, image, tag)
