"""The compose reader."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstitch.repository.compose import reader
from lockstitch.repository.compose.values import dotenv

TEXT = """\
version: "3.8"
name: lab
x-common: &common
  restart: always
  environment: &env {A: 1, B: "${B:-two}"}
services:
  db:
    image: postgres:${PG}
    ports: ["5432:5432", "127.0.0.1:80:80/udp", "[::1]:1:2", 3000-3005, {target: 8, published: "9"}]
    volumes:
      - data:/var/lib
      - ./x:/y:ro
      - /anon
      - 'C:\\a:/w'
      - {type: bind, source: ./a, target: /b, read_only: true}
    healthcheck: {test: ["CMD-SHELL", "pg_isready"], interval: 5s}
  web:
    <<: *common
    extends: {service: db}
    build: {context: ., dockerfile: D, args: [X=1, Y]}
    command: uvicorn "a b" $$HOME
    entrypoint: [a, b]
    environment: {<<: *env, C: "${NO}", D: }
    env_file: [.env, {path: no.env, required: false}]
    depends_on: {db: {condition: service_healthy, required: false}}
    secrets: [s, {source: t, target: /x}]
    networks: {n: {}}
    profiles: [dev]
    healthcheck: {disable: true}
  other:
    build: ./app
    depends_on: [db]
    environment: [A=1, B]
    healthcheck: {test: curl x}
