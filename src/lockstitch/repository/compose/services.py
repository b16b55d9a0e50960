"""The compose files of a repository: what their services are, run and are built from."""

import posixpath
import re
from collections.abc import Iterator
from enum import StrEnum

from lockstitch.patterns import regex
from lockstitch.repository.compose import reader
from lockstitch.repository.compose.reader import beside, merged
from lockstitch.repository.compose.values import Command, Compose, Service, Value, interpolate
from lockstitch.repository.files import File, Repository, once
from lockstitch.repository.text.image_names import Reference, reference
from lockstitch.repository.text.yaml import Scalar
from lockstitch.values import frozen, replace

_COMPOSE = regex(r"(?:docker-)?compose(?:[.-][\w.-]+)?\.ya?ml", re.IGNORECASE)


@once
def compose_files(repo: Repository) -> tuple[File[Compose], ...]:
    """Return every compose file, read with the files that it names and no variable of this host."""
    names = [n for n in repo.names if _COMPOSE.fullmatch(n.rpartition("/")[2])]
    return tuple(
        File(path=name, text=text, value=reader.read(text, {}, repo.text, name))
        for name in names
        if (text := repo.text(name)) is not None
    )


class Role(StrEnum):
    """The job of a service for the others, in words for messages."""

    DATABASE = "database"
    STORE = "object store"
    MLFLOW = "MLflow server"
    QUEUE = "queue"


_ROLES = {
    **dict.fromkeys(
        (
            *("postgres", "postgresql", "postgis", "timescaledb", "timescaledb-ha", "pgvector"),
            *("mysql", "mariadb", "mysql-server", "mongo", "mongodb", "cockroach", "clickhouse"),
            *("clickhouse-server", "qdrant", "weaviate", "elasticsearch", "opensearch"),
        ),
        Role.DATABASE,
    ),
    **dict.fromkeys(("minio", "seaweedfs", "rustfs", "garage", "localstack"), Role.STORE),
    **dict.fromkeys(
        ("redis", "valkey", "rabbitmq", "kafka", "cp-kafka", "redpanda", "redis-stack-server"),
        Role.QUEUE,
    ),
    "mlflow": Role.MLFLOW,
}
_MLFLOW = regex(r"(?:^|[\s/;&\"'])mlflow\s+(?:server|ui)\b")
_PROGRAM = regex(r"^[ \t]*(?:ENTRYPOINT|CMD)\b((?:.*\\\r?\n)*.*)", re.MULTILINE | re.IGNORECASE)
_MAIN = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_STAND_INS = frozenset({"localstack", "localstack-pro", "moto", "s3mock", "fake-gcs-server"})
_TESTS = regex(r"(?:^|[._-])(?:tests?|testing|ci|e2e|integration)(?:[._-]|$)", re.IGNORECASE)


@frozen
class Stack:
    """One compose file's services as they run: with the file that it overrides, or its override."""

    file: File[Compose]
    services: dict[str, Service]
    started: tuple[Service, ...]  # those that this file starts itself
    is_override: bool  # whether it is laid over the folder's main file, a stack of its own


def stacks(repo: Repository) -> Iterator[Stack]:
    """Yield each compose file's services, merged as `docker compose` would by default."""
    by_path = {file.path: file for file in compose_files(repo)}
    for file in by_path.values():
        folder, name = posixpath.split(file.path)
        main = next((p for name in _MAIN if (p := posixpath.join(folder, name)) in by_path), None)
        own = file.value.services
        is_override = main is not None and name not in _MAIN
        if main is None or not is_override:
            services = {**own}
            over = _override(folder, by_path) if name in _MAIN else None
            for service in over.value.services.values() if over else ():
                base = services.get(service.name)
                services[service.name] = _laid_over(base, service) if base else service
            started = [service for name, service in services.items() if name in own]
        else:
            services = {**by_path[main].value.services}
            started = []
            for service in own.values():
                base = services.get(service.name)
                services[service.name] = merged(base, service) if base else service
                if service.image or service.build or base is None:
                    started.append(services[service.name])
        yield Stack(
            file=file,
            services={name: _with_program(repo, service) for name, service in services.items()},
            started=tuple(_with_program(repo, s) for s in started if s.image or s.build),
            is_override=is_override,
        )


