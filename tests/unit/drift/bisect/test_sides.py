"""Differences of two environments that can be tried, and the environment of a mixture."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lockstitch.digest import of_bytes
from lockstitch.drift.bisect import sides
from lockstitch.drift.bisect.sides import Ends, Setting, Side
from lockstitch.errors import LockstitchError, UsageError
from lockstitch.fingerprint.model import Blas, Cpu, Fingerprint, Package, Python

ONE, TWO = of_bytes(b"1"), of_bytes(b"2")


def package(name: str, version: str = "1.0", **members: Any) -> Package:
    return Package(name=name, version=version, **members)


def never(python: str) -> Fingerprint:
    pytest.fail(f"reads for Python {python}")


def side(
    *packages: Package,
    python: str = "3.11",
    read: Callable[[str], Fingerprint] = never,
    **members: Any,
) -> Side:
    made = Fingerprint(kind=members.pop("kind", "environment"), packages=packages, **members)
    return Side(word="x", fingerprint=made, read=read, python=python)


def labels(made: Ends) -> list[str]:
    return [cause.label for cause in made.causes]


def test_a_mixture_is_pins_of_both_sides() -> None:
    before = side(package("numpy", "1.26", artifacts=(TWO, ONE)), package("gone"), package("same"))
    after = side(package("numpy", "2.0"), package("new"), package("same"))
    made = sides.between(before, after)
    assert labels(made) == ["numpy", "gone", "new"]
    old = f"numpy==1.26 --hash={min(ONE, TWO)} --hash={max(ONE, TWO)}"
    assert made.wanted(frozenset()).pins == ("gone==1.0", old, "same==1.0")
    assert made.wanted(frozenset({"numpy", "new"})).pins == (
        *("gone==1.0", "new==1.0", "numpy==2.0", "same==1.0"),
    )
    assert made.wanted(frozenset({"gone"})).pins == (old, "same==1.0")


def test_the_same_version_is_a_cause_where_files_are_known_by_hash() -> None:
    made = sides.between(
        side(package("a", artifacts=(ONE,)), package("b", record=ONE)),
        side(package("a", artifacts=(TWO,)), package("b", record=TWO)),
    )
    assert labels(made) == ["a"]
    numeric = sides.between(
        side(package("numpy", record=ONE, code=ONE)),
        side(package("numpy", record=TWO, code=TWO, edited=("changed numpy/x.py",))),
    )
    assert labels(numeric) == []
    assert [each.kind for each in numeric.beside] == ["edited", "other files"]


def test_what_a_lock_has_from_elsewhere_comes_from_there_by_hash() -> None:
    url = "https://wheels.example.test/torch-2.5.1%2Bcpu-cp311-cp311-linux_x86_64.whl"
    torch = package("torch", "2.5.1+cpu", url=url, artifacts=(ONE,))
    own = package("mine", url="https://example.test/mine.whl", artifacts=(TWO,), origin="archive")
    plain = package("numpy", url="https://index.example.test/numpy.whl", artifacts=(ONE,))
    made = sides.between(
        side(torch, own, plain, package("bare", "1.0+x")),
        side(replace(torch, version="2.6.0+cpu"), replace(own, version="2.0"), plain),
    )
    assert labels(made) == ["torch", "mine", "bare"]
    assert made.wanted(frozenset({"bare"})).pins == (
        f"mine @ https://example.test/mine.whl --hash={TWO}",
        f"numpy==1.0 --hash={ONE}",
        f"torch @ {url} --hash={ONE}",
    )
    odd = replace(own, url="https://example.test/x y --index-url=z")
    with pytest.raises(LockstitchError, match="comes from an address"):
        sides.between(side(odd), side()).wanted(frozenset())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (package("mine", origin="folder"), "`mine` comes from a folder"),
        (package("mine", origin="git c0ffee"), "`mine` comes from git"),
        (package("mine", "1.0, 2.0"), "no single one"),
        (package("x\n--index-url=y"), "no normalised name"),
    ],
)
def test_what_no_index_has_is_refused(wrong: Package, said: str) -> None:
    made = sides.between(side(wrong, package("a")), side(wrong, package("a", "2.0")))
    with pytest.raises(LockstitchError, match=said):
        made.wanted(frozenset())
    given = sides.between(
        side(wrong, package("a")), side(package("a", "2.0")), given=frozenset({wrong.name})
    )
    assert (labels(given), given.wanted(frozenset()).pins) == (["a"], ("a==1.0",))


def test_python_is_one_cause_and_locks_are_read_for_it() -> None:
    asked: list[str] = []

    def read(python: str) -> Fingerprint:
        asked.append(python)
        return Fingerprint(kind="lock", packages=(package("a", "1.0"), package("backport")))

    before = side(package("a", "1.0"), python="3.12", read=read, kind="lock")
    after = side(package("a", "2.0"), python="3.11", kind="lock")
    after = replace(after, read=lambda python: after.fingerprint)
    made = sides.between(before, after)
    assert labels(made) == ["Python", "a"]
    assert made.wanted(frozenset()).python == "3.12"
    moved = made.wanted(frozenset({"Python"}))
    assert (moved.python, moved.pins, asked) == ("3.11", ("a==1.0", "backport==1.0"), ["3.11"])


def test_a_patch_that_is_not_available_is_named() -> None:
    made = sides.between(
        side(python="3.11.7"),
        replace(side(python="3.11.7"), fingerprint=Fingerprint(kind="environment")),
        [Setting(name="X", before="1", after="")],
    )
    assert labels(made) == ["$X"]
    old, new = (
        replace(
            side(python="3.11"),
            fingerprint=Fingerprint(kind="environment", python=Python(version=version)),
        )
        for version in ("3.11.7", "3.11.9")
    )
    made = sides.between(old, new)
    assert (made.causes, [each.name for each in made.beside]) == ((), ["version"])


def test_variables_and_settings() -> None:
    before = side(variables={"TZ": "UTC", "OMP_NUM_THREADS": "4", "LD_PRELOAD": "x.so"})
    after = side(variables={"TZ": "UTC", "PYTHONHASHSEED": "1", "LD_PRELOAD": "y.so"})
    made = sides.between(before, after, [Setting(name="MINE", before="", after="on")])
    # What was asked for comes first; a variable that is not agreed on is never set.
    assert labels(made) == ["$MINE", "$OMP_NUM_THREADS", "$PYTHONHASHSEED"]
    shared = {"TZ": "UTC"}
    assert made.variables(frozenset()) == shared | {
        "MINE": None,
        "OMP_NUM_THREADS": "4",
        "PYTHONHASHSEED": None,
    }
    assert made.variables(frozenset({"$MINE", "$PYTHONHASHSEED"})) == shared | {
        "MINE": "on",
        "OMP_NUM_THREADS": "4",
        "PYTHONHASHSEED": "1",
    }
    assert [each.name for each in made.beside] == ["LD_PRELOAD"]


def test_a_lock_knows_no_variables() -> None:
    made = sides.between(
        side(kind="lock"),
        side(variables={"TZ": "Asia/Kathmandu"}),
        [Setting(name="TZ", before="", after="UTC")],
    )
    assert made.variables(frozenset()) == {"TZ": None}
    assert made.variables(frozenset({"$TZ"})) == {"TZ": "UTC"}


def test_what_is_of_the_machine_is_beside() -> None:
    blas = Blas(name="openblas", owner="numpy", file="a.so", kernels="Zen")
    made = sides.between(
        side(package("a"), blas=(blas,), cpu=Cpu(model="A", cores=2)),
        side(package("a"), blas=(replace(blas, kernels="Haswell"),), cpu=Cpu(model="B", cores=8)),
    )
    assert made.causes == ()
    assert [each.name for each in made.beside] == ["openblas of numpy, kernels", "cores"]


@pytest.mark.parametrize("text", ["X", "X=1", "X=1,2,3", "X=1,1", "1X=1,2", "=1,2"])
def test_a_wrong_setting(text: str) -> None:
    with pytest.raises(UsageError, match="NAME=A,B"):
        sides.setting(text)


def test_a_setting() -> None:
    assert sides.setting("TZ=,Asia/Tokyo") == Setting(name="TZ", before="", after="Asia/Tokyo")
