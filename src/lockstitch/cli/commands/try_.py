"""Start a built image without a container engine, and name what is missing.

Builds the image where it is not up to date, unpacks it into the cache, and starts its command as
in a container: as the image's user, with a read-only root, its own environment and writable
`outputs`. A server must answer its health route, and the `request` of its image where it has one;
another command must end with 0 or still run after --seconds. Shows the output, then one verdict,
with the line that adds a missing module, library, file or folder.

examples:
  # the only image of the project
  lockstitch try
  # with words added to the command
  lockstitch try train -- --epochs 1
  # with a variable that the program needs
  lockstitch try serve --env API_KEY=none
"""

import argparse
import json
import posixpath
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import PurePath

from lockstitch import environ, files
from lockstitch.cli.options import COMMON, operand, option, repeatable
from lockstitch.cli.session import Session, layout_folder, open_session, print_json, would
from lockstitch.errors import LockstitchError, UsageError, printable
from lockstitch.image.build import Built
from lockstitch.image.contents import how_to_get
from lockstitch.lock import loosen, make
from lockstitch.oci.layout import Layout
from lockstitch.oci.model import Image
from lockstitch.progress import say
from lockstitch.python.model import BESIDE, ImageSpec, Project
from lockstitch.python.names import distribution_of
from lockstitch.repository.code.variables import examples
from lockstitch.repository.files import open_repository
from lockstitch.trial import rootfs
from lockstitch.trial.start import Answered, Trial, Verdict, start
from lockstitch.trial.verdict import Lack, gives_up, plain

SECONDS = 60.0
REST = "words to add to the command"  # what stands after `--`
OPTIONS = (
    operand("image", "IMAGE", "image to start (default: the only one)", nargs="?"),
    option(
        "--seconds N",
        "how long a command may run, or a server take to answer (default: 60)",
        type=float,
        default=SECONDS,
    ),
    repeatable("--env NAME=VALUE", "variable of the program; NAME alone takes this shell's"),
    COMMON,
)
_SHOWN = 40  # lines of output
_WIDE = 160  # characters of a program's last error
_ERROR = re.compile(
    r"(?:[a-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt|NotFound\w*|Mismatch)\b: ."
)


def run(options: argparse.Namespace) -> int:
    """Start the image, print what it printed and the verdict; exit 1 when it fails."""
    session = open_session(options)
    spec = _chosen(session, options.image)
    if not spec.command:
        message = f"`tool.lockstitch.images.{spec.name}` has no command"
        raise LockstitchError(message, hint='add command = ["python", "src/train.py"]')
    variables = dict(map(_variable, options.env))
    if options.dry_run:
        words = " ".join([*spec.command, *options.rest])
        return would(options, f"build {spec.name} and start `{words}` in it")
    image = _built(session, spec)
    verdict = tried(
        session, spec, image, arguments=options.rest, env=variables, seconds=options.seconds
    )
    if options.json:
        print_json(document(session.project, spec, verdict))
    else:
        sys.stdout.write(f"{show(session.project, spec, verdict)}\n")
    return 0 if verdict.is_good else 1


def tried(
    session: Session,
    spec: ImageSpec,
    image: Image,
    *,
    arguments: tuple[str, ...] = (),
    env: Mapping[str, str] | None = None,
    seconds: float = SECONDS,
) -> Verdict:
    """Return how an image starts here; raises LockstitchError where this machine cannot."""
    total = sum(layer.facts.size for layer in image.layers)
    with session.progress.task(f"unpack {spec.name}", total) as task:
        root = rootfs.unpack(image, session.store, task.advance)
    trial = Trial(
        spec=spec,
        config=image.config,
        root=root,
        arguments=arguments,
        env=env or {},
        seconds=seconds,
        request=_request(session.project, spec),
    )
    with session.progress.task(f"start {spec.name}", 0):
        return start(trial)


def _request(project: Project, spec: ImageSpec) -> bytes | None:
    if not spec.request:
        return None
    path = project.root / spec.request
    try:
        return path.read_bytes()
    except OSError as error:
        setting = f"tool.lockstitch.images.{spec.name}.request"
        message = f"`{path}` of `{setting}` cannot be read: {error.strerror}"
        raise LockstitchError(message, hint="write it, or take `request` out") from error


