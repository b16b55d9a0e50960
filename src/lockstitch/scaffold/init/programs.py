"""Which programs a repository has: what it says itself, else what its code is; none is run."""

import functools
import posixpath
import re
import sys
from collections.abc import Iterator, Mapping, Sequence

from lockstitch.listing import OF_ENVIRONMENTS
from lockstitch.python.commands import entry_of
from lockstitch.python.imports import Entry, Reach, Tree, follow, reached, standard_library
from lockstitch.python.names import known_modules, modules_named
from lockstitch.python.tables import table
from lockstitch.repository.code.applications import (
    Application,
    Code,
    applications,
    code_of,
    default_of,
    fields_of,
    health_of_parts,
    is_local,
    says_port,
)
from lockstitch.repository.code.opened import Opened
from lockstitch.repository.code.variables import arguments_of, examples, subcommands_of
from lockstitch.repository.files import Repository, open_repository
from lockstitch.scaffold.init import commands, eras, tables
from lockstitch.scaffold.init.commands import NamedCommand
from lockstitch.scaffold.init.facts import Facts
from lockstitch.values import field, frozen, replace

_APART = frozenset(
    {
        ".ipynb_checkpoints",
        "test",
        "tests",
        "testing",
        "docs",
        "doc",
        "examples",
        "example",
        "notebooks",
        "notebook",
    }
    | {"node_modules", "site-packages", "venv", ".venv", "env", "benchmarks", "third_party"}
    | {"vendor", "build", "dist", ".github", "migrations", "fixtures", "alembic", "ci"}
    | {"archive", "archived", "legacy", "deprecated", "old", "backup"}
)
_SHOWS = frozenset({"demo", "demos", "sample", "samples", "tutorial", "tutorials"})
_NO_PROGRAMS = frozenset(
    {"setup.py", "conftest.py", "noxfile.py", "fabfile.py", "__init__.py", "versioneer.py"}
)
_FIRST = ("main", "app", "api", "server", "serve", "serving", "wsgi", "asgi", "application", "web")
_PAGES = ("streamlit_app", "app", "main", "home", "dashboard", "ui", "frontend", "index")
# Scripts that are an image of their own, the best first, and the image's name.
_SCRIPTS = (
    (re.compile(r"train(?:ing|er)?|run_train(?:ing)?|fit|fine_?tune"), "train"),
    (re.compile(r"(?:\w+_)?train(?:ing|er)?(?:_\w+)?|fine_?tune\w*"), "train"),
    (
        re.compile(r"model_?build(?:ing|er)?|build_?models?|(?:model_?)?fitting|fit_?models?"),
        "train",
    ),
    (re.compile(r"main|__main__"), "app"),
    (re.compile(r"run|app|cli|pipeline|start|job|entrypoint|server|serve"), "app"),
    (re.compile(r"predict(?:ion|or|\w*)?|infer(?:ence)?\w*|score|batch\w*|forecast\w*"), "predict"),
    (
        re.compile(r"eval(?:uate|uation)?\w*|test_model|benchmark|process\w*|preprocess\w*|etl"),
        "app",
    ),
)
# What a training imports of the libraries of estimators, and a preparation does not.
_ESTIMATORS = re.compile(
    r"sklearn\.(?:linear_model|ensemble|svm|tree|neighbors|naive_bayes|neural_network|cluster"
    r"|gaussian_process|discriminant_analysis|mixture)\b|(?:xgboost|lightgbm|catboost)\b"
    r"|torch\.(?:nn|optim)\b|(?:tensorflow\.)?keras\b|statsmodels\.|prophet\."
)
# What a script has that cannot run without an argument.
_OF_DATA = re.compile(r"(?i)csv|data|input|file")  # in the name of an argument
_TABLES = (".csv", ".csv.gz", ".parquet", ".tsv", ".xls", ".xlsx")
_REQUIRED = re.compile(
    r"required=True|add_argument\(\s*[\"']\w|sys\.argv\[[1-9]|click\.argument"
    r"|typer\.Argument\(\.\.\.|\.group\(|add_subparsers\(|LightningCLI\(|mark_flags?_as_required"
    r"|fire\.Fire\(|docopt\(|\.add_(?:typer|command)\("
    r"|(?s:\.command\(.*\.command\()"
)
_CONFIG = re.compile(r"(?:configs?/)?(?:config|default|base|train|fit)\.ya?ml")  # of Lightning
# A script that is there to be copied, by its name.
_SAMPLE = re.compile(r"(?:^|_)(?:templates?|samples?|examples?|boilerplate|skeleton)(?:_|$)")
# Folders of what keeps the repository itself in order.
_UPKEEP = frozenset({"tools", "tool", "dev", "ci", "hack", "maintenance", ".github"})
# What a plan of Airflow imports: Airflow reads it, nobody starts it.
_PLANS = frozenset(
    {"airflow.DAG", "airflow.models.DAG", "airflow.models.dag.DAG", "airflow.decorators.dag"}
    | {"airflow.sdk.DAG", "airflow.sdk.dag"}
)
_HOST = "0.0.0.0"  # noqa: S104 -- in a container
_TRAIN, _SERVE = "train", "serve"
# What the program of a kind needs beside the framework itself: distribution to requirement.
_NEEDED: Mapping[str, Mapping[str, str]] = {
    "fastapi": {"fastapi": "fastapi>=0.110", "uvicorn": "uvicorn>=0.30"},
    "starlette": {"starlette": "starlette>=0.36", "uvicorn": "uvicorn>=0.30"},
    "litestar": {"litestar": "litestar>=2", "uvicorn": "uvicorn>=0.30"},
    "quart": {"quart": "quart>=0.19", "uvicorn": "uvicorn>=0.30"},
    "flask": {"flask": "flask>=3"},
    "streamlit": {"streamlit": "streamlit>=1.30"},
    "gradio": {"gradio": "gradio>=4"},
    "dash": {"dash": "dash>=2"},
    "bentoml": {"bentoml": "bentoml>=1.2"},
    "litserve": {"litserve": "litserve"},
    "celery": {"celery": "celery>=5"},
    "chainlit": {"chainlit": "chainlit>=1"},
    "panel": {"panel": "panel>=1"},
    "sanic": {"sanic": "sanic"},
    "ray": {"ray": "ray[serve]"},
    "django": {"django": "django"},
}
_ENV: Mapping[str, Mapping[str, str]] = {
    # Some versions look for Node with `which`, which no base has.
    "gradio": {
        "GRADIO_SERVER_NAME": "0.0.0.0",  # noqa: S104 -- in a container
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_NODE_PATH": "node",
    },
    "dash": {"HOST": "0.0.0.0"},  # noqa: S104 -- in a container
    # The code of an image does not change, and its watcher goes through all packages.
    "streamlit": {
        "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",
        "STREAMLIT_SERVER_FILE_WATCHER_TYPE": "none",
    },
    "bentoml": {"BENTOML_HOME": "/tmp/bentoml", "BENTOML_DO_NOT_TRACK": "True"},  # noqa: S108 -- in a container
    "ray": {"HOME": "/tmp"},  # noqa: S108 -- in a container
    "chainlit": {"CHAINLIT_APP_ROOT": "/tmp"},  # noqa: S108 -- in a container
}
_OF_JUPYTER = {  # folders that IPython and Jupyter write to
    "IPYTHONDIR": "/tmp/ipython",  # noqa: S108 -- in a container
    "JUPYTER_RUNTIME_DIR": "/tmp/jupyter",  # noqa: S108 -- in a container
    "MPLCONFIGDIR": "/tmp/matplotlib",  # noqa: S108 -- in a container
}
_PARAMETERS = frozenset({"-p", "--parameters", "-r", "--parameters_raw", "-y", "--parameters_yaml"})
_STARTED = frozenset({"uvicorn", "gunicorn", "hypercorn", "flask", "streamlit", "celery"})
# An address of gunicorn, or a file of settings that may have one.
_BINDS = re.compile(r"-b|--bind\b|-c|--config\b")
# How an application is started, by the program: `{called}` is a factory's call.
_COMMANDS = {
    "bentoml": "bentoml serve {app} --host {host} --port {port}",
    "celery": "celery -A {app} worker --loglevel info",
    "chainlit": "chainlit run {file} --host {host} --port {port} --headless",
    "flask": "flask --app {called} run --host {host} --port {port}",
    "gunicorn": "gunicorn --bind {host}:{port} {called}",
    "hypercorn": "hypercorn {called} --bind {host}:{port}",
    "panel": "panel serve {file} --address {host} --port {port} --allow-websocket-origin *",
    "ray": "serve run {app}",
    "sanic": "sanic {app} --host {host} --port {port} --single-process",
    "streamlit": "streamlit run {file} --server.address {host} --server.port {port}"
    " --server.headless true",
    "uvicorn": "uvicorn {app} --host {host} --port {port}",
    "waitress": "waitress-serve --listen={host}:{port} {app}",
}
_FACTORY = {"uvicorn": "--factory", "waitress": "--call"}
# What a word that names a folder stands behind.
_TAKES_FOLDER = re.compile(r"^python|^-d$|^-{1,2}[\w-]*(?:dir|directory|folder|path|root|chdir)$")
_FLASK_PORT = re.compile(r"(?m)^\s*(?:export\s+)?FLASK_RUN_PORT\s*=\s*[\"']?(\d+)")
_NEW_HEALTH = "1.19", "2023-02-24"  # the first Streamlit with /_stcore/health, and its day
_NEW_OPTION = "2.2", "2022-08-02"  # the first Flask with --app
_SHOWN = frozenset({"streamlit", "gradio", "chainlit", "panel"})  # pages, whatever their names
_APIS = frozenset({"asgi", "wsgi", "sanic"})
_MOST_SERVERS = 6  # images of applications that nothing but code tells of
_LAYERS = frozenset({"src", "app", "apps", "service", "services", "code", "server", "web"})
_UNPRIVILEGED = 1024  # the first port that a user may listen on


