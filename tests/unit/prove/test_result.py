"""What a verification says: to people, to programs, as a page."""

import dataclasses
import json
from html.parser import HTMLParser

import pytest
from support import noisy

from lockstitch.prove import result, training
from lockstitch.prove.building import Against, Compared
from lockstitch.prove.compare import ImageDifference
from lockstitch.prove.result import Result
from lockstitch.prove.training import Output, Run, Trained
from lockstitch.prove.variations import Variation

DIFFERENCE = ImageDifference(
    layer="app files", entry="app/<x>", what="mode", here="0o644", there="0o755"
)
BUILD = Compared(
    varied=("umask", "folder"),
    images={
        "serve": {"here": "sha256:" + "a" * 64, "there": "sha256:" + "b" * 64},
        "train": {"here": "s", "there": "s"},
    },
    locks=("uv.lock",),
    plans=("serve: app files",),
    differences={"serve": (DIFFERENCE,)},
    causes=("umask",),
    notes=("skipped: user: only root can be another user",),
)


def run(weights: str = "1", metric: float = 0.9, size: float = 2.0, data: str = "x") -> Run:
    output = Output(
        bytes=data, how="object", parts={"coef_": (weights, size), "classes_": ("c", None)}
    )
    return Run(outputs={"models/m.joblib": output}, metrics={"auc": metric}, seconds=1.0)


def trained(other: Run, *, hardware: bool = False) -> Trained:
    return training._compared(Trained(variation="v", hardware=hardware), run(), other)


def test_the_same_bytes() -> None:
    found = trained(run())
    assert found.holds(0.0)
    assert result.verdict(found, 0.0) == "same bytes"


def test_other_bytes_of_the_same_meaning() -> None:
    found = trained(run(data="y"))
    assert found.holds(0.0)
    assert result.verdict(found, 0.0) == "same meaning, other bytes: models/m.joblib"


def test_a_part_that_changed_is_named_with_its_size() -> None:
    found = trained(run(weights="2", size=2.2, data="y"))
    assert not found.holds(1.0)
    assert found.changes[0].parts == ("coef_",)
    assert found.changes[0].largest is not None
    assert abs(found.changes[0].largest - 0.2 / 2.2) < 1e-12
    assert result.verdict(found, 1.0) == "DIFFERS"


def test_another_cpu_may_compute_other_last_digits() -> None:
    other = run(weights="2", metric=0.9 + 1e-9, data="y")
    found = trained(other, hardware=True)
    assert found.holds(1e-6)
    assert not found.holds(1e-12)
    assert result.verdict(found, 1e-6) == "same metrics, other last digits"
    assert not trained(run(weights="2", metric=0.8, data="y"), hardware=True).holds(1e-6)


def test_missing_outputs_and_metrics() -> None:
    found = trained(Run(outputs={"new": run().outputs["models/m.joblib"]}, metrics={}, seconds=0))
    assert [(change.output, change.what) for change in found.changes] == [
        ("models/m.joblib", "missing"),
        ("new", "new"),
    ]
    assert found.metrics == {"auc": (0.9, None)}
    assert not found.holds(1.0)


def whole(*, build: Compared = BUILD) -> Result:
    found = (trained(run()), trained(run(weights="2", metric=0.8, data="y")))
    failed = Trained(
        variation="w", changes=(), metrics={}, seconds=0, problem="`python` failed\nmore"
    )
    return Result(
        project="churn",
        tolerance=1e-6,
        build=build,
        trainings={"train": (run(), (*found, failed))},
        against=Against(
            image="serve", reference="r/x:1", here="sha256:a", there="sha256:b", differences=()
        ),
    )


def test_all_of_it_for_people() -> None:
    assert list(result.lines(whole())) == [
        "build, varied: umask, folder",
        "  serve        DIFFERS  sha256:aaaaaaaaaaaa here, sha256:bbbbbbbbbbbb there",
        "  train        same     s",
        "  lock         DIFFERS  uv.lock",
        "  plan         DIFFERS  serve: app files",
        "  serve: `app files` `app/<x>`: mode: 0o644 here, 0o755 there",
        "  cause: umask",
        "  skipped: user: only root can be another user",
        "serve against r/x:1",
        "  DIFFERS: sha256:a here",
        "           sha256:b there",
        "training train: 1 outputs, 1 metrics",
        "  v                          same bytes",
        "  v                          DIFFERS",
        "    models/m.joblib: coef_",
        "    auc: 0.9 here, 0.8 there",
        "  w                          FAILED: `python` failed",
    ]


