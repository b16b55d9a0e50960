"""Steps before a program: the scripts that make the files that it reads."""

import posixpath
import re
from collections.abc import Iterator, Sequence

from lockstitch import files
from lockstitch.scaffold.init.contents import (
    Contents,
    contents_of,
    covered,
    is_model,
    keeping,
    tops,
    without_parts,
)
from lockstitch.scaffold.init.facts import Facts
from lockstitch.scaffold.init.program import Program
from lockstitch.scaffold.init.programs import Found
from lockstitch.values import replace

_MOST = 8  # steps of one image


def complete(facts: Facts, known: Found) -> list[Contents]:
    """Return images' contents, with the steps that a Dockerfile or the missing files ask for.

    A script that makes what a server reads is an image too, so that `lockstitch run` makes it.
    """
    every = _agreed(facts, known, [*known.programs, *known.others])
    images, scripts = every[: len(known.programs)], every[len(known.programs) :]
    complete: list[Contents] = []
    for contents in images:
        given = [contents_of(facts, known, step) for step in contents.program.before]
        others = [other for other in images if other is not contents]
        chain = given or _Chain(known, contents, scripts, others).steps()
        complete.append(_joined(contents, chain))
    complete += _feeders(known, complete, scripts)
    complete.sort(key=lambda image: "train" not in image.program.image)
    for contents in complete:
        _rename(known, contents)
        if contents.program.stays:
            _await(known, contents, [image for image in complete if not image.program.stays])
        else:
            _pull(known, contents)
    return complete


def _agreed(facts: Facts, known: Found, programs: Sequence[Program]) -> list[Contents]:
    """Return the contents of programs, each started where what one writes is what others read."""
    every = [contents_of(facts, known, program) for program in programs]
    for _ in range(2):  # what reads is moved to what is written, then what writes
        jobs = [job for job in every if not job.program.stays]
        lacking = {
            name
            for contents in every
            for name in contents.absent
            if not any(_makes(job, name) or _fills(job, name) for job in jobs)
        }
        written = {path.rstrip("/") for job in jobs for path in job.written if "*" not in path}
        if not lacking or not written:
            break
        for at, (program, contents) in enumerate(zip(programs, every, strict=True)):
            if program.workdir or (program.stays and lacking.isdisjoint(contents.absent)):
                continue
            more = contents_of(facts, known, program, written - {*contents.written}, lacking)
            reads = lacking & contents.absent.keys() - more.absent.keys()
            if reads or any(_makes(more, name) for name in lacking):
                every[at] = more
    return every


def _feeders(
    known: Found, images: Sequence[Contents], scripts: Sequence[Contents]
) -> Iterator[Contents]:
    """Yield images of the scripts that make what servers read and no image's program makes."""
    taken = {image.program.image for image in images}
    used: list[Contents] = []
    jobs = [image for image in images if not image.program.stays]
    for server in images:
        for name in server.absent if server.program.stays else ():
            if any(_makes(image, name) or _fills(image, name) for image in (*jobs, *used)):
                continue
            for script in (script for script in scripts if _writes(script, name)):
                whole = _joined(script, _Chain(known, script, scripts, images).steps())
                stem = posixpath.basename(script.program.path).removesuffix(".py")
                image = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")
                image = "train" if "train" in image and "train" not in taken else image
                if _is_ready(known, whole) and image not in taken:
                    taken.add(image)
                    used.append(whole)
                    before = f"image `{whole.program.image}`"
                    yield replace(
                        whole,
                        program=replace(whole.program, image=image),
                        notes=[note.replace(before, f"image `{image}`") for note in whole.notes],
                    )
                    break


def _await(known: Found, server: Contents, jobs: Sequence[Contents]) -> None:
    """Include what a server reads, or lists in a folder, and another image writes once it runs."""
    if not any(is_model(n) and covered(n, server.include) for n in known.repo.every_name):
        written = (path for job in jobs for path in job.written if is_model(path))
        inside = [path for path in written if "*" not in path and covered(path, server.include)]
        server.absent |= dict.fromkeys(inside, server.program.reason.partition(": ")[0])
    for name in [*server.absent]:
        writer = next((job for job in jobs if _writes(job, name)), None)
        if writer is None or not _is_ready(known, writer):
            _say_elsewhere(server, name, jobs)
            continue
        image = writer.program.image
        server.include = without_parts([*server.include, name])
        server.reasons.append(f"{server.absent.pop(name)}: `{name}`, which image `{image}` writes")
        server.notes.append(
            f"image `{server.program.image}` includes `{name}`, which image `{image}` writes: "
            f"lockstitch run {image}, then lockstitch build"
        )


