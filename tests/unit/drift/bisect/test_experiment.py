"""The whole experiment on outcomes and requirements that were recorded from real environments."""

from dataclasses import replace

import pytest
from support import noisy

from lockstitch.drift import compare
from lockstitch.drift.bisect import experiment, sides
from lockstitch.drift.bisect.experiment import Explanation, Limits
from lockstitch.drift.bisect.model import Bench, Cause, Fails, Metric, Mixture, Outcome, Verdict
from lockstitch.drift.bisect.sides import Installed
from lockstitch.errors import LockstitchError
from lockstitch.fingerprint.model import Fingerprint, Package

# What `uv pip compile` gave for scikit-learn, pandas, mlflow-skinny, fastapi, uvicorn and
# matplotlib on 2024-10-15 and on 2025-06-15: the 49 that moved of 56.
MOVED = """\
anyio 4.6.2.post1 4.9.0; cachetools 5.5.0 5.5.2; certifi 2024.8.30 2025.6.15; \
charset-normalizer 3.4.0 3.4.2; click 8.1.7 8.2.1; cloudpickle 3.1.0 3.1.1; \
contourpy 1.3.0 1.3.2; databricks-sdk 0.34.0 0.57.0; deprecated 1.2.14 -; \
fastapi 0.115.2 0.115.12; fonttools 4.54.1 4.58.4; gitdb 4.0.11 4.0.12; \
gitpython 3.1.43 3.1.44; google-auth 2.35.0 2.40.3; h11 0.14.0 0.16.0; \
importlib-metadata 8.4.0 8.7.0; joblib 1.4.2 1.5.1; kiwisolver 1.4.7 1.4.8; \
matplotlib 3.9.2 3.10.3; mlflow-skinny 2.17.0 3.1.0; numpy 2.1.2 2.3.0; \
opentelemetry-api 1.27.0 1.34.1; opentelemetry-sdk 1.27.0 1.34.1; \
opentelemetry-semantic-conventions 0.48b0 0.55b1; packaging 24.1 25.0; pandas 2.2.3 2.3.0; \
pillow 11.0.0 11.2.1; protobuf 5.28.2 6.31.1; pyasn1-modules 0.4.1 0.4.2; \
pydantic 2.9.2 2.11.7; pydantic-core 2.23.4 2.33.2; pyparsing 3.2.0 3.2.3; \
pytz 2024.2 2025.2; requests 2.32.3 2.32.4; rsa 4.9 4.9.1; scikit-learn 1.5.2 1.7.0; \
scipy 1.14.1 1.15.3; six 1.16.0 1.17.0; smmap 5.0.1 5.0.2; sqlparse 0.5.1 0.5.3; \
starlette 0.40.0 0.46.2; threadpoolctl 3.5.0 3.6.0; typing-extensions 4.12.2 4.14.0; \
typing-inspection - 0.4.1; tzdata 2024.2 2025.2; urllib3 2.2.3 2.4.0; uvicorn 0.32.0 0.34.3; \
wrapt 1.16.0 -; zipp 3.20.2 3.23.0"""
# Requires-Dist of some of them, as it was installed.
OLD = {
    "pydantic": ["pydantic-core==2.23.4", "email-validator>=2.0.0; extra == 'email'"],
    "opentelemetry-api": ["deprecated>=1.2.6", "importlib-metadata<=8.4.0,>=6.0"],
    "opentelemetry-sdk": [
        *("opentelemetry-api==1.27.0", "opentelemetry-semantic-conventions==0.48b0")
    ],
    "opentelemetry-semantic-conventions": ["deprecated>=1.2.6", "opentelemetry-api==1.27.0"],
    "scipy": ["numpy<2.3,>=1.23.5", "pytest; extra == 'test'"],
    "scikit-learn": ["numpy>=1.19.5", "scipy>=1.6.0", "joblib>=1.2.0", "threadpoolctl>=3.1.0"],
    "deprecated": ["wrapt<2,>=1.10"],
    "mlflow-skinny": [
        "importlib-metadata!=4.7.0,<9,>=3.7.0",
        "packaging<25",
        "protobuf<6,>=3.12.0",
    ],
}
NEW = {
    "pydantic": ["pydantic-core==2.33.2", "typing-inspection>=0.4.0"],
    "opentelemetry-api": ["importlib-metadata<8.8.0,>=6.0"],
    "opentelemetry-sdk": [
        *("opentelemetry-api==1.34.1", "opentelemetry-semantic-conventions==0.55b1")
    ],
    "opentelemetry-semantic-conventions": ["opentelemetry-api==1.34.1"],
    "scipy": ["numpy<2.5,>=1.23.5"],
    "scikit-learn": ["numpy>=1.22.0", "scipy>=1.8.0", "joblib>=1.2.0", "threadpoolctl>=3.1.0"],
    "mlflow-skinny": [
        "importlib-metadata!=4.7.0,<9,>=3.7.0",
        "packaging<26",
        "protobuf<7,>=3.12.0",
    ],
}


