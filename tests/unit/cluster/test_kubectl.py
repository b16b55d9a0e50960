"""Jobs on Kubernetes, by a stand-in for kubectl: it keeps what it was told in a folder."""

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from lockstitch import process, ranks
from lockstitch.cluster import kubectl, start
from lockstitch.cluster.job import Job
from lockstitch.errors import LockstitchError
from lockstitch.python.model import ImageSpec, Project, TargetSpec

# As kubectl's reference has it, for the words that are used; `story` says how pods go, step by
# step: a step for each time that the pods are asked for, the last one again and again.
KUBECTL = """\
import json, os, sys
folder = os.environ["FAKE_KUBECTL"]
words = sys.argv[1:]
with open(folder + "/calls", "a") as calls:
    calls.write(json.dumps(words) + "\\n")
if words[:1] == ["--namespace"]:
    words = words[2:]
story = json.load(open(folder + "/story"))
path = folder + "/step"
step = int(open(path).read()) if os.path.exists(path) else 0
now = story["pods"][min(step, len(story["pods"]) - 1)]
if words[0] == "apply":
    open(folder + "/applied", "w").write(sys.stdin.read())
elif words[:2] == ["get", "pods"]:
    open(path, "w").write(str(step + 1))
    print(json.dumps({"items": now}))
elif words[:2] == ["get", "job"]:
    done = step >= len(story["pods"]) - 1
    status = {"conditions": story["end"] if done else []}
    print(json.dumps({"metadata": {"uid": "u1"}, "status": status}))
elif words[0] == "exec":  # in the pod, whose /app is the folder `volume`
    import subprocess
    script, top, *rest = words[words.index("-c") + 1 :]
    done = subprocess.run([sys.executable, "-I", "-c", script, folder + "/volume", *rest],
        stdout=subprocess.PIPE)
    sys.stdout.buffer.write(done.stdout[: story.get("most")])
    sys.exit(done.returncode)
elif words[0] == "wait" and story.get("no-reader"):
    sys.exit("error: timed out waiting for the condition on pods/churn-train-reader")
elif words[0] == "logs":
    print("\\n".join(story.get("log", [])))
    sys.stdout.flush()
    if story.get("interrupted"):
        import signal, time
        time.sleep(0.5)  # who starts a program is still at it: somebody's Ctrl-C comes later
        os.kill(os.getppid(), signal.SIGINT)
        time.sleep(5)
"""
MANIFESTS = {
    "job.yaml": "kind: Job\n",
    "outputs.yaml": "kind: PersistentVolumeClaim\n",
    "kustomization.yaml": "kind: Kustomization\n",
}
COMPLETE = [{"type": "Complete", "status": "True"}]
FAILED = [
    {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "too often"}
]


def pod(name: str, state: dict[str, object], rank: int = 0) -> dict[str, object]:
    return {
        "metadata": {
            "name": name,
            "annotations": {"batch.kubernetes.io/job-completion-index": str(rank)},
        },
        "status": {"phase": "Pending", "containerStatuses": [{"state": state}]},
    }