@frozen
class Program:
    """What an image starts."""

    image: str
    kind: str  # of applications.toml, `django`, `script`, or `said` for a Dockerfile's own
    path: str  # the file that it begins with
    command: tuple[str, ...]
    reason: str
    env: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    health: str = ""
    needs: Mapping[str, str] = field(default_factory=dict)
    include: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()  # folders that the repository says are made
    folder: str = ""  # the folder of a Django project
    workdir: str = ""  # the folder that it starts in
    begun: str = ""  # the one that a README or a Makefile starts it in, where that is known
    before: "tuple[Program, ...]" = ()  # what runs first
    reads: tuple[str, ...] = ()  # what dvc.yaml says that it reads and makes
    makes: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()  # arguments that it cannot run without, and nobody gives
    given: Mapping[str, str] = field(default_factory=dict)  # variables by a compose file

    @property
    def stays(self) -> bool:
        """Return whether it is a server or a worker, which waits for work and does not end."""
        return bool(self.port) or self.kind == "celery"


@frozen
class Found:
    """The programs of a repository, its code, and notes for a person."""

    repo: Repository
    codes: Mapping[str, Code]
    opened: Opened
    tree: Tree
    programs: tuple[Program, ...]
    others: tuple[Program, ...]  # scripts without an image
    notes: tuple[str, ...]
    examples: Mapping[str, str]  # variables of a file in place of `.env`


def find(facts: Facts, python: str) -> Found:
    """Return the programs of a folder; reads no file that is not in it."""
    repo = open_repository(facts.folder.root)
    apart = tuple(
        f"{posixpath.dirname(n)}/"
        for n in repo.every_name
        if "/" in n and posixpath.basename(n) in OF_ENVIRONMENTS
    )
    names = [
        n
        for n in repo.every_name
        if n.endswith(".py")
        and not n.startswith(apart)
        and facts.folder.inside(facts.folder.root / n)
    ]
    codes: dict[str, Code] = {}
    for name in names:
        text = repo.text(name)
        code = code_of(name, text) if text is not None else None
        if code is not None:
            codes[name] = code
    installed = {
        top: posixpath.dirname(path) for top, path in facts.packages.items() if facts.installed
    }
    version = (3, int(python.partition(".")[2] or 11))
    tree = Tree(frozenset(codes), repo.text, version, installed)
    finder = _Finder(facts, repo, codes, tree)
    programs = finder.programs()
    if not programs:
        texts = {
            name: text
            for name in repo.every_name
            if name.endswith(".ipynb")
            and not any(part.startswith(".") for part in name.split("/"))  # Jupyter's own copies
            and (text := facts.folder.notebook(name))
        }
        codes |= {n: code for n, text in texts.items() if (code := code_of(n, text))}
        tree = Tree(
            frozenset(codes), lambda name: texts.get(name) or repo.text(name), version, installed
        )
        finder.follow(tree)
        programs, finder.others = finder.notebooks([n for n in texts if n in codes])
    return Found(
        repo=repo,
        codes=codes,
        opened=Opened(
            codes,
            {n: v for p in programs for n, v in (*p.given.items(), *p.env.items())},
            lambda: commands.settings_of(repo),
            commands.public(examples(repo.text)),
        ),
        tree=tree,
        programs=tuple(programs),
        others=tuple(finder.others),
        notes=tuple(finder.notes),
        examples=examples(repo.text),
    )


def shell_lines(repo: Repository, program: Program) -> Iterator[str]:
    """Yield the first line of a notebook that starts a shell, which bases do not have."""
    for number, line in enumerate(repo.lines(program.path), 1):
        match = re.match(r"""\s*"!\s*(\w[^"\\]*)""", line)
        if match:
            yield (
                f"`{program.path}:{number}` starts a shell: `dash` is added, and an image has "
                f"no more of `!{match[1].strip()}`"
            )
            break


