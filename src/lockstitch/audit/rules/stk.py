"""STK: compose files: their images, who waits for whom, who can reach what, and what is missing."""

import json
import posixpath
import re
from collections.abc import Iterator

from lockstitch import clock
from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.audit.rules import stk_fixes
from lockstitch.patterns import regex
from lockstitch.repository.compose.keys import unknown
from lockstitch.repository.compose.reader import beside
from lockstitch.repository.compose.services import (
    Password,
    Role,
    Stack,
    command_text,
    compose_files,
    dockerfile_of,
    image_of,
    is_for_tests,
    is_stand_in,
    passwords,
    role_of,
    stacks,
)
from lockstitch.repository.compose.values import Dependency, Port, Service, Value
from lockstitch.repository.files import Repository
from lockstitch.repository.text import image_names, yaml
from lockstitch.repository.text.ignore import is_git_ignored
from lockstitch.repository.text.lines import Edit
from lockstitch.resources import load_table

_INSTALL = regex(
    r"\b(?:pip3?|pip3?\.\d+|uv pip|conda|mamba|apt-get|apt|apk)(?:\s+-\S+)*\s+(?:install|add)\b"
)
_RECIPES = regex(
    r"(?:.*/)?(?:Makefile|makefile|justfile|Taskfile\.ya?ml|docker-bake\.hcl|tasks\.py|noxfile\.py)"
    r"|.*\.(?:sh|mk)|\.github/workflows/[^/]+\.ya?ml|\.gitlab-ci\.yml|README\.md"
)
_TAG = regex(r"(?:-t|--tag|tags\s*[:=])[\s=\"'\[|]*([\w./:-]+)")
_PREPARES = regex(
    r"\bairflow (?:db (?:init|migrate|upgrade)|users create)\b|\balembic upgrade\b|\bmc mb\b"
)
_STAYS = regex(
    r"webserver|server|scheduler|standalone|uvicorn|gunicorn|\bexec\b|sleep|tail -f|while"
)
_WAITS = regex(r"wait[-_]?for|wait-on|dockerize|pg_isready|\buntil\b|\bwhile\b|\bsleep\b|\.sh\b")
_AWAITED = frozenset({Role.DATABASE, Role.STORE, Role.MLFLOW})
# Pages that connect when somebody logs in, and programs that try again until they can.
_PATIENT = frozenset(
    {"adminer", "pgadmin4", "phpmyadmin", "mongo-express", "redisinsight", "redis-commander"}
    | {"kibana", "logstash", "filebeat", "metricbeat", "grafana", "prometheus"}
    | {"nginx", "traefik", "caddy"}
)
_OPEN = frozenset({"", "0.0.0.0", "::", "*"})  # noqa: S104 -- what is looked for
_EXAMPLES = ("example", "sample", "template", "dist", "tmpl", "default", "defaults")
_REMOTE = regex(r"[A-Za-z][\w+.-]*://|git@|github\.com/|docker-image:|service:")


def _all_services(repo: Repository) -> Iterator[Service]:
    """Yield the services of every compose file."""
    for file in compose_files(repo):
        yield from file.value.services.values()


def _by_image(repo: Repository) -> Iterator[Service]:
    """Yield the services of every compose file, one for each place where an image is named."""
    seen = set()
    for service in _all_services(repo):
        place = service.image or service
        if (place.path, place.line) not in seen:
            seen.add((place.path, place.line))
            yield service


