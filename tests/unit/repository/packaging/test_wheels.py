"""Which machines a lock's files fit, against what `packaging` says."""

import itertools

import pytest
from packaging import tags as known
from packaging.utils import parse_wheel_filename

from lockstitch.python.locks import File, Package, Source
from lockstitch.python.target import Target
from lockstitch.repository.packaging import wheels
from lockstitch.repository.packaging.files import read_lock
from lockstitch.repository.packaging.wheels import Machine, Verdict

GLIBC = Machine(python="3.11", release=(2, 36))
PYTHONS = ("cp311", "cp310", "cp312", "py3", "py2.py3", "py311", "py312", "cp37", "pp310", "py2")
ABIS = ("cp311", "cp310", "abi3", "none", "cp311t", "cp37m", "pypy310_pp73")
PLATFORMS = (
    *("any", "manylinux1_x86_64", "manylinux2014_x86_64", "manylinux2010_x86_64", "win_amd64"),
    *("manylinux_2_17_x86_64.manylinux2014_x86_64", "manylinux_2_37_x86_64", "linux_x86_64"),
    *("manylinux_2_28_aarch64", "musllinux_1_2_x86_64", "macosx_11_0_arm64", "manylinux_2_36_i686"),
)


def test_a_wheel_fits_where_packaging_says() -> None:
    fitting = {*Target(platform="linux/amd64", python="3.11.2", glibc="2.36").tags()}
    for parts in itertools.product(PYTHONS, ABIS, PLATFORMS):
        name = f"a_b-1.0-{'-'.join(parts)}.whl"
        expected = not fitting.isdisjoint(parse_wheel_filename(name)[3])
        assert wheels.fits(name, GLIBC) == expected, name


def test_musl_as_packaging_says() -> None:
    machine = Machine(python="3.11", libc="musl", release=(1, 2))
    platforms = ["musllinux_1_2_x86_64", "musllinux_1_1_x86_64", "linux_x86_64"]
    fitting = {
        *known.cpython_tags((3, 11), abis=["cp311"], platforms=platforms),
        *known.compatible_tags((3, 11), interpreter="cp311", platforms=platforms),
    }
    more = ("musllinux_1_1_x86_64", "musllinux_1_3_x86_64", "musllinux_1_2_aarch64")
    for parts in itertools.product(PYTHONS, ABIS, (*PLATFORMS, *more)):
        name = f"a-1.0-1-{'-'.join(parts)}.whl"
        expected = not fitting.isdisjoint(parse_wheel_filename(name)[3])
        assert wheels.fits(name, machine) == expected, name


def test_any_python_when_none_is_known() -> None:
    assert wheels.fits("a-1-cp39-cp39-manylinux_2_17_x86_64.whl", Machine())
    assert not wheels.fits("a-1-py2-none-any.whl", Machine())


@pytest.mark.parametrize("name", ["a.whl", "a-1.tar.gz", "a-1-py3-none.whl", "", "sha256:00"])
def test_what_is_no_wheel_fits_nothing(name: str) -> None:
    assert not wheels.fits(name, Machine())
    assert not wheels.is_pure(name)


def test_the_oldest_libc() -> None:
    names = [
        "a-1-cp311-cp311-manylinux_2_28_x86_64.whl",
        "a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "a-1-cp310-cp310-manylinux1_x86_64.whl",
        "a-1-cp311-cp311-musllinux_1_1_x86_64.whl",
    ]
    assert wheels.oldest(names, Machine(python="3.11")) == (2, 17)
    assert wheels.oldest(names, Machine(python="3.10")) == (2, 5)
    assert wheels.oldest(names, Machine(python="3.11", libc="musl")) == (1, 1)
    assert wheels.oldest(names, Machine(python="3.11", processor="aarch64")) is None
    assert wheels.oldest(["a-1-py3-none-any.whl"], Machine()) == (0, 0)


def locked(*names: str, source: str = "registry") -> Package:
    files = tuple(File(name=name) for name in names)
    return Package(name="a", version="1", line=1, source=Source(kind=source), files=files)


def test_verdicts() -> None:
    wheel, other, source = (
        "a-1-cp311-cp311-manylinux_2_17_x86_64.whl",
        "a-1-cp311-cp311-win_amd64.whl",
        "a-1.tar.gz",
    )
    assert wheels.verdict(locked(wheel, source), GLIBC) is Verdict.WHEEL
    assert wheels.verdict(locked(other, source), GLIBC) is Verdict.SOURCE
    assert wheels.verdict(locked(other), GLIBC) is Verdict.NOTHING
    assert wheels.verdict(locked(), GLIBC) is Verdict.UNKNOWN
    assert wheels.verdict(locked(""), GLIBC) is Verdict.UNKNOWN, "requirements name hashes"
    assert wheels.verdict(locked(other, source="git"), GLIBC) is Verdict.UNKNOWN


UV = """\
version = 1
[[package]]
name = "demo"
version = "0"
source = { virtual = "." }
dependencies = [
    { name = "old", version = "1", marker = "python_full_version < '3.11'" },
    { name = "old", version = "2", marker = "python_full_version >= '3.11'" },
    { name = "winonly", marker = "sys_platform == 'win32'" },
    { name = "web", extra = ["fast"] },
    { name = "odd", marker = "no marker" },
]
[package.dev-dependencies]
dev = [{ name = "checker" }]
[[package]]
name = "old"
version = "1"
[[package]]
name = "old"
version = "2"
[[package]]
name = "winonly"
version = "1"
[[package]]
name = "web"
version = "1"
[package.optional-dependencies]
fast = [{ name = "loop", marker = "platform_machine == 'x86_64'" }]
slow = [{ name = "snail" }]
[[package]]
name = "loop"
version = "1"
[[package]]
name = "snail"
version = "1"
[[package]]
name = "checker"
version = "1"
[[package]]
name = "odd"
version = "1"
"""

POETRY = """\
[[package]]
name = "click"
version = "8"
[package.dependencies]
colorama = {version = "*", markers = "platform_system == \\"Windows\\""}
many = [{version = "1", markers = "os_name == \\"nt\\""}, {version = "2"}]
[[package]]
name = "colorama"
version = "1"
[[package]]
name = "many"
version = "2"
[[package]]
name = "new"
version = "2"
groups = ["main"]
markers = "sys_platform == \\"darwin\\""
"""


def names(kind: str, text: str, machine: Machine, *groups: str) -> list[str]:
    lock = read_lock(f"{kind}.lock", text)
    assert lock is not None
    return [f"{each.name} {each.version}" for each in wheels.installed(lock, machine, groups)]


def test_what_a_machine_gets_of_a_lock() -> None:
    assert names("uv", UV, GLIBC) == ["old 2", "web 1", "loop 1", "odd 1"]
    arm = Machine(python="3.10", processor="aarch64")
    assert names("uv", UV, arm, "dev") == ["old 1", "web 1", "checker 1", "odd 1"]
    assert names("poetry", POETRY, GLIBC) == ["click 8", "many 2"]
