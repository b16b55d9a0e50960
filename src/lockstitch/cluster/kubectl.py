"""A Job on Kubernetes, by kubectl: applied, followed to its end, and deleted on Ctrl-C.

kubectl knows the cluster and its logins; nothing else of ours talks to an API server.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lockstitch import clock, environ, process
from lockstitch.cluster.job import Job
from lockstitch.errors import LockstitchError, printable
from lockstitch.progress import say
from lockstitch.runtime import ray_job

_POLL, _SAY = 1.0, 30.0  # seconds
_RANK = "batch.kubernetes.io/job-completion-index"
_INTERRUPTED = 130
# Reasons for which a pod waits and will not begin by itself.
_HOPELESS = frozenset(
    {
        *("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"),
        *("CreateContainerConfigError", "CreateContainerError", "RunContainerError"),
    }
)
_CHUNK = 1 << 20  # bytes
# In the pod: packs what is newer than the report of the ranks, which comes last.
_PACK = f"""\
import os, sys, tarfile
top, report, *outputs = sys.argv[1:]
os.chdir(top)
began = os.stat(report).st_mtime
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
    for folder, _, names in (entry for output in outputs for entry in os.walk(output)):
        for path in sorted(os.path.join(folder, name) for name in names):
            if path != report and os.lstat(path).st_ctime >= began:
                archive.add(path)
    archive.add(report, {ray_job.REPORT!r})
