"""The servers and workers of a repository by their code."""

import ast
import functools
import posixpath
import re
from collections.abc import Iterator, Sequence

from lockstitch.python.commands import entry_of
from lockstitch.python.imports import reached
from lockstitch.python.tables import table
from lockstitch.repository.code.applications import (
    Application,
    applications,
    default_of,
    fields_of,
    health_of_parts,
    is_local,
)
from lockstitch.resources import load_table
from lockstitch.scaffold.init.commands import settings_of
from lockstitch.scaffold.init.program import HOST, SERVE, Program, begun_in, module_of
from lockstitch.scaffold.init.starts import APART, Starts
from lockstitch.values import replace

WAYS = functools.partial(load_table, __package__, "servers.toml")
_FIRST = ("main", "app", "api", "server", "serve", "serving", "wsgi", "asgi", "application", "web")
_PAGES = ("streamlit_app", "app", "main", "home", "dashboard", "ui", "frontend", "index")
_FACTORY = {"uvicorn": "--factory", "waitress": "--call"}
_FLASK_PORT = re.compile(r"(?m)^\s*(?:export\s+)?FLASK_RUN_PORT\s*=\s*[\"']?(\d+)")
_NEW_HEALTH = "1.19", "2023-02-24"  # the first Streamlit with /_stcore/health, and its day
_NEW_OPTION = "2.2", "2022-08-02"  # the first Flask with --app
# Of Django: who may ask, a route by which it is well, and the routes that one includes.
_OPEN = re.compile(
    r"ALLOWED_HOSTS\b[^\n\]]*(?:\*|localhost|127\.0\.0\.1)"
    r"|(?s:DEBUG = True.*ALLOWED_HOSTS = \[\s*\])"
)
_HEALTH = re.compile(
    r"path\(\s*r?[\"']\^?((?:[\w-]+/)*(?:health(?:z|-?check)?|ping|livez|readyz)/?)\$?[\"'],"
    r"(?!\s*include)"
)
_INCLUDED = re.compile(r"path\(\s*r?[\"']\^?([\w/-]*)[\"'],\s*include\(\(?[\"']([\w.]+)")
SHOWN = frozenset({"streamlit", "gradio", "chainlit", "panel"})  # pages, whatever their names
_APIS = frozenset({"asgi", "wsgi", "sanic"})
_MOST_SERVERS = 6  # images of applications that nothing but code tells of
_LAYERS = frozenset({"src", "app", "apps", "service", "services", "code", "server", "web"})
_UNPRIVILEGED = 1024  # the first port that a user may listen on


