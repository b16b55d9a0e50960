"""Two environments are compared by meaning, and what can change results comes first."""

from dataclasses import replace
from typing import Any

import pytest

from lockstitch.digest import of_bytes
from lockstitch.drift import compare
from lockstitch.drift.effects import Effect
from lockstitch.fingerprint.model import Blas, Cpu, Fingerprint, Gpu, Package, Python, System

ONE, TWO, THREE = (of_bytes(text) for text in (b"1", b"2", b"3"))


def package(name: str, version: str = "1.0", **members: Any) -> Package:
    return Package(name=name, version=version, **members)


def of(*packages: Package, **members: Any) -> Fingerprint:
    return Fingerprint(kind=members.pop("kind", "environment"), packages=packages, **members)


def kinds(before: Fingerprint, after: Fingerprint) -> list[tuple[str, str, str]]:
    return [(each.name, each.kind, each.effect.name) for each in compare.between(before, after)]


def test_the_order_is_by_effect() -> None:
    before = of(
        *(package("rich"), package("numpy", "1.26.4"), package("scikit-learn", "1.5.2")),
        *(package("pandas", "2.2.3"), package("six", "1.16"), package("click", "8.0")),
        python=Python(version="3.11.7"),
        variables={"OMP_NUM_THREADS": "1"},
    )
    after = of(
        *(package("rich", "2.0"), package("numpy", "1.26.5"), package("scikit-learn", "1.6.1")),
        *(package("pandas", "2.2.4"), package("six", "1.17"), package("click", "8.1")),
        python=Python(version="3.11.9"),
        variables={"OMP_NUM_THREADS": "2"},
        imported=("pandas", "six"),
    )
    assert kinds(before, after) == [
        ("pandas", "changed", "IMPORTED"),
        ("six", "changed", "IMPORTED"),
        ("version", "changed", "PYTHON"),
        ("OMP_NUM_THREADS", "changed", "THREADS"),
        # What computes and was not loaded changed nothing.
        ("scikit-learn", "changed", "NONE"),
        ("numpy", "changed", "NONE"),
        ("rich", "changed", "NONE"),
        ("click", "changed", "NONE"),
    ]
    found = compare.between(before, after)
    assert [each.imported for each in found[:5]] == [True, True, None, None, False]
    assert compare.matters(found)
    assert not compare.matters(found[4:])
    unknown = compare.between(before, replace(after, imported=None))
    assert [(e.name, e.effect.name) for e in unknown[:3]] == [
        *(("scikit-learn", "NUMERIC"), ("numpy", "NUMERIC"), ("pandas", "NUMERIC"))
    ]
    assert [change.version for change in unknown[0].known] == ["1.6", "1.6"]


def test_known_changes_of_what_the_code_names_come_first() -> None:
    """Four of them changed with a known change of results: the code says which is used."""
    versions = {"scikit-learn": ("1.3.2", "1.6.1"), "numpy": ("1.26.4", "2.1.0")}
    versions |= {"category-encoders": ("2.5.1", "2.6.3"), "xgboost": ("1.7.6", "2.1.0")}
    before, after = (
        of(*(package(name, both[side]) for name, both in versions.items()), imported=(*versions,))
        for side in (0, 1)
    )
    for code, first in (
        ({"TargetEncoder"}, "category-encoders"),
        ({"KMeans"}, "scikit-learn"),
        ({"XGBClassifier", "fit"}, "xgboost"),
        ({"lstsq"}, "numpy"),
        (set[str](), "scikit-learn"),
    ):
        assert compare.between(before, after, code=lambda code=code: code)[0].name == first
    # Code is not read where no change is known.
    plain = of(package("six", "1")), of(package("six", "2"))
    assert compare.between(*plain, code=lambda: pytest.fail("it is read"))