class _Finder:
    """One repository."""

    def __init__(
        self, facts: Facts, repo: Repository, codes: Mapping[str, Code], tree: Tree
    ) -> None:
        self._facts = facts
        self._repo = repo
        self._codes = codes
        self._tree = tree
        self.notes: list[str] = []
        self.others: list[Program] = []
        known = tables.groups(facts)
        self._declared = tables.declared(facts).union(*known.values())
        listed = table(facts.project, "scripts") or table(facts.poetry, "scripts")
        self._installs = facts.setup.scripts | {
            name: target for name, target in listed.items() if isinstance(target, str)
        }
        self._fields = fields_of(codes.values())
        self._hints = [*commands.hints(repo, self._installs.keys())]
        tops: set[str] = set()
        for name in codes:
            parts = name.removesuffix(".py").split("/")
            tops |= {*parts}
        library = standard_library(tree.python[1], sys.stdlib_module_names)
        # `extensions/sqlalchemy.py` is no module that `import sqlalchemy` wants.
        self._own = tops - library - known_modules().keys() - {"__init__", "__main__"}
        declared = {name for line in self._declared for name in modules_named(line)}
        self._foreign = library | declared

    def programs(self) -> list[Program]:
        """Return the programs, each image's name once, sorted by what they are for."""
        chosen: dict[str, Program] = {}
        images = [*commands.images(self._repo, self._installed_scripts.keys())]
        for image in images or commands.processes(self._repo):
            program = self._of_dockerfile(image)
            if program is not None:
                name = self._free(program, chosen)
                if name:
                    chosen[name] = replace(program, image=name)
        served = any(p.port for p in chosen.values())
        if served:
            self._without_image([*chosen.values()])
        trained = any(self._is_training(p) for p in chosen.values())
        if not served:
            for program in self._servers():
                name = self._free(program, chosen)
                if name:
                    chosen[name] = replace(program, image=name)
        scripts = [*self._scripts()] or [*self._scripts(of_any_name=True)]
        started = {p.path for p in chosen.values()}
        trainers = [
            p
            for p in scripts
            if p.image == _TRAIN
            and p.path not in started
            and not (chosen and {*p.path.split("/")[:-1]} & _SHOWS)
        ]
        if trainers and not trained and _TRAIN not in chosen:
            chosen[_TRAIN] = self._starter(trainers[0], scripts)
            scripts = [p for p in scripts if p.path != chosen[_TRAIN].path]
        if not chosen:
            chosen.update((program.image, program) for program in [*self._console()][:1])
        if not chosen and scripts:
            first = self._likeliest(scripts)
            chosen[first.image] = first
        used = {p.path for p in chosen.values()}
        self.others = [p for p in scripts if p.path not in used]
        return [chosen[name] for name in sorted(chosen, key=lambda n: (n != _TRAIN, n))]

    def follow(self, tree: Tree) -> None:
        """Look for imports in another tree from now on: one that has notebooks too."""
        self._tree = tree

    def notebooks(self, names: Sequence[str]) -> tuple[list[Program], list[Program]]:
        """Return the notebook that an image runs, the likeliest, and the others.

        IPython runs one without a server, in the notebook's folder, as Jupyter does; papermill one
        that is given parameters.
        """
        told: dict[str, NamedCommand] = {}
        for named in self._hints:
            paths = (posixpath.normpath(posixpath.join(named.folder, word)) for word in named.words)
            for path in [path for path in paths if path in names][:1]:
                told.setdefault(path, named)

        def rank(name: str) -> tuple[bool, int, str]:
            stem = posixpath.basename(name).removesuffix(".ipynb").lower()
            words = re.sub(r"^\d+[\s._-]*|[\s._-]*\d*$", "", re.sub(r"[\s.-]+", "_", stem))
            return name not in told, _place_of(words), name

        books = []
        for name in sorted(names, key=rank):
            base = posixpath.basename(name)
            hint = told.get(name)
            given = hint.words if hint is not None and hint.words[0] == "papermill" else ()
            at = next((n for n, word in enumerate(given) if word in _PARAMETERS), len(given))
            words: tuple[str, ...] = ("ipython", base)
            needs = {"ipython": "ipython", "nbformat": "nbformat"}
            reason = f"{name}:1: a notebook, as there is no other program"
            if hint is not None and at < len(given):
                options = [o for o in given[at:] if o not in {"-k", "--kernel"}]
                words = ("papermill", base, "/tmp/out.ipynb", "--log-output", *options)  # noqa: S108 -- in a container
                needs = {"papermill": "papermill", "ipykernel": "ipykernel"}
                reason = f"{name}:1: a notebook; its parameters are of {hint.source}"
            books.append(
                Program(
                    image="notebook",
                    kind="notebook",
                    path=name,
                    command=words,
                    reason=reason,
                    env=self._better_root(words, _OF_JUPYTER, posixpath.dirname(name)),
                    needs=needs,
                    workdir=posixpath.dirname(name),
                )
            )
        return books[:1], books[1:]

    def _starter(self, trainer: Program, scripts: Sequence[Program]) -> Program:
        """Return the script that is said to be started and that imports a training, or that."""
        said_to_start = {
            p.path for p in scripts if any(self._points(hint, p.path) for hint in self._hints)
        }
        tail = f".{_module(trainer.path).rpartition('.')[2]}."
        starters = (
            replace(p, image=_TRAIN)
            for p in scripts
            if p.path in said_to_start
            and any(tail in f".{whole}." for whole in self._codes[p.path].names.values())
        )
        return trainer if trainer.path in said_to_start else next(starters, trainer)

    def _likeliest(self, scripts: Sequence[Program]) -> Program:
        """Return the first script, or one that fits a model where no name says which is meant."""
        stem = posixpath.basename(scripts[0].path).removesuffix(".py").lower()
        if not any(pattern.fullmatch(stem) for pattern, _ in _SCRIPTS[:5]):
            for script in scripts:
                if _fits(self._codes[script.path]) and not self._is_part(script.path):
                    return replace(script, image=_TRAIN)
        return scripts[0] if scripts[0].port else replace(scripts[0], image="app")

    def _without_image(self, programs: Sequence[Program]) -> None:
        """Say which pages no Dockerfile starts, and no program that one starts is made of."""
        entries = [entry_of(p.command, p.env, p.workdir) for p in programs]
        used = {p.path for p in programs}.union(*(reached(self._tree, e) for e in entries if e))
        pages = [
            f"`{application.path}:{application.line}`"
            for application in self._applications
            if application.kind in {*_SHOWN, "dash"}
            and application.path not in used
            and "pages" not in application.path.split("/")
        ]
        if pages:
            self.notes.append(
                f"pages that no Dockerfile starts, without an image: {', '.join(pages[:5])}"
            )

    def _from(self, root: str, words: Sequence[str]) -> list[str]:
        """Return the words of a command that starts in a folder, its paths from there."""
        return [
            _below(word, root) if root and self._is_path(word, before) else word
            for before, word in zip(["", *words], words, strict=False)
        ]

    def _is_path(self, word: str, before: str) -> bool:
        """Return whether a word of a command is a path: `worker` of Celery may be a folder too."""
        if "/" in word or word in self._codes or posixpath.splitext(word)[1]:
            return self._repo.exists(word)
        return bool(_TAKES_FOLDER.search(before)) and self._repo.exists(word)

    def _is_training(self, program: Program) -> bool:
        return "train" in program.image or "train" in posixpath.basename(program.path)

    def _free(self, program: Program, taken: Mapping[str, Program]) -> str:
        """Return a name for a program's image that is not taken, empty for one that is there."""
        for other in taken.values():
            same = (other.command, other.path) == (program.command, program.path)
            if same or _differs_by_options(other, program):
                return ""
        base = program.image
        candidates = [base, f"{base}-{program.kind}", *(f"{base}-{n}" for n in range(2, 9))]
        return next((name for name in candidates if name not in taken), "")

    # --- a Dockerfile's own

    def _of_dockerfile(self, hint: NamedCommand) -> Program | None:
        words, env = list(hint.words), dict(hint.env)
        if not words:
            command = " ".join(hint.label.split())
            self.notes.append(f"`{hint.source}` starts `{command:.80}`: without an image")
            return None
        if any("$" in word for word in words):
            self.notes.append(
                f"`{hint.source}`: its command has a variable that nobody sets: left out"
            )
            return None
        root = hint.folder
        words = self._from(root, words)
        if words[:2] == ["python", "-m"] and words[2:3] and words[2] in _STARTED:
            words = words[2:]
        if words[0] == "fastapi" and len(words) > 1:
            words = ["run" if w == "dev" else w for w in words]
        by_name = self._installed_scripts.get(words[0], "").partition(":")[0]
        begun = ["python", "-m", by_name] if by_name else words
        entry = entry_of(begun, env, root)
        path = self._file_of(begun, env, root)
        if entry is not None and not path:
            path, words = self._moved(entry, words, hint)
            if not path:
                return None
        kind = self._kind_of(path) if path else "said"
        kind = "console" if by_name and kind == "script" else kind
        django = self._django_of(path, words)
        if django:
            kind = "django"
            words += [w for w in (f"{_HOST}:8000",) if words[-1] == "runserver"]
            words += [w for w in ("--noreload",) if "runserver" in words and w not in words]
        words = self._bound(words, hint.port)
        application = self._application(path) if path else None
        is_alone = words[:1] == ["python"] and len(words) == 2
        if application and is_alone and application.by in {"asgi", "wsgi"}:
            served = self._reached_by_others(hint, application)
            if served:
                return served
        serves = hint.serves or kind not in {"script", "console", "said", "celery"}
        text = (self._repo.text(path) if path else None) or ""
        ports = (v for n, v in env.items() if n.endswith("PORT") and n in text and v.isdecimal())
        port = _said_port(words) or hint.port or int(next(ports, "0"))
        port = (port or _port(words, kind, application)) if serves else 0
        own = application.port if application and is_alone else 0
        if serves and own and says_port(self._codes[path], own):
            port = own  # whatever EXPOSE says
        above = self._above(port, hint.source)
        words = [re.sub(rf"(^|:|=){port}$", rf"\g<1>{above}", w) for w in words] if port else words
        port = above
        health = hint.health or (self._health_of(application) if application and port else "")
        health = health or (self._default_health(kind) if port else "")
        for name, value in _ENV.get(kind, {}).items():
            env.setdefault(name, value)
        env = self._better_root(begun if by_name else words, env, root)
        named = hint.label or ("serve" if port else "train" if "train" in path else "app")
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
            before=tuple(
                Program(
                    image=named,
                    kind="script",
                    path=first,
                    command=step,
                    reason=f"{hint.source}: what its image starts first",
                    env=env,
                    workdir=root,
                )
                for words in hint.before
                for step in [tuple(self._from(root, words))]
                if (first := self._migrations(step) or self._file_of(step, env, root))
                and (django or first != path)
            )
            or (django.before if django and not root else ()),
            folder=django.folder if django else "",
        )

    def _moved(self, entry: Entry, words: list[str], hint: NamedCommand) -> tuple[str, list[str]]:
        """Return the one file that has a missing file's name, and the words that start it."""
        told = f"`{hint.source}` starts `{' '.join(words)}`, which is no code of this folder"
        missing = posixpath.basename(entry.path or f"{entry.module.replace('.', '/')}.py")
        below = f"{hint.folder}/" if hint.folder else ""
        likes = [n for n in self._codes if posixpath.basename(n) == missing and n.startswith(below)]
        path = likes[0] if len(likes) == 1 else ""
        self.notes.append(f"{told}: `{path}` in its place" if path else told)
        there = path.removeprefix(below)
        old, new = (entry.path, there) if entry.path else (entry.module, _module(there))
        return path, [re.sub(rf"^{re.escape(old)}(?=:|$)", new, word) for word in words]

    def _migrations(self, words: Sequence[str]) -> str:
        """Return the file that makes the tables of a database, where a command of Alembic does."""
        if words[0] != "alembic" and tuple(words[:2]) != ("flask", "db"):
            return ""
        folders = {posixpath.dirname(name.partition("/versions/")[0] + "/") for name in self._codes}
        return next((n for f in sorted(folders) if (n := f"{f}/env.py") in self._codes), "")

    def _above(self, port: int, source: str) -> int:
        """Return a port that a user may listen on."""
        if not 0 < port < _UNPRIVILEGED:
            return port
        self.notes.append(f"`{source}`: port {port} needs root: {8000 + port} in its place")
        return 8000 + port

    def _django_of(self, path: str, words: Sequence[str]) -> Program | None:
        """Return the program of the Django project that a command serves, or None."""
        django = next(self._django(), None)
        folder = posixpath.dirname(django.path) if django else ""
        is_run = django is not None and path == django.path and "runserver" in words
        is_server = posixpath.basename(path) in {"wsgi.py", "asgi.py"} and path.startswith(folder)
        return django if is_run or is_server else None

    def _reached_by_others(self, hint: NamedCommand, application: Application) -> Program | None:
        """Return the program of a server whose file runs it for its own machine, or not at all."""
        own = is_local(self._codes[application.path], application)
        if own is False:
            return None
        program = self._served(application, hint.label or _SERVE)
        why = "listens on 127.0.0.1, where nobody else reaches it" if own else "starts no server"
        self.notes.append(
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
            words = [*words, "--host", _HOST]
        if words[:1] in (["uvicorn"], ["gunicorn"]):
            words = [w for w in words if w != "--reload"]
        if words[:1] == ["gunicorn"] and not any(_BINDS.match(word) for word in words):
            words = [*words, "--bind", f"{_HOST}:{port or 8000}"]
        if (
            words[:1] == ["flask"]
            and "run" in words
            and "--host" not in words
            and "-h" not in words
        ):
            words = [
                *words,
                *([] if any(w.startswith("--host=") for w in words) else ["--host", _HOST]),
            ]
            told = any(word.startswith(("--port", "-p")) for word in words)
            if port and not told:
                words = [*words, "--port", str(port)]
        return words

    def _better_root(
        self, words: Sequence[str], env: Mapping[str, str], workdir: str = ""
    ) -> dict[str, str]:
        """Return the variables with what PYTHONPATH lacks for the imports of a command."""
        best, lacking = dict(env), self._lacking(words, env, workdir)
        beside = posixpath.dirname(self._file_of(words, env, workdir)) if lacking else ""
        roots = sorted(self._roots(), key=lambda root: root != beside) if lacking else []
        options = [f"/app/{root}" if root else "/app" for root in roots]
        while lacking:
            there = best.get("PYTHONPATH", "")
            choices = [
                {**best, "PYTHONPATH": f"{there}:{option}" if there else option}
                for option in options
                if option not in there.split(":")
            ]
            counts = [self._lacking(words, choice, workdir) for choice in choices]
            if not counts or min(counts) >= lacking:
                break
            lacking = min(counts)
            best = choices[counts.index(lacking)]
        return best

    def _default_health(self, kind: str) -> str:
        """Return the route that a framework answers by itself, in the versions that are asked."""
        if kind == "streamlit" and self._is_below(kind, *_NEW_HEALTH):
            return "/healthz"
        return default_of(kind)[1]

    def _is_below(self, name: str, version: str, day: str) -> bool:
        """Return whether only versions older than one of a day fit what the repository asks for."""
        if "" < self._facts.day < day:
            return True
        lines = [*tables.dependencies(self._facts), *self._facts.inputs.constraints]
        return eras.is_below(eras.specifiers_of(lines, name), version)

    # --- servers by their code

    def _servers(self) -> Iterator[Program]:
        """Yield a program for each server or worker, the most likely first."""
        yield from self._django()
        every = [*self._applications]
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
            self.notes.append(f"other applications, without an image: {', '.join(rest[:5])}")
        folders = [_named_by_folder(e.path) for e in chosen[:apis]]
        for best in sorted(chosen, key=lambda e: (e.by not in _APIS, chosen.index(e), e.kind)):
            if best.by in _APIS:
                named = _named_by_folder(best.path)
                if folders.count(named) > 1:  # several of one folder: by the last one of each
                    named = _named_by_folder(posixpath.join(*best.path.split("/")[-2:]))
                named = named if apis > 1 else _SERVE
            else:
                named = {"celery": "worker"}.get(best.kind) or (
                    best.kind if len(chosen) > 1 else _SERVE
                )
            yield self._served(best, named)

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
            program = self._served(application, _SERVE)
            entry = entry_of(program.command, program.env, program.workdir)
            modules = {*reached(self._tree, entry)} if entry else set()
            if any(other.path in modules for other in chosen) or len(chosen) == _MOST_SERVERS:
                continue
            chosen.append(application)
            parts |= modules
        return chosen

    @functools.cached_property
    def _factories(self) -> tuple[Application, ...]:
        every = (app for code in self._codes.values() for app in applications(code))
        return tuple(app for app in every if app.factory)

    @functools.cached_property
    def _installed_scripts(self) -> Mapping[str, str]:
        return self._installs if self._facts.installed else {}

    @functools.cached_property
    def _applications(self) -> tuple[Application, ...]:
        return tuple(self._found_applications())

    def _found_applications(self) -> Iterator[Application]:
        kinds: dict[str, str] = {}
        first = {name: applications(code) for name, code in self._codes.items()}
        for name, several in first.items():
            for app in several:
                if app.factory:
                    for root in ("", *self._roots()):
                        if not root or name.startswith(f"{root}/"):
                            module = _module(name.removeprefix(f"{root}/") if root else name)
                            kinds[f"{module}.{app.name}"] = app.kind
                            package = module.rpartition(".")[2] == "__init__"
                            kinds |= (
                                {f"{module.removesuffix('.__init__')}.{app.name}": app.kind}
                                if package
                                else {}
                            )
        for name, code in self._codes.items():
            parts = {*name.split("/")[:-1]}
            base = posixpath.basename(name)
            if parts & _APART or base.startswith("test_") or base in {"conftest.py", "setup.py"}:
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
        hint = any(self._points(s, app.path) for s in self._hints)
        place = names.index(stem) if stem in names else len(names)
        named = app.name in {"app", "application", "api", ""}
        unnamed = app.by in _APIS and not app.name  # no other program can serve it
        return (is_page, unnamed, not hint, app.factory, place, len(parts), not named, app.path)

    def _points(self, hint: NamedCommand, path: str) -> bool:
        env = {**hint.env, **({"PYTHONPATH": f"/app/{hint.folder}"} if hint.folder else {})}
        return self._file_of(hint.words, env) == path or any(
            posixpath.join(hint.folder, word) == path for word in hint.words
        )

    def _application(self, path: str) -> Application | None:
        return next((e for e in self._applications if e.path == path), None)

    def _health_of(self, app: Application) -> str:
        code, codes = self._codes[app.path], self._codes.values()
        health = app.health or health_of_parts(code, codes)
        for other in self._factories if not health else ():  # of another file, which it calls
            module = _module(other.path)
            if any(f".{module}.{other.name}".endswith(f".{c.lstrip('.')}") for c in code.calls):
                health = health or other.health or health_of_parts(self._codes[other.path], codes)
        return health

    def _kind_of(self, path: str) -> str:
        application = self._application(path)
        return application.kind if application else "script"

    def _runner(self, app: Application) -> Application:
        """Return an application in the file that runs it: another one, where its own does not."""
        verbs = (".run", ".run_server", ".launch")
        if app.by == "streamlit":
            return replace(app, path=self._page_of(app.path))
        if app.by in _APIS or any(name.endswith(verbs) for name in self._codes[app.path].calls):
            return app
        whole = f"{_module(app.path)}.{app.name}"
        for path, code in self._codes.items():
            names = {name.rpartition(".")[0] for name in code.calls if name.endswith(verbs)}
            if any(f".{whole}".endswith(f".{name.lstrip('.')}") for name in names if "." in name):
                ports = [other.port for other in applications(code) if other.port]
                return replace(app, path=path, port=next(iter(ports), app.port))
        return app

    def _served(self, app: Application, image: str) -> Program:
        app = self._runner(app)
        default, health = default_of(app.kind)[0], self._default_health(app.kind)
        port = app.port or default
        pointed = [s for s in self._hints if self._points(s, app.path) and s.port]
        if not app.port and pointed:
            port = pointed[0].port
        if app.by in {"asgi", "wsgi"} and not app.port and not pointed:
            port = default if app.by == "asgi" else 8000
        if app.kind == "flask" and not app.port and not pointed:
            text = self._repo.text(".flaskenv") or ""
            port = int(match[1]) if (match := _FLASK_PORT.search(text)) else port
        port = self._above(port, f"{app.path}:{app.line}") if app.by in _APIS else port
        needs = dict(_NEEDED.get(app.kind, {}))
        command, env = self._command(app, port, needs)
        if app.by == "streamlit":
            port = _configured(self._repo) or port
            command = [w if w != str(app.port or default) else str(port) for w in command]
        env |= _ENV.get(app.kind, {})
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
            health=self._health_of(app) or health,
            needs=needs,
            begun=_begun(app.path, [s for s in self._hints if self._points(s, app.path)]),
        )

    def _command(
        self, app: Application, port: int, needs: dict[str, str]
    ) -> tuple[list[str], dict[str, str]]:
        """Return the words and variables that start an application."""
        way, name = app.by, app.name or "app"
        if way in _APIS and not app.name:
            if is_local(self._codes[app.path], app):
                self.notes.append(
                    f"`{app.path}:{app.line}` is reached from its own machine alone: "
                    f'host="{_HOST}" where it is run'
                )
            return self._script_command(app.path)
        if way == "asgi":
            way = "uvicorn"
            if "hypercorn" in self._declared and "uvicorn" not in self._declared:
                way = "hypercorn"
                needs.pop("uvicorn", None)
        elif way == "wsgi":
            declared = [way for way in ("gunicorn", "waitress") if way in self._declared]
            by_flask = app.kind == "flask" and not self._is_below("flask", *_NEW_OPTION)
            way = next(iter(declared), "flask" if by_flask else "gunicorn")
            if (
                app.kind == "bottle"
                and not declared
                and is_local(self._codes[app.path], app) is False
            ):
                way = "file"  # it serves itself, to everybody
            if way == "gunicorn":
                needs.setdefault("gunicorn", "gunicorn")
        template = _COMMANDS.get(way, "").split()
        if not template:
            return self._script_command(app.path)

        def filled(words: Sequence[str], module: str = "") -> list[str]:
            values = {
                "app": f"{module}:{name}",
                "called": f"{module}:{name}{'()' if app.factory else ''}",
                "file": app.path,
                "host": _HOST,
                "port": port,
            }
            return [word.format(**values) for word in words]

        at = next((n for n, word in enumerate(template, 1) if word in {"{app}", "{called}"}), 0)
        if not at:
            words = filled(template)
            return words, self._better_root(words, {})
        begin, after = template[:at], template[at:]
        if app.factory and way in _FACTORY:
            place = after if way == "uvicorn" else begin
            place.insert(0 if way == "uvicorn" else -1, _FACTORY[way])
        option = "--app-dir" if way == "uvicorn" else ""
        return self._module_command(app.path, lambda m: filled(begin, m), filled(after), option)

    def _roots(self) -> list[str]:
        """Return the folders that imports may begin in, the likeliest first."""
        folders = {posixpath.dirname(name) for name in self._codes}
        folders = {f for f in folders if f and not {*f.split("/")} & _APART}
        folders |= {posixpath.dirname(f) for f in folders} - {""}
        ordered = sorted(folders, key=lambda f: (f.count("/"), f != "src", f))
        return ["", *ordered[:40]]

    def _lacking(self, words: Sequence[str], env: Mapping[str, str], workdir: str = "") -> int:
        """Return how many of the repository's own modules a command would not find."""
        entry = entry_of(words, env, workdir)
        if entry is None:
            return 0
        outside = follow(self._tree, entry)
        lacking = {e.module for e in outside if e.top in self._own and not self._is_declared(e.top)}
        certain = {e.module for e in outside if e.reach is Reach.CERTAIN} & lacking
        return len(lacking) + 10 * len(certain)

    def _is_declared(self, top: str) -> bool:
        return tables.is_of(top, self._declared)

    def _module_command(
        self, path: str, words: object, after: Sequence[str] = (), option: str = ""
    ) -> tuple[list[str], dict[str, str]]:
        """Return the command that names a module, from the folder in which its imports are found.

        `option` names the folder for the program; others are told by PYTHONPATH.
        """
        make = words  # a function of the module's name
        assert callable(make)  # noqa: S101 -- for mypy
        installed = self._installed(path)
        if installed:
            return [*make(installed), *after], self._better_root([*make(installed), *after], {})
        best: tuple[int, list[str], dict[str, str]] | None = None
        for root in self._module_roots(path):
            inner = path.removeprefix(f"{root}/") if root else path
            module = _module(inner)
            if "." in posixpath.splitext(inner)[0]:  # the name of a file, which is no module's
                continue
            if self._is_hidden(root, module):
                continue
            begun = [*make(module), *([option, root] if option and root else []), *after]
            env = {"PYTHONPATH": f"/app/{root}"} if root and not option else {}
            env = self._better_root(begun, env)
            lacking = self._lacking(begun, env)
            cost = 10 * lacking + (1 if "PYTHONPATH" in env and option else 0)
            if best is None or cost < best[0]:
                best = cost, begun, env
        return (best[1], best[2]) if best else self._script_command(path)

    def _is_hidden(self, root: str, module: str) -> bool:
        """Return whether a folder that a module is in is not what Python imports by that name.

        A folder without __init__.py comes after a file and a package of its name.
        """
        *folders, _ = module.split(".")
        for n in range(1, len(folders) + 1):
            base = posixpath.join(root, *folders[:n])
            if f"{base}/__init__.py" not in self._codes and (
                f"{base}.py" in self._codes or (n == 1 and folders[0] in self._foreign)
            ):
                return True
        return False

    def _module_roots(self, path: str) -> list[str]:
        folders = path.split("/")[:-1]
        roots = ["/".join(folders[:n]) for n in range(len(folders) + 1)]
        if folders[:1] == ["src"] and "src/__init__.py" not in self._codes:
            roots = ["src", *(r for r in roots if r != "src")]
        if self._codes[path].relative:
            roots = [r for r in roots if r != "/".join(folders)] or roots
        # The folder that holds a package is the likeliest, for `a/b/__init__.py` it is a.
        return roots

    def _installed(self, path: str) -> str:
        """Return the name by which a file of an installed package is imported, or an empty text."""
        for name, folder in self._facts.packages.items() if self._facts.installed else ():
            if path.startswith(f"{folder}/"):
                return _module(f"{name}/{path.removeprefix(f'{folder}/')}")
        return ""

    def _script_command(self, path: str) -> tuple[list[str], dict[str, str]]:
        """Return how a file is run so that its own modules are found: by path, else by module."""
        installed = self._installed(path)
        dotted = installed or _module(path)
        can_module = all(part.isidentifier() for part in dotted.split("."))
        by_module = ["python", "-m", dotted.removesuffix(".__main__")]
        by_path = ["python", path]
        if installed:
            return by_module, self._better_root(by_module, {})
        said_module = any(list(s.words[:3]) == by_module for s in self._hints)
        if (
            can_module
            and "/" in path
            and (self._codes[path].relative or path.endswith("__main__.py"))
        ):
            return by_module, self._better_root(by_module, {})
        options = [by_path, by_module] if can_module and "/" in path else [by_path]
        options = options[::-1] if said_module else options
        envs = [self._better_root(words, {}) for words in options]
        # The way that finds most with PYTHONPATH; of equals, the one that finds most without.
        scored = [
            (self._lacking(words, env), self._lacking(words, {}), number)
            for number, (words, env) in enumerate(zip(options, envs, strict=True))
        ]
        best = min(scored)[2]
        return options[best], envs[best]

    def _django(self) -> Iterator[Program]:
        names = [n for n in self._codes if posixpath.basename(n) in {"manage.py", "wsgi.py"}]
        for name in sorted(names, key=lambda n: (not n.endswith("manage.py"), n.count("/"))):
            text = self._repo.text(name) or ""
            if "DJANGO_SETTINGS_MODULE" not in text:
                continue
            match = re.search(r"DJANGO_SETTINGS_MODULE[\"'],\s*[\"']([\w.]+)", text)
            settings = match[1] if match else ""
            folder = posixpath.dirname(name)
            package = settings.partition(".")[0]
            needs = dict(_NEEDED["django"])
            manage = ["python", name]
            if name.endswith("wsgi.py"):  # without manage.py
                folder = posixpath.dirname(folder)
                manage = ["python", "-m", "django"]
            env = {"PYTHONPATH": f"/app/{folder}"} if folder else {}
            env |= {} if name in manage else {"DJANGO_SETTINGS_MODULE": settings}
            wsgi = posixpath.join(folder, package, "wsgi.py")
            if wsgi in self._codes and ("gunicorn" in self._declared or name not in manage):
                needs["gunicorn"] = "gunicorn"
                words = ["gunicorn", "--bind", f"{_HOST}:8000", f"{package}.wsgi:application"]
            else:
                words = [*manage, "runserver", f"{_HOST}:8000", "--noreload"]
            reason = f"{name}:1: Django's settings are `{settings}`"
            migrate = Program(
                image=_SERVE,
                kind="script",
                path=name,
                command=(*manage, "migrate", "--noinput"),
                reason=f"{name}:1: makes the tables of the database, which is not here",
                env=env,
            )
            place = posixpath.join(folder, settings.replace(".", "/"))
            texts = [self._repo.text(n) or "" for n in self._codes if n.startswith(place)]
            has_database = any(n.endswith((".sqlite3", ".db")) for n in self._repo.every_name)
            makes = not has_database and any("db.backends.sqlite3" in text for text in texts)
            yield Program(
                image=_SERVE,
                kind="django",
                path=name,
                command=tuple(words),
                reason=reason,
                env=env,
                port=8000,
                needs=needs,
                folder=folder or ".",
                before=(migrate,) if makes else (),
            )
            return

    # --- scripts

    def _console(self) -> Iterator[Program]:
        """Yield the programs that the metadata of an installed package names."""
        if not self._facts.installed:
            return
        for name, target in self._installs.items():
            module = target.partition(":")[0]
            path = self._file_of(["python", "-m", module], {})
            if path:
                hints = [hint for hint in self._hints if hint.words[0] == name]
                arguments, source, earlier = self._arguments(path, hints)
                program = Program(
                    image="app",
                    kind="console",
                    path=path,
                    command=(name, *arguments),
                    # A module beside the packages is not installed with them.
                    env=self._better_root(["python", "-m", module], {}),
                    reason=f"pyproject.toml: the program `{name}` is `{target}`"
                    + (f"; its arguments are of {source}" if source else ""),
                )
                yield _after(program, [(name, *given) for given in earlier])

    def _scripts(self, *, of_any_name: bool = False) -> Iterator[Program]:
        """Yield a program for each file that is run, those by whose names one knows them first.

        A name that says nothing counts at the root, or with `of_any_name`.
        """
        ranked = []
        for path, code in self._codes.items():
            stem = posixpath.basename(path).removesuffix(".py").lower()
            parts = path.split("/")[:-1]
            if (
                {*parts} & _APART
                or posixpath.basename(path) in _NO_PROGRAMS
                or stem.startswith("test_")
                or _PLANS & {*code.names.values()}
            ):
                continue
            hints = [s for s in self._hints if self._points(s, path)]
            place = _place_of(stem)
            image = _SCRIPTS[place][1] if place < len(_SCRIPTS) else "app"
            if place == len(_SCRIPTS) and code.has_main and _starts_training(code):
                place, image = 2, _TRAIN
            is_script = code.has_main or code.is_script
            # train.py, whatever is in it, unless it is a part of another program.
            named = place < 1 and len(parts) <= 2 and not self._is_part(path)
            if not (is_script or named) or (
                place == len(_SCRIPTS)
                and not (code.has_main or hints or of_any_name)
                and len(parts) > 0
            ):
                continue
            hinted = next((n for n, s in enumerate(self._hints) if s in hints), 10**6)
            ranked.append(
                (
                    (
                        _SAMPLE.search(stem) is not None or bool({*parts} & _UPKEEP),
                        (place, not hints, place == len(_SCRIPTS) and self._is_part(path)),
                        (not code.has_main, len(parts), hinted, -self._parts_of(code), path),
                    ),
                    image,
                    path,
                    hints,
                )
            )
        for _, image, path, hints in sorted(ranked, key=lambda row: row[0]):
            kinds = self._kind_of(path)
            if kinds != "script" and (image != _TRAIN or kinds in _SHOWN):
                continue
            words, env = self._script_command(path)
            arguments, source, earlier = self._arguments(path, hints)
            asks = () if arguments else tuple(arguments_of(self._codes[path]))
            data = [n for n in self._repo.names if n.endswith(_TABLES)]
            if len(asks) == len(data) == 1 and _OF_DATA.search(asks[0]):
                arguments = (*(word for word in asks if word.startswith("-")), data[0])
                asks, source = (), "a guess: the only table of the repository"
            line = next((e.line for e in applications(self._codes[path]) if e.kind == "script"), 1)
            reason = f"{path}:{line}: a script" + (
                f"; its arguments are of {source}" if source else ""
            )
            program = Program(
                image=image,
                kind="script",
                path=path,
                command=(*words, *arguments),
                reason=reason,
                env={name: value for s in hints for name, value in s.env.items()} | env,
                outputs=tuple(o for s in hints for o in s.outputs),
                reads=tuple(o for s in hints for o in s.needs),
                makes=tuple(o for s in hints for o in s.makes),
                begun=_begun(path, hints),
                asks=asks,
            )
            program = _after(program, [(*words, *given) for given in earlier])
            if image == "app" and (port := self._listens(words, env, hints if arguments else ())):
                program = replace(program, image=_SERVE, port=port[0], health=port[1])
            folder = _begun(path, [hint for hint in hints if _is_stage(hint)])
            yield moved(program, folder) if folder else program

    def _listens(
        self, words: Sequence[str], env: Mapping[str, str], hints: Sequence[NamedCommand]
    ) -> tuple[int, str] | None:
        """Return the port that a script is told to serve on, and the route of what it runs."""
        port = next((hint.port for hint in hints if hint.port), 0)
        entry = entry_of(words, env)
        parts = [*reached(self._tree, entry)] if port and entry else []
        codes = [self._codes[path] for path in parts if path in self._codes]
        if not any("uvicorn.run" in c.calls or "waitress.serve" in c.calls for c in codes):
            return None
        health = (app.health for code in codes for app in applications(code) if app.health)
        return port, next(health, "")

    def _parts_of(self, code: Code) -> int:
        """Return how many modules of the repository a file imports."""
        return len(self._own.intersection(n.partition(".")[0] for n in code.names.values()))

    def _page_of(self, path: str) -> str:
        """Return the script whose parts show a page: a file, or what imports it."""
        above, waiting = {path}, [path]
        while waiting:
            new = {*self._importers(waiting.pop())} - above
            above |= new
            waiting += new
        tops = [p for p in above - {path} if self._may_run(p, self._codes[p])]
        tops = [p for p in tops if not self._is_part(p)]
        return min(tops, key=lambda name: (name.count("/"), name), default=path)

    def _is_part(self, path: str) -> bool:
        """Return whether a script of the repository imports a file."""
        return any(self._may_run(other, self._codes[other]) for other in self._importers(path))

    def _importers(self, path: str) -> Iterator[str]:
        """Yield the files of the repository that import a file."""
        tail = f".{_module(path).rpartition('.')[2]}."
        for other, code in self._codes.items():
            if other != path and any(
                tail in f".{whole}."
                and (whole.startswith(".") or whole.partition(".")[0] in self._own)
                for whole in code.names.values()
            ):
                yield other

    def _may_run(self, path: str, code: Code) -> bool:
        """Return whether a file is a script that may be a program."""
        *folders, name = path.split("/")
        if {*folders} & _APART or name in _NO_PROGRAMS or name.startswith("test_"):
            return False
        known = any(pattern.fullmatch(name.removesuffix(".py").lower()) for pattern, _ in _SCRIPTS)
        return code.has_main or (code.is_script and (known or not folders))

    def _arguments(
        self, path: str, hints: Sequence[NamedCommand]
    ) -> tuple[tuple[str, ...], str, list[tuple[str, ...]]]:
        """Return the arguments that the repository gives a script, and where it says so.

        Those of a README count only for a script that cannot run without. Of several, those that
        train count; what the others make first, where it is missing, comes third.
        """
        modules = reached(self._tree, entry) if (entry := entry_of(("python", path), {})) else ()
        parts = {path, *(name for name in modules if name in self._codes)}
        if path.endswith("__main__.py"):
            parts |= {n for n in self._codes if posixpath.dirname(n) == posixpath.dirname(path)}
        required = any(_REQUIRED.search(self._repo.text(name) or "") for name in parts)
        told: list[tuple[tuple[str, ...], NamedCommand]] = []
        for hint in hints:
            words = list(hint.words)
            by_module = 3 if words[:2] == ["python", "-m"] else len(words)
            by_module = 1 if words[0] in self._installs else by_module
            places = [posixpath.normpath(posixpath.join(hint.folder, word)) for word in words]
            given = words[places.index(path) + 1 if path in places else by_module :]
            usable = not any(
                not word or re.search(r"[<>${}\[\]]|path/to|\.\.\.|^--(?:help|version)$", word)
                for word in given
            )
            if given and usable:
                told.append((tuple(given), hint))
        sure = [pair for pair in told if _is_sure(pair[1])] or (told if required else [])
        if sure:
            chosen, hint = min(
                sure, key=lambda pair: min(_place_of(pair[1].label), _place_of(pair[0][0]))
            )
            missing = [w for w in chosen if "/" in w and "." in w and not self._repo.exists(w)]
            missing += [name for name in hint.needs if not self._repo.exists(name)]
            earlier = [w for w, _ in sure[: sure.index((chosen, hint))] if w[0] != chosen[0]]
            return chosen, hint.source, earlier if missing else []
        words = subcommands_of(self._codes[path]) if path in self._codes else []
        word = min(words, key=_place_of, default="")
        more: tuple[str, ...] = ()
        if word == "fit" and "LightningCLI" in (self._repo.text(path) or ""):
            config = next((n for n in self._repo.every_name if _CONFIG.fullmatch(n)), "")
            more = ("--config", config) if config else ()
        return ((word, *more), f"{path}, one of {', '.join(words)}", []) if word else ((), "", [])

    def _file_of(self, words: Sequence[str], env: Mapping[str, str], workdir: str = "") -> str:
        """Return the file of the repository that a command begins with, or an empty text."""
        entry = entry_of(words, env, workdir)
        if entry is None:
            return ""
        if entry.path:
            return entry.path if entry.path in self._codes else ""
        base = entry.module.replace(".", "/")
        names = [f"{base}.py", f"{base}/__main__.py", f"{base}/__init__.py"]
        if "celery" in words:  # `-A package` is package.celery, and `-A module.name` a name
            parent = posixpath.dirname(base)
            named = [f"{parent}.py", f"{parent}/__init__.py"]
            exact = any(f"{entry.module}:" in word for word in words)
            names = [f"{base}/celery.py", *names, *([] if exact else named)]
        tops = self._tree.installed
        own = tops.get(entry.module.partition(".")[0])
        for root in (*entry.roots, *([] if own is None else [own])):
            for name in names:
                path = posixpath.normpath(posixpath.join(root, name))
                if path in self._codes:
                    return path
        return ""