class STK001(Rule):
    """A service runs an image without a tag, or `latest`.

    Why: the next pull brings another version, on one machine and not on the other. A database of a
    new major version does not start on the old data.

    Bad:
        services:
          db:
            image: postgres

    Good:
        services:
          db:
            image: postgres:17.2

    Fix: write the version that runs now; `docker compose images` lists it.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        built: frozenset[str] | None = None
        for service in _by_image(repo):
            image, value = image_of(service), service.image
            if image is None or value is None or not image.moves or service.build is not None:
                continue
            policy = service.values.get("pull_policy")
            if image_names.is_local(image) or (policy and policy.text in {"never", "build"}):
                continue
            if value.names and role_of(service) is None:  # whoever deploys says the tag
                continue
            if image_names.gone(image) is not None:  # another image has to be taken: STK002
                continue
            built = _built(repo) if built is None else built
            if image.path in built:
                continue
            how = "`latest`" if image.tag else "no tag"
            message = f"`{service.name}` runs `{value.text:.100}`, {how}: the version is not fixed"
            name = value.text.removesuffix(":latest")
            yield self.finding(value.path, value.line, message, hint=f"image: {name:.100}:VERSION")


def _built(repo: Repository) -> frozenset[str]:
    """Return the images that a service, a recipe or a script of the repository builds."""
    images = [image_of(service) for service in _all_services(repo) if service.build]
    for name in repo.names:
        if _RECIPES.fullmatch(name):
            tags = _TAG.findall(repo.text(name) or "")
            images += [image_names.reference(tag) for tag in tags]
    return frozenset(image.path for image in images if image)


class STK002(Rule):
    """A service runs an image that is withdrawn or archived, or a database that gets no fixes.

    Why: a pull fails on a machine without a copy, today or later, and vulnerabilities are no longer
    fixed. MinIO has published no images since October 2025: SeaweedFS, Garage, RustFS and Ceph RGW
    speak S3 too.

    Bad:
        services:
          objects:
            image: minio/minio:RELEASE.2025-04-22T22-12-26Z

    Good:
        services:
          objects:
            image: chrislusf/seaweedfs:3.97

    Fix: use the replacement that the finding names. `lockstitch check --fix` runs SeaweedFS in
    place of a plain MinIO, with its ports and keys; objects that MinIO has kept stay in its volume.
    Source: minio/minio#21647; bitnami/containers#83267; jupyter/docker-stacks#2099.
    """

    severity = Severity.ERROR
    fixes = True

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for service in _by_image(repo):
            image, value = image_of(service), service.image
            known = image_names.gone(image) if image and not service.build else None
            ended = _ended(image) if image and not service.build else None
            if ended and value:
                message = f"`{service.name}` runs `{value.text:.100}`, which gets no fixes since"
                hint = (
                    "dump its data with it, and restore them in a newer one: it does not read them"
                )
                yield self.finding(
                    *(value.path, value.line, f"{message} {ended}"),
                    hint=hint,
                    severity=Severity.WARNING,
                )
            if known and value:
                message = f"`{service.name}` runs `{value.text:.100}`: {known.what}"
                hint = f"{known.instead} ({known.source})"
                is_store = image is not None and image.path == "minio/minio"
                fix = stk_fixes.other_store(repo, service) if is_store else ()
                yield self.finding(value.path, value.line, message, hint=hint, fix=fix)


def _ended(image: image_names.Reference) -> str | None:
    """Return the day when the version of a database got its last fix, None where it gets them."""
    table = load_table("lockstitch.repository.dockerfile", "ended.toml")["service"]
    days: dict[str, str] = table.get(image.path, {}) if image.on_hub else {}
    version = re.match(r"(\d+)(?:\.\d+)?", image.tag)
    day = days.get(version[0], days.get(version[1])) if version else None
    return day if day and day <= clock.today() else None


def _each_password(repo: Repository) -> Iterator[tuple[str, Password, str]]:
    """Yield the passwords of services that outlive a test run, each once, and where else it is."""
    seen: dict[tuple[str, str], list[tuple[str, Password]]] = {}
    for name, password in _all_passwords(repo):
        seen.setdefault((password.path, password.secret), []).append((name, password))
    for listed in seen.values():
        name, first = min(listed, key=lambda pair: pair[1].line)
        lines = sorted({password.line for _, password in listed} - {first.line})
        many = len(lines) > 1
        where = (
            f", and line{'s' * many} {', '.join(map(str, lines))} {'have' if many else 'has'} it"
        )
        yield name, first, where if lines else ""


def _all_passwords(repo: Repository) -> Iterator[tuple[str, Password]]:
    seen = set()
    for file in compose_files(repo):
        no_cloud = any(map(is_stand_in, file.value.services.values()))
        for service in file.value.services.values():
            if is_for_tests(service):
                continue
            for password in passwords(service):
                if no_cloud and password.what.startswith("`AWS_"):
                    continue  # the stand-in takes any
                if (password.path, password.line) not in seen:
                    seen.add((password.path, password.line))
                    yield service.name, password


class STK003(Rule):
    """A service has a well-known password.

    Why: attackers try `minioadmin` and `postgres`/`postgres` first, and a port that was meant for
    one laptop is soon reachable from the office network or at a cloud machine's address.

    Bad:
        environment:
          POSTGRES_PASSWORD: postgres

    Good:
        environment:
          POSTGRES_PASSWORD: ${POSTGRES_PASSWORD:?set it in .env}

    Fix: generate one (`openssl rand -hex 24`), and keep it in `.env` or a secret file that git
    ignores. `lockstitch check --fix` moves all passwords of the file to `.env` as they are, since a
    database that exists knows its own: write better ones there.
    """

    fixes = True

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for name, password, where in _each_password(repo):
            if password.known:
                whose = f", of the user `{password.user:.40}`" if password.user else ""
                how = "by default " if password.by_default else ""
                message = f"{password.what} of `{name}` has {how}a password that everybody knows"
                message += f"{whose}{where}"
                hint = "openssl rand -hex 24, and ${NAME:?set it in .env} in the compose file"
                fix = _env_file(repo, password.path)
                yield self.finding(password.path, password.line, message, hint=hint, fix=fix)


def _env_file(repo: Repository, path: str) -> tuple[Edit, ...]:
    file = next((file for file in compose_files(repo) if file.path == path), None)
    return stk_fixes.to_env_file(repo, file) if file else ()


class STK004(Rule):
    """A password stands in the compose file in plain text.

    Why: whoever can read the repository, a fork or a backup of it can use the service, and the
    history keeps the password after its line is deleted.

    Bad:
        environment:
          MYSQL_PASSWORD: hK93nd72Lq

    Good:
        environment:
          MYSQL_PASSWORD_FILE: /run/secrets/mysql
        secrets: [mysql]

    Fix: take another password, and give it by a variable of `.env` or by `secrets:`.
    `lockstitch check --fix` moves it to `.env` as it is.
    Source: Compose Specification, "secrets".
    """

    fixes = True

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for name, password, where in _each_password(repo):
            if not password.known and not password.by_default:
                message = f"{password.what} of `{name}` holds a password in plain text{where}"
                hint = "take another one, and ${NAME:?set it in .env} or `secrets:` here"
                fix = _env_file(repo, password.path)
                yield self.finding(password.path, password.line, message, hint=hint, fix=fix)


def _has_check(repo: Repository, service: Service) -> bool | None:
    """Return whether a service has a health check, None where it is not known."""
    if service.healthcheck is not None:
        # Without a test it changes that of the image.
        return not service.healthcheck.disabled
    if service.build is not None:
        text = dockerfile_of(repo, service)
        if text is None:
            return None
        return re.search(r"^\s*HEALTHCHECK\s", text, re.MULTILINE | re.IGNORECASE) is not None
    # Of the images that are known here, none has one.
    return False if role_of(service) is not None else None


def _dependencies(repo: Repository) -> Iterator[tuple[Stack, Service, Dependency, Service]]:
    """Yield each service that waits for another, its dependency, and the other."""
    for stack in stacks(repo):
        for service in stack.started:
            for name, dependency in service.depends_on.items():
                target = stack.services.get(name)
                own = not stack.is_override or dependency.path == stack.file.path
                if target is not None and own:
                    yield stack, service, dependency, target


class STK005(Rule):
    """A service that others wait for has no health check.

    Why: without one, Compose starts the others as soon as the process exists. The first start of a
    database takes seconds, and MLflow or the training ends with `connection refused`. With
    `condition: service_healthy` and no check, nothing starts at all.

    Bad:
        services:
          db: {image: "postgres:17.2"}
          mlflow: {depends_on: [db], …}

    Good:
        services:
          db:
            image: postgres:17.2
            healthcheck: {test: ["CMD-SHELL", "pg_isready -U mlflow"], interval: 3s}

    Fix: add a `healthcheck` with a program that the image has; `lockstitch check --fix` does for
    databases, SeaweedFS and MLflow.
    Source: Compose Specification, "healthcheck" and "depends_on".
    """

    fixes = True

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        seen = set()
        for _, service, dependency, target in _dependencies(repo):
            wanted = dependency.condition == "service_healthy"
            ends = dependency.condition == "service_completed_successfully"
            place = (target.path, target.line)
            if place in seen or not (wanted or role_of(target) in _AWAITED):
                continue
            if not wanted and (ends or _waits_itself(service)):
                continue
            if _has_check(repo, target) is False:
                seen.add(place)
                message = f"`{target.name}` has no health check, and `{service.name}` waits "
                message += "for it to be healthy" if wanted else "for it"
                test = json.dumps(stk_fixes.test_of(target) or ["CMD", "…"], ensure_ascii=False)
                hint = f"healthcheck: {{test: {test}}}"
                fix = stk_fixes.health_check(repo, target)
                yield self.finding(*place, message, hint=hint, fix=fix)


def _waits_itself(service: Service) -> bool:
    image = image_of(service)
    if image and (image.last in _PATIENT or image.last.endswith("exporter")):
        return True
    return _WAITS.search(command_text(service.entrypoint, service.command)) is not None


class STK006(Rule):
    """A `depends_on` waits until a service has started, not until it is ready.

    Why: the short form only orders starts. A database answers seconds after its start, longer the
    first time, so what depends on it fails now and then, first on slow machines.

    Bad:
        depends_on:
          - db

    Good:
        depends_on:
          db:
            condition: service_healthy

    Fix: write the long form with `condition: service_healthy`; `lockstitch check --fix` does where
    the other has a health check.
    Source: Compose Specification, "depends_on".
    """

    fixes = True

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        seen = set()
        for stack, service, dependency, target in _dependencies(repo):
            role = role_of(target)
            place = (dependency.path, dependency.line)
            if _ends(target) and place not in seen and _is_short(service, target.name):
                seen.add(place)
                message = f"`{service.name}` starts when `{target.name}` does, not when it is done"
                hint = (
                    f"depends_on: {{{target.name}: {{condition: service_completed_successfully}}}}"
                )
                fix = _long_form(repo, service, stack)
                yield self.finding(*place, message, hint=hint, fix=fix)
            if not _is_awaited(repo, target) or place in seen:
                continue
            # A health check comes first, which STK005 says.
            if not _is_short(service, target.name) or _has_check(repo, target) is False:
                continue
            if not _waits_itself(service) and not is_for_tests(service):
                seen.add(place)
                message = (
                    f"`{service.name}` waits for the start of the {role} `{target.name}`,"
                    " not for its being ready"
                )
                hint = f"depends_on: {{{target.name}: {{condition: service_healthy}}}}"
                fix = _long_form(repo, service, stack) if _has_check(repo, target) else ()
                yield self.finding(*place, message, hint=hint, fix=fix)


def _long_form(repo: Repository, service: Service, stack: Stack) -> tuple[Edit, ...]:
    """Return the edits that say what a service waits for, none where a check comes first."""

    def condition(other: Service) -> str:
        if _ends(other):
            return "service_completed_successfully"
        ready = _is_awaited(repo, other) and _has_check(repo, other) is True
        return "service_healthy" if ready else "service_started"

    others = [stack.services[name] for name in service.depends_on if name in stack.services]
    first = any(_gets_check(repo, other) for other in others)
    return () if first else stk_fixes.conditions(repo, service, stack, condition)


def _ends(target: Service) -> bool:
    """Return whether a service only prepares what others need: tables, users, buckets."""
    command, restart = command_text(target.entrypoint, target.command), target.values.get("restart")
    if restart is not None and restart.text in {"always", "unless-stopped"}:
        return False
    return _PREPARES.search(command) is not None and not _STAYS.search(command)


def _gets_check(repo: Repository, other: Service) -> bool:
    """Return whether another fix gives a service the health check that it lacks."""
    lacks = role_of(other) in _AWAITED and _has_check(repo, other) is False
    return lacks and bool(stk_fixes.health_check(repo, other) or stk_fixes.other_store(repo, other))


def _is_awaited(repo: Repository, target: Service) -> bool:
    """Return whether a service takes longer to be ready than to start, and can say when it is."""
    role = role_of(target)
    return role in _AWAITED or (role is Role.QUEUE and _has_check(repo, target) is True)


def _is_short(service: Service, name: str) -> bool:
    node = service.nodes.get("depends_on")
    if not isinstance(node, yaml.Sequence):
        return False
    return any(isinstance(e, yaml.Scalar) and e.text == name for e in node.items)


class STK010(Rule):
    """A database, an object store or MLflow is published on all addresses of the machine.

    Why: `"5432:5432"` means 0.0.0.0, and Docker's own rules precede those of most firewalls: the
    whole network sees the port. MLflow has no login by default.

    Bad:
        ports:
          - "5432:5432"

    Good:
        ports:
          - "127.0.0.1:5432:5432"

    Fix: name the address, or leave the port out: services of one file reach each other without it.
    `lockstitch check --fix` writes 127.0.0.1.
    Source: Docker documentation, "Packet filtering and firewalls".
    """

    fixes = True

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        seen = set()
        for stack in stacks(repo):
            for service in stack.services.values():
                role = role_of(service)
                if role is None or is_for_tests(service):
                    continue
                by_file: dict[str, list[Port]] = {}
                for port in filter(_is_open, service.ports):
                    place = (port.value.path, port.value.line, port.target)
                    if place not in seen:
                        by_file.setdefault(port.value.path, []).append(port)
                    seen.add(place)
                for path, ports in by_file.items():
                    shown = [f"{port.published}:{port.target}" for port in ports]
                    verb = "opens" if len(shown) == 1 else "open"
                    message = f"{', '.join(f'`{s}`' for s in shown)} {verb} the {role}"
                    message += f" `{service.name}` on all addresses of the machine"
                    hint = ", ".join(f'"127.0.0.1:{port}"' for port in shown)
                    fix = [edit for port in ports for edit in stk_fixes.on_loopback(repo, port)]
                    if "host.docker.internal" in (repo.text(path) or ""):  # which is no loopback
                        fix, hint = [], f"{hint}, and `{service.name}` for host.docker.internal"
                    yield self.finding(path, ports[0].value.line, message, hint=hint, fix=fix)


def _is_open(port: Port) -> bool:
    return (
        port.value.is_known
        and bool(port.published)
        and port.host in _OPEN
        and port.protocol == "tcp"
    )


class STK011(Rule):
    """A compose file has the obsolete `version:` key.

    Why: Compose v2 ignores it and warns on every call. It does not choose features, as people
    believe.

    Bad:
        version: "3.8"
        services:
          db: …

    Good:
        services:
          db: …

    Fix: take the line out; `lockstitch check --fix` does.
    Source: Compose Specification, "Version and name top-level elements".
    """

    fixes = True

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for file in compose_files(repo):
            line = file.value.version_line
            if line is not None:
                edit = yaml.without_key(file.path, file.text, "version")
                message = "`version:` is obsolete: Compose ignores it and warns"
                hint = "take the line out" if edit else "take it out by hand: it is not alone there"
                yield self.finding(file.path, line, message, hint=hint, fix=edit)


class STK012(Rule):
    """A compose file cannot be read.

    Why: `docker compose` refuses it, or drops the keys that it does not know, and nothing in it can
    be checked.

    Bad:
        services:
          db:
            imagee: postgres:17

    Good:
        services:
          db:
            image: postgres:17

    Fix: correct the line that is named.
    Source: Compose Specification.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for file in compose_files(repo):
            lines = set()
            for key, where, hint in unknown(yaml.read(file.text, file.path).root):
                lines.add(key.line)
                place = f" in `{where:.80}`" if where else ""
                message = f"`{key.text:.60}`{place} is nothing that a compose file has"
                yield self.finding(file.path, key.line, message, hint=hint)
            for problem in file.value.problems:
                # `${X:?why}`: whoever starts it gives the value.
                given = " must be given: " in problem.message
                if problem.fatal and not given and problem.line not in lines:
                    yield self.finding(problem.path or file.path, problem.line, problem.message)