def test_what_requires_a_package_is_named() -> None:
    lock = of(
        package("app", "1", origin="editable", needs=("learn",)),
        package("learn", needs=("numpy",), direct=True),
        package("numpy", "2.0", direct=False),
        kind="lock",
    )
    other = of(*(replace(each, version="9.0") for each in lock.packages), kind="lock")
    found = {each.name: each for each in compare.between(lock, other)}
    assert (found["learn"].direct, found["learn"].by) == (True, ())
    assert (found["numpy"].direct, found["numpy"].by) == (False, ("learn",))
    bare = of(package("numpy", "1.0")), of(package("numpy", "2.0"))
    assert compare.between(*bare)[0].direct is None
    assert compare.between(*bare, lock)[0].by == ("learn",)


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ({"record": ONE}, {"record": ONE}, ""),
        ({"record": ONE, "code": ONE}, {"record": TWO, "code": TWO}, "other files"),
        ({"record": ONE, "code": THREE}, {"record": TWO, "code": THREE}, "tests only"),
        ({"artifacts": (ONE, TWO)}, {"artifacts": (TWO, THREE)}, ""),
        ({"artifacts": (ONE,)}, {"artifacts": (TWO,)}, "other files"),
        ({"record": ONE}, {"artifacts": (TWO,)}, ""),
        (
            {"tags": ("cp311-cp311-manylinux_2_17_x86_64",)},
            {"tags": ("cp311-abi3-win",)},
            "other files",
        ),
        (
            {"tags": ("cp311-cp311-linux_x86_64",)},
            {"tags": ("cp311-cp311-manylinux_2_17_x86_64",)},
            "",
        ),
        (
            {"tags": ("cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64",)},
            {"tags": ("cp311-cp311-manylinux2014_x86_64", "cp311-cp311-manylinux_2_17_x86_64")},
            "",
        ),
        ({"tags": ("py3-none-any",)}, {}, ""),
        ({"origin": ""}, {"origin": "git c0ffee"}, "other files"),
        ({"origin": "editable"}, {"origin": ""}, ""),
        ({"edited": ("changed numpy/x.py",)}, {}, "edited"),
    ],
)
def test_one_version_may_have_other_files(
    before: dict[str, Any], after: dict[str, Any], kind: str
) -> None:
    found = compare.between(of(package("numpy", **before)), of(package("numpy", **after)))
    assert [each.kind for each in found] == ([kind] if kind else [])
    assert compare.matters(found) == (kind not in {"", "tests only"})


def test_a_package_edited_by_hand_says_what_was_edited() -> None:
    edited = package("joblib", edited=("added joblib/a.py", "changed joblib/b.py"))
    (found,) = compare.between(of(package("joblib")), of(edited))
    assert (found.before, found.after) == ("as installed", "added joblib/a.py and 1 more")
    (other,) = compare.between(of(package("x")), of(package("x", edited=("missing x.py",))))
    assert other.effect is Effect.EDITED
    (unused,) = compare.between(
        of(package("x"), imported=("y",)), of(package("x", edited=("missing x.py",)))
    )
    assert unused.effect is Effect.NONE
    # A run that imported nothing trained where nobody looked.
    (unknown,) = compare.between(
        of(package("x"), imported=()), of(package("x", edited=("missing x.py",)))
    )
    assert unknown.effect is Effect.EDITED


def test_what_asks_for_numpy_counts_until_imports_are_known() -> None:
    old = (package("custom", needs=("numpy",)), package("matplotlib", needs=("numpy",)))
    new = (replace(old[0], version="2"), replace(old[1], version="2"))
    assert kinds(of(*old), of(*new)) == [
        ("custom", "changed", "NEEDS_NUMERIC"),
        ("matplotlib", "changed", "NONE"),
    ]
    assert not compare.matters(compare.between(of(*old), of(*new, imported=("scipy",))))


def test_what_comes_and_goes_but_for_the_project_itself() -> None:
    before = of(package("app", origin="editable"), package("numpy"))
    after = of(package("scipy"))
    # What a side does not need changes nothing of it, unless others use it unasked.
    assert kinds(before, after) == [("numpy", "removed", "NONE"), ("scipy", "added", "NONE")]
    assert not compare.matters(compare.between(before, after))
    assert kinds(before, of(package("numexpr"))) == [
        ("numexpr", "added", "NUMERIC"),
        ("numpy", "removed", "NONE"),
    ]