def _say_elsewhere(server: Contents, name: str, jobs: Sequence[Contents]) -> None:
    """Say which image writes a model of this name where the server does not look."""
    base = posixpath.basename(name)
    for job in jobs:
        for path in job.written if is_model(name) else ():
            if posixpath.basename(path) == base and "*" not in path and path != name:
                image = job.program.image
                server.notes.append(
                    f"image `{image}` writes `{path}`, and image `{server.program.image}` reads "
                    f"`{name}` ({server.absent[name]}): lockstitch run {image}, then cp {path} "
                    f"{name}, and `{name}` into the `include` of `{server.program.image}`"
                )
                return


def _rename(known: Found, contents: Contents) -> None:
    """Include what is there in other letters, upper for lower: `build` says how to rename it."""
    twins = {name.lower(): name for name in known.repo.every_name}
    for name in [name for name in contents.absent if name.lower() in twins]:
        contents.include = without_parts([*contents.include, name])
        contents.reasons.append(f"{contents.absent.pop(name)}: `{name}`")
        contents.notes.append(
            f"image `{contents.program.image}` includes `{name}`, which the project has in other "
            f"letters: git mv {twins[name.lower()]} {name}"
        )


def _pull(known: Found, job: Contents) -> None:
    """Include what a script reads and DVC keeps: `build` says how to get it."""
    programs = (job.program, *job.program.before)
    listed = {n: p.reason for p in programs for n in p.reads if not _is_there(known, n)}
    for name, where in {**listed, **job.absent}.items():
        if not _pointer(known, name):
            continue
        job.absent.pop(name, None)
        job.include = without_parts([*job.include, name])
        job.reasons.append(f"{where}: `{name}`, which DVC keeps")
        job.notes.append(
            f"image `{job.program.image}` includes `{name}`, which DVC keeps: "
            f"dvc pull {_pointer(known, name)}"
        )


def _pointer(known: Found, name: str) -> str:
    """Return the file that names a file or a folder of it to DVC, empty where none does."""
    parts = name.split("/")
    pointers = (f"{'/'.join(parts[:n])}.dvc" for n in range(len(parts), 0, -1))
    return next((pointer for pointer in pointers if known.repo.exists(pointer)), "")


def _writes(contents: Contents, name: str) -> bool:
    return _makes(contents, name) or (_fills(contents, name) and is_model(name))


def _is_ready(known: Found, contents: Contents) -> bool:
    """Return whether a program can run: what it reads is there, or made by the steps before it."""
    reads = [n for n in contents.absent if not _makes(contents, n) and not _fills(contents, n)]
    lacking = [
        n
        for n in reads
        if not (known.repo.exists(n) or known.repo.is_folder(n) or _pointer(known, n))
    ]
    return not lacking and not contents.program.asks


