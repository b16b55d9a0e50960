"""What is a secret, what is none, and that no output ever has one."""

import dataclasses
import json
import os
import random
import string
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.planted import FORMS, private_key
from support.programs import git, stand_in

from lockstitch.errors import LockstitchError
from lockstitch.repository.file_cache import largest
from lockstitch.repository.secrets import scanners, search
from lockstitch.repository.secrets.scanners import Betterleaks, Kingfisher, Scanner
from lockstitch.secrets.patterns import patterns
from lockstitch.secrets.text import Secret, decoded, excerpt, find, merged

ALLOW = "lockstitch: allow-" + "secret -- a fixture"
AWS = FORMS["aws-access-key-id"]


def rules(text: str, name: str = "a.py") -> list[str]:
    return [secret.rule for secret in find(text, name)]


def test_every_rule_has_a_secret_to_try() -> None:
    assert [rule.name for rule in patterns()] == list(FORMS)


@pytest.mark.parametrize("rule", FORMS)
@settings(max_examples=20)
@given(seed=st.integers(0, 2**64))
def test_a_secret_is_found_and_never_shown(rule: str, seed: int) -> None:
    form = FORMS[rule]
    secret = form.secret(seed)
    text = "first line\n" + form.line.format(secret) + "\nlast line\n"
    found = [secret for secret in find(text, form.name) if secret.rule == rule]
    assert [each.line for each in found] == [2]
    if rule != "private-key":
        assert text.splitlines()[1][found[0].column - 1 :].startswith(secret)
    shown = json.dumps(found[0].document()) + repr(found) + found[0].error(form.name).message
    for start in range(len(secret) - 4):
        piece = secret[start : start + 5]
        assert piece not in shown or piece in f"{rule} {form.name}", (piece, shown)


def test_a_key_of_many_lines_is_one_finding_where_it_begins() -> None:
    for kind in ("RSA ", "OPENSSH ", "EC ", ""):
        assert [(e.rule, e.line) for e in find("x\n" + private_key(3, kind), "k")] == [
            ("private-key", 2)
        ]
    headers = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n"
    begin, rest = private_key(3).split("\n", 1)
    assert rules(f"{begin}\n{headers}{rest}") == ["private-key"]
    assert rules("as in -----BEGIN PRIVATE " + "KEY-----, then base64") == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("AWS_ACCESS_KEY_ID=AKIAIOSFODNN7" + "EXAMPLE", "a.env"),
        ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI" + "/K7MDENG/bPxRfiCYEXAMPLEKEY", "a.env"),
        ("key = 'gh" + "p_" + "x" * 36 + "'", "a.py"),
        ("sha256:" + "0123456789abcdef" * 4, "pylock.toml"),
        ("--hash=sha256:" + "0123456789abcdef" * 4, "requirements-lock.txt"),
        ("POSTGRES_PASSWORD=changeme", ".env.example"),
        ("POSTGRES_PASSWORD=${POSTGRES_PASSWORD}", "x.env"),
        ("POSTGRES_PASSWORD=<your password>", "x.env"),
        ("      POSTGRES_PASSWORD: ${POSTGRES_PASSWORD:?not set}", "docker-compose.yml"),
        ("      POSTGRES_PASSWORD_FILE: /run/secrets/db", "docker-compose.yml"),
        ("      POSTGRES_PASSWORD: /run/secrets/db", "docker-compose.yml"),
        ("      TOKEN_LIMIT: 4096000", "docker-compose.yml"),
        ("ARG GITHUB_TOKEN", "Dockerfile"),
        ("ENV API_KEY=$API_KEY", "Dockerfile"),
        ("ENV TOKENIZERS_PARALLELISM=false", "Dockerfile"),
        ("RUN --mount=type=secret,id=token cat /run/secrets/token", "Dockerfile"),
        ("DB_PASSWORD: something-real", "notes.md"),
        ("postgresql://mlflow:mlflow@localhost/mlflow", "a.py"),
        ("https://user:password@host/", "README.md"),
        ("f'https://{user}:{password}@{host}'", "a.py"),
        ("https://$USER:$PASSWORD@host/", "a.sh"),
        ("http://127.0.0.1:8000/users/@me", "a.py"),
        ("git+ssh://git@host/repo", "a.txt"),
        ("mask-token-classification hf_hub_download_with_a_long_name_of_a_function", "a.py"),
        ("risk-" + "a" * 60, "a.py"),
    ],
)
def test_what_is_known_to_be_harmless_is_no_finding(text: str, name: str) -> None:
    assert rules(text, name) == []


def test_a_plot_in_a_notebook_is_no_finding() -> None:
    letters = string.ascii_letters + string.digits + "+/"
    for seed in range(8):
        chance = random.Random(seed)
        data = "".join(chance.choices(letters, k=30_000))
        middle = AWS.secret(seed)
        text = json.dumps({"data": {"image/png": data[:9000] + middle + data[9000:]}})
        assert rules(text, "plot.ipynb") == []