def ended(code: int, second: int = 0) -> dict[str, object]:
    return {"terminated": {"exitCode": code, "finishedAt": f"2026-11-30T10:00:0{second}Z"}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\n{KUBECTL}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_KUBECTL", str(tmp_path))
    monkeypatch.setattr(kubectl, "_POLL", 0.01)
    return tmp_path


def job_in(folder: Path) -> Job:
    return Job(
        project=Project(
            root=folder,
            name="churn",
            version="1",
            python="3.11",
            base="debian:bookworm",
            platforms=("linux/amd64",),
            images=(),
            is_package=False,
            build_requires=(),
            document={},
        ),
        target=TargetSpec(name="cloud", engine="kubernetes", namespace="ml"),
        spec=ImageSpec(name="train", command=("python", "train.py"), outputs=("models",)),
        arguments=(),
        image=None,
        folder=folder,
    )


def run(folder: Path, story: dict[str, object], patience: float = 0) -> tuple[int, list[str]]:
    (folder / "story").write_text(json.dumps(story))
    shown: list[str] = []
    return kubectl.run(job_in(folder), "churn-train", MANIFESTS, shown.append, patience), shown


def calls(folder: Path) -> list[list[str]]:
    return [json.loads(line) for line in (folder / "calls").read_text().splitlines()]


@pytest.mark.slow
def test_a_job_is_applied_followed_and_ends_with_its_code(folder: Path) -> None:
    waits = pod("p", {"waiting": {"reason": "ContainerCreating"}})
    pods = [[], [waits], [pod("p", {"running": {}})], [pod("p", ended(0))]]
    code, shown = run(folder, {"pods": pods, "end": COMPLETE, "log": ["epoch 1", "epoch 2"]})
    assert (code, shown) == (0, ["epoch 1", "epoch 2"])
    kinds = [each["kind"] for each in yaml.safe_load_all((folder / "applied").read_text())]
    assert kinds == ["Job", "PersistentVolumeClaim"]
    assert all(call[:2] == ["--namespace", "ml"] for call in calls(folder))
    deleted = ["delete", "job", "churn-train", "--ignore-not-found", "--wait=true"]
    assert [call[2:] for call in calls(folder) if "delete" in call] == [deleted], "the former one"
    assert calls(folder)[0][2:] == deleted
    asked = next(call for call in calls(folder) if "pods" in call)
    assert asked[asked.index("--selector") + 1] == "controller-uid=u1", "of no former job"


def fetch(folder: Path, **story: object) -> None:
    """Fetch from a volume with an old output, new ones and the report between them."""
    (folder / "story").write_text(json.dumps({"pods": [[]], **story}))
    models = folder / "volume" / "models"
    models.mkdir(parents=True)
    (models / "old.bin").write_bytes(b"of another run")
    time.sleep(0.05)
    (models / ".lockstitch-ranks.json").write_text('{"ranks": []}')
    (models / "deep").mkdir()
    (models / "deep" / "weights.bin").write_bytes(bytes(range(256)) * 5000)
    (models / "link").symlink_to("/etc/hostname")
    report = "models/.lockstitch-ranks.json"
    kubectl.fetch(job_in(folder), "churn-train", "kind: Pod\n", "python", report)


def test_what_a_job_wrote_comes_from_its_volume(folder: Path) -> None:
    fetch(folder)
    assert (folder / "models/deep/weights.bin").read_bytes() == bytes(range(256)) * 5000
    assert sorted(path.name for path in (folder / "models").iterdir()) == ["deep"]
    assert json.loads((folder / ".lockstitch" / "ranks.json").read_text()) == {"ranks": []}
    told = [call[2:] for call in calls(folder)]
    assert (folder / "applied").read_text() == "kind: Pod\n"
    assert [each[0] for each in told] == ["apply", "wait", "exec", "delete"]
    assert told[3] == ["delete", "pod", "churn-train-reader", "--ignore-not-found", "--wait=false"]


def test_a_run_on_kubernetes_leaves_its_outputs_and_a_record(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = folder / "volume" / "models"
    models.mkdir(parents=True)
    report = {"ranks": [{"rank": 0, "node": "node1", "facts": {}}], **ranks.facts()}
    (models / ".lockstitch-ranks.json").write_text(json.dumps(report))
    (models / "metrics.json").write_text('{"accuracy": 0.8}')
    story = {"pods": [[pod("p", {"running": {}})], [pod("p", ended(0))]], "end": COMPLETE}
    (folder / "story").write_text(json.dumps(story))
    image: Any = SimpleNamespace(
        config=SimpleNamespace(user="65532:65532"),
        descriptor=lambda: SimpleNamespace(digest="sha256:" + "2" * 64),
    )
    job = job_in(folder)
    target = replace(job.target, registry="registry.example.com/team/churn")
    job = replace(job, image=image, target=target, folder=folder / "job")
    assert start.on_kubernetes(job, print, 0) == 0
    record = json.loads((folder / "models" / "train.run.json").read_text())
    assert record["metrics"] == {"accuracy": 0.8}
    assert [*record["outputs"]] == ["models/metrics.json"]
    assert [each["node"] for each in record["ranks"]] == ["node1"]
    assert record["fingerprint"]["packages"]
    reader = yaml.safe_load((folder / "applied").read_text())
    assert (reader["kind"], reader["metadata"]["name"]) == ("Pod", "churn-train-reader")
    for_ray = replace(job, target=replace(target, operator="kuberay"))
    with pytest.raises(LockstitchError, match="runs a RayJob that kubectl applies"):
        start.on_kubernetes(for_ray, print, 0)
    assert "models/train.run.json: sha256:" in capsys.readouterr().err


@pytest.mark.parametrize("most", [0, 512, 700_000, 1_280_000])
def test_outputs_that_do_not_come_whole_are_said(folder: Path, most: int) -> None:
    with pytest.raises(LockstitchError, match="did not come whole; its volume has them"):
        fetch(folder, most=most)
    assert calls(folder)[-1][2] == "delete"


def test_a_reader_that_does_not_start_is_deleted(folder: Path) -> None:
    with pytest.raises(LockstitchError, match="timed out waiting"):
        fetch(folder, **{"no-reader": True})
    assert calls(folder)[-1][2] == "delete"


def test_the_code_of_the_rank_that_failed_is_the_jobs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Rank 0 was ended by the controller then.
    pods = [[pod("b", ended(3, 1), rank=1), pod("a", ended(143, 2))]]
    code, _ = run(folder, {"pods": pods, "end": FAILED})
    assert code == 3
    assert "BackoffLimitExceeded: too often" in capsys.readouterr().err
    logs = next(call for call in calls(folder) if "logs" in call)
    assert logs[-1] == "a", "rank 0"


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName"])
def test_an_image_that_cannot_be_pulled_ends_it(reason: str, folder: Path) -> None:
    waits = pod("p", {"waiting": {"reason": reason, "message": "not \x1b[2Jfound"}})
    with pytest.raises(LockstitchError, match=f"cannot begin: {reason}: not .*found") as caught:
        run(folder, {"pods": [[waits]], "end": []})
    assert "\x1b" not in caught.value.message
    assert "--wait=false" in calls(folder)[-1]


def test_a_job_that_no_node_takes_is_deleted(folder: Path) -> None:
    waits = pod("p", {})
    waits["status"] = {
        "phase": "Pending",
        "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "gpu"}
        ],
    }
    with pytest.raises(LockstitchError, match=r"waited 0\.2 s for: Unschedulable: gpu"):
        run(folder, {"pods": [[waits]] * 1000, "end": []}, patience=0.2)
    assert "--wait=false" in calls(folder)[-1]


def test_ctrl_c_deletes_the_job(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    story = {"pods": [[pod("p", {"running": {}})]] * 2, "end": [], "interrupted": True}
    code, _ = run(folder, story)
    assert code == 130
    assert "--wait=false" in calls(folder)[-1]
    assert "is deleted" in capsys.readouterr().err


def test_kubectl_that_fails_is_said(folder: Path) -> None:
    (folder / "bin" / "kubectl").write_text("#!/bin/sh\necho 'no login' >&2\nexit 1\n")
    with pytest.raises(LockstitchError, match="no login"):
        run(folder, {"pods": [[]], "end": []})
    (folder / "bin" / "kubectl").unlink()
    if not process.is_there("kubectl"):
        with pytest.raises(LockstitchError, match="kubectl"):
            run(folder, {"pods": [[]], "end": []})
