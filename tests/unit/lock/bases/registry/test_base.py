"""A base as a table of lockstitch.lock: one spelling, and what is wrong with it named."""

import dataclasses

import pytest
from support import values

from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.lock import toml
from lockstitch.lock.bases.registry import RegistryBase, SystemPackage
from lockstitch.lock.bases.registry.base import read
from lockstitch.oci.layer import GZIP, LayerFacts
from lockstitch.python.tables import Table, parse_toml

BASE = values.registry_base(
    reference="localhost:5000/python:3.11",
    index=of_bytes(b"index"),
    certificates="/etc/ssl/cert.pem",
    distribution="debian-12",
    user="app",
    resets=("entrypoint",),
    env={"PATH": "/usr/bin", "ODD.name": 'a "b"\n\\', "EMPTY": ""},
    labels={"org.example": "é"},
    ports=("53/udp",),
    volumes=("/data",),
    history=('{"created_by":"ENV X","empty_layer":true}', '{"created_by":"ADD"}'),
    layers=(
        LayerFacts(
            digest=of_bytes(b"layer"),
            size=5,
            media_type=GZIP,
            diff_id=of_bytes(b"diff"),
            unpacked=0,
        ),
    ),
    packages=(
        SystemPackage(kind="apk", name="musl", version="1.2.4-r2", architecture="", licence="MIT"),
    ),
)


def read_back(text: str) -> tuple[RegistryBase | None, list[str]]:
    problems: list[LockstitchError] = []
    (table,) = Table(parse_toml(text, "it", hint=""), "", problems).each("registry")
    return read(table, BASE.reference), [problem.message for problem in problems]


def written(base: RegistryBase = BASE) -> str:
    return toml.dumps({"registry": [base.document()]})


def test_what_is_written_is_read_back() -> None:
    assert read_back(written()) == (BASE, [])
    least = dataclasses.replace(
        BASE, index=None, glibc="", musl="1.2", user="", env={}, packages=(), certificates=""
    )
    assert read_back(written(least)) == (least, [])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('platform = "linux/amd64"', 'platform = "plan9/amd64"', "platform` is `plan9/amd64`"),
        ('python = "3.11.9"', 'python = "3.11"', "python` is `3.11`, which is no python"),
        ("/usr/local/bin/python3.11", "/usr/../bin/python", "program` is `/usr/../bin/python`"),
        ("/usr/local/bin/python3.11", "/usr/bin/python3\\nx = y", "program` is"),
        ("/etc/ssl/cert.pem", "cert.pem", "certificates` is `cert.pem`"),
        ('glibc = "2.36"\n', "", "glibc` or `musl` must be there, and not both"),
        ('glibc = "2.36"\n', 'glibc = "2.36"\nmusl = "1.2"\n', "and not both"),
        ('resets = ["entrypoint"]', 'resets = ["user"]', "resets` names `user`"),
        ('user = "app"', 'user = "app\\n"', "user` is"),
        ("snapshot = ", "when = ", "snapshot` is missing"),
        ("manifest = ", "manifests = ", "is not a sha256 digest"),
        ("size = 5", "size = 0", "size` must be a whole number"),
        (GZIP, "text/html", "type` is wrong: a layer of the type `text/html`"),
        ('\\"empty_layer\\":true', '\\"empty_layer\\":false', "history` is of 2 layers, not of 1"),
        ('{\\"created_by\\":\\"ADD\\"}', "[", "history` is not a list of JSON objects"),
        ('{\\"created_by\\":\\"ADD\\"}', "[" * 9999, "history` is not a list of JSON objects"),
        ('name = "musl"', 'name = "a b"', "`a b` is not the name of a package"),
        ('kind = "apk"', 'kind = "rpm"', "`rpm` is not the kind of a package"),
    ],
)
def test_a_broken_table_is_refused(old: str, new: str, message: str) -> None:
    text = written()
    assert old in text
    base, problems = read_back(text.replace(old, new, 1))
    assert base is None
    assert message in " ".join(problems)


def test_a_base_without_layers_is_refused() -> None:
    base, problems = read_back(written(dataclasses.replace(BASE, layers=(), history=())))
    assert (base, problems) == (None, ["`registry[0].layer` is missing"])


def test_a_history_keeps_what_the_spec_knows() -> None:
    odd = '{"created_by":"ADD","float":1.5,"created":7,"comment":"c","empty_layer":1}'
    assert dataclasses.replace(BASE, history=(odd,)).defaults().history == (
        {"created_by": "ADD", "comment": "c"},
    )