def _place_of(word: str) -> int:
    """Return how likely a word is the name of what an image does, the least being the best."""
    stem = word.replace("-", "_")
    places = (n for n, (pattern, _) in enumerate(_SCRIPTS) if pattern.fullmatch(stem))
    return next(places, len(_SCRIPTS))


def _begun(path: str, hints: Sequence[NamedCommand]) -> str:
    """Return the folder above a file that it is said to be started in."""
    return next((s.folder for s in hints if s.folder and path.startswith(f"{s.folder}/")), "")


def _is_sure(hint: NamedCommand) -> bool:
    """Return whether a command is no example, as those of a README are."""
    return hint.is_made or hint.source.startswith("Procfile") or _is_stage(hint)


def _is_stage(hint: NamedCommand) -> bool:
    """Return whether a command is of a pipeline, which starts it in the folder of its file."""
    return re.search(r"(?i)(?:^|/)(?:dvc\.yaml|mlproject):", hint.source) is not None


def _starts_training(code: Code) -> bool:
    """Return whether a script imports a module of a training, as `components.model_trainer`."""
    trains = [pattern for pattern, image in _SCRIPTS if image == _TRAIN]
    modules = {whole.rpartition(".")[0].rpartition(".")[2] for whole in code.names.values()}
    return any(pattern.fullmatch(module) for pattern in trains for module in modules)


