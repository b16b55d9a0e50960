"""Exits 0 when `GET http://127.0.0.1:PORT/PATH` answers with a 2xx status, else 1.

Runs in images, which have no curl: `python -I health.py PORT PATH`. Standard library only.
"""

import http.client
import sys


def main(port: str, path: str) -> int:
    """Ask once, with a limit of two seconds, and say in one line what was wrong."""
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=2)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except OSError as error:
        print(f"unhealthy: {error}")
        return 1
    print(f"status {status}")
    return 0 if status // 100 == 2 else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