def of(column: int) -> Fingerprint:
    rows = [each.split() for each in MOVED.split("; ")]
    packages = [Package(name=row[0], version=row[column]) for row in rows if row[column] != "-"]
    return Fingerprint(kind="lock", packages=tuple(packages))


def installed(column: int, requires: dict[str, list[str]]) -> Installed:
    versions = {package.name: package.version for package in of(column).packages}
    return Installed(versions=versions, requires=requires, python="3.11")


def causes() -> list[Cause]:
    found = compare.between(of(1), of(2))
    return [Cause(label=each.name, parts=(each,)) for each in found]


class Recorded:
    """Gives outcomes that were recorded, the first again where no later one was."""

    def __init__(self, outcomes: dict[tuple[Mixture, int], Outcome]) -> None:
        self.outcomes = outcomes

    def run(self, mixture: Mixture, repeat: int = 0) -> Outcome:
        outcome = self.outcomes.get((mixture, repeat))
        return self.outcomes[mixture, 0] if outcome is None else outcome


def ends(*before: float, after: Outcome) -> dict[tuple[Mixture, int], Outcome]:
    everything = frozenset(cause.label for cause in causes())
    repeats = {(frozenset[str](), i): Metric(value=v) for i, v in enumerate(before)}
    return {**repeats, (everything, 0): after}


def explain(outcomes: dict[tuple[Mixture, int], Outcome], **limits: float) -> Explanation:
    look = lambda: (installed(1, OLD), installed(2, NEW))  # noqa: E731 -- the protocol's shape
    made = Limits(runs=20, tolerance=limits.get("tolerance", 0.0))
    return experiment.explain(causes(), Recorded(outcomes), look, made, lambda *_: None)


class Ruled:
    """Gives B's number where a mixture has all of some causes."""

    def __init__(self, *wanted: str, step: tuple[float, float] = (0.82125, 0.8715)) -> None:
        self.wanted, self.step = {*wanted}, step

    def run(self, mixture: Mixture, repeat: int = 0) -> Outcome:
        del repeat
        return Metric(value=self.step[self.wanted <= mixture])


def searched(bench: Bench, some: list[Cause], **limits: int) -> Explanation:
    look = lambda: (installed(1, OLD), installed(2, NEW))  # noqa: E731 -- the protocol's shape
    return experiment.explain(some, bench, look, Limits(runs=100, **limits), lambda *_: None)


def test_scikit_learn_among_49_in_12_runs() -> None:
    found = causes()
    assert len(found) == 49
    only = frozenset({"scikit-learn"})
    explained = searched(Ruled("scikit-learn"), found)
    assert explained.found
    assert explained.runs <= 12
    assert explained.confidence is not None
    assert (explained.confidence.word, explained.confidence.exact) == ("high", True)
    assert explained.answer is not None
    assert explained.answer.sets == (only,)
    (cause,) = explained.chosen(only)
    assert "1.6" in {change.version for change in cause.known}


def test_a_coarse_number_is_repeated_more() -> None:
    fine = searched(Ruled("scikit-learn"), causes())
    coarse = searched(Ruled("scikit-learn", step=(0.82, 0.87)), causes())
    asked = searched(Ruled("scikit-learn"), causes(), repeats=8)
    assert fine.runs + 5 <= coarse.runs <= 20
    assert asked.runs > fine.runs + 5
    assert coarse.confidence is not None
    assert (coarse.found, coarse.confidence.exact) == (True, False)


def test_files_that_a_run_writes_show_that_a_coarse_number_does_not_move() -> None:
    class Writes(Ruled):
        def __init__(self, *models: str) -> None:
            super().__init__("scikit-learn", step=(0.82, 0.87))
            self.models = models

        def run(self, mixture: Mixture, repeat: int = 0) -> Outcome:
            outcome = super().run(mixture)
            assert isinstance(outcome, Metric)
            return replace(outcome, wrote=self.models[repeat % len(self.models)])

    same = searched(Writes("the model"), causes())
    other = searched(Writes("the model", "another"), causes())
    assert same.found
    assert same.runs <= 12
    assert other.found
    assert other.runs > same.runs