def _fits(code: Code) -> bool:
    """Return whether a file makes an estimator and fits it."""
    has = any(_ESTIMATORS.match(name) for name in code.names.values())
    return has and any(name.endswith((".fit", ".backward", "gbm.train")) for name in code.calls)


def _port(words: Sequence[str], kind: str, application: Application | None) -> int:
    """Return the port of a server by its command, its file, its program or its framework."""
    by_file = application.port if application and words[0] == "python" else 0
    named = {"uvicorn", "gunicorn", "hypercorn"} & {*words} or kind == "django"
    return _said_port(words) or by_file or (8000 if named else 0) or default_of(kind)[0]


def _needed(program: str, kind: str) -> dict[str, str]:
    """Return the requirements of a server that a command starts, by distribution."""
    needs = dict(_NEEDED.get(kind, {}))
    if program not in {"python", "uvicorn"}:
        needs.pop("uvicorn", None)
    if program in {"uvicorn", "gunicorn", "hypercorn", "waitress-serve", "daphne", "granian"}:
        name = program.removesuffix("-serve")
        needs.setdefault(name, name)
    if program in {"awslambdaric", "fastapi"}:
        name = program.replace("fastapi", "fastapi-cli")
        needs[name] = name
    return needs


def _after(program: Program, earlier: Sequence[tuple[str, ...]]) -> Program:
    """Return a program that runs after others of its file."""
    return replace(program, before=tuple(replace(program, command=words) for words in earlier))


