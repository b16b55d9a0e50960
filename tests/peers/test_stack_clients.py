"""Clients of other people on the local stack's S3 store: boto3 and MinIO's."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.stack import Stack, running, shared_store

from lockstitch import process

# SeaweedFS lists folder by folder: `a/1` before `a b/1`, which S3 does not.
# Each prints what it saw, as one JSON object; the two print the same. NAME is a bucket's.
_COMMON = """\
import io, json, os, sys, urllib.request
from datetime import timedelta
endpoint, name = os.environ["AWS_ENDPOINT_URL_S3"], sys.argv[1]
key, secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
big = bytes(range(256)) * 4096 * 6  # 6 MB and 5 MB: two parts
big += big[: 5 << 20]
seen = {}
def refused(call):
    try:
        call()
    except Exception as error:
        return code(error)
    return "allowed"
def fetched(address, data=None):
    method = "GET" if data is None else "PUT"
    try:
        with urllib.request.urlopen(urllib.request.Request(address, data, method=method)) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        return error.code
"""
_END = """
seen["anonymous"] = [fetched(f"{endpoint}/"), fetched(f"{endpoint}/{name}/a/1"),
    fetched(f"{endpoint}/{name}/new", b"x")]
print(json.dumps(seen))
"""
BOTO3 = """
import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
def client(key, secret, **more):
    return boto3.client("s3", endpoint_url=endpoint, aws_access_key_id=key,
        aws_secret_access_key=secret, config=Config(retries={"max_attempts": 0}, **more))
code = lambda error: error.response["Error"]["Code"]
s3 = client(key, secret)
s3.create_bucket(Bucket=name)
seen["buckets"] = name in [each["Name"] for each in s3.list_buckets()["Buckets"]]
for each in ("a/1", "a/2", "b/1", "a b+c/ü"):
    s3.put_object(Bucket=name, Key=each, Body=each.encode(), ContentType="text/plain")
got = s3.get_object(Bucket=name, Key="a b+c/ü")
seen["get"] = [got["Body"].read().decode(), got["ContentType"]]
def listed(prefix):
    found = s3.list_objects_v2(Bucket=name, Prefix=prefix)
    return [each["Key"] for each in found["Contents"]]
seen["all"], seen["below a/"] = sorted(listed("")), listed("a/")
config = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=6 << 20)
s3.upload_fileobj(io.BytesIO(big), name, "big", Config=config)
head = s3.head_object(Bucket=name, Key="big")
seen["parts"] = head["ETag"].strip('"').partition("-")[2]
seen["big"] = s3.get_object(Bucket=name, Key="big")["Body"].read() == big
s4 = client(key, secret, signature_version="s3v4")
params = {"Bucket": name, "Key": "signed"}
seen["put"] = fetched(s4.generate_presigned_url("put_object", params), b"by address") == b""
address = s4.generate_presigned_url("get_object", params)
seen["signed"] = [fetched(address).decode(), fetched(address.replace("signed", "a/1", 1))]
s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
for body in (b"first", b"second"):
    s3.put_object(Bucket=name, Key="v", Body=body)
s3.delete_object(Bucket=name, Key="v")
seen["gone"] = refused(lambda: s3.get_object(Bucket=name, Key="v"))
versions = s3.list_object_versions(Bucket=name, Prefix="v")["Versions"]
seen["versions"] = sorted(s3.get_object(Bucket=name, Key="v", VersionId=each["VersionId"])
    ["Body"].read().decode() for each in versions)
s3.delete_object(Bucket=name, Key="b/1")
seen["none"] = refused(lambda: s3.get_object(Bucket=name, Key="b/1"))
seen["wrong"] = refused(lambda: client(key, "x" * 40).list_buckets())
seen["unknown"] = refused(lambda: client("X" * 20, secret).list_buckets())
"""
MINIO = """
from minio import Minio
from minio.commonconfig import ENABLED
from minio.versioningconfig import VersioningConfig
def client(key, secret):
    return Minio(endpoint.partition("://")[2], access_key=key, secret_key=secret, secure=False)
code = lambda error: error.code
s3 = client(key, secret)
def put(key, body):
    s3.put_object(bucket_name=name, object_name=key, data=io.BytesIO(body), length=len(body),
        content_type="text/plain", part_size=6 << 20)
def get(key, **more):
    answer = s3.get_object(bucket_name=name, object_name=key, **more)
    with answer:
        return answer.read(), answer.headers["Content-Type"]
s3.make_bucket(bucket_name=name)
seen["buckets"] = name in [each.name for each in s3.list_buckets()]
for each in ("a/1", "a/2", "b/1", "a b+c/ü"):
    put(each, each.encode())
body, kind = get("a b+c/ü")
seen["get"] = [body.decode(), kind]
listed = lambda prefix: [each.object_name
    for each in s3.list_objects(bucket_name=name, prefix=prefix, recursive=True)]
seen["all"], seen["below a/"] = sorted(listed("")), listed("a/")
put("big", big)
head = s3.stat_object(bucket_name=name, object_name="big")
seen["parts"] = head.etag.partition("-")[2]
seen["big"] = get("big")[0] == big
address = s3.presigned_put_object(bucket_name=name, object_name="signed")
seen["put"] = fetched(address, b"by address") == b""
address = s3.presigned_get_object(bucket_name=name, object_name="signed")
seen["signed"] = [fetched(address).decode(), fetched(address.replace("signed", "a/1", 1))]
s3.set_bucket_versioning(bucket_name=name, config=VersioningConfig(ENABLED))
for body in (b"first", b"second"):
    put("v", body)
s3.remove_object(bucket_name=name, object_name="v")
seen["gone"] = refused(lambda: get("v"))
versions = [each for each in s3.list_objects(bucket_name=name, prefix="v", include_version=True)
    if not each.is_delete_marker]
seen["versions"] = sorted(get("v", version_id=each.version_id)[0].decode() for each in versions)
s3.remove_object(bucket_name=name, object_name="b/1")
seen["none"] = refused(lambda: get("b/1"))
seen["wrong"] = refused(lambda: client(key, "x" * 40).list_buckets())
seen["unknown"] = refused(lambda: client("X" * 20, secret).list_buckets())
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(shared_store(tmp_path_factory)) as made:
        made.lockstitch("stack", "up")
        yield made


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install both clients, of today, in an environment of their own."""
    folder = tmp_path_factory.mktemp("clients")
    uv, found = process.find_uv(), folder / "bin" / "python"
    subprocess.check_call([uv, "venv", "--quiet", "--python", sys.executable, folder])
    subprocess.check_call([uv, "pip", "install", "--quiet", "--python", found, "minio", "boto3"])
    return found


@pytest.mark.parametrize(("name", "program"), [("boto3", BOTO3), ("minio", MINIO)])
def test_a_client_finds_an_s3_store(stack: Stack, python: Path, name: str, program: str) -> None:
    done = subprocess.run(
        [python, "-W", "ignore", "-c", _COMMON + program + _END, f"of-{name}"],
        env=stack.environment() | stack.variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "buckets": True,
        "get": ["a b+c/ü", "text/plain"],
        "all": ["a b+c/ü", "a/1", "a/2", "b/1"],
        "below a/": ["a/1", "a/2"],
        "parts": "2",
        "big": True,
        "put": True,
        "signed": ["by address", 403],
        "gone": "NoSuchKey",
        "versions": ["first", "second"],
        "none": "NoSuchKey",
        "wrong": "SignatureDoesNotMatch",
        "unknown": "InvalidAccessKeyId",
        "anonymous": [403, 403, 403],
    }
