"""PostgreSQL: made once with a password, started as a user that is not root."""

import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path, PurePath

from lockstitch import files, process
from lockstitch.errors import LockstitchError
from lockstitch.stack.service import APP, HOST, USER, Launch, Parts, guarded, sql
from lockstitch.values import frozen

# MLflow's tables are not beside the project's: both may be of Alembic, in a table of one name.
DATABASE = f"""\
SELECT 'CREATE DATABASE {APP}' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{APP}')
\\gexec
"""  # noqa: S608 -- a name of our own


def arguments(data: PurePath, address: str, port: int) -> list[str]:
    """Return the words of `postgres`; there is no socket beside the port."""
    settings = {
        "listen_addresses": address,
        "unix_socket_directories": "",
        "log_line_prefix": "%m [%p] ",
    }
    words = ["-D", str(data), "-p", str(port)]
    for name, value in settings.items():
        words += ["-c", f"{name}={value}"]
    return words


@frozen
class Postgres:
    """Keeps MLflow's runs."""

    parts: Parts
    name: str = "postgres"
    needs: tuple[str, ...] = ()
    rests: bool = False

    @property
    def _data(self) -> Path:
        return self.parts.folder.root / "postgres"

    def launch(self) -> Launch:
        """Make or check the data folder, and say how to start."""
        who = _who(self.parts)
        if not self._data.exists():
            self._create(who)
        self._check()
        self._forget_the_dead()
        words: list[str | Path] = [self.parts.tools.postgres / "postgres"]
        words += arguments(self._data, HOST, self.parts.ports["postgres"])
        return self._launch(words, who)

    def ready(self) -> str:
        """Return "" once it answers over TCP with the password, and has the project's database."""
        done = sql(self.parts, DATABASE)
        return "" if done.code == 0 else (done.stderr.strip().splitlines() or ["no answer"])[0]

    def well(self) -> str:
        """Return the answer of `ready`: it takes 20 ms."""
        return self.ready()

    def _launch(self, words: list[str | Path], who: str) -> Launch:
        # SIGINT is the quick clean stop; SIGTERM waits for clients.
        return Launch(
            words=words, cwd=self._data.parent, env=self.parts.clean(), end=signal.SIGINT, who=who
        )

    def _create(self, who: str) -> None:
        """Make the data folder beside its place, with the database, and rename it there."""
        new = self._data.with_name("postgres.new")
        password = self._data.with_name("postgres.password")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        try:
            files.write_bytes(password, self.parts.keys.password.encode(), mode=0o600)
            if ":" in who:
                for path in (new, password):
                    os.chown(path, *map(int, who.split(":")))
            words: list[str | Path] = [self.parts.tools.postgres / "initdb", "-D", new, "-U", USER]
            words += ["--auth=scram-sha-256", f"--pwfile={password}", "-E", "UTF8"]
            self._run([*words, "--locale=C.UTF-8"], who)
            words = [self.parts.tools.postgres / "postgres", "--single", "-D", new, "postgres"]
            self._run(words, who, stdin=f"CREATE DATABASE {USER}\n")
            new.rename(self._data)
        finally:
            password.unlink(missing_ok=True)
            shutil.rmtree(new, ignore_errors=True)

    def _run(self, words: list[str | Path], who: str, stdin: str = "") -> None:
        launch = self._launch(words, who)
        process.run(guarded(launch), cwd=launch.cwd, env=launch.env, stdin=stdin)

    def _check(self) -> None:
        """Refuse a folder that is not PostgreSQL's, or is another version's."""
        hint = "move the folder away, or delete all data: lockstitch stack reset"
        try:
            has = (self._data / "PG_VERSION").read_text().strip()
        except (OSError, ValueError) as error:
            message = f"`{self._data}` is not a data folder of PostgreSQL"
            raise LockstitchError(message, hint=hint) from error
        version = process.run([self.parts.tools.postgres / "postgres", "--version"]).stdout
        runs = version.split()[-1].partition(".")[0]
        if has != runs:
            message = f"`{self._data}` is of PostgreSQL `{has}`, this lockstitch runs `{runs}`"
            raise LockstitchError(message, hint=hint)

    def _forget_the_dead(self) -> None:
        """Remove the pid file of a server that a reboot or a kill ended.

        PostgreSQL itself refuses to start when another program of ours has that number now.
        """
        path = self._data / "postmaster.pid"
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int(path.read_text().splitlines()[0])
            comm = Path(f"/proc/{pid}/comm")
            if sys.platform == "linux" and (
                not comm.exists() or comm.read_text().strip() != "postgres"
            ):
                path.unlink()


def _who(parts: Parts) -> str:
    """Return who runs it: nobody in a user namespace, or another account, when we are root."""
    if os.geteuid() != 0:
        return "same"
    root = parts.folder.root
    trial = Launch(words=["true"], cwd=root, env=parts.clean(), who="namespace")
    if process.run(guarded(trial), env=trial.env, check=False).code == 0:
        return "namespace"
    import pwd  # which Windows does not have

    nobody = pwd.getpwnam("nobody")
    who = f"{nobody.pw_uid}:{nobody.pw_gid}"
    root.chmod(0o711)  # to pass through; every file in it that matters is 0600
    for path in (parts.tools.postgres / "postgres", root / "logs"):
        trial = Launch(words=["test", "-r", path], cwd=Path("/"), env=parts.clean(), who=who)
        if process.run(guarded(trial), env=trial.env, check=False).code != 0:
            message = "PostgreSQL refuses to run as root, here are no user namespaces, "
            message += f"and `nobody` cannot reach `{path}`"
            hint = "run it as a plain user, or set LOCKSTITCH_CACHE to a folder that all may read"
            raise LockstitchError(message, hint=hint)
    return who