def test_all_of_it_for_programs() -> None:
    document = json.loads(json.dumps(result.document(whole())))
    assert (document["schema"], document["holds"]) == (1, False)
    assert document["build"]["differences"]["serve"][0]["entry"] == "app/<x>"
    assert [v["holds"] for v in document["trainings"]["train"]["variations"]] == [
        True,
        False,
        False,
    ]


def test_nothing_that_differs_holds() -> None:
    same = dataclasses.replace(BUILD, images={"a": {"here": "s", "there": "s"}}, locks=(), plans=())
    assert Result(project="p", tolerance=0, build=same).holds
    assert not Result(project="p", tolerance=0, build=BUILD).holds


class Reader(HTMLParser):
    """Counts tags, and refuses what leads out of the page."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in {"script", "link", "img", "iframe"}
        assert not {"src", "href"} & {name for name, _ in attrs}
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_whole_and_leads_nowhere() -> None:
    text = result.page(result.document(whole()))
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert "app/<x>" in reader.text
    assert "app/<x>" not in text
    assert "url(" not in text
    assert "umask" in reader.text


def test_a_rare_flip_is_a_repeat_and_no_variation() -> None:
    """It came with `folder` once and not again; `hash seed` changes what it did each time."""
    same, flipped = trained(run()), trained(run(weights="2", data="y"))
    other = trained(run(metric=0.8))
    known = {name: Variation(name=name) for name in ("repeat", "hash seed", "folder")}
    ran: list[str] = []

    def train(each: Variation) -> Trained:
        ran.append(each.name)
        return {"hash seed": other}.get(each.name, same)

    found = {"repeat": same, "hash seed": other, "folder": same}
    assert training.repeated(found, known, train) == found
    assert ran == [*["repeat"] * 6, *["hash seed"] * 4]
    told = training.repeated({**found, "folder": flipped}, known, train)
    assert told["repeat"].changes == flipped.changes
    assert (told["folder"].changes, told["folder"].metrics) == ((), {})
    assert told["hash seed"].metrics == {"auc": (0.9, 0.8)}


@pytest.mark.parametrize("probability", [0.02, 0.1, 0.2, 0.3, 0.5])
def test_a_random_flip_is_never_a_variation_that_happened_to_be_there(probability: float) -> None:
    found = [noisy.verify(probability, seed) for seed in range(200)]
    assert sum(each.wrong > 0 for each in found) <= 2
    assert not any(each.missed for each in found)
    assert sum(each.named for each in found) >= 100


def test_a_failure_that_does_not_repeat_is_no_variation() -> None:
    same, failed = trained(run()), Trained(variation="v", problem="`python` failed")
    known = {name: Variation(name=name) for name in ("repeat", "clock")}
    told = training.repeated({"repeat": same, "clock": failed}, known, lambda _: same)
    assert (told["clock"].problem, told["repeat"].problem) == ("", "`python` failed")
    told = training.repeated(
        {"repeat": same, "clock": failed},
        known,
        lambda each: failed if each.name == "clock" else same,
    )
    assert (told["clock"].problem, told["repeat"].problem) == ("`python` failed", "")


def test_what_a_repeat_changes_is_said_once() -> None:
    other = trained(run(weights="3", data="z"))
    known = {name: Variation(name=name) for name in ("repeat", "clock")}
    told = training.repeated({"repeat": other, "clock": other}, known, lambda _: other)
    assert (told["repeat"].changes, told["clock"].changes) == (other.changes, ())


def test_joint_variations_are_apart_only_where_they_change_something() -> None:
    joint = [Variation(name=name, joint=True) for name in ("user", "host", "umask")]
    same = trained(run())
    others = {"repeat": same}
    asked: list[str] = []

    def changes(*guilty: str) -> dict[str, Trained]:
        def train(each: Variation) -> Trained:
            asked.append(each.name)
            moved = each.name in guilty
            return dataclasses.replace(
                trained(run(weights="2", data="y") if moved else run()), variation=each.name
            )

        return training._apart(joint, others, train)

    found = changes()
    assert (list(found), asked) == (["user", "host", "umask"], ["several at once"])
    assert all(each.holds(0.0) for each in found.values())
    found = changes("several at once", "host")
    assert [name for name, each in found.items() if not each.holds(0.0)] == ["host"]
    assert "several at once" not in found
    found = changes("several at once")
    assert [name for name, each in found.items() if not each.holds(0.0)] == ["several at once"]