def _override(folder: str, by_path: dict[str, File[Compose]]) -> File[Compose] | None:
    names = (name.replace(".y", ".override.y") for name in _MAIN)
    files = (by_path.get(posixpath.join(folder, name)) for name in names)
    return next((file for file in files if file), None)


def _laid_over(base: Service, over: Service) -> Service:
    """Return a service with its override, at the place of the service."""
    return replace(merged(base, over), line=base.line, path=base.path, keys=base.keys)


def _with_program(repo: Repository, service: Service) -> Service:
    """Return a service with the MLflow that its Dockerfile starts, where compose says no other."""
    build = service.build
    if build is None or service.command or service.entrypoint:
        return service
    programs = _PROGRAM.findall(dockerfile_of(repo, service) or "")
    text = " ".join(re.sub(r"[\s\",\\\[\]]+", " ", program) for program in programs[-2:])
    if not _MLFLOW.search(text):
        return service
    word = Value(text=text, raw=text, line=build.line, column=1, path=build.path)
    return replace(
        service, command=Command(words=(word,), by_shell=True, line=build.line, path=build.path)
    )


def image_of(service: Service) -> Reference | None:
    """Return the image of a service, None where only a run can tell it."""
    value = service.image
    if value is None or not value.is_known:
        return None
    return reference(value.text)


def role_of(service: Service) -> Role | None:
    """Return the kind of a service, by its image's name or its command."""
    image = image_of(service)
    role = _ROLES.get(image.last) if image and service.build is None else None
    if role is None and _MLFLOW.search(command_text(service.entrypoint, service.command)):
        return Role.MLFLOW
    return role


def command_words(*commands: Command | None) -> list[Value]:
    """Return the words of commands, one after the other."""
    return [word for command in commands if command for word in command.words]


def command_text(*commands: Command | None) -> str:
    """Return the words of commands as one text."""
    return " ".join(word.text for word in command_words(*commands))


def is_for_tests(service: Service) -> bool:
    """Return whether a service lives as long as a test run: by its file, name, profile or image."""
    base = posixpath.basename(service.path).rpartition(".")[0]
    names = (base, service.name, *(profile.text for profile in service.profiles))
    return is_stand_in(service) or any(_TESTS.search(name) for name in names)


def is_stand_in(service: Service) -> bool:
    """Return whether a service stands in for a cloud, and takes any password."""
    image = image_of(service)
    return image is not None and image.last in _STAND_INS


def dockerfile_of(repo: Repository, service: Service) -> str | None:
    """Return the text of the Dockerfile that a service is built with, None when not known."""
    build = service.build
    if build is None:
        return None
    if build.inline is not None:
        return build.inline.text
    if any(part is not None and not part.is_known for part in [build.context, build.dockerfile]):
        return None
    context = build.context.text if build.context else "."
    name = build.dockerfile.text if build.dockerfile else "Dockerfile"
    return repo.text(posixpath.normpath(posixpath.join(beside(build.path, context), name)))


# --- passwords

_SECRET_NAMES = regex(
    r"(?i)(?:.*_)?(?:password|passwd|passphrase|secret|token|api_?key|secret_?key|access_?key"
    r"|private_?key|fernet_?key)"
)
_USER_NAMES = regex(r"(?i)(?:.*_)?(?:user|username|access_?key(?:_?id)?|login)")
_LOGIN = regex(r"[A-Za-z][\w+.-]{1,30}://([^\s/:@$]{1,100}):([^\s/@]{1,200})@[A-Za-z0-9$\[]")
# Of commands that take a password as an argument.
_ARGUMENT = regex(
    r"\b(?:mc\s+(?:alias\s+set|config\s+host\s+add)(?:\s+--\S+)*\s+\S+\s+\S+\s+(\S+)\s+"
    r"|airflow\s+users\s+create\b[^;&|]*?\s(?:--password|-p)[\s=]+)[\"']?([^\s;&|\"'\\]+)"
)
_DEFAULT = regex(r"\$\{\w+:?-([^${}]*)\}")
# What images and courses come with, and what stands for a password that somebody has to choose.
_WELL_KNOWN_TEXT = (
    "admin admin123 airflow changeit changeme change-me change_me changethis default docker "
    "example guest letmein minio minioadmin minio123 minio_admin miniosecret minio_secret "
    "mlflow mlflow123 mlflow_password mysecretpassword mysql pass passw0rd passwd password "
    "password123 postgres postgres123 qwerty root rootpassword s3cr3t secret supersecret "
    "test toor user 12345 123456 12345678 123456789 minio_password postgres_password"
)
_WELL_KNOWN = frozenset(_WELL_KNOWN_TEXT.split())
# Of a setting that must not be empty though nothing needs it.
_NO_PASSWORD = frozenset(
    {"", "none", "null", "empty", "dummy", "not-needed", "unused", "true", "false"}
    | {"yes", "no", "on", "off", "0", "1"}
)