class _Chain:
    """One program, and the scripts that may make what it reads."""

    def __init__(
        self,
        known: Found,
        contents: Contents,
        scripts: Sequence[Contents],
        images: Sequence[Contents],
    ) -> None:
        self._found = known
        self._images = images
        self._contents = contents
        self._scripts = [s for s in scripts if s.program.workdir == contents.program.workdir]

    def steps(self) -> list[Contents]:
        """Return the scripts in the order in which they run, none where one cannot run."""
        chain: list[Contents] = []
        if self._contents.program.stays:
            return []  # a server that answers without a file starts; one that waits may never
        for name in self._missing(self._contents):
            jobs = (image for image in self._images if not image.program.stays)
            if any(_makes(job, name) or _fills(job, name) for job in jobs):
                continue  # that image is run first
            wanted = self._makers(name, [self._contents])
            chain += [step for step in wanted or [] if step not in chain]
        return chain if len(chain) <= _MOST else []

    def _missing(self, contents: Contents) -> list[str]:
        """Return the files that a program reads, does not make itself, and are missing."""
        read = [name for name in contents.program.reads if not name.endswith(".py")]
        absent = [name for name in read if not _is_there(self._found, name)]
        return [n for n in dict.fromkeys([*contents.absent, *absent]) if not _makes(contents, n)]

    def _makers(self, name: str, waiting: Sequence[Contents]) -> list[Contents] | None:
        """Return the scripts to run for a file, the first first, or None where nothing makes it."""
        sure = [script for script in self._scripts if _makes(script, name)]
        for maker in [*sure, *(s for s in self._scripts if s not in sure and _fills(s, name))]:
            if maker in waiting:
                continue
            chain: list[Contents] = []
            for needed in self._missing(maker):
                earlier = self._makers(needed, [*waiting, maker])
                if earlier is None and not _pointer(self._found, needed):
                    break
                chain += [step for step in earlier or [] if step not in chain]
            else:
                return [*chain, maker]
        return None


def _is_there(known: Found, name: str) -> bool:
    """Return whether a file is there, or a folder with more in it than `.gitkeep`."""
    inside = (n for n in known.repo.every_name if n == name or n.startswith(f"{name}/"))
    return any(not posixpath.basename(path).startswith(".git") for path in inside)


def _makes(contents: Contents, name: str) -> bool:
    """Return whether a program certainly writes a file, or what is in a folder."""
    return any(
        name == path
        or (path.startswith(f"{name}/") and not path.endswith("/"))
        or ("*" in path.strip("*/") and files.matches(name, path))
        for path in contents.written
    ) or any(name == path or name.startswith(f"{path}/") for path in contents.program.makes)


def _fills(contents: Contents, name: str) -> bool:
    """Return whether a program makes a folder that a file would be in, and may name that file."""
    base = posixpath.basename(name)
    named = "*" in base or any(
        base == end or ("." in end and not end[:1].isalnum() and base.endswith(end))
        for end in contents.ends
    )
    return named and any(path.endswith("/") and name.startswith(path) for path in contents.written)


def writer_of(name: str, reader: Contents, images: Sequence[Contents]) -> str:
    """Return the image whose program writes a file that another one reads, or an empty text."""
    for image in images:
        if not image.program.stays and (
            _makes(image, name) or (image is not reader and _fills(image, name))
        ):
            return image.program.image
    return ""


def _joined(contents: Contents, chain: Sequence[Contents]) -> Contents:
    """Return the contents of a program with those of the steps before it."""
    if not chain or not _agree([contents, *chain]):
        return contents
    every = [contents, *chain]
    joined = replace(
        contents,
        program=replace(
            contents.program,
            before=tuple(step.program for step in chain),
            makes=tuple(name for job in every for name in job.program.makes),
        ),
        include=without_parts(glob for job in every for glob in job.include),
        outputs=tops([folder for job in every for folder in job.outputs]),
        keeps=set().union(*(job.keeps for job in every)),
        env={name: value for job in reversed(every) for name, value in job.env.items()},
        written=[path for job in every for path in job.written],
        ends=frozenset().union(*(job.ends for job in every)),
        reasons=[*contents.reasons, *(r for s in chain for r in (s.program.reason, *s.reasons))],
        left_out=[*contents.left_out, *(text for contents in chain for text in contents.left_out)],
        notes=[*contents.notes],
        absent={
            name: where
            for job in every
            for name, where in job.absent.items()
            if not any(_makes(step, name) for step in chain)
        },
    )
    joined.include = without_parts([*joined.include, *keeping(joined)])
    names = ", ".join(f"`{' '.join(contents.program.command)}`" for contents in chain)
    joined.notes.append(f"image `{contents.program.image}` first runs {names}: `before`")
    return joined


def _agree(every: Sequence[Contents]) -> bool:
    """Return whether programs can run in one folder with one set of variables."""
    env: dict[str, str] = {}
    return (
        all(
            env.setdefault(name, value) == value
            for contents in every
            for name, value in contents.env.items()
        )
        and len({contents.program.workdir for contents in every}) == 1
    )