@pytest.mark.slow
def test_153_packages_of_which_what_is_never_imported_comes_last() -> None:
    """Twenty are imported, six of them compute: whichever of those it is takes 12 runs at most."""
    compute = ["scikit-learn", "numpy", "scipy", "pandas", "joblib", "threadpoolctl"]
    names = [*compute, *(f"used-{n:02}" for n in range(14)), *(f"unused-{n}" for n in range(133))]
    versions = [("1.5.2", "1.7.0"), ("1.26.4", "2.1.0"), ("1.10.0", "1.11.0")]
    versions += [("1.0", "1.1")] * (len(names) - len(versions))
    old, new = (
        Fingerprint(
            kind="lock",
            packages=tuple(
                Package(name=name, version=both[side])
                for name, both in zip(names, versions, strict=True)
            ),
            imported=tuple(names[:20]),
        )
        for side in (0, 1)
    )
    ranked = [Cause(label=e.name, parts=(e,)) for e in compare.between(old, new)]
    assert len(ranked) == 153
    nothing = Installed(versions={}, requires={}, python="3.11")
    runs = {}
    for name in names:
        found = experiment.explain(
            ranked, Ruled(name), lambda: (nothing, nothing), Limits(runs=100), lambda *_: None
        )
        assert found.answer is not None
        assert found.answer.sets == (frozenset({name}),)
        runs[name] = found.runs
    assert max(runs[name] for name in compute) <= 12
    assert max(runs[name] for name in names[:20]) <= 14
    assert max(runs.values()) <= 17
    assert sum(runs.values()) / len(runs) <= 16


def test_what_needs_each_other_changes_together() -> None:
    names = [cause.label for cause in causes()]
    needs = sides.implied(installed(1, OLD), installed(2, NEW), names)
    assert {name: set(each) for name, each in needs.items() if each} == {
        "deprecated": {"opentelemetry-api", "opentelemetry-semantic-conventions", "wrapt"},
        "importlib-metadata": {"opentelemetry-api"},
        "numpy": {"scipy"},
        "opentelemetry-api": {"opentelemetry-sdk", "opentelemetry-semantic-conventions"},
        "opentelemetry-sdk": {"opentelemetry-api", "opentelemetry-semantic-conventions"},
        "opentelemetry-semantic-conventions": {"opentelemetry-api", "opentelemetry-sdk"},
        "packaging": {"mlflow-skinny"},
        "protobuf": {"mlflow-skinny"},
        "pydantic": {"pydantic-core", "typing-inspection"},
        "pydantic-core": {"pydantic"},
        "typing-inspection": {"pydantic"},
        "wrapt": {"deprecated"},
    }
    together = sides.coupled(causes(), needs)
    groups = {each.packages for each in together if len(each.packages) > 1}
    telemetry = ("opentelemetry-api", "opentelemetry-sdk", "opentelemetry-semantic-conventions")
    pydantic = ("pydantic", "pydantic-core", "typing-inspection")
    # What one side lacks goes with the one package that needs it.
    assert groups == {pydantic, telemetry, ("deprecated", "wrapt")}
    asked = sides.question(together, needs)
    assert asked.weight("scikit-learn") > asked.weight("joblib") > asked.weight("certifi")
    assert asked.closed(frozenset({"numpy"})) == {"numpy", "scipy"}
    assert asked.closed(frozenset({"deprecated"})) == {"deprecated", "opentelemetry-api"}


def test_a_requirement_that_its_own_side_does_not_keep_is_overridden() -> None:
    before = Installed(versions={"a": "1", "b": "1"}, requires={"a": ["b>=2"]}, python="3.11")
    after = Installed(versions={"a": "2", "b": "2"}, requires={"a": ["b>=3", "?"]}, python="3.11")
    assert sides.implied(before, after, ["a", "b"]) == {"a": frozenset(), "b": frozenset()}


def test_markers_are_of_the_python_of_the_mixture() -> None:
    before = Installed(versions={"a": "1", "b": "1"}, requires={}, python="3.11")
    lines = ["b>=2; python_version < '3.12'"]
    for python, needs in (("3.11", {"b"}), ("3.12", set())):
        after = Installed(versions={"a": "2", "b": "2"}, requires={"a": lines}, python=python)
        assert sides.implied(before, after, ["a", "b"])["a"] == needs


def test_repeats_that_differ_are_repeated() -> None:
    outcomes = ends(0.80, 0.81, 0.82, 0.80, 0.815, after=Metric(value=0.83))
    found = explain(outcomes)
    assert (found.answer, found.runs, found.found) == (None, 6, False)
    assert found.doubt == "the number moves by itself"
    assert found.scale.noise == pytest.approx(0.02)
    assert found.scale.verdict(Metric(value=0.83)) is not Verdict.NO_NUMBER


