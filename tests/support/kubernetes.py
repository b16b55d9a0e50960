"""Kubernetes without a node: the real API server, controllers and scheduler, no real kubelet.

The programs of a release are in the folder that KUBEBUILDER_ASSETS names, as other projects' tests
have it. The kubelet runs nothing: a test says how each pod goes.
"""

import json
import os
import shutil
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from lockstitch.net.transport import free_port

__all__ = ["Kubernetes", "is_here", "running"]

ASSETS = Path(os.environ.get("KUBEBUILDER_ASSETS", "/usr/local/kubebuilder/bin"))
_PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
_NODE, _TOKEN = "node1", "token"
_CONTROLLERS = "job-controller,persistentvolume-binder-controller"
_PATIENCE = 60.0


def is_here() -> bool:
    """Return whether the programs are there."""
    return all((ASSETS / program).is_file() for program in _PROGRAMS) and _kubectl() is not None


def _kubectl() -> str | None:
    return shutil.which("kubectl", path=f"{ASSETS}{os.pathsep}{os.environ['PATH']}")


@dataclass(slots=True)
class Kubernetes:
    """A control plane."""

    folder: Path
    port: int = field(default_factory=free_port)
    started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def variables(self) -> dict[str, str]:
        """What kubectl needs."""
        path = f"{ASSETS}{os.pathsep}{os.environ['PATH']}"
        return {"KUBECONFIG": str(self.folder / "config"), "PATH": path}

    def start(self, program: str, *words: str) -> None:
        """Start a program of the control plane."""
        with (self.folder / f"{program}.log").open("wb") as log:
            self.started[program] = subprocess.Popen(
                [ASSETS / program, *words], stdout=log, stderr=log, start_new_session=True
            )

    def ask(self, *words: str, stdin: str = "", code: int | None = 0) -> str:
        """Return what kubectl prints."""
        done = subprocess.run(
            [str(_kubectl()), *words],
            env={**os.environ, **self.variables},
            input=stdin,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert code is None or done.returncode == code, done.stdout + done.stderr
        return done.stdout if done.returncode == 0 else done.stdout + done.stderr

    def items(self, *words: str) -> list[dict[str, Any]]:
        """Return a list of objects."""
        found: list[dict[str, Any]] = json.loads(self.ask("get", *words, "-o", "json"))["items"]
        return found

    def patch(self, kind: str, name: str, status: dict[str, Any], *space: str) -> None:
        """Change the status of an object."""
        words = ("--subresource", "status", "--type", "merge", "-p", json.dumps({"status": status}))
        self.ask("patch", kind, name, *space, *words)

    def until(self, what: Callable[[], Any]) -> Any:
        """Wait until a question has an answer, and return it."""
        end = time.monotonic() + _PATIENCE
        while not (answer := what()):
            assert time.monotonic() < end, self.logs()
            time.sleep(0.3)
        return answer

    def logs(self) -> str:
        """Return the ends of the programs' logs."""
        paths = sorted(self.folder.glob("*.log"))
        return "\n".join(f"{path.name}: {path.read_text()[-1500:]}" for path in paths)

    @contextmanager
    def node(self, log: str = "") -> Iterator[None]:
        """Have a node, whose pods print `log`; what happens to them is the test's."""
        key, certificate = self.folder / "node.key", self.folder / "node.pem"
        made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
        made += ["-subj", f"/CN={_NODE}", "-keyout", str(key), "-out", str(certificate)]
        subprocess.run(made, check=True, capture_output=True)

        class Kubelet(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(log.encode())

            def log_message(self, *_: object) -> None:
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        with ThreadingHTTPServer(("127.0.0.1", 0), Kubelet) as server:
            server.socket = context.wrap_socket(server.socket, server_side=True)
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": _NODE}}
            self.ask("apply", "-f", "-", stdin=json.dumps(node))
            resources = {"cpu": "64", "memory": "64Gi", "pods": "64", "nvidia.com/gpu": "64"}
            status = {
                "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": server.server_port}},
                "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
                "capacity": resources,
                "allocatable": resources,
            }
            self.patch("node", _NODE, status)
            try:
                yield
            finally:
                self.ask("delete", "node", _NODE, "--wait=false")
                server.shutdown()

    def pod(self, namespace: str, name: str, phase: str, state: dict[str, Any]) -> None:
        """Set how a pod is: as its kubelet does."""
        words = ("get", "pod", name, "-n", namespace, "-o", "jsonpath={.spec.containers[0].name}")
        container: dict[str, Any] = {"name": self.ask(*words), "image": "x", "imageID": "x"}
        container["ready"] = phase == "Running"
        status = {
            "phase": phase,
            "containerStatuses": [container | {"restartCount": 0, "state": state}],
        }
        self.patch("pod", name, status, "--namespace", namespace)


@contextmanager
def running(folder: Path) -> Iterator[Kubernetes]:
    """Run a control plane that has no node, and end it."""
    cluster = Kubernetes(folder)
    client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    key, public = folder / "accounts.key", folder / "accounts.pub"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    subprocess.run(
        ["openssl", "rsa", "-in", key, "-pubout", "-out", public], check=True, capture_output=True
    )
    (folder / "tokens").write_text(f"{_TOKEN},admin,admin,system:masters\n")
    (folder / "config").write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [
                    {
                        "name": "test",
                        "cluster": {
                            "server": f"https://127.0.0.1:{cluster.port}",
                            "insecure-skip-tls-verify": True,
                        },
                    }
                ],
                "users": [{"name": "admin", "user": {"token": _TOKEN}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
                "current-context": "test",
            }
        )
    )
    try:
        cluster.start(
            "etcd",
            f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        )
        cluster.start(
            "kube-apiserver",
            f"--etcd-servers={client}",
            "--bind-address=127.0.0.1",
            f"--secure-port={cluster.port}",
            f"--cert-dir={folder / 'certificates'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={public}",
            f"--service-account-signing-key-file={key}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--authorization-mode=RBAC",
            f"--token-auth-file={folder / 'tokens'}",
            # No controller here makes the accounts of namespaces, or finds that a node is ready.
            "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition",
        )
        cluster.until(lambda: cluster.ask("get", "--raw", "/readyz", code=None) == "ok")
        for program, more in (
            (
                "kube-controller-manager",
                ("--controllers=job-controller,persistentvolume-binder-controller",),
            ),
            ("kube-scheduler", ()),
        ):
            config = f"--kubeconfig={folder / 'config'}"
            port = f"--secure-port={free_port()}"
            own = f"--cert-dir={folder / program}"
            bound = ("--bind-address=127.0.0.1", "--leader-elect=false")
            cluster.start(program, config, port, own, *bound, *more)
        yield cluster
    finally:
        for started in reversed(cluster.started.values()):
            with suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)
            started.wait()
