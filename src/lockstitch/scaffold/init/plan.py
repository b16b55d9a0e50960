"""Plans every change of `lockstitch init`, and writes all of them or none.

`facts` are read from the folder, `decisions` made about them, and the edits planned here.
"""

import difflib
import re
import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from lockstitch import files
from lockstitch.errors import LockstitchError, UsageError
from lockstitch.python import load
from lockstitch.python.model import ImageSpec, Project
from lockstitch.python.tables import parse_toml
from lockstitch.scaffold.init.decisions import Reason, decide
from lockstitch.scaffold.init.edit import edit
from lockstitch.scaffold.init.facts import read
from lockstitch.scaffold.init.folder import Folder
from lockstitch.table import first_of
from lockstitch.values import frozen

Tools = Literal["none", "add", "replace"]
_OTHERS = frozenset(
    {".c", ".cc", ".cpp", ".cs", ".go", ".java", ".jl", ".js", ".kt", ".php", ".r", ".rb", ".rs"}
    | {".scala", ".swift", ".ts", ".tsx"}
)
_SECRET = re.compile(r"(://)[^/\s@]*@")
_SHOWN = 12  # globs of an image; the difference has them all


@frozen
class Change:
    """A file before (None: it is new) and after, as bytes."""

    name: str
    before: bytes | None
    after: bytes


@frozen
class Plan:
    """The files to write, by name, and notes about them for people."""

    root: Path
    manager: str
    changes: tuple[Change, ...]
    notes: tuple[str, ...]
    project: Project  # as it will be
    sources: tuple[str, ...] = ()  # the files that say what the project is and needs
    reasons: tuple[Reason, ...] = ()


def plan(  # noqa: PLR0913 -- each is an option of the command
    root: Path,
    manager: str = "",
    python: str = "",
    *,
    tools: Tools = "none",
    has_poetry: bool = True,
    explain: bool = False,
    split: bool = False,
    can_fetch: Callable[[str], bool] = lambda _: True,
) -> Plan:
    """Return the plan for a folder; reads only the folder, and writes nothing.

    `python` is the minor version of the images where it is named. `tools` are
    linters, hooks and pytest: to be added, or to replace settings that differ too. Without Poetry
    on this machine, a project of Poetry becomes one of uv with the versions of its lock. With
    `explain`, the reasons for images are found for a project that has its images too. With `split`,
    what only one image imports is in a group of its name. `can_fetch`
    is asked about a Python that Debian lacks.
    Raises UsageError where the folder is not there, LockstitchError for what is there and cannot be
    worked with.
    """
    if not root.is_dir():
        message = f"`{root}` is no folder"
        raise UsageError(message, hint="lockstitch new NAME, for a project from the beginning")
    folder = Folder(root)
    force = tools == "replace"
    facts = read(folder, manager, has_poetry=has_poetry)
    decisions = decide(
        facts,
        python,
        with_tools=tools != "none",
        force=force,
        explain=explain,
        split=split,
        can_fetch=can_fetch,
    )
    names = ["pyproject.toml"] if facts.document else []
    names += [*facts.setup.sources, *facts.inputs.used]
    sources = tuple(dict.fromkeys([*names, *(reason.why[0] for reason in decisions.reasons)]))
    if not sources:
        _refuse_other_code(root)
    edited = edit(facts.text, decisions.tables, "pyproject.toml", force=force)
    project = load.read(parse_toml(edited.text, "`pyproject.toml`", hint="correct that line"), root)
    texts = {**decisions.files, "pyproject.toml": edited.text}
    changes = [c for name, text in sorted(texts.items()) if (c := _change(folder, name, text))]
    return Plan(
        root=root,
        manager=facts.manager,
        changes=tuple(changes),
        notes=tuple(dict.fromkeys([*decisions.notes, *edited.notes])),
        project=project,
        sources=sources,
        reasons=decisions.reasons,
    )


def _change(folder: Folder, name: str, text: str) -> Change | None:
    path = folder.root / name
    before = path.read_bytes() if path.exists() else None
    crlf = before is not None and b"\r\n" in before
    after = (text.replace("\n", "\r\n") if crlf else text).encode()
    same = before is not None and before.replace(b"\r\n", b"\n") == text.encode()
    return None if same else Change(name=name, before=before, after=after)


def _refuse_other_code(root: Path) -> None:
    """Raise LockstitchError for a folder whose code is all of another language."""
    endings = Counter(Path(file.name).suffix.lower() for file in files.walk(root))
    others = Counter({end: count for end, count in endings.items() if end in _OTHERS})
    if not others or endings.keys() & {".py", ".ipynb"}:
        return
    ((ending, count),) = others.most_common(1)
    message = f"`{root}` has no Python code: {count} of its files end with `{ending}`"
    raise LockstitchError(message, hint="lockstitch new NAME, for a project from the beginning")


def summary(plan: Plan) -> list[str]:
    """Return five lines: what the project has, and the images, commands, files and Python."""
    images = plan.project.images
    commands = [
        f"{i.name} `{' '.join(i.command)}`" if i.command else f"{i.name} none" for i in images
    ]
    held = [_files(image) for image in images]
    return [
        f"found: {', '.join(plan.sources) or 'no file that names dependencies or a program'}",
        f"images: {', '.join(image.name for image in images)}",
        f"commands: {'; '.join(commands)}",
        f"files: {'; '.join(held)}",
        f"Python: {plan.project.python} of {plan.project.base}",
    ]


def _files(image: ImageSpec) -> str:
    written = f", writes {', '.join(image.outputs)}" if image.outputs else ""
    return f"{image.name} {first_of(image.include, _SHOWN) or 'its packages'}{written}"


def explained(plan: Plan) -> list[str]:
    """Return the parts of each image and, below each, the file and line of its reason."""
    lines = []
    for reason in plan.reasons:
        lines.append(f"[tool.lockstitch.images.{reason.image}]")
        lines += [f"  {key} = {value!r}" for key, value in reason.values.items()]
        lines += [f"    {why}" for why in dict.fromkeys(reason.why)]
    return lines


def diff(plan: Plan) -> str:
    """Return a unified diff of all files, without the passwords in anybody's addresses."""
    parts = []
    for change in plan.changes:
        before, after = (
            (data or b"").decode().replace("\r\n", "\n") for data in (change.before, change.after)
        )
        name = "/dev/null" if change.before is None else f"a/{change.name}"
        lines = difflib.unified_diff(
            before.splitlines(keepends=True),
            after.splitlines(keepends=True),
            name,
            f"b/{change.name}",
        )
        whole = (line if line.endswith("\n") else f"{line}\n" for line in lines)
        parts.append(_SECRET.sub(r"\1***@", "".join(whole)))
    return "".join(parts)


def write(plan: Plan) -> None:
    """Write every file of a plan, or put them all back and raise OSError."""
    done: list[Change] = []
    try:
        for change in plan.changes:
            _put(plan.root / change.name, change.after)
            done.append(change)
    except BaseException:
        for change in reversed(done):
            path = plan.root / change.name
            if change.before is None:
                path.unlink(missing_ok=True)
            else:
                _put(path, change.before)
        raise


def _put(path: Path, data: bytes) -> None:
    target = path.resolve()  # a link stays one
    mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o644
    files.write_bytes(target, data, mode=mode)
