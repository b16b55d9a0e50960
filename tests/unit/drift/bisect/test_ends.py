"""What of two environments can be tried, and what a mixture of them is."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lockstitch.digest import of_bytes
from lockstitch.drift.bisect import ends, mixtures, record
from lockstitch.drift.bisect.ends import Ends, Setting, Side
from lockstitch.drift.bisect.model import Fails, Metric
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
    return [each.label for each in made.causes]


def test_a_mixture_is_pins_of_both_sides() -> None:
    before = side(package("numpy", "1.26", artifacts=(TWO, ONE)), package("gone"), package("same"))
    after = side(package("numpy", "2.0"), package("new"), package("same"))
    made = ends.between(before, after)
    assert labels(made) == ["numpy", "gone", "new"]
    old = f"numpy==1.26 --hash={min(ONE, TWO)} --hash={max(ONE, TWO)}"
    assert made.wanted(frozenset()).pins == ("gone==1.0", old, "same==1.0")
    assert made.wanted(frozenset({"numpy", "new"})).pins == (
        *("gone==1.0", "new==1.0", "numpy==2.0", "same==1.0"),
    )
    assert made.wanted(frozenset({"gone"})).pins == (old, "same==1.0")


def test_the_same_version_is_a_cause_where_files_are_known_by_hash() -> None:
    made = ends.between(
        side(package("a", artifacts=(ONE,)), package("b", record=ONE)),
        side(package("a", artifacts=(TWO,)), package("b", record=TWO)),
    )
    assert labels(made) == ["a"]
    numeric = ends.between(
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
    made = ends.between(
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
        ends.between(side(odd), side()).wanted(frozenset())


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
    made = ends.between(side(wrong, package("a")), side(wrong, package("a", "2.0")))
    with pytest.raises(LockstitchError, match=said):
        made.wanted(frozenset())
    given = ends.between(
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
    made = ends.between(before, after)
    assert labels(made) == ["Python", "a"]
    assert made.wanted(frozenset()).python == "3.12"
    moved = made.wanted(frozenset({"Python"}))
    assert (moved.python, moved.pins, asked) == ("3.11", ("a==1.0", "backport==1.0"), ["3.11"])


def test_a_patch_that_cannot_be_had_is_said() -> None:
    made = ends.between(
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
    made = ends.between(old, new)
    assert (made.causes, [each.name for each in made.beside]) == ((), ["version"])


def test_variables_and_settings() -> None:
    before = side(variables={"TZ": "UTC", "OMP_NUM_THREADS": "4", "LD_PRELOAD": "x.so"})
    after = side(variables={"TZ": "UTC", "PYTHONHASHSEED": "1", "LD_PRELOAD": "y.so"})
    made = ends.between(before, after, [Setting(name="MINE", before="", after="on")])
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
    made = ends.between(
        side(kind="lock"),
        side(variables={"TZ": "Asia/Kathmandu"}),
        [Setting(name="TZ", before="", after="UTC")],
    )
    assert made.variables(frozenset()) == {"TZ": None}
    assert made.variables(frozenset({"$TZ"})) == {"TZ": "UTC"}


def test_what_is_of_the_machine_is_beside() -> None:
    blas = Blas(name="openblas", owner="numpy", file="a.so", kernels="Zen")
    made = ends.between(
        side(package("a"), blas=(blas,), cpu=Cpu(model="A", cores=2)),
        side(package("a"), blas=(replace(blas, kernels="Haswell"),), cpu=Cpu(model="B", cores=8)),
    )
    assert made.causes == ()
    assert [each.name for each in made.beside] == ["openblas of numpy, kernels", "cores"]


@pytest.mark.parametrize("text", ["X", "X=1", "X=1,2,3", "X=1,1", "1X=1,2", "=1,2"])
def test_a_wrong_setting(text: str) -> None:
    with pytest.raises(UsageError, match="NAME=A,B"):
        ends.setting(text)


def test_a_setting() -> None:
    assert ends.setting("TZ=,Asia/Tokyo") == Setting(name="TZ", before="", after="Asia/Tokyo")


# --- what every mixture holds


def test_a_wheel_for_every_mixture(tmp_path: Path) -> None:
    wheel = tmp_path / "My_Lib-1.0-py3-none-any.whl"
    wheel.write_bytes(b"1")
    one = mixtures.read_extra(wheel.name, tmp_path)
    assert (one.name, one.words) == ("my-lib", (f"my-lib @ {wheel.as_uri()}",))
    wheel.write_bytes(b"2")
    assert mixtures.read_extra(f"my_lib @ {wheel}", tmp_path).stamp != one.stamp
    address = mixtures.read_extra("x @ https://example.test/x-1.0-py3-none-any.whl", tmp_path)
    assert (address.name, address.stamp) == ("x", "")
    for wrong in ("mine", "mine @ .", "x @ nowhere.whl"):
        with pytest.raises(UsageError, match="--with"):
            mixtures.read_extra(wrong, tmp_path)


def test_the_project_itself(tmp_path: Path) -> None:
    assert mixtures.own_project(tmp_path) is None
    path = tmp_path / "pyproject.toml"
    path.write_text("[tool.x]\n")
    assert mixtures.own_project(tmp_path) is None
    path.write_text('[project]\nname = "My_App"\n')
    virtual = mixtures.own_project(tmp_path)
    assert virtual is not None
    assert (virtual.name, virtual.words) == ("my-app", ())
    path.write_text('[project]\nname = "My_App"\n[build-system]\nrequires = []\n')
    own = mixtures.own_project(tmp_path)
    assert own is not None
    assert own.words == ("--editable", str(tmp_path))


# --- what is kept


def test_outcomes_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "x" / "key.json"
    first = record.Record(path)
    first.put(frozenset({"b", "a"}), 0, Metric(value=0.1 + 0.2))
    first.put(frozenset(), 1, Metric(value=float("inf")))
    first.put(frozenset({"a"}), 0, Fails(reason="r", detail="d"))
    again = record.Record(path)
    assert again.before == 3
    assert again.get(frozenset({"a", "b"}), 0) == Metric(value=0.1 + 0.2)
    assert again.get(frozenset(), 1) == Metric(value=float("inf"))
    assert again.get(frozenset({"a"}), 0) == Fails(reason="r", detail="d")
    assert again.get(frozenset({"a"}), 1) is None
    assert record.Record(path, forget=True).before == 0


@pytest.mark.parametrize("text", ["", "[]", '{"#0": 1}', '{"#0": {"metric": "x"}}', '{"#0": {}}'])
def test_a_damaged_record_is_none(text: str, tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text(text)
    assert record.Record(path).before == 0


def test_a_key_is_of_all_that_decides() -> None:
    assert record.key({"a": 1, "b": 2}) == record.key({"b": 2, "a": 1}) != record.key({"a": 1})