def test_a_comment_with_a_reason_allows_a_line() -> None:
    line = f"KEY = '{AWS.secret(1)}'"
    assert rules(f"{line}  # {ALLOW}") == []
    assert rules(f"# {ALLOW}\n{line}") == []
    assert rules(f"// {ALLOW}\n{line}") == []
    assert rules(f"# {ALLOW}\n\n{line}") == ["aws-access-key-id"]
    assert rules(f"{line}  # {ALLOW}\n{line}") == ["aws-access-key-id"]
    assert rules(f"{line}  # {ALLOW.partition(' --')[0]}") == ["aws-access-key-id"]


@pytest.mark.parametrize(
    ("name", "comment"),
    [("a.py", "# {}"), ("t/a.html", "<!-- {} -->"), ("a.js", "// {}"), ("a.ipynb", "")],
)
def test_the_comment_that_allows_a_line_is_one_of_its_language(name: str, comment: str) -> None:
    key = "AIza" + "SyB3cVx8k2LmQ9wT7rYpZ4nF6hJ1dS0aGuE"
    (secret,) = find(f"key={key}\n", name)
    allowed = comment.format("lockstitch: allow-secret -- WHY")
    hint = secret.error(name).hint
    assert hint.partition("put before it: ")[2] == allowed
    assert not allowed or find(f"{allowed}\nkey={key}\n", name) == []


def test_binary_is_told_from_text() -> None:
    assert decoded(b"a\0b") is None
    assert decoded("\ufeffzoë".encode("utf-16")) is not None
    assert decoded(b"\xff\xe9") == "��"
    assert rules(decoded(AWS.secret(1).encode("utf-16")) or "") == ["aws-access-key-id"]


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN RSA PRIVATE " + "KEY-----\n" + "A: b   \n" * 20_000,
        "-----BEGIN PRIVATE " + "KEY-----" + "\\n \\r" * 20_000 + "!",
        "ENV " + "a " * 50_000,
        "ENV " + "A_" * 50_000,
        "aws_key" * 20_000,
        "https://" * 20_000,
        "https://a:" * 20_000,
        "a" * 200_000 + "://x:" + "b" * 200_000,
    ],
)
def test_hostile_text_takes_no_time(text: str) -> None:
    started = time.process_time()
    find(text, "Dockerfile")
    assert time.process_time() - started < 1


def test_a_short_secret_shows_nothing_of_itself() -> None:
    assert excerpt("hunter2hunter2") == "… (14 characters)"
    assert excerpt("hunter2hunter2hunter2") == "hunt… (21 characters)"
    assert excerpt("a\x1b[2Jbcdefghijklmnopq").startswith("… (")


def test_hits_of_one_line_are_one() -> None:
    one = Secret(
        path="b", line=2, column=9, rule="r", severity="high", excerpt="", found_by=("lockstitch",)
    )
    two = dataclasses.replace(one, column=1, rule="s", found_by=("other",))
    three = dataclasses.replace(one, path="a", severity="low", found_by=("other",))
    both = dataclasses.replace(one, found_by=("lockstitch", "other"))
    assert merged([two, one, three]) == [three, both]


# --- files


class Fake:
    """A scanner that finds a secret on each first line."""

    name = "fake"

    def __init__(self) -> None:
        self.asked: list[Path] = []

    def find(self, root: Path, names: Sequence[str]) -> list[Secret]:
        self.asked = [root / name for name in names]
        return [
            Secret(
                path=name,
                line=1,
                column=1,
                rule="fake-rule",
                severity="low",
                excerpt="",
                found_by=("fake",),
            )
            for name in names
        ]


def test_a_search_reads_text_and_counts_the_rest(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(f"'{AWS.secret(1)}'\n")
    (tmp_path / "allowed.py").write_text(f"'{AWS.secret(1)}'  # {ALLOW}\n")
    (tmp_path / "b.bin").write_bytes(b"\0" + AWS.secret(1).encode())
    (tmp_path / "large.txt").write_bytes(b"a" * (largest("a") + 1))
    (tmp_path / "link").symlink_to("a.py")
    names = ["a.py", "allowed.py", "b.bin", "gone", "large.txt", "link"]
    fake: Scanner = Fake()
    seen = search.in_project(tmp_path, names, fake)
    assert (seen.files, seen.binary, seen.large) == (2, 1, 1)
    assert [(secret.path, secret.rule, secret.found_by) for secret in seen.secrets] == [
        ("a.py", "aws-access-key-id", ("lockstitch", "fake")),
        ("b.bin", "aws-access-key-id", ("lockstitch", "fake")),
    ]


def test_git_says_which_files_there_are(tmp_path: Path) -> None:
    for name in ("kept", "ignored", "new", "deploy/a", "-dash"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / ".gitignore").write_text("ignored\n")
    everything = ["-dash", ".gitignore", "deploy/a", "ignored", "kept", "new"]
    assert search.project_files(tmp_path, []) == everything  # no git yet
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "kept", ".gitignore")
    everything.remove("ignored")
    assert search.project_files(tmp_path, []) == everything
    assert search.project_files(tmp_path, [tmp_path / "deploy"]) == ["deploy/a"]
    assert search.project_files(tmp_path, [tmp_path / "ignored"]) == ["ignored"]
    with pytest.raises(LockstitchError, match="is not there"):
        search.project_files(tmp_path, [tmp_path / "none"])
    with pytest.raises(LockstitchError, match="is not below"):
        search.project_files(tmp_path, [tmp_path.parent])