def _variable(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals:
        value = environ.child().get(name, "")
    if not name or not (equals or value):
        message = f"`--env {word}`: {f'`{name}` is not set here' if name else 'no name'}"
        raise UsageError(message, hint="lockstitch try --env NAME=VALUE")
    return name, value


def _chosen(session: Session, name: str | None) -> ImageSpec:
    images = {image.name: image for image in session.project.images}
    if name in images or (name is None and len(images) == 1):
        return images[name or next(iter(images))]
    has = ", ".join(images)
    unknown = f"`{name}` is not an image of this project (it has: {has})"
    message = unknown if name else f"this project has several images: {has}"
    near = get_close_matches(name or "", images, n=1, cutoff=0) or [*images]
    raise UsageError(message, hint=f"lockstitch try {near[0]}")


def _built(session: Session, spec: ImageSpec) -> Image:
    """Return the image for this machine, built where it is not up to date."""
    project = session.project
    lock = make.current(project)
    built = session.builder(lock).build([spec], Layout(layout_folder(project), own=True))
    return of_this_machine(project, built)[0].image


def of_this_machine(project: Project, built: Sequence[Built]) -> list[Built]:
    """Return the images that this machine can start; raises LockstitchError where none is."""
    from lockstitch.dockerfile.engines import machine

    own = machine()
    fitting = [image for image in built if str(image.image.platform) == own]
    if not fitting:
        message = f"this machine is {own}, the project has {', '.join(project.platforms)}"
        raise LockstitchError(message, hint=f'platforms = ["{own}"] in [tool.lockstitch]')
    return fitting


def show(project: Project, spec: ImageSpec, verdict: Verdict) -> str:
    """Print the end of the output and what was missing; return the verdict in one line."""
    lines = verdict.output.splitlines()
    if len(lines) > _SHOWN:
        say(f"({len(lines) - _SHOWN} lines before these)")
    for line in lines[-_SHOWN:]:
        say(f"< {line}")
    if verdict.answered and spec.request:
        say(f"POST {spec.request_path}: {printable(verdict.answered.body, 300)}")
    for lack, remedy in _remedies(project, spec, verdict):
        told = "is missing" if not verdict.is_good else "is missing by what it printed"
        say(f"{lack.kind} `{lack.name}` {told}: {remedy}")
    for line in _mended(spec, verdict):
        say(line)
    return f"{spec.name}: {_words(spec, verdict)}"


def refusal(project: Project, spec: ImageSpec, verdict: Verdict) -> LockstitchError:
    """Return the error for an image that was built and does not start, with the first remedy."""
    errors = [line for line in plain(verdict.output).splitlines() if _ERROR.match(line)]
    last = verdict.gave_up or (
        errors[-1].strip() if errors and (verdict.code or verdict.raised) else ""
    )
    why = f": `{printable(last, _WIDE)}`" if last else ""
    remedies = [remedy for _, remedy in _remedies(project, spec, verdict)]
    remedies += _mended(spec, verdict)
    if verdict.gave_up or (not remedies and gives_up(last)):
        table = f"[tool.lockstitch.images.{spec.name}]"
        jobs = [i.name for i in project.images if i.name != spec.name and i.outputs and not i.port]
        first = (
            f"lockstitch run {jobs[0]}, if that makes it; then" if jobs else "put it there, with"
        )
        remedies.append(f"{first} its path in `include` of {table}")
    hint = remedies[0] if remedies else f"lockstitch try {spec.name}"
    return LockstitchError(f"image `{spec.name}` is built, and does not start{why}", hint=hint)


def _remedies(project: Project, spec: ImageSpec, verdict: Verdict) -> Iterator[tuple[Lack, str]]:
    """Yield what an image lacks, each with its remedy: one command has all variables."""
    variables = [lack.name for lack in verdict.lacks if lack.kind == "variable"]
    known = examples(open_repository(project.root).text) if variables else {}
    for lack in verdict.lacks:
        remedy = loosen.typed(project, _remedy(project, spec, lack))
        if lack.kind == "variable":
            words = (shlex.quote(f"{name}={known.get(name, 'VALUE')}") for name in variables)
            every = " ".join(f"--env {word}" for word in words)
            remedy = remedy.replace(f"--env {lack.name}=VALUE", every)
        yield lack, remedy


def _remedy(project: Project, spec: ImageSpec, lack: Lack) -> str:
    """Return the remedy for what an image lacks; a file must be in the project to be included."""
    if lack.kind == "module":
        return _remedy_of_module(project, spec, lack)
    host, _, port = lack.name.partition(":")
    others = (i.name for i in project.images if str(i.port) == port and i.name != spec.name)
    if host in {"localhost", "127.0.0.1"} and (other := next(others, "")):
        return f"lockstitch run {other}, and beside it lockstitch try {spec.name}"
    if lack.kind != "file":
        own = _with_class(project, spec, lack.name) if lack.kind == "class" else ""
        own = _written_anew(project, spec) if lack.kind == "scikit-learn" else own
        return own or lack.line(spec.name)
    if of_windows := _of_windows(project, lack.name):
        return of_windows
    if lack.name.startswith("/") and not lack.name.startswith("/app/"):
        return "the image has no such place: name one below /app, or mount it"
    folder = "" if lack.name.startswith("/app/") else spec.workdir
    path = posixpath.normpath(posixpath.join(folder, lack.inside))
    include = Lack(kind="file", name=path).line(spec.name)
    if (project.root / path).exists():
        return include
    command = how_to_get(project, spec, path)
    if command.startswith(("dvc", "lockstitch")):
        does = "" if command.startswith("dvc") else ", which writes there"
        return f"{command}{does}, then {include}"
    alike = files.nearest(path, [file.name for file in files.walk(project.root)])
    rest = f", it has `{alike}`" if alike else f": put it there, with {include}"
    return f"the project has no such file{rest}"


def _with_class(project: Project, spec: ImageSpec, name: str) -> str:
    """Return the settings of a server that finds a class in `__main__`, "" for what is none."""
    defines = re.compile(rf"(?m)^(?:class|def) {name}\b")
    for file in files.walk(project.root) if spec.port and spec.command[0] != "python" else ():
        text = file.path.read_text(errors="replace") if file.name.endswith(".py") else ""
        if defines.search(text) and ".load(" not in text:  # what loads the model comes too late
            module = file.name.removesuffix(".py").replace("/", ".")
            run = f"import runpy; runpy.run_module('{spec.command[0]}', run_name='__main__')"
            words = ["python", "-c", f"from {module} import {name}; {run}", *spec.command[1:]]
            given = f'command = {json.dumps(words)} and "{file.name}" in `include`'
            return f"{given} of [tool.lockstitch.images.{spec.name}]"
    return ""


def _written_anew(project: Project, spec: ImageSpec) -> str:
    """Return the command that writes what an image includes anew, "" where nothing here does."""
    made = (how_to_get(project, spec, glob) for glob in spec.include)
    command = next((c for c in made if c.startswith("lockstitch run")), "")
    return command and f"{command} && lockstitch build"


def _of_windows(project: Project, name: str) -> str:
    """Return the remedy for a path of Windows, "" for another one."""
    drive, *parts = re.split(r"[\\/]+", name)
    if re.fullmatch("[A-Za-z]:", drive) and parts:
        ends = f"/{parts[-1]}"
        own = next((e.name for e in files.walk(project.root) if e.name.endswith(ends)), "")
        there = f": the project has it as `{own}`" if own else ""
        return f"a path of a machine with Windows, which is nowhere else{there}"
    path = "/".join((drive, *parts))
    told = f"`\\` parts no folders on Linux: write `{path}` in the code"
    return told if "\\" in name else ""


def _remedy_of_module(project: Project, spec: ImageSpec, lack: Lack) -> str:
    """Return the remedy for a module that an image lacks."""
    base = posixpath.join(spec.workdir, lack.name.replace(".", "/"))
    if "." in lack.name and (project.root / posixpath.dirname(base)).is_dir():
        return f"the project has no `{base}.py`; git check-ignore -v {base}.py"
    top = distribution_of(lack.name.partition(".")[0])
    if "." in lack.name and distribution_of(lack.name) == top:  # Python found what it is in
        if top == "scikit-learn":
            return (
                "a scikit-learn before 0.22 wrote the model, and the one of Python 3.8 is the last "
                "that reads it: train it again, or lockstitch init --python 3.8 in a new clone"
            )
        if lack.name.startswith("numpy._core"):
            return "numpy 2 wrote the file: write it again, or uv add 'numpy>=2'"
        return f"the version of {top} that is here has none: uv add '{top}<VERSION'"
    if "." not in lack.name and "PYTHONPATH" not in spec.env and (own := _own(project, lack.name)):
        above, inside = own
        found = f'env = {{PYTHONPATH = "{posixpath.normpath(f"/app/{above}")}"}}'
        is_there = (project.root / lack.name).is_dir() or inside in spec.include
        included = "" if is_there else f'"{inside}" in `include` and '
        return f"{included}{found} in [tool.lockstitch.images.{spec.name}]"
    return lack.line(spec.name)


def _own(project: Project, module: str) -> tuple[str, str] | None:
    """Return the folder of the project that a module is in, and what includes it; None for none."""
    if (project.root / module).is_dir():
        return "", f"{module}/**"
    for file in files.walk(project.root):
        *folders, name = file.name.split("/")
        at = folders.index(module) if module in folders else len(folders)
        if at < len(folders) or name == f"{module}.py":
            above = "/".join(folders[:at])
            return above, posixpath.join(above, f"{module}/**" if at < len(folders) else name)
    return None


def _mended(spec: ImageSpec, verdict: Verdict) -> Iterator[str]:
    """Yield the remedy for the folders that a program wants to write."""
    writes = verdict.writes
    above = [name for name in writes if name.startswith("/") and "'../" in verdict.output]
    inside = [posixpath.dirname(name.removeprefix("/")) for name in above]
    # A name with a dot that no folder of the image has is a file's, as far as a trial can tell.
    below = [name for name in writes if not name.startswith("/")]
    folders = [name for name in below if not PurePath(name).suffix]
    beside = [name for name in below if name not in folders]
    wanted = sorted({*spec.outputs, *folders, *inside, *([BESIDE] if beside else [])} - {""})
    shown = ", ".join(f'"{name}"' for name in wanted)
    path = next((word for word in spec.command if word.endswith(".py") and "/" in word), "")
    if above and path and not spec.workdir:
        folder, _, name = path.partition("/")
        words = [name if word == path else word for word in spec.command]
        yield (
            f'it writes above the folder that it starts in: workdir = "{folder}", command = '
            f"{json.dumps(words)}, outputs = [{shown}] in [tool.lockstitch.images.{spec.name}]"
        )
        return
    if beside:
        names = ", ".join(f"`{name}`" for name in beside)
        yield f"it writes {names} beside the code: outputs = [{shown}], or write to a folder"
    elif folders:
        yield f"it writes to folders of the image: outputs = [{shown}]"
    for name in (name for name in writes if name.startswith("/")):
        if re.match("/[A-Za-z]:/", name):
            yield f"`{name[1:]}` is a path of a machine with Windows, which is nowhere else"
            return
        if name.startswith("/home/"):
            yield (
                f"it writes to the home folder (`{name}`): lockstitch try {spec.name} --env "
                f'HOME=/tmp, and env = {{HOME = "/tmp"}} in [tool.lockstitch.images.{spec.name}]'
            )
            return
        yield f"it writes to `{name}`: set the variable that moves it to /tmp, in `env`"


def _words(spec: ImageSpec, verdict: Verdict) -> str:
    on = f"answers on {spec.health or f'port {spec.port}'} after {verdict.seconds:.1f} s"
    on += (
        f" on port {verdict.port}, as {spec.port} is taken on this machine" if verdict.port else ""
    )
    seconds = f"{verdict.seconds:.1f} s"
    plain = {
        "ended": f"ended with 0 after {seconds}",
        "runs": f"still runs after {verdict.seconds:.0f} s",
        "asks": f"asks for input after {seconds}; with a terminal: lockstitch run {spec.name}",
    }
    if verdict.outcome in plain:
        return plain[verdict.outcome]
    match verdict.outcome:
        case "answers" if verdict.answered:
            return f"{on}, and POST {spec.request_path} in {1000 * verdict.answered.seconds:.0f} ms"
        case "answers":
            return on
        case _ if verdict.raised:
            return f"failed: answers after {verdict.seconds:.1f} s, and its page ends with an error"
        case _ if verdict.answered:
            status = verdict.answered.status
            told = f"HTTP {status}" if status else "no answer"
            asked = f"POST {spec.request_path} ({spec.request})" if spec.request else "GET /"
            return f"failed: {on}, and {told} to {asked}"
        case _ if verdict.gave_up:
            return f"failed: ended with 0 after {seconds}, and says that something is missing"
        case _ if verdict.code is None:
            place = f"on {spec.health or f'port {spec.port}'}" if spec.port else "to what it asks"
            return f"failed: no answer {place} in {verdict.seconds:.0f} s"
        case _:
            return f"failed: ended with {verdict.code} after {verdict.seconds:.1f} s"


def document(project: Project, spec: ImageSpec, verdict: Verdict) -> dict[str, object]:
    """Return a verdict as JSON."""
    return {
        "version": 1,
        "image": spec.name,
        "outcome": verdict.outcome,
        "seconds": round(verdict.seconds, 2),
        "code": verdict.code,
        "output": verdict.output,
        "lacks": [
            {"kind": lack.kind, "name": lack.name, "hint": _remedy(project, spec, lack)}
            for lack in verdict.lacks
        ],
        "writes": list(verdict.writes),
        "port": verdict.port or spec.port,
        "answer": _answer(verdict.answered),
    }


def _answer(answered: Answered | None) -> dict[str, object] | None:
    if answered is None:
        return None
    seconds = round(answered.seconds, 3)
    return {"status": answered.status, "seconds": seconds, "body": answered.body}
