"""How each service is told to run: the same words natively and in an image."""

from collections.abc import Mapping
from pathlib import PurePath

__all__ = ["MLFLOW", "mlflow", "objects", "postgres"]

# MLflow's variables, beside those with addresses and keys.
MLFLOW = {
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "PYTHONUNBUFFERED": "1",
    "PYTHONWARNINGS": "ignore",
}


def postgres(data: PurePath, address: str, port: int) -> list[str]:
    """Return the words of `postgres`; there is no socket beside the port."""
    settings = {
        "listen_addresses": address,
        "unix_socket_directories": "",
        "log_line_prefix": "%m [%p] ",
    }
    words = ["-D", str(data), "-p", str(port)]
    for name, value in settings.items():
        words += ["-c", f"{name}={value}"]
    return words


def objects(data: PurePath, address: str, bucket: str, ports: Mapping[str, int]) -> list[str]:
    """Return the words of `weed`; `ports` are the store's own and those between its parts."""
    options: dict[str, object] = {
        "dir": data,
        "ip": "127.0.0.1",
        "ip.bind": address,
        "bucket": bucket,
        "s3.port": ports["objects"],
        "s3.port.grpc": ports["s3.grpc"],
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "filer.port": ports["filer"],
        "filer.port.grpc": ports["filer.grpc"],
        "master.port": ports["master"],
        "master.port.grpc": ports["master.grpc"],
        "master.telemetry": "false",
        "volume.port": ports["volume"],
        "volume.port.grpc": ports["volume.grpc"],
        "admin.port": ports["admin"],
        "admin.port.grpc": ports["admin.grpc"],
        "webdav": "false",
    }
    return ["-logtostderr", "mini", *(f"-{name}={value}" for name, value in options.items())]


def mlflow(address: str, port: int, bucket: str) -> list[str]:
    """Return the words of `mlflow server`, which answers to the names of this machine only."""
    words = ["--host", address, "--port", str(port), "--workers", "1", "--serve-artifacts"]
    return [*words, "--artifacts-destination", f"s3://{bucket}/artifacts"]