@frozen
class Password:
    """A password that stands in the file; `by_default` when a variable can replace it."""

    what: str
    user: str
    known: bool
    by_default: bool
    line: int
    path: str
    secret: str
    written: str  # with the variable that it is the default of
    name: str = ""  # of the variable that has it, "" in an address
    default_of: str = ""  # the variable that can replace it
    host: str = ""  # of the address


def passwords(service: Service) -> Iterator[Password]:
    """Yield the passwords of a service's variables, and of addresses in them and in its command."""
    users = _users(service)
    for name, variable in service.environment.items():
        value = variable.value
        if value is None:
            continue
        place = (variable.line, variable.path)
        text, by_default = _spelled(value)
        if text is None or value.problem:
            yield from _of_uris(value, *place)
        elif _SECRET_NAMES.fullmatch(name) and not _is_pair(name, service):
            if text.lower() not in _NO_PASSWORD and not text.startswith("/run/secrets/"):
                user = users.get(name.upper().split("_")[0], "")
                known = text.lower() in _WELL_KNOWN or text == user
                yield Password(
                    what=f"`{name:.60}`",
                    user=user,
                    known=known,
                    by_default=by_default,
                    line=place[0],
                    path=place[1],
                    secret=text,
                    written=value.raw,
                    name=name,
                    default_of=_default_of(value.raw),
                )
        else:
            yield from _of_uris(value, *place)
    for key, command in (("entrypoint", service.entrypoint), ("command", service.command)):
        node = service.nodes.get(key)
        # The words of one text have lost what was written: its variables are replaced.
        words = [interpolate(node, {})] if isinstance(node, Scalar) else command_words(command)
        for word in words:
            yield from _of_uris(word, word.line, word.path)


def _is_pair(name: str, service: Service) -> bool:
    """Return whether a variable is the user of a store: `ACCESS_KEY` beside `SECRET_KEY`."""
    other = name.upper().replace("ACCESS_KEY", "SECRET_KEY")
    return "SECRET" not in name.upper() and other != name and other in service.environment


def _users(service: Service) -> dict[str, str]:
    """Return the users that variables name, by the first word of the variable."""
    users: dict[str, str] = {}
    for name, variable in service.environment.items():
        text = _spelled(variable.value)[0] if variable.value else None
        if text and _USER_NAMES.fullmatch(name):
            users.setdefault(name.upper().split("_")[0], text)
    return users


def _spelled(value: Value) -> tuple[str | None, bool]:
    """Return the text that the file itself says, and whether it is a variable's default."""
    if "$" not in value.raw.replace("$$", ""):
        return value.text, False
    match = _DEFAULT.fullmatch(value.raw)
    return (match[1], True) if match else (None, False)


def _of_uris(value: Value, line: int, path: str) -> Iterator[Password]:
    for match in (*_LOGIN.finditer(value.raw), *_ARGUMENT.finditer(value.raw)):
        user, secret = (match[1] or "").strip("\"'"), match[2]
        default = _DEFAULT.fullmatch(secret)
        secret = default[1] if default else secret
        if "$" not in secret and secret.lower() not in _NO_PASSWORD and "<" not in secret:
            yield Password(
                what="an address" if "://" in match[0].split()[0] else "a command",
                user=user,
                known=secret.lower() in _WELL_KNOWN or secret == user,
                by_default=default is not None,
                line=line,
                path=path,
                secret=secret,
                written=match[2],
                default_of=_default_of(match[2]),
                host=re.split(r"[^\w.-]", value.raw[match.end() - 1 :], maxsplit=1)[0],
            )


def _default_of(raw: str) -> str:
    return raw[2:].partition(":")[0].partition("-")[0] if _DEFAULT.fullmatch(raw) else ""