def test_a_wide_step_of_a_number_that_varies_is_repeated_until_its_spread_is_known() -> None:
    """Two kinds of numbers far apart: each end runs until its last runs did not widen it."""
    found_causes = causes()
    everything = frozenset(cause.label for cause in found_causes)
    before, after = [0.80, 0.81, 0.805, 0.80, 0.815], [0.95, 0.96, 0.955]

    class Noisy:
        def run(self, mixture: Mixture, repeat: int = 0) -> Outcome:
            values = after if "numpy" in mixture else before
            return Metric(value=values[repeat % len(values)])

    look = lambda: (installed(1, OLD), installed(2, NEW))  # noqa: E731 -- the protocol's shape
    limits = Limits(runs=100)
    found = experiment.explain(found_causes, Noisy(), look, limits, lambda *_: None)
    assert found.found
    assert found.answer is not None
    assert found.answer.sets == (frozenset({"numpy", "scipy"}),) or found.answer.sets == (
        frozenset({"numpy"}),
    )
    assert found.scale.noise == pytest.approx(0.015)
    assert found.confidence is not None
    assert found.confidence.word == "high"
    assert everything - {"numpy"} >= found.answer.without


def test_one_cause_that_repeats_contradict_is_not_named() -> None:
    """B gave another number once, by chance: all that was found rests on that run."""
    names = [cause.label for cause in causes()]
    everything = frozenset(names)
    outcomes = ends(0.82125, after=Metric(value=0.8715))
    outcomes[everything, 1] = Metric(value=0.82125)

    class Chance(Recorded):
        def run(self, mixture: Mixture, repeat: int = 0) -> Outcome:
            if mixture not in {frozenset[str](), everything}:
                return Metric(value=0.8715 if "scikit-learn" in mixture else 0.82125)
            return super().run(mixture, repeat)

    look = lambda: (installed(1, OLD), installed(2, NEW))  # noqa: E731 -- the protocol's shape
    limits = Limits(runs=100)
    found = experiment.explain(causes(), Chance(outcomes), look, limits, lambda *_: None)
    assert (found.found, found.doubt) == (False, "the number moves by itself")


@pytest.mark.parametrize("passing", [True, False])
def test_an_end_that_fails_for_a_reason_that_no_package_is(passing: bool) -> None:
    broken = Fails(reason="signal 9" if passing else "ValueError: x", passing=passing)
    outcomes = ends(0.8, after=broken)
    if passing:
        with pytest.raises(LockstitchError) as caught:
            explain(outcomes)
        assert caught.value.message == (
            "B gives no number, for a reason that no package is: signal 9"
        )
        return
    everything = frozenset(cause.label for cause in causes())
    outcomes[everything, 1] = Metric(value=0.9)
    for label in everything:
        outcomes[frozenset({label}), 0] = Metric(value=0.8)

    class Once(Recorded):
        def run(self, mixture: Mixture, repeat: int = 0) -> Outcome:
            if 0 < len(mixture) < len(everything):
                return broken if "pandas" in mixture else Metric(value=0.8)
            return super().run(mixture, repeat)

    look = lambda: (installed(1, OLD), installed(2, NEW))  # noqa: E731 -- the protocol's shape
    limits = Limits(runs=100)
    found = experiment.explain(causes(), Once(outcomes), look, limits, lambda *_: None)
    assert not found.found
    assert found.doubt == "B fails now and then, which no package of it explains"


@pytest.mark.slow
def test_noisy_numbers_name_no_wrong_culprit() -> None:
    """At most one in a hundred; where nothing moves by itself, each cause is found."""
    found = {kind: [noisy.simulate(kind, seed) for seed in range(40)] for kind in noisy.KINDS}
    every = [each for some in found.values() for each in some]
    assert len(every) >= 200
    assert sum(each.wrong for each in every) <= len(every) // 100
    assert max(sum(each.wrong for each in some) for some in found.values()) <= 1
    assert not any(each.wrong for each in found["no noise"])
    assert sum(each.named for each in found["no noise"]) == sum(seed % 3 > 0 for seed in range(40))
    assert sum(each.named for each in every) >= len(every) // 5, "it does not only refuse"


def test_a_tolerance_that_is_asked_for() -> None:
    found = explain(ends(0.80, 0.80, after=Metric(value=0.805)), tolerance=0.01)
    assert (found.answer, found.runs, found.doubt) == (None, 6, "")


def test_an_end_without_a_number() -> None:
    broken = Fails(reason="ModuleNotFoundError: No module named 'x'", detail="Traceback\nlast")
    outcomes = ends(0.8, 0.8, after=broken)
    outcomes[frozenset(), 1] = broken
    with pytest.raises(LockstitchError) as caught:
        explain(outcomes)
    assert caught.value.message.startswith("A and B give no number: ModuleNotFoundError")
    outcomes = ends(0.8, 0.8, after=Metric(value=0.9))
    outcomes[frozenset(), 1] = Fails(reason="no number: done")
    with pytest.raises(LockstitchError) as caught:
        explain(outcomes)
    assert caught.value.message == "A gives no number: no number: done"
    assert "--metric-file" in caught.value.hint
