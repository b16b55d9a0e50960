"""What the Dockerfiles, compose files and Procfiles of a repository start."""

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence

from lockstitch.python.commands import entry_of
from lockstitch.python.imports import Entry
from lockstitch.repository.code.applications import Application, is_local, says_port
from lockstitch.scaffold.init.commands import NamedCommand
from lockstitch.scaffold.init.program import HOST, SERVE, Program, below, module_of
from lockstitch.scaffold.init.servers import WAYS, Servers
from lockstitch.scaffold.init.starts import Starts
from lockstitch.values import replace

_STARTED = frozenset({"uvicorn", "gunicorn", "hypercorn", "flask", "streamlit", "celery"})
# An address of gunicorn, or a file of settings that may have one.
_BINDS = re.compile(r"-b|--bind\b|-c|--config\b")
# What a word that names a folder stands behind.
_TAKES_FOLDER = re.compile(r"^python|^-d$|^-{1,2}[\w-]*(?:dir|directory|folder|path|root|chdir)$")


class Dockerfiles:
    """The programs that one repository names itself."""

    def __init__(self, starts: Starts, servers: Servers) -> None:
        self._starts = starts
        self._servers = servers

    def program(self, hint: NamedCommand) -> Program | None:
        """Return what an image starts as a program, or None with a note that says why not."""
        env, root = dict(hint.env), hint.folder
        words = self._words(hint)
        if not words:
            return None
        by_name = self._starts.installed_scripts.get(words[0], "").partition(":")[0]
        begun = ["python", "-m", by_name] if by_name else words
        entry = entry_of(begun, env, root)
        path = self._starts.file_of(begun, env, root)
        if entry is not None and not path:
            path, words = self._moved(entry, words, hint)
            if not path:
                return None
        kind = self._servers.kind_of(path) if path else "said"
        kind = "console" if by_name and kind == "script" else kind
        django = self._django_of(path, words)
        if django:
            kind = "django"
            words += [w for w in (f"{HOST}:8000",) if words[-1] == "runserver"]
            words += [w for w in ("--noreload",) if "runserver" in words and w not in words]
        words = self._bound(words, hint.port)
        application = self._servers.application(path) if path else None
        is_alone = words[:1] == ["python"] and len(words) == 2
        if application and is_alone and application.by in {"asgi", "wsgi"}:
            served = self._reached_by_others(hint, application)
            if served:
                return served
        serves = hint.serves or kind not in {"script", "console", "said", "celery"}
        told = self._port(hint, words, kind, path) if serves else 0
        port = self._servers.above(told, hint.source)
        words = [re.sub(rf"(^|:|=){told}$", rf"\g<1>{port}", w) for w in words] if told else words
        health = hint.health if kind != "streamlit" else ""  # which has its own route alone
        if not health and application and port:
            health = self._servers.health_of(application)
        health = health or (django.health if django else self._servers.default_health(kind))
        settings = {n: v for n, v in (django.env if django else {}).items() if n != "PYTHONPATH"}
        env = {**WAYS()["env"].get(kind, {}), **settings, **env}
        env = self._starts.better_root(begun if by_name else words, env, root)
        trains = any("train" in word for step in (words, *hint.before) for word in step)
        named = hint.label or ("serve" if port else "train" if trains else "app")
        steps = [s for s in self._steps(hint, env, named) if s.command != tuple(words)]
        done = {word for step in steps for word in step.command}
        own = [
            replace(step, command=tuple(self._from(root, step.command)), workdir=root, env=env)
            for step in (django.before if django else ())
        ]
        return Program(
            image=named,
            kind=kind,
            path=path,
            command=tuple(words),
            reason=f"{hint.source}: what its image starts",
            env=env,
            given=hint.given,
            port=port,
            health=health if port else "",
            needs=_needed(words[2] if words[1:2] == ["-m"] else words[0], kind),
            include=hint.include,
            outputs=hint.outputs,
            workdir=root,
            before=(*steps, *(s for s in own if s.command[-2] not in done)),
            folder=django.folder if django else "",
        )

    def _from(self, root: str, words: Sequence[str]) -> list[str]:
        """Return the words of a command that starts in a folder, its paths from there."""
        return [
            below(word, root) if root and self._is_path(word, before) else word
            for before, word in zip(["", *words], words, strict=False)
        ]

    def _is_path(self, word: str, before: str) -> bool:
        """Return whether a word of a command is a path: `worker` of Celery may be a folder too."""
        if "/" in word or word in self._starts.codes or posixpath.splitext(word)[1]:
            return self._starts.repo.exists(word)
        return bool(_TAKES_FOLDER.search(before)) and self._starts.repo.exists(word)

    def _words(self, hint: NamedCommand) -> list[str]:
        """Return the words of an image's command from its folder, none where nothing starts it."""
        if not hint.words:
            command = " ".join(hint.label.split())
            self._starts.notes.append(f"`{hint.source}` starts `{command:.80}`: without an image")
        if any("$" in word for word in hint.words):
            self._starts.notes.append(
                f"`{hint.source}`: its command has a variable that nobody sets: left out"
            )
            return []
        words = self._from(hint.folder, hint.words)
        if words[:2] == ["python", "-m"] and words[2:3] and words[2] in _STARTED:
            words = words[2:]
        if words[:1] == ["fastapi"] and len(words) > 1:
            words = ["run" if w == "dev" else w for w in words]
        return words

    def _port(self, hint: NamedCommand, words: Sequence[str], kind: str, path: str) -> int:
        """Return the port of a server by its file, command, image, program or framework."""
        application = self._servers.application(path) if path else None
        by_file = application.port if application and words[0] == "python" else 0
        if by_file and len(words) == 2 and says_port(self._starts.codes[path], by_file):
            return by_file  # whatever EXPOSE says
        text = (self._starts.repo.text(path) if path else None) or ""
        told = hint.env.items()
        ports = (v for n, v in told if n.endswith("PORT") and n in text and v.isdecimal())
        port = _said_port(words) or hint.port or int(next(ports, "0")) or by_file
        named = {"uvicorn", "gunicorn", "hypercorn"} & {*words} or kind == "django"
        return port or (8000 if named else 0) or self._servers.default_port(kind)

    def _steps(self, hint: NamedCommand, env: Mapping[str, str], image: str) -> Iterator[Program]:
        """Yield what an image starts before its program."""
        for words in hint.before:
            step = self._from(hint.folder, words)
            path = self._migrations(step) or self._starts.file_of(step, env, hint.folder)
            if path:
                yield Program(
                    image=image,
                    kind="script",
                    path=path,
                    command=tuple(step),
                    reason=f"{hint.source}: what its image starts first",
                    env=env,
                    workdir=hint.folder,
                )

    def _moved(self, entry: Entry, words: list[str], hint: NamedCommand) -> tuple[str, list[str]]:
        """Return the one file that has a missing file's name, and the words that start it."""
        told = f"`{hint.source}` starts `{' '.join(words)}`, which is no code of this folder"
        missing = posixpath.basename(entry.path or f"{entry.module.replace('.', '/')}.py")
        inside = f"{hint.folder}/" if hint.folder else ""
        likes = [
            n
            for n in self._starts.codes
            if posixpath.basename(n) == missing and n.startswith(inside)
        ]
        path = likes[0] if len(likes) == 1 else ""
        self._starts.notes.append(f"{told}: `{path}` in its place" if path else told)
        there = path.removeprefix(inside)
        old, new = (entry.path, there) if entry.path else (entry.module, module_of(there))
        return path, [re.sub(rf"^{re.escape(old)}(?=:|$)", new, word) for word in words]

    def _migrations(self, words: Sequence[str]) -> str:
        """Return the file that makes the tables of a database, where a command of Alembic does."""
        if words[0] != "alembic" and tuple(words[:2]) != ("flask", "db"):
            return ""
        folders = {
            posixpath.dirname(name.partition("/versions/")[0] + "/") for name in self._starts.codes
        }
        return next((n for f in sorted(folders) if (n := f"{f}/env.py") in self._starts.codes), "")

    def _django_of(self, path: str, words: Sequence[str]) -> Program | None:
        """Return the program of the Django project that a command serves, or None."""
        django = next(self._servers.django(), None)
        folder = posixpath.dirname(django.path) if django else ""
        is_run = django is not None and path == django.path and "runserver" in words
        is_server = posixpath.basename(path) in {"wsgi.py", "asgi.py"} and path.startswith(folder)
        return django if is_run or is_server else None

    def _reached_by_others(self, hint: NamedCommand, application: Application) -> Program | None:
        """Return the program of a server whose file runs it for its own machine, or not at all."""
        own = is_local(self._starts.codes[application.path], application)
        if own is False:
            return None
        program = self._servers.served(application, hint.label or SERVE)
        why = "listens on 127.0.0.1, where nobody else reaches it" if own else "starts no server"
        self._starts.notes.append(
            f"`{hint.source}` runs `{application.path}`, which {why}: "
            f"`{' '.join(program.command)}` in its place"
        )
        return replace(program, include=hint.include, env={**hint.env, **program.env})

    def _bound(self, words: list[str], port: int) -> list[str]:
        """Return the words of a server with an address that others reach."""
        if (
            words[:1] == ["uvicorn"]
            and "--host" not in words
            and not any(w.startswith(("--host=", "--uds")) for w in words)
        ):
            words = [*words, "--host", HOST]
        if words[:1] in (["uvicorn"], ["gunicorn"]):
            words = [w for w in words if w != "--reload"]
        if words[:1] == ["gunicorn"] and not any(_BINDS.match(word) for word in words):
            words = [*words, "--bind", f"{HOST}:{port or 8000}"]
        if (
            words[:1] == ["flask"]
            and "run" in words
            and "--host" not in words
            and "-h" not in words
        ):
            words = [
                *words,
                *([] if any(w.startswith("--host=") for w in words) else ["--host", HOST]),
            ]
            told = any(word.startswith(("--port", "-p")) for word in words)
            if port and not told:
                words = [*words, "--port", str(port)]
        return words


def _needed(program: str, kind: str) -> dict[str, str]:
    """Return the requirements of a server that a command starts, by distribution."""
    needs = dict(WAYS()["needs"].get(kind, {}))
    if program not in {"python", "uvicorn"}:
        needs.pop("uvicorn", None)
    if program in {"uvicorn", "gunicorn", "hypercorn", "waitress-serve", "daphne", "granian"}:
        name = program.removesuffix("-serve")
        needs.setdefault(name, name)
    if program in {"awslambdaric", "fastapi"}:
        name = program.replace("fastapi", "fastapi-cli")
        needs[name] = name
    return needs


def _said_port(words: Sequence[str]) -> int:
    for at, word in enumerate(words[:-1]):
        if word in {"--port", "-p", "--server.port"} and words[at + 1].isdecimal():
            return int(words[at + 1])
    for word in words:
        if re.fullmatch(r"(?:--?[a-z]+=)?(?:0\.0\.0\.0|\*|\[::\])?:\d+", word):
            return int(word.rpartition(":")[2])
    return 0
