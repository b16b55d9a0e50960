"""Fixes of compose files: each is made only where the file, read again, says what was meant."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from lockstitch.patterns import regex
from lockstitch.repository.compose.reader import beside
from lockstitch.repository.compose.services import (
    Password,
    Role,
    Stack,
    command_text,
    image_of,
    passwords,
    role_of,
)
from lockstitch.repository.compose.values import Compose, Port, Service, dotenv
from lockstitch.repository.files import File, Repository
from lockstitch.repository.text import yaml, yaml_edits
from lockstitch.repository.text.ignore import is_git_ignored
from lockstitch.repository.text.lines import Edit, line_start
from lockstitch.repository.text.yaml_edits import Change, Path

Fix = tuple[Edit, ...]

_PLAIN_SECRET = regex(r"[A-Za-z0-9_.,+=@%^*!-]{1,200}")
_ASK = "set it in .env"
_GIVEN = regex(r"compose\b[^\n]*?--env-file[ =]+(\S+)")
_MOST_TEXTS = 200
_DEFAULT = regex(r"\$\{(\w+):?-([^${}]*)\}")
# The first start makes a database, or moves one: nobody gives up meanwhile.
_PAUSES = {"interval": "5s", "timeout": "5s", "retries": 10, "start_period": "60s"}
_TESTS = {
    **{name: ["CMD", "redis-cli", "ping"] for name in ("redis", "valkey")},
    "mysql": ["CMD", "mysqladmin", "ping", "-h", "127.0.0.1"],
    "mariadb": ["CMD", "healthcheck.sh", "--connect", "--innodb_initialized"],
    "mongo": ["CMD", "mongosh", "--quiet", "--eval", "db.adminCommand('ping')"],
}
_POSTGRES = frozenset({"postgres", "postgis", "timescaledb", "pgvector"})
_OFFICIAL = "mlflow/mlflow"
# What speaks S3 in place of MinIO, under the ports that the others know it by.
_STORE = "chrislusf/seaweedfs:4.48"
_STORE_PORT = "8333"
_MINIO = regex(r"server\s+(/[\w./-]+)((?:\s+--(?:console-)?address[ =]\"?[\w.]*:\d+\"?)*)\s*")
_ADDRESS = regex(r"--(console-)?address[ =]\"?[\w.]*:(\d+)")
_MINIO_KEYS = {
    "MINIO_ROOT_USER": "AWS_ACCESS_KEY_ID",
    "MINIO_ROOT_PASSWORD": "AWS_SECRET_ACCESS_KEY",
    "MINIO_ACCESS_KEY": "AWS_ACCESS_KEY_ID",
    "MINIO_SECRET_KEY": "AWS_SECRET_ACCESS_KEY",
}
_PORT = regex(r"(?:--port|-p)[ =](\d+)")
_ELSEWHERE = regex(r"(?:^|\s)(?:--port|-p|--static-prefix)\b")
_ARTIFACT_ROOT = regex(r"--default-artifact-root[ =](\S+)")
_BUCKET = "mlflow"
# The drivers that MLflow's own image lacks; both run on each Python that its images have.
_PINS = {
    "psycopg2-binary": "psycopg2-binary==2.9.10",
    "pymysql": "pymysql==1.1.1",
    "boto3": "boto3==1.35.99",
}


class _Changes:
    """Edits of one service's part of a file, and what they should make of the document."""

    def __init__(self, repo: Repository, service: Service) -> None:
        self.path = service.path
        self.text = repo.text(service.path) or ""
        self.root: Path = ("services", service.name)
        self._edits: list[Edit] | None = []
        self._changes: list[Change] = []

    def add(self, values: Mapping[str, object], *, below: Path = (), after: str = "") -> None:
        where = (*self.root, *below)
        edits = yaml_edits.added(self.path, self.text, where, values, after=after)

        def change(document: Any) -> None:
            for key, value in values.items():
                yaml_edits.put((*where, key), value)(document)

        self._keep(edits, change)

    def set(self, key: str, value: object, *, below: Path = ()) -> None:
        where = (*self.root, *below, key)
        edits = yaml_edits.replaced(self.path, self.text, where, value)
        self._keep(edits, yaml_edits.put(where, value))

    def swap(self, key: str, old: str, new: str) -> None:
        root, where = self.root, (*self.root, key)
        edits = yaml_edits.within(self.path, self.text, where, old, new)

        def change(document: Any) -> None:
            table = _inner(document, root)
            table[key] = table[key].replace(old, new)

        self._keep(edits, change)

    def remove(self, key: str) -> None:
        root = self.root
        edits = yaml_edits.removed(self.path, self.text, (*root, key))
        self._keep(edits, lambda document: _inner(document, root).pop(key))

    def rename(self, key: str, new: str, *, below: Path) -> None:
        where = (*self.root, *below)
        edits = yaml_edits.key_renamed(self.path, self.text, (*where, key), new)

        def change(document: Any) -> None:
            table = _inner(document, where)
            table[new] = table.pop(key)

        self._keep(edits, change)

    def listed(self, service: Service, variables: Mapping[str, str]) -> bool:
        """Write variables in place of a list of them; False where they are no list."""
        node = service.nodes.get("environment")
        if not isinstance(node, yaml.Sequence):
            return False
        lines = self.text.splitlines()[node.line - 1 : node.line - 1 + len(node.items)]
        if any("#" in line for line in lines):
            self._edits = None  # a comment would be lost
        self.set("environment", dict(variables))
        return True

    def _keep(self, edits: list[Edit] | None, change: Change) -> None:
        self._edits = None if edits is None or self._edits is None else [*self._edits, *edits]
        self._changes.append(change)

    def proved(self) -> Fix:
        def change(document: Any) -> None:
            for change in self._changes:
                change(document)

        return yaml_edits.proved(self.path, self.text, self._edits, change)