class Servers:
    """The applications of one repository."""

    def __init__(self, starts: Starts) -> None:
        self._starts = starts
        settings = {key: ast.Constant(value) for key, value in settings_of(starts.repo)}
        self._fields = {
            **{key: value for key, value in settings.items() if key.lower().endswith("port")},
            **fields_of(starts.codes.values()),
        }

    def above(self, port: int, source: str) -> int:
        """Return a port that a user may listen on."""
        if not 0 < port < _UNPRIVILEGED:
            return port
        self._starts.notes.append(f"`{source}`: port {port} needs root: {8000 + port} in its place")
        return 8000 + port

    def default_port(self, kind: str) -> int:
        """Return the port of a framework where no command names one, by its settings or its own."""
        settings = self._starts.repo.toml(".streamlit/config.toml") or {}
        port = table(settings, "server").get("port") if kind == "streamlit" else None
        return port if isinstance(port, int) else default_of(kind)[0]

    def default_health(self, kind: str) -> str:
        """Return the route that a framework answers by itself, in the versions that are asked."""
        if kind == "streamlit" and self._starts.is_below(kind, *_NEW_HEALTH):
            return "/healthz"
        return default_of(kind)[1]

    def programs(self) -> Iterator[Program]:
        """Yield a program for each server or worker, the most likely first."""
        yield from self.django()
        every = [*self.applications]
        by_kind: dict[str, list[Application]] = {}
        for app in every:
            if app.kind != "script":
                by_kind.setdefault(app.kind, []).append(app)
        asgi = [e for kind, es in by_kind.items() for e in es if e.by in _APIS]
        shown = [e for kind, es in by_kind.items() for e in es if e.by not in _APIS]
        if "gradio" in by_kind and any(e.by == "asgi" for e in asgi):
            # A page that is mounted into an application is no program of its own.
            paths = {e.path for e in asgi}
            shown = [e for e in shown if not (e.kind == "gradio" and e.path in paths)]
        chosen = self._apart(sorted(asgi, key=self._rank))
        apis = len(chosen)
        for kind in dict.fromkeys(e.kind for e in shown):
            pages = [e for e in shown if e.kind == kind]
            chosen += sorted(pages, key=self._rank)[:1]
        rest = sorted(
            {f"`{e.path}:{e.line}`" for e in asgi} - {f"`{e.path}:{e.line}`" for e in chosen}
        )
        if rest:
            self._starts.notes.append(
                f"other applications, without an image: {', '.join(rest[:5])}"
            )
        folders = [_named_by_folder(e.path) for e in chosen[:apis]]
        for best in sorted(chosen, key=lambda e: (e.by not in _APIS, chosen.index(e), e.kind)):
            if best.by in _APIS:
                named = _named_by_folder(best.path)
                if folders.count(named) > 1:  # several of one folder: by the last one of each
                    named = _named_by_folder(posixpath.join(*best.path.split("/")[-2:]))
                named = named if apis > 1 else SERVE
            else:
                named = {"celery": "worker"}.get(best.kind) or (
                    best.kind if len(chosen) > 1 else SERVE
                )
            yield self.served(best, named)

    def _apart(self, ordered: Sequence[Application]) -> list[Application]:
        """Return the applications that are programs of their own, the likeliest first.

        One that another's program imports is a part of it, and one beside another in a folder is
        most often the same by another framework or of another day.
        """
        chosen: list[Application] = []
        parts: set[str] = set()
        for application in ordered:
            folders = [posixpath.dirname(other.path) for other in chosen]
            if application.path in parts or posixpath.dirname(application.path) in folders:
                continue
            program = self.served(application, SERVE)
            entry = entry_of(program.command, program.env, program.workdir)
            modules = {*reached(self._starts.tree, entry)} if entry else set()
            if any(other.path in modules for other in chosen) or len(chosen) == _MOST_SERVERS:
                continue
            chosen.append(application)
            parts |= modules
        return chosen

    @functools.cached_property
    def _factories(self) -> tuple[Application, ...]:
        every = (app for code in self._starts.codes.values() for app in applications(code))
        return tuple(app for app in every if app.factory)

    @functools.cached_property
    def applications(self) -> tuple[Application, ...]:
        """The applications of all files that are programs or parts of one."""
        return tuple(self._found_applications())

    def _found_applications(self) -> Iterator[Application]:
        kinds: dict[str, str] = {}
        first = {name: applications(code) for name, code in self._starts.codes.items()}
        for name, several in first.items():
            for app in several:
                if app.factory:
                    for root in ("", *self._starts.roots()):
                        if not root or name.startswith(f"{root}/"):
                            module = module_of(name.removeprefix(f"{root}/") if root else name)
                            kinds[f"{module}.{app.name}"] = app.kind
                            package = module.rpartition(".")[2] == "__init__"
                            kinds |= (
                                {f"{module.removesuffix('.__init__')}.{app.name}": app.kind}
                                if package
                                else {}
                            )
        for name, code in self._starts.codes.items():
            parts = {*name.split("/")[:-1]}
            base = posixpath.basename(name)
            if parts & APART or base.startswith("test_") or base in {"conftest.py", "setup.py"}:
                continue
            # A factory of a package beside this file: `from . import create_app`.
            relative = {
                f"{'.' * dots}{key.rpartition('.')[2]}": kind
                for key, kind in kinds.items()
                for dots in (1, 2)
                if code.relative
            }
            yield from applications(code, {**kinds, **relative}, self._fields)

    def _rank(self, app: Application) -> tuple[object, ...]:
        """Return how likely an application is meant, the least being the best."""
        stem = posixpath.basename(app.path).removesuffix(".py").lower()
        names = _PAGES if app.kind in {"streamlit", "gradio", "chainlit", "panel"} else _FIRST
        parts = app.path.split("/")[:-1]
        is_page = "pages" in parts
        hint = any(self._starts.points(s, app.path) for s in self._starts.hints)
        place = names.index(stem) if stem in names else len(names)
        named = app.name in {"app", "application", "api", ""}
        unnamed = app.by in _APIS and not app.name  # no other program can serve it
        return (is_page, unnamed, not hint, app.factory, place, len(parts), not named, app.path)

    def application(self, path: str) -> Application | None:
        """Return the first application of a file, or None."""
        return next((e for e in self.applications if e.path == path), None)

    def health_of(self, app: Application) -> str:
        """Return the health route of an application, its parts or the factory that it calls."""
        code, codes = self._starts.codes[app.path], self._starts.codes.values()
        health = app.health or health_of_parts(code, codes)
        for other in self._factories if not health else ():  # of another file, which it calls
            module = module_of(other.path)
            if any(f".{module}.{other.name}".endswith(f".{c.lstrip('.')}") for c in code.calls):
                health = (
                    health or other.health or health_of_parts(self._starts.codes[other.path], codes)
                )
        return health

    def kind_of(self, path: str) -> str:
        """Return the kind of a file's application, `script` for one that has none."""
        application = self.application(path)
        return application.kind if application else "script"

    def _runner(self, app: Application) -> Application:
        """Return an application in the file that runs it: another one, where its own does not."""
        verbs = (".run", ".run_server", ".launch")
        if app.by == "streamlit":
            return replace(app, path=self._page_of(app.path))
        whole = f"{module_of(app.path)}.{app.name}"
        if app.by in _APIS:
            for code in self._starts.codes.values() if not app.port else ():
                if "uvicorn.run" in code.calls and whole in code.names.values():
                    others = applications(code, {}, self._fields)
                    return replace(app, port=next((o.port for o in others if o.port), 0))
            return app
        if any(name.endswith(verbs) for name in self._starts.codes[app.path].calls):
            return app
        for path, code in self._starts.codes.items():
            names = {name.rpartition(".")[0] for name in code.calls if name.endswith(verbs)}
            if any(f".{whole}".endswith(f".{name.lstrip('.')}") for name in names if "." in name):
                ports = [other.port for other in applications(code) if other.port]
                return replace(app, path=path, port=next(iter(ports), app.port))
        return app

    def served(self, app: Application, image: str) -> Program:
        """Return the program that serves an application, as an image of a name."""
        app = self._runner(app)
        default, health = self.default_port(app.kind), self.default_health(app.kind)
        port = app.port or default
        pointed = [s for s in self._starts.hints if self._starts.points(s, app.path) and s.port]
        if not app.port and pointed:
            port = pointed[0].port
        if app.by in {"asgi", "wsgi"} and not app.port and not pointed:
            port = default if app.by == "asgi" else 8000
        if app.kind == "flask" and not app.port and not pointed:
            text = self._starts.repo.text(".flaskenv") or ""
            port = int(match[1]) if (match := _FLASK_PORT.search(text)) else port
        port = self.above(port, f"{app.path}:{app.line}") if app.by in _APIS else port
        needs = dict(WAYS()["needs"].get(app.kind, {}))
        command, env = self._command(app, port, needs)
        env |= WAYS()["env"].get(app.kind, {})
        if app.kind == "gradio":
            env["GRADIO_SERVER_PORT"] = str(port)
        line = f"{app.path}:{app.line}"
        what = "a script" if app.kind == "script" else app.kind
        return Program(
            image=image,
            kind=app.kind,
            path=app.path,
            command=tuple(command),
            reason=f"{line}: {what}" + (f" `{app.name}`" if app.name else ""),
            env=env,
            port=0 if app.by == "celery" else port,
            health=self.health_of(app) or health,
            needs=needs,
            begun=begun_in(
                app.path, [s for s in self._starts.hints if self._starts.points(s, app.path)]
            ),
        )

    def _command(
        self, app: Application, port: int, needs: dict[str, str]
    ) -> tuple[list[str], dict[str, str]]:
        """Return the words and variables that start an application."""
        way, name = app.by, app.name or "app"
        if way in _APIS and not app.name:
            if is_local(self._starts.codes[app.path], app):
                self._starts.notes.append(
                    f"`{app.path}:{app.line}` is reached from its own machine alone: "
                    f'host="{HOST}" where it is run'
                )
            return self._starts.script_command(app.path)
        if way == "asgi":
            way = "uvicorn"
            if "hypercorn" in self._starts.declared and "uvicorn" not in self._starts.declared:
                way = "hypercorn"
                needs.pop("uvicorn", None)
        elif way == "wsgi":
            declared = [way for way in ("gunicorn", "waitress") if way in self._starts.declared]
            by_flask = app.kind == "flask" and not self._starts.is_below("flask", *_NEW_OPTION)
            way = next(iter(declared), "flask" if by_flask else "gunicorn")
            if (
                app.kind == "bottle"
                and not declared
                and is_local(self._starts.codes[app.path], app) is False
            ):
                way = "file"  # it serves itself, to everybody
            if way == "gunicorn":
                needs.setdefault("gunicorn", "gunicorn")
        template = WAYS()["commands"].get(way, "").split()
        if not template:
            return self._starts.script_command(app.path)

        def filled(words: Sequence[str], module: str = "") -> list[str]:
            values = {
                "app": f"{module}:{name}",
                "called": f"{module}:{name}{'()' if app.factory else ''}",
                "file": app.path,
                "host": HOST,
                "port": port,
            }
            return [word.format(**values) for word in words]

        at = next((n for n, word in enumerate(template, 1) if word in {"{app}", "{called}"}), 0)
        if not at:
            words = filled(template)
            return words, self._starts.better_root(words, {})
        begin, after = template[:at], template[at:]
        if app.factory and way in _FACTORY:
            place = after if way == "uvicorn" else begin
            place.insert(0 if way == "uvicorn" else -1, _FACTORY[way])
        option = "--app-dir" if way == "uvicorn" else ""
        return self._starts.module_command(
            app.path, lambda m: filled(begin, m), filled(after), option
        )

    def django(self) -> Iterator[Program]:
        """Yield the program of the Django project that is nearest to the root."""
        names = [n for n in self._starts.codes if posixpath.basename(n) in {"manage.py", "wsgi.py"}]
        for name in sorted(names, key=lambda n: (not n.endswith("manage.py"), n.count("/"))):
            text = self._starts.repo.text(name) or ""
            if "DJANGO_SETTINGS_MODULE" not in text:
                continue
            settings = _settings_in(text)
            folder = posixpath.dirname(name)
            package = settings.partition(".")[0]
            needs = dict(WAYS()["needs"]["django"])
            manage = ["python", name]
            if name.endswith("wsgi.py"):  # without manage.py
                folder = posixpath.dirname(folder)
                manage = ["python", "-m", "django"]
            env = {"PYTHONPATH": f"/app/{folder}"} if folder else {}
            env |= {} if name in manage else {"DJANGO_SETTINGS_MODULE": settings}
            wsgi = posixpath.join(folder, package, "wsgi.py")
            told = _settings_in(self._starts.repo.text(wsgi) or "") or settings
            env |= {"DJANGO_SETTINGS_MODULE": told} if told != settings else {}
            if wsgi in self._starts.codes and (
                "gunicorn" in self._starts.declared or name not in manage
            ):
                needs["gunicorn"] = "gunicorn"
                words = ["gunicorn", "--bind", f"{HOST}:8000", f"{package}.wsgi:application"]
            else:
                words = [*manage, "runserver", f"{HOST}:8000", "--noreload"]
            reason = f"{name}:1: Django's settings are `{told}`"
            place = posixpath.join(folder, *told.split(".")[:-1], "")
            texts = [
                self._starts.repo.text(n) or "" for n in self._starts.codes if n.startswith(place)
            ]
            has_database = any(
                n.endswith((".sqlite3", ".db")) for n in self._starts.repo.every_name
            )
            makes = not has_database and any("db.backends.sqlite3" in text for text in texts)
            gathers = any("whitenoise" in text and "STATIC_ROOT" in text for text in texts)
            before = tuple(
                Program(
                    image=SERVE,
                    kind="script",
                    path=name,
                    command=(*manage, task, "--noinput"),
                    reason=f"{name}:1: makes {what}, which is not here",
                    env=env,
                )
                for task, what, is_needed in (
                    ("migrate", "the tables of the database", makes),
                    ("collectstatic", "the folder of static files", gathers),
                )
                if is_needed
            )
            yield Program(
                image=SERVE,
                kind="django",
                path=name,
                command=tuple(words),
                reason=reason,
                env=env,
                port=8000,
                needs=needs,
                folder=folder or ".",
                before=before,
                health=self._health_of_routes(folder) if any(map(_OPEN.search, texts)) else "",
            )
            return

    def _health_of_routes(self, folder: str) -> str:
        """Return the route of a Django project by which it is well, an empty text for none."""
        texts = {
            f".{module_of(name)}": self._starts.repo.text(name) or ""
            for name in self._starts.codes
            if name.startswith(f"{folder}/" if folder else "")
        }
        at = {m[2]: m[1] for text in texts.values() for m in _INCLUDED.finditer(text)}
        routes = [
            f"/{next((at[m] for m in at if module.endswith(f'.{m}')), '')}{match[1]}"
            for module, text in texts.items()
            for match in _HEALTH.finditer(text)
        ]
        return min(routes, key=len, default="")

    def _page_of(self, path: str) -> str:
        """Return the script whose parts show a page: a file, or what imports it."""
        above, waiting = {path}, [path]
        while waiting:
            new = {*self._starts.importers(waiting.pop())} - above
            above |= new
            waiting += new
        tops = [p for p in above - {path} if self._starts.may_run(p, self._starts.codes[p])]
        tops = [p for p in tops if not self._starts.is_part(p)]
        return min(tops, key=lambda name: (name.count("/"), name), default=path)


def _settings_in(text: str) -> str:
    match = re.search(r"DJANGO_SETTINGS_MODULE[\"'],\s*[\"']([\w.]+)", text)
    return match[1] if match else ""


def _named_by_folder(path: str) -> str:
    """Return the name of the image of one of several applications: its folder's."""
    folders = [part for part in path.split("/")[:-1] if part.lower() not in _LAYERS]
    name = re.sub(r"[^a-z0-9]+", "-", folders[0].lower()).strip("-") if folders else ""
    return name or SERVE