def moved(program: Program, workdir: str) -> Program:
    """Return a program as it starts in another folder, or a notebook in the project's."""
    words, env = [*program.command], dict(program.env)
    if not workdir:
        words = [program.path if w == posixpath.basename(program.path) else w for w in words]
        return replace(program, command=tuple(words), workdir="")
    paths = [path for path in env.get("PYTHONPATH", "").split(":") if path]
    for at, word in enumerate(words):
        if word == program.path or (at and word.startswith(f"{workdir}/")):
            words[at] = _below(word, workdir)
    by_module = program.path not in program.command
    if "--app-dir" in words:
        at = words.index("--app-dir")
        folder = _below(words[at + 1], workdir)
        words[at : at + 2] = [] if folder == "." else ["--app-dir", folder]
    elif by_module and not ({*paths} - {f"/app/{workdir}"} and _reaches(program, env, workdir)):
        paths.append("/app")  # from where the module is named
    env |= {"PYTHONPATH": ":".join(paths)} if paths else {}
    before = tuple(moved(step, workdir) for step in program.before)
    return replace(program, command=tuple(words), env=env, workdir=workdir, before=before)


def _reaches(program: Program, env: Mapping[str, str], workdir: str) -> bool:
    """Return whether a program's module is found from another folder too."""
    entry = entry_of(program.command, env, workdir)
    stem = program.path.removesuffix(".py").removesuffix("/__init__").removesuffix("/__main__")
    places = (
        [posixpath.join(root, entry.module.replace(".", "/")) for root in entry.roots]
        if (entry)
        else []
    )
    return stem in map(posixpath.normpath, places)