def _inner(document: Any, where: Path) -> Any:
    for key in where:
        document = document[key]
    return document


def _environment(service: Service) -> dict[str, str] | None:
    """Return the variables that a service's own mapping or list has, as they are written."""
    node = service.nodes.get("environment")
    if isinstance(node, yaml.Sequence) and node.path == service.path:
        texts = [item.text for item in node.items if isinstance(item, yaml.Scalar)]
        is_whole = len(texts) == len(node.items) and all("=" in text for text in texts)
        return (
            {text.partition("=")[0]: text.partition("=")[2] for text in texts} if is_whole else None
        )
    if not isinstance(node, yaml.Mapping) or node.path != service.path:
        return None
    return {e.key.text: e.value.text for e in node.written if isinstance(e.value, yaml.Scalar)}


# --- who waits for whom


def health_check(repo: Repository, service: Service) -> Fix:
    """Return the edits that give a service a health check with a program that its image has."""
    test = test_of(service)
    changes = _Changes(repo, service)
    if not test or "healthcheck" in service.nodes:
        return ()
    is_slow = " install " in command_text(service.entrypoint, service.command)
    start = {"start_period": "300s"} if is_slow else {}
    changes.add({"healthcheck": {"test": test, **_PAUSES, **start}})
    return changes.proved()


def other_test(repo: Repository, service: Service, test: list[str]) -> Fix:
    """Return the edits that let a service's health check run another command."""
    changes = _Changes(repo, service)
    if service.healthcheck is None or service.healthcheck.path != service.path:
        return ()
    changes.set("test", test, below=("healthcheck",))
    return changes.proved()


def test_of(service: Service) -> list[str]:
    """Return a health check with a program that a service's image has, empty for none known."""
    image, role = image_of(service), role_of(service)
    last = image.last if image and service.build is None else ""
    command = command_text(service.entrypoint, service.command)
    match = _PORT.search(command)
    if last in _POSTGRES:
        port = f" -p {match[1]}" if match else ""
        return ["CMD-SHELL", f"pg_isready -U $${{POSTGRES_USER:-postgres}}{port}"]
    if last in _TESTS and (last != "mongo" or (image and _major(image.tag) >= 6)):  # has mongosh
        return [] if match else _TESTS[last]
    if last == "seaweedfs" and " -s3" in f" {command}":
        port = _store_port(service)
        return ["CMD", "wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{port}/healthz"]
    # A port that only a run knows, or another path.
    elsewhere = "MLFLOW_PORT" in service.environment or _ELSEWHERE.search(command)
    is_server = role is Role.MLFLOW and re.search(r"\bmlflow (?:server|ui)\b", command)
    if is_server and (match or not elsewhere):
        url = f"http://127.0.0.1:{match[1] if match else 5000}/health"
        return ["CMD", "python", "-c", f"import urllib.request as u; u.urlopen('{url}')"]
    return []


def _major(tag: str) -> int:
    match = re.match(r"\d+", tag)
    return int(match[0]) if match else 0


def _store_port(service: Service) -> str:
    match = re.search(r"-s3\.port[ =](\d+)", command_text(service.command))
    return match[1] if match else _STORE_PORT


def conditions(
    repo: Repository, service: Service, stack: Stack, condition: Callable[[Service], str]
) -> Fix:
    """Return the edits that write `depends_on` in its long form, each name with a condition."""
    node = service.nodes.get("depends_on")
    if not isinstance(node, yaml.Sequence) or node.path != service.path:
        return ()
    names = [item.text for item in node.items if isinstance(item, yaml.Scalar)]
    targets = [stack.services.get(name) for name in names]
    wanted = {
        name: {"condition": condition(target) if target is not None else "service_started"}
        for name, target in zip(names, targets, strict=True)
    }
    changes = _Changes(repo, service)
    lines = changes.text.splitlines()[node.line - 1 : node.line + len(names)]
    if any("#" in line for line in lines):
        return ()  # a comment would be lost
    changes.set("depends_on", wanted)
    return changes.proved()