class STK013(Rule):
    """A compose file names a file, a folder or a Dockerfile that does not exist.

    Why: `docker compose up` refuses it. The file is on the laptop of its author, and not in git.

    Bad:
        services:
          api:
            build: ./servce

    Good:
        services:
          api:
            build: ./serve

    Fix: correct the path, or commit the file. An env file that git ignores is made by hand on each
    machine, and is no finding.
    Source: Compose Build Specification, "context" and "dockerfile"; "env_file".
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        seen = set()
        for service in _all_services(repo):
            for value, message, hint in (*_env_files(repo, service), *_builds(repo, service)):
                if (value.path, value.line) not in seen:
                    seen.add((value.path, value.line))
                    yield self.finding(value.path, value.line, message, hint=hint)


def _env_files(repo: Repository, service: Service) -> Iterator[tuple[Value, str, str]]:
    for file in service.env_files:
        name = file.file.text
        path = beside(file.file.path, name)
        known = file.file.is_known and _is_inside(name, path)
        missing = file.required and file.settings is None and not repo.exists(path)
        if known and missing and not _is_made_by_hand(repo, path):
            message = f"`{service.name}` reads `{name:.100}`, which is not there"
            yield file.file, message, "commit it, or one with `.example` at its end"


def _is_made_by_hand(repo: Repository, path: str) -> bool:
    """Return whether an env file is to be made by each person: ignored, or with an example."""
    folder, name = posixpath.split(path)
    examples = (*(f"{name}.{x}" for x in _EXAMPLES), *(f"{x}{name}" for x in ("example", "sample")))
    examples = (*examples, *(f"env.{x}" for x in _EXAMPLES), *(f".env.{x}" for x in _EXAMPLES))
    shown = any(repo.exists(posixpath.join(folder, example)) for example in examples)
    return shown or is_git_ignored(repo, path)


def _builds(repo: Repository, service: Service) -> Iterator[tuple[Value, str, str]]:
    build = service.build
    context = build.context if build else None
    if build is None or (context and not context.is_known):
        return
    folder = context.text if context else "."
    path = beside(build.path, folder)
    if _REMOTE.match(folder) or not _is_inside(folder, path):
        return
    # `--project-directory` may say that paths begin at the root.
    roots = list(filter(repo.is_folder, (path, posixpath.normpath(folder))))
    if context and not roots:
        message = f"`{service.name}` is built in `{folder:.100}`, which is not there"
        yield context, message, "name the folder of the Dockerfile, from the compose file's"
        return
    file = build.dockerfile
    if build.inline is not None or (file and not file.is_known):
        return
    name = file.text if file else "Dockerfile"
    places = [posixpath.normpath(posixpath.join(root, name)) for root in roots or [path]]
    # Docker takes `dockerfile` where no other name is given.
    places += [] if file else [posixpath.join(posixpath.dirname(p), "dockerfile") for p in places]
    inside = all(_is_inside(name, place) for place in places)
    is_submodule = f"path = {path}" in (repo.text(".gitmodules") or "")
    if inside and not any(map(repo.exists, places)) and not is_submodule:
        message = f"`{service.name}` is built with `{places[0]:.100}`, which is not there"
        place = file or context
        near = {name.lower(): name for name in repo.every_name}.get(places[0].lower(), "")
        hint = "dockerfile: PATH  # from the context"
        if near:
            hint = f"git has it as {posixpath.basename(near)}: names differ by case on Linux"
        if place:
            yield place, message, hint


def _is_inside(name: str, path: str) -> bool:
    return not name.startswith(("/", "~")) and not path.startswith("..") and ":\\" not in name


class STK014(Rule):
    """A container installs packages when it starts.

    Why: each start needs the network, takes minutes, and installs what is newest that day: the same
    file gives another environment tomorrow, and none when an index is down.

    Bad:
        command: bash -c "pip install psycopg2-binary && mlflow server"

    Good:
        build: ./mlflow            # its Dockerfile installs from a lock
        command: mlflow server

    Fix: install the packages in an image.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for service in _all_services(repo):
            for command in (service.entrypoint, service.command):
                match = _INSTALL.search(command_text(command))
                if command and match and not is_for_tests(service):
                    message = f"`{service.name}` runs `{match[0]}` at every start"
                    lines = [word.line for word in command.words if _INSTALL.search(word.text)]
                    line = lines[0] if lines else command.line
                    hint = "install in an image: build: …"
                    yield self.finding(command.path, line, message, hint=hint)
