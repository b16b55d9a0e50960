"""Asks an S3 store a real question, and makes the bucket; runs on the tools' own Python.

Run as a script: probe.py SECONDS. The login comes in variables, never in words. It tries for so
many seconds, then prints the last reason and ends with 1.
"""

import os
import sys
import time
from collections.abc import Callable

__all__ = ["main"]


def main(seconds: float) -> str:
    """Return "" when there is an answer in time, else the reason."""
    ask = _s3()
    until = time.monotonic() + seconds
    while True:
        try:
            ask()
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is not ready
            reason = " ".join(str(error).split()) or type(error).__name__
        else:
            return ""
        if time.monotonic() > until:
            return reason
        time.sleep(0.05)


def _s3() -> Callable[[], None]:
    import boto3  # type: ignore[import-untyped,import-not-found,unused-ignore]
    from botocore.client import Config  # type: ignore[import-untyped,import-not-found,unused-ignore]

    patience = Config(connect_timeout=2, read_timeout=3, retries={"max_attempts": 0})
    address = os.environ["MLFLOW_S3_ENDPOINT_URL"]
    bucket = os.environ["LOCKSTITCH_BUCKET"]
    client = boto3.client("s3", endpoint_url=address, config=patience)

    def ask() -> None:
        if bucket not in [each["Name"] for each in client.list_buckets()["Buckets"]]:
            client.create_bucket(Bucket=bucket)
        client.list_objects_v2(Bucket=bucket, MaxKeys=1)
        # A list is answered before there is a place to write to.
        client.put_object(Bucket=bucket, Key=".lockstitch", Body=b"ready")

    return ask


if __name__ == "__main__":
    # An empty text would be an error too.
    sys.exit(main(float(sys.argv[1])) or 0)
