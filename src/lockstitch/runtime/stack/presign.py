"""Addresses that say by themselves who asks: AWS's Signature Version 4, in the query.

Standard library only: it is part of an image, too.
"""

import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

__all__ = ["presigned"]


def presigned(
    method: str, place: tuple[str, str], login: tuple[str, str], region: str, now: float
) -> str:
    """Return an address that is good for one method within the next minute.

    `place` is host and path of an object, `login` the access key and the secret key, `now` in
    seconds since 1970.
    """
    (host, path), (access, secret) = place, login
    moment = f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}"
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    query = urlencode(
        {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{access}/{scope}",
            "X-Amz-Date": moment,
            "X-Amz-Expires": "60",
            "X-Amz-SignedHeaders": "host",
        }
    )
    asked = f"{method}\n{quote(path)}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD"
    digest = hashlib.sha256(asked.encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    return f"http://{host}{quote(path)}?{query}&X-Amz-Signature={signature}"