# --- ports


def on_loopback(repo: Repository, port: Port) -> Fix:
    """Return the edit that publishes a port on the machine itself alone."""
    value = port.value
    raw = value.raw.removeprefix("0.0.0.0:").removeprefix("*:")
    text = repo.text(value.path)
    if text is not None and ":" not in raw and port.published:
        where, host = yaml_edits.at_line(text, value.line), {"host_ip": "127.0.0.1"}
        if where is None or where[-2:-1] != ("ports",):
            return ()
        edits = yaml_edits.added(value.path, text, where, host)
        return yaml_edits.proved(
            value.path, text, edits, yaml_edits.put((*where, "host_ip"), "127.0.0.1")
        )
    if text is None or ":" not in raw or raw.startswith("["):
        return ()  # any port, or an address
    node = yaml.scalar(value.raw, value.line, value.column, value.path)
    edit = yaml.renamed(value.path, text, node, f"127.0.0.1:{raw}")
    return (edit,) if edit else ()


# --- passwords


def to_env_file(repo: Repository, file: File[Compose]) -> Fix:
    """Return the edits that move the passwords of a file to `.env`, which git ignores then.

    The values stay as they are: a database that exists knows its password.
    """
    path = beside(file.path, ".env")
    if path in (repo.tracked or ()) or _reads_another(repo, path):
        return ()
    there = {e.name: e.value for e in dotenv(repo.text(path) or "", {})}
    secrets: dict[str, str] = {}
    text, edits = file.text, list[Edit]()
    for service, password in _of_file(file):
        secret = password.secret
        if password.path != file.path or not _PLAIN_SECRET.fullmatch(secret):
            continue
        name = _variable(file, service, password)
        if {**there, **secrets}.get(name, secret) != secret:
            name = re.sub(r"\W", "_", f"{service.name}_{name}").upper()
        if {**there, **secrets}.get(name, secret) != secret:
            continue
        edit = _swap(file.path, text, password, f"${{{name}:?{_ASK}}}", [*edits])
        if edit:
            edits.append(edit)
            secrets[name] = secret
    added = {name: value for name, value in secrets.items() if name not in there}
    if not edits or not _only_swapped(text, edits, secrets):
        return ()
    own = [_appended(repo, path, "".join(f"{name}={value}\n" for name, value in added.items()))]
    if not is_git_ignored(repo, path):
        own.append(_appended(repo, ".gitignore", f"{path if '/' in path else '.env'}\n"))
    return (*edits, *(edit for edit in own if edit.text))


def _reads_another(repo: Repository, path: str) -> bool:
    """Return whether a recipe or a text gives Compose another file than this `.env`."""
    names = [n for n in repo.names if n.endswith(("Makefile", "justfile", ".sh", ".md", ".mk"))]
    texts = [repo.text(name) or "" for name in names[:_MOST_TEXTS]]
    return any(m[1].strip("\"'`") != path for text in texts for m in _GIVEN.finditer(text))


def _of_file(file: File[Compose]) -> Iterator[tuple[Service, Password]]:
    for service in file.value.services.values():
        for password in passwords(service):
            yield service, password


def _variable(file: File[Compose], service: Service, password: Password) -> str:
    """Return the name that a password gets in `.env`: its own, or that of an equal one."""
    if password.default_of or password.name:
        return password.default_of or password.name
    every = [other for _, other in _of_file(file) if other.secret == password.secret]
    same = [name for other in every if (name := other.default_of or other.name)]
    host = file.value.services.get(password.host, service)
    own = [p.name for p in passwords(host) if p.secret == password.secret and p.name]
    fallback = re.sub(r"\W", "_", f"{password.host or service.name}_password").upper()
    return next(iter([*own, *same]), fallback)


def _swap(path: str, text: str, password: Password, new: str, taken: Sequence[Edit]) -> Edit | None:
    """Return the edit that writes a variable in place of a password."""
    old = password.written
    if password.name:
        name = rf"^[ \t-]*[\"']?{re.escape(password.name)}[\"']?"
        value = rf"[\"']?({re.escape(old)})[\"']?"
        where = re.compile(rf"(?m){name}\s*[:=]\s*{value}[ \t]*(?:#.*)?\r?$")
        if where.search(text, line_start(text, password.line)) is None:  # in braces, with quotes
            name, value = rf"[{{,][ \t]*[\"']?{re.escape(password.name)}", re.escape(old)
            where = re.compile(rf"{name}[\"']?:[ \t]*[\"']({value})[\"'][ \t]*[,}}]")
    else:
        where = re.compile(rf"//{re.escape(password.user)}:({re.escape(old)})@")
    for match in where.finditer(text, line_start(text, password.line)):
        edit = Edit(path=path, start=match.start(1), end=match.end(1), text=new)
        if all(other.end <= edit.start or other.start >= edit.end for other in taken):
            return edit
    return None