volumes: {data: {}, ext: {external: true}}
secrets: {s: {file: ./s.txt}}
"""


def test_a_file() -> None:
    found = reader.read(TEXT, {"PG": "16"}, {".env": "B=env\n"}.get)
    assert found.problems == ()
    assert (found.version_line, str(found.name)) == (1, "lab")
    db, web, other = found.services.values()
    assert (str(db.image), db.line, db.image.line if db.image else 0) == ("postgres:16", 7, 8)
    assert [(p.host, p.published, p.target, p.protocol) for p in db.ports] == [
        ("", "5432", "5432", "tcp"),
        ("127.0.0.1", "80", "80", "udp"),
        ("::1", "1", "2", "tcp"),
        ("", "", "3000-3005", "tcp"),
        ("", "9", "8", "tcp"),
    ]
    assert [(m.kind, m.source, m.target, m.read_only) for m in db.volumes] == [
        ("volume", "data", "/var/lib", False),
        ("bind", "./x", "/y", True),
        ("volume", "", "/anon", False),
        ("bind", "C:\\a", "/w", False),
        ("bind", "./a", "/b", True),
    ]
    assert {n: v.value and v.value.text for n, v in web.environment.items()} == {
        "C": "",
        "D": None,
        "A": "1",
        "B": "env",
    }
    assert web.environment["C"].value is not None
    assert web.environment["C"].value.unknown == ("NO",)
    assert (web.image, web.volumes, web.values["restart"].text) == (db.image, db.volumes, "always")
    assert web.command is not None
    assert [str(w) for w in web.command.words] == ["uvicorn", "a b", "$HOME"]
    assert web.build is not None
    assert [(a.name, a.value and a.value.text) for a in web.build.args] == [("X", "1"), ("Y", None)]
    assert [(str(f.file), f.required, f.settings is None) for f in web.env_files] == [
        (".env", True, False),
        ("no.env", False, True),
    ]
    assert web.depends_on["db"].condition == "service_healthy"
    assert ([s.name for s in web.secrets], str(web.profiles[0])) == (["s", "t"], "dev")
    assert web.healthcheck is not None
    assert (web.healthcheck.disabled, web.healthcheck.settings["interval"].text) == (True, "5s")
    assert other.healthcheck is not None
    assert other.healthcheck.test is not None
    assert other.healthcheck.test.by_shell
    assert other.build is not None
    assert str(other.build.context) == "./app"
    assert found.volumes["ext"].external
    assert found.secrets["s"].values["file"].text == "./s.txt"


def test_other_files() -> None:
    files = {
        "a/b.yaml": "services: {base: {image: x, build: {context: .}}}\ninclude: [../compose.yaml]",
        "c.yaml": "services: {c: {image: c}, a: {image: no}}",
    }
    text = (
        "include: [{path: c.yaml}, a/b.yaml]\nservices: {a: {build: {target: t}, "
        "extends: {file: a/b.yaml, service: base}}}"
    )
    found = reader.read(text, {}, files.get)
    assert sorted(found.services) == ["a", "base", "c"]
    assert str(found.services["a"].image) == "x"
    assert found.services["c"].path == "c.yaml"
    assert found.files == ("compose.yaml", "a/b.yaml", "c.yaml")
    assert [(p.path, p.message) for p in found.problems] == [
        ("a/b.yaml", "`compose.yaml` includes itself")
    ]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 0, "the file is empty"),
        ("- a", 0, "the file is no mapping"),
        ("a: [", 1, "it is no YAML"),
        ("\0", 0, "it is no YAML"),
        ("services: {a: {image: *x}}", 1, "`*x` names no anchor"),
        ("services: &s {a: *s}", 1, "`*s` stands inside of what it names"),
        ("services: {a: {image: x, image: y}}", 1, "`image` stands here again, after line 1"),
        ("services: {[a]: b}", 1, "a key must be a text"),
        ("services:\n  a: {image: x}\n---\nb: 1", 3, "a second document"),
        ("[" * 200, 1, "it nests deeper than 100"),
        ("x" * 1_000_001, 0, "the file has 1,000,001"),
        ("web: {image: x}", 1, "`web` is nothing that a compose file has"),
        ("services: []", 1, "`services` must be a mapping"),
        ("services: {a: {image: [x]}}", 1, "`image` must be one value"),
        ("services: {a: {ports: x}}", 1, "`ports` must be a list"),
        ("services: {a: {ports: [x, a:1, {host_ip: x}]}}", 1, "`x` is no port"),
        ("services: {a: {command: 'a \"'}}", 1, "`command` cannot be split"),
        ("services: {a: {healthcheck: {test: [x]}}}", 1, "`test` must begin with"),
        ("services: {a: {environment: [[x]]}}", 1, "`environment` holds texts"),
        ("services: {a: {env_file: [{required: true}]}}", 1, "`env_file` names no `path`"),
        ("services: {a: {secrets: [{target: x}]}}", 1, "`secrets` names no source"),
        ("services: {a: {extends: a}}", 1, "`a` extends itself"),
        ("services: {a: {extends: b}}", 1, "there is no service `b`"),
        ("services: {a: {extends: {service: b, file: x.yaml}}}", 1, "there is no file `x.yaml`"),
        ("services: {a: {image: '${X:?why}'}}", 1, "`X` must be given: why"),
        ("services: {a: {image: '${X'}}", 1, "`${X` is nothing that Compose knows"),
        ("services: {a: {image: '${X:-'}}", 1, "`${` has no `}`"),
        ("services: {a: {image: '${1}'}}", 1, "`${1}` names no variable"),
        (f"services: {{a: {{image: '{'${X:-' * 40}'}}}}", 1, "its variables nest deeper than 20"),
    ],
)
def test_problems(text: str, line: int, said: str) -> None:
    found = [(p.line, p.message) for p in reader.read(text, {}).problems]
    assert any(at == line and message.startswith(said) for at, message in found), found


@pytest.mark.slow
def test_aliases_do_not_grow_and_chains_end() -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 90))]
    found = reader.read("\n".join([*lines, "services: {s: {volumes: *a89, ports: *a0}}"]), {})
    assert found.services["s"].volumes == ()
    chain = ",".join(f"s{i}: {{extends: s{i + 1}}}" for i in range(90))
    messages = [p.message for p in reader.read(f"services: {{{chain}}}", {}).problems]
    assert any("extend one another" in message for message in messages)
    items = ",".join(f"k{i}" for i in range(1000))
    many = ",".join(f"s{i}: {{volumes: *b}}" for i in range(60))
    messages = [
        p.message for p in reader.read(f"x-b: &b [{items}]\nservices: {{{many}}}", {}).problems
    ]
    assert messages == ["more than 50,000 entries, with those that aliases repeat"]


def test_interpolation() -> None:
    def value(text: str) -> str:
        found = reader.read(f"services: {{a: {{image: '{text}'}}}}", {"X": "v", "E": ""})
        return str(found.services["a"].image)

    assert value("$X-${X}-$$X-$1-${N}") == "v-v-$X-$1-"
    assert value("${E-d}${E:-d}${N-${M:-n}}${X?no}") == "dnv"
    assert value("${X:+a}${E+b}${E:+c}${N+d}") == "ab"


def test_dotenv() -> None:
    text = "# a\nexport A=1 # c\nB='$A' # c\nC=\"x\\n$A\nz\"\nD\nE=${A}#d\nF='open\nbad line\n"
    assert [(s.name, s.value) for s in dotenv(text, {})] == [
        ("A", "1"),
        ("B", "$A"),
        ("C", "x\n1\nz"),
        ("D", None),
        ("E", "1#d"),
        ("F", "open"),
    ]
    assert dotenv("x" * 1_000_001, {}) == ()


YAML = st.sampled_from(
    [
        "services:",
        "\n",
        "  ",
        "a: ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "&x ",
        "*x",
        "<<: ",
        "image: ",
        "ports: ",
        "1:2",
        "environment: ",
        "A=1",
        "${A",
        ":-",
        "$",
        "'",
        '"',
        "extends: ",
        "|",
        "---",
        "healthcheck: ",
        "test: ",
        "volumes: ",
        "depends_on: ",
        "include: ",
        "env_file: ",
        "\t",
        "é",
    ]
)


@given(st.lists(YAML, max_size=30))
def test_any_text_gives_a_value(pieces: list[str]) -> None:
    reader.read("services:\n  s:\n    " + "".join(pieces), {}, {".env": "A=1"}.get)
