"""STK: who can reach services, and with which passwords."""

from collections.abc import Iterator

from lockstitch.audit.rule import Finding, Rule, Skip
from lockstitch.repository.compose import services
from lockstitch.repository.compose.files import compose_files
from lockstitch.repository.compose.passwords import Password, passwords
from lockstitch.repository.compose.reader import Port
from lockstitch.repository.compose.services import role_of
from lockstitch.repository.files import Repository

__all__ = ["RULES"]

_OPEN = frozenset({"", "0.0.0.0", "::", "*"})  # noqa: S104 -- what is looked for


def _each_password(repo: Repository) -> Iterator[tuple[str, Password]]:
    """Yield the passwords of all services that outlive a test run, a line's once."""
    seen = set()
    for file in compose_files(repo):
        all_services = file.value.services.values()
        no_cloud = any(services.is_stand_in(service) for service in all_services)
        for service in all_services:
            if services.is_for_tests(service):
                continue
            for each in passwords(service):
                if no_cloud and each.what.startswith("`AWS_"):
                    continue  # the stand-in takes any
                if (each.path, each.line) not in seen:
                    seen.add((each.path, each.line))
                    yield service.name, each


class STK003(Rule):
    """A service has a password that everybody knows.

    Why: `minioadmin`, `postgres`/`postgres` and their kin are the first that anybody tries, and a
    port that was meant for one laptop is reachable from the office or from a cloud machine's
    address sooner than one thinks.

    Bad:
        environment:
          POSTGRES_PASSWORD: postgres

    Good:
        environment:
          POSTGRES_PASSWORD: ${POSTGRES_PASSWORD:?set it in .env}

    Fix: make one (`openssl rand -hex 24`), keep it in `.env` or a secret's file that git ignores.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each known password."""
        for name, each in _each_password(repo):
            if each.known:
                whose = f", of the user `{each.user:.40}`" if each.user else ""
                how = "by default " if each.by_default else ""
                message = f"{each.what} of `{name}` has {how}a password that everybody knows{whose}"
                hint = "openssl rand -hex 24, and ${NAME:?set it in .env} in the compose file"
                yield self.finding(each.path, each.line, message, hint=hint)


class STK004(Rule):
    """A password stands in the compose file in plain text.

    Why: whoever can read the repository, a fork of it or a backup can use the service, and the
    history keeps the password after it has been taken out.

    Bad:
        environment:
          MYSQL_PASSWORD: hK93nd72Lq

    Good:
        environment:
          MYSQL_PASSWORD_FILE: /run/secrets/mysql
        secrets: [mysql]

    Fix: take another password, and give it by a variable of `.env` or by `secrets:`.
    Source: Compose Specification, "secrets".
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each password that is spelled out, those that everybody knows left to STK003."""
        for name, each in _each_password(repo):
            if not each.known and not each.by_default:
                message = f"{each.what} of `{name}` holds a password in plain text"
                hint = "take another one, and ${NAME:?set it in .env} or `secrets:` here"
                yield self.finding(each.path, each.line, message, hint=hint)


class STK010(Rule):
    """A database, an object store or MLflow is published on all addresses of the machine.

    Why: `"5432:5432"` means 0.0.0.0, and Docker's own rules go before those of most firewalls: the
    whole network sees the port. MLflow has no login unless it is told to.

    Bad:
        ports:
          - "5432:5432"

    Good:
        ports:
          - "127.0.0.1:5432:5432"

    Fix: name the address, or leave the port out: services of one file reach each other without.
    Source: Docker documentation, "Packet filtering and firewalls".
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each port that listens everywhere."""
        seen = set()
        for each in services.stacks(repo):
            for service in each.services.values():
                role = role_of(service)
                if role is None or services.is_for_tests(service):
                    continue
                for port in service.ports:
                    place = (port.value.path, port.value.line, port.target)
                    if place in seen or not _is_open(port):
                        continue
                    seen.add(place)
                    shown = f"{port.published}:{port.target}"
                    what = f"the {role} `{service.name}`"
                    message = f"`{shown}` opens {what} on all addresses of the machine"
                    hint = f'"127.0.0.1:{shown}"'
                    yield self.finding(*place[:2], message, hint=hint)


def _is_open(port: Port) -> bool:
    known = not port.value.unknown and not port.value.wrong
    return known and bool(port.published) and port.host in _OPEN and port.protocol == "tcp"


RULES: tuple[type[Rule], ...] = (STK003, STK004, STK010)