"""


def run(
    job: Job,
    name: str,
    manifests: Mapping[str, str],
    show: Callable[[str], object],
    patience: float,
) -> int:
    """Apply a Job's manifests, show the log of its first pod, and return its exit code.

    A job of the same name that was left is deleted first: what a Job runs cannot be changed. Its
    volume stays. Raises LockstitchError when kubectl refuses it, when an image cannot be pulled,
    and when it waits for a node longer than `patience` seconds, 0 for as long as it takes.
    """
    kubectl = _Kubectl(job, name)
    kubectl.delete(wait=True)
    documents = [text for path, text in manifests.items() if path != "kustomization.yaml"]
    kubectl.apply("---\n".join(documents))
    say(f"job `{name}` on {job.target.name}; kubectl delete job {name} ends it")
    try:
        pod = kubectl.begun(patience)
        kubectl.follow(pod, show)
        code, reason = kubectl.ended()
    except KeyboardInterrupt:
        kubectl.delete(wait=False)
        say(f"job `{name}` is deleted")
        return _INTERRUPTED
    except LockstitchError:
        kubectl.delete(wait=False)
        raise
    if reason:
        say(f"job `{name}`: {reason}")
    return code


def fetch(job: Job, name: str, manifest: str, python: str, report: str) -> None:
    """Bring the outputs of the job that ended well from its volume, and the report of its ranks.

    A pod of the image that has the volume gives them, and is deleted. Raises LockstitchError when
    it does not start, or they do not come whole.
    """
    kubectl, outputs = _Kubectl(job, name), [output.rstrip("/") for output in job.spec.outputs]
    options = argparse.Namespace(output=outputs, folder=str(job.folder), into=str(job.project.root))
    words = ("exec", f"{name}-reader", "--", python, "-I", "-c", _PACK, "/app", report, *outputs)
    try:
        kubectl.call("apply", "-f", "-", stdin=manifest)
        kubectl.call("wait", "--for=condition=Ready", "--timeout=300s", f"pod/{name}-reader")
        with tempfile.TemporaryFile() as archive:
            for data in kubectl.stream(*words):
                archive.write(data)
            archive.seek(0)
            whole = ray_job.unpack(archive, options)
    finally:
        kubectl.call("delete", "pod", f"{name}-reader", "--ignore-not-found", "--wait=false")
    if not whole:
        message = f"the outputs of job `{name}` did not come whole; its volume has them"
        raise LockstitchError(message, hint=f"kubectl describe job {name}")


class _Kubectl:
    """kubectl, with one job that it is asked about."""

    def __init__(self, job: Job, name: str) -> None:
        self._program = process.find("kubectl", hint="install kubectl, with a login to the cluster")
        self._space = ["--namespace", job.target.namespace] if job.target.namespace else []
        self._name, self._folder = name, job.project.root
        self._pods_of = ""  # a selector: pods of a former job of this name may be there still

    def call(self, *words: str, stdin: str = "") -> str:
        return process.run([self._program, *self._space, *words], stdin=stdin).stdout

    def stream(self, *words: str) -> Iterator[bytes]:
        argv: list[str | Path] = [self._program, *self._space, *words]
        return process.stream(argv, cwd=self._folder, env=environ.child(), longest=_CHUNK)

    def apply(self, manifests: str) -> None:
        """Apply the job's manifests."""
        self.call("apply", "-f", "-", stdin=manifests)
        uid = self._json("get", "job", self._name).get("metadata", {}).get("uid", "")
        self._pods_of = f"controller-uid={uid}"

    def delete(self, *, wait: bool) -> None:
        """Delete the job with its pods, where there is one."""
        waits = f"--wait={'true' if wait else 'false'}"
        self.call("delete", "job", self._name, "--ignore-not-found", waits)

    def begun(self, patience: float) -> str:
        """Return the first pod once it runs or has ended."""
        began = told = clock.monotonic()
        while True:
            pods = self._pods()
            state = _state(pods[0]) if pods else {}
            if "running" in state or "terminated" in state or self._conditions():
                return str(pods[0]["metadata"]["name"]) if pods else ""
            reason = _waits_for(pods[0]) if pods else "no pod yet"
            if reason.partition(":")[0] in _HOPELESS:
                message = f"job `{self._name}` cannot begin: {reason}"
                hint = "lockstitch image push, and see that the nodes may pull from the registry"
                raise LockstitchError(message, hint=hint)
            now = clock.monotonic()
            if patience and now - began > patience:
                message = f"job `{self._name}` was deleted: it waited {patience:g} s for: {reason}"
                raise LockstitchError(message, hint="kubectl describe nodes shows what is free")
            if now - told >= _SAY:
                say(f"job `{self._name}` waits ({reason}), {now - began:.0f} s")
                told = now
            clock.sleep(_POLL)

    def follow(self, pod: str, show: Callable[[str], object]) -> None:
        """Show a pod's log until it ends."""
        if pod:
            words = (*self._space, "logs", "--follow", pod)
            env = environ.child()
            process.follow([self._program, *words], cwd=self._folder, env=env, line=show)

    def ended(self) -> tuple[int, str]:
        """Return the exit code of the job once it has one, and why it failed."""
        while not (ended := self._conditions()):
            clock.sleep(_POLL)
        if "Complete" in ended:
            return 0, ""
        # The rank that failed first: the controller ends the others, which have codes of their own.
        ends = [end for pod in self._pods() if (end := _state(pod).get("terminated"))]
        ends.sort(key=lambda end: str(end.get("finishedAt", "")))
        codes = [int(end.get("exitCode", 1)) for end in ends]
        return next((code for code in codes if code), 1), ended["Failed"]

    def _conditions(self) -> dict[str, str]:
        """Return the ends of the job that have come, `Complete` or `Failed`, with the reasons."""
        document = self._json("get", "job", self._name)
        conditions = document.get("status", {}).get("conditions") or ()
        return {
            end["type"]: printable(f"{end.get('reason', '')}: {end.get('message', '')}", 300)
            for end in conditions
            if end.get("type") in {"Complete", "Failed"} and end.get("status") == "True"
        }

    def _pods(self) -> list[dict[str, Any]]:
        """Return the pods of the job, rank 0 first, and of each rank the newest."""
        items = self._json("get", "pods", "--selector", self._pods_of).get("items") or []

        def place(pod: dict[str, Any]) -> tuple[int, str]:
            about = pod["metadata"]
            rank = int((about.get("annotations") or {}).get(_RANK, 0))
            return -rank, str(about.get("creationTimestamp", ""))

        return sorted(items, key=place, reverse=True)

    def _json(self, *words: str) -> dict[str, Any]:
        try:
            document = json.loads(self.call(*words, "--output", "json"))
        except ValueError as error:
            raise LockstitchError(f"`kubectl {' '.join(words)}` printed no JSON") from error
        return document if isinstance(document, dict) else {}


def _state(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the state of a pod's only container: `waiting`, `running` or `terminated`."""
    statuses = pod.get("status", {}).get("containerStatuses") or [{}]
    state = statuses[0].get("state")
    return state if isinstance(state, Mapping) else {}


def _waits_for(pod: Mapping[str, Any]) -> str:
    waiting = _state(pod).get("waiting")
    if isinstance(waiting, Mapping):
        return printable(f"{waiting.get('reason', '')}: {waiting.get('message', '')}", 300)
    for end in pod.get("status", {}).get("conditions") or ():
        if end.get("type") == "PodScheduled" and end.get("status") == "False":
            return printable(f"{end.get('reason', '')}: {end.get('message', '')}", 300)
    return str(pod.get("status", {}).get("phase", "Pending"))