def _only_swapped(text: str, edits: Sequence[Edit], secrets: Mapping[str, str]) -> bool:
    """Return whether the document means the same with what is in `.env` as it did before."""

    def meant(value: str) -> str:
        for name, secret in secrets.items():
            value = value.replace(f"${{{name}:?{_ASK}}}", secret)
        return _DEFAULT.sub(lambda match: match[2] if match[1] in secrets else match[0], value)

    return yaml_edits.leaves_equal(text, edits, meant)


def _appended(repo: Repository, path: str, lines: str) -> Edit:
    text = repo.text(path) or ""
    lead = "\n" if text and not text.endswith("\n") and lines else ""
    return Edit(path=path, start=len(text), end=len(text), text=lead + lines)


# --- MinIO, MLflow's drivers, the store that nobody uses


def other_store(repo: Repository, service: Service) -> Fix:
    """Return the edits that run SeaweedFS in place of MinIO, with the same ports and keys."""
    command = " ".join(word.raw for word in service.command.words) if service.command else ""
    match = _MINIO.fullmatch(command)
    variables = _environment(service)
    if not match or variables is None or service.entrypoint or "healthcheck" in service.nodes:
        return ()
    if any(name.startswith("MINIO_") and name not in _MINIO_KEYS for name in variables):
        return ()
    ports = {bool(address[1]): address[2] for address in _ADDRESS.finditer(match[2])}
    words = f"mini -dir={match[1]} -s3.port={ports.get(False, '9000')} -webdav=false"
    words += f" -admin.port={ports[True]}" if True in ports else ""
    changes = _Changes(repo, service)
    changes.set("image", _STORE)
    changes.set("command", words)
    is_list = changes.listed(service, {_MINIO_KEYS.get(k, k): v for k, v in variables.items()})
    for name, new in _MINIO_KEYS.items():
        if name in variables and not is_list:
            changes.rename(name, new, below=("environment",))
    return changes.proved()


def with_packages(repo: Repository, service: Service, packages: Sequence[str]) -> Fix:
    """Return the edits that build MLflow's own image with packages that it lacks."""
    changes = _Changes(repo, service)
    return changes.proved() if _builds(changes, service, packages) else ()


def _builds(changes: _Changes, service: Service, packages: Sequence[str]) -> bool:
    image = image_of(service)
    value = service.image
    own = image is not None and image.path == _OFFICIAL and value is not None
    if not own or value is None or "$" in value.raw or service.build is not None:
        return False
    pins = " ".join(_PINS[package] for package in packages)
    lines = f"FROM {value.text}\nRUN pip install --no-cache-dir {pins}\n"
    changes.add({"build": {"dockerfile_inline": lines}}, after="image")
    changes.remove("image")
    return True


def wired(repo: Repository, server: Service, store: Service) -> Fix:
    """Return the edits that let MLflow keep artifacts in a store of the same file.

    They name a bucket that the store makes at its start, so the store has to be SeaweedFS.
    """
    keys, own = _environment(store), _environment(server)
    image = image_of(store)
    words = command_text(store.command)
    can_make = image is not None and image.last == "seaweedfs" and words.startswith("mini ")
    secret = (keys or {}).get("AWS_SECRET_ACCESS_KEY", "")
    root = _ARTIFACT_ROOT.search(command_text(server.command))
    node = server.nodes.get("command")
    is_written = isinstance(node, yaml.Scalar) and root is not None and can_make
    if not keys or root is None or not is_written or not secret.startswith("${"):
        return ()
    if store.path != server.path or "AWS_ACCESS_KEY_ID" not in keys:
        return ()
    changes = _Changes(repo, server)
    inline = server.build.inline if server.build else None
    if "boto3" not in (inline.text if inline else "") and not _builds(changes, server, ["boto3"]):
        return ()
    wanted = {
        "MLFLOW_S3_ENDPOINT_URL": f"http://{store.name}:{_store_port(store)}",
        **{name: keys[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")},
    }
    if own is None and "environment" in server.nodes:
        return ()
    if own is None:
        changes.add({"environment": wanted}, after="command")
    elif not changes.listed(server, {**wanted, **own}):
        changes.add({n: v for n, v in wanted.items() if n not in own}, below=("environment",))
    changes.swap("command", root[0], f"--artifacts-destination s3://{_BUCKET}/artifacts")
    if "-bucket" not in words:
        changes.root = ("services", store.name)
        changes.set("command", f"{words} -bucket={_BUCKET}")
    return changes.proved()