@pytest.mark.parametrize("below", ["", "sub"])
def test_what_is_staged_is_read_as_it_is_staged(below: str, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    root = tmp_path / below
    root.mkdir(exist_ok=True)
    (root / "a.py").write_text(f"'{AWS.secret(1)}'\n")
    (root / "b.py").write_text("1\n")
    git(root, "add", "a.py")
    (root / "a.py").write_text("clean again\n")
    with search.staged(root) as (folder, names):
        assert names == ["a.py"]
        assert [e.rule for e in search.in_project(folder, names, None).secrets] == [
            "aws-access-key-id"
        ]
    assert not folder.exists()


# --- scanners


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str, str, int], Path]:
    """Return a function that makes a program which prints a text and ends with a code."""

    def make(name: str, text: str, code: int) -> Path:
        (tmp_path / f"{name}.out").write_text(text)
        script = f'echo "$*" > {tmp_path}/asked\ncat {tmp_path}/{name}.out\nexit {code}'
        return stand_in(tmp_path / ".venv" / "bin" / name, script)

    return make


def kingfisher(secret: str) -> str:
    place = {"snippet": secret, "path": "./-a.py", "line": 2, "column_start": 0}
    place |= {"confidence": "medium", "validate_command": f"kingfisher validate {secret}"}
    found = {"rule": {"name": "some-rule"}, "finding": place}
    odd = [{}, {"finding": 1}, {"rule": 1, "finding": {"path": "b", "line": "x", "snippet": 1}}]
    return "INFO {started}\n" + json.dumps({"findings": [found, *odd]}) + '\n{"findings": 4}\n'


def betterleaks(secret: str, state: str = "complete") -> str:
    place = {"path": "-a.py", "start_line": 2, "start_column": 1}
    match = {"full": secret, "value": secret, "context": secret}
    found = {"rule_id": "some-rule", "match": match, "confidence": "medium", "location": place}
    lines = [{"finding": found}, {"finding": {"location": {"path": 1}}}, {"finding": 0}]
    lines.append({"finding": found | {"match": {"value": "changeme"}}})
    lines.append({"finding": {"location": {"path": "b", "start_line": -1}, "rule_id": secret}})
    return "\n".join(json.dumps(each) for each in [*lines, {"scan": {"state": state}}])


@pytest.mark.parametrize("name", ["betterleaks", "kingfisher"])
def test_a_scanner_is_read_with_tolerance_and_its_secrets_are_dropped(
    name: str, program: Callable[[str, str, int], Path], tmp_path: Path
) -> None:
    secret = "Qw9-" + FORMS["github-token"].secret(5) + "{"
    answer = {"kingfisher": kingfisher, "betterleaks": betterleaks}[name](secret)
    program(name, answer, 200 if name == "kingfisher" else 1)
    scanner = scanners.installed(scanners.in_environment(tmp_path))
    assert scanner
    assert scanner.name == name
    found = scanner.find(tmp_path, ["-a.py"])
    first, second = found
    assert (first.path, first.line, first.column, first.rule) == ("-a.py", 2, 1, "some-rule")
    assert (first.severity, first.excerpt) == ("medium", f"Qw9-… ({len(secret)} characters)")
    assert (second.path, second.line, second.rule) == ("b", 1, "unknown")
    assert secret not in repr(found)
    words = (tmp_path / "asked").read_text().split()
    assert words[-1] == "./-a.py"
    assert name != "kingfisher" or {"--no-validate", "--no-update-check"} <= {*words}


@pytest.mark.parametrize(
    ("kind", "text", "code"),
    [
        (Betterleaks, betterleaks("x", "partial"), 1),
        (Betterleaks, "secret words", 1),
        (Kingfisher, kingfisher("x"), 2),
        (Kingfisher, "[" * 9000 + '{"findings"', 0),
    ],
)
def test_a_scanner_that_fails_is_an_error_without_its_words(
    kind: type[Betterleaks] | type[Kingfisher],
    text: str,
    code: int,
    program: Callable[[str, str, int], Path],
    tmp_path: Path,
) -> None:
    with pytest.raises(LockstitchError) as caught:
        kind(program(kind.name, text, code)).find(tmp_path, ["a"])
    assert caught.value.message == f"`{kind.name}` could not look for secrets: exit code {code}"


def test_many_files_are_several_command_lines() -> None:
    names = [f"{number:06}" * 10 for number in range(20_000)]
    batches = list(scanners._batches(names))
    assert len(batches) == 4
    assert [name.removeprefix("./") for batch in batches for name in batch] == names


def test_no_scanner_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path) + os.pathsep)
    assert scanners.installed(scanners.in_environment(tmp_path)) is None