def test_what_came_out_comes_first() -> None:
    shared = {"output models/a": "sha256:" + "a" * 64}
    before = of(package("numpy"), results={**shared, "metric auc": "0.87"}, inputs={"x": "a:1"})
    after = of(
        package("numpy", "2.0"),
        results={**shared, "metric auc": "0.82", "output models/b": "sha256:" + "b" * 64},
        inputs={"x": "a:2"},
    )
    assert kinds(before, after) == [
        ("auc", "changed", "RESULT"),
        ("models/b", "added", "RESULT"),
        ("x", "changed", "INPUT"),
        ("numpy", "changed", "NUMERIC"),
    ]
    assert (compare.between(before, after)[1].after, before.digest) == (
        "b" * 12,
        of(package("numpy"), inputs={"x": "a:1"}).digest,
    )


BASE: dict[str, Any] = {
    "python": Python(version="3.11.7", compiler="GCC 12", build="main"),
    "platform": System(system="linux", machine="x86_64", libc="glibc 2.36", release="debian 12"),
    "cpu": Cpu(model="AMD", cores=2, features=("avx2", "fma")),
    "gpu": Gpu(driver="550", cuda="12.4", cudnn="9", devices=("A100 8.0",)),
    "blas": (Blas(name="openblas", owner="numpy", file="a.so", version="0.3.30", kernels="Zen"),),
    "variables": {"LANG": "C.UTF-8"},
    "system": {"libgomp1": "12", "bash": "5.2"},
}


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"python": Python(version="3.11.9")}, [("version", "changed", "PYTHON")]),
        ({"python": Python(version="3.11")}, []),
        ({"python": Python(version="3.12")}, [("version", "changed", "PYTHON")]),
        (
            {"python": Python(version="3.11.7", compiler="Clang 18", free_threaded=True)},
            [("threads", "changed", "PYTHON"), ("compiler", "changed", "NONE")],
        ),
        (
            {
                "platform": System(
                    system="linux", machine="aarch64", libc="musl", release="alpine 3"
                )
            },
            [
                ("machine", "changed", "CPU"),
                ("libc", "changed", "LIBRARY"),
                ("release", "changed", "NONE"),
            ],
        ),
        (
            {"cpu": Cpu(model="Intel", cores=8, features=("avx2", "avx512f", "fma"))},
            [
                ("features", "changed", "CPU"),
                ("cores", "changed", "THREADS"),
                ("model", "changed", "NONE"),
            ],
        ),
        ({"gpu": None}, [(n, "removed", "GPU") for n in ("cuda", "cudnn", "devices", "driver")]),
        (
            {"blas": (replace(BASE["blas"][0], version="0.3.31", kernels="Haswell", threads=4),)},
            [
                ("openblas of numpy", "changed", "BLAS"),
                ("openblas of numpy, kernels", "changed", "BLAS"),
            ],
        ),
        (
            {"blas": (replace(BASE["blas"][0], version="", file="b.so"),)},
            [("openblas of numpy", "changed", "BLAS")],
        ),
        ({"blas": ()}, [("openblas of numpy", "removed", "BLAS")]),
        ({"variables": {"LANG": "en_US.UTF-8"}}, [("LANG", "changed", "NONE")]),
        ({"variables": {"LANG": "tr_TR.UTF-8"}}, [("LANG", "changed", "SETTING")]),
        (
            {"variables": {"LANG": "C.UTF-8", "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "0"}},
            [("PYTHONHASHSEED", "added", "SETTING"), ("TZ", "added", "SETTING")],
        ),
        (
            {"system": {"libgomp1": "13", "bash": "5.3", "zsh": "5"}},
            [
                ("libgomp1", "changed", "LIBRARY"),
                ("bash", "changed", "NONE"),
                ("on one side only", "changed", "NONE"),
            ],
        ),
        ({"cpu": None, "blas": None, "variables": None, "system": None, "python": None}, []),
    ],
)
def test_what_differs_around_the_packages(
    change: dict[str, Any], wanted: list[tuple[str, str, str]]
) -> None:
    assert kinds(of(**BASE), of(**(BASE | change))) == wanted


def test_a_lock_has_no_gpu_to_miss() -> None:
    assert kinds(of(**BASE), of(kind="image", gpu=None)) == []


def test_as_json() -> None:
    moved = compare.between(of(package("xgboost", "1.7.6")), of(package("xgboost", "2.0.3")))[0]
    document = moved.document()
    assert (document["effect"], document["matters"]) == ("numeric", True)
    assert document["known"][0]["version"] == "2.0"