def _named_by_folder(path: str) -> str:
    """Return the name of the image of one of several applications: its folder's."""
    folders = [part for part in path.split("/")[:-1] if part.lower() not in _LAYERS]
    name = re.sub(r"[^a-z0-9]+", "-", folders[0].lower()).strip("-") if folders else ""
    return name or _SERVE


def _differs_by_options(one: Program, other: Program) -> bool:
    """Return whether one Dockerfile starts one program twice, with other options alone."""

    def words(program: Program) -> list[str]:
        return [word for word in program.command if not word.startswith("-")]

    return bool(one.path) and one.reason == other.reason and words(one) == words(other)


def _below(path: str, folder: str) -> str:
    return path if path.startswith("/") else posixpath.relpath(path, folder)


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _said_port(words: Sequence[str]) -> int:
    for at, word in enumerate(words[:-1]):
        if word in {"--port", "-p", "--server.port"} and words[at + 1].isdecimal():
            return int(words[at + 1])
    for word in words:
        if re.fullmatch(r"(?:--?[a-z]+=)?(?:0\.0\.0\.0|\*|\[::\])?:\d+", word):
            return int(word.rpartition(":")[2])
    return 0


def _configured(repo: Repository) -> int:
    settings = repo.toml(".streamlit/config.toml") or {}
    port = table(settings, "server").get("port")
    return port if isinstance(port, int) else 0
