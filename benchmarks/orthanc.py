#!/usr/bin/env python3
"""Times one ZIP upload into a new Orthanc: `orthanc.py ARCHIVE FOLDER`, printed as JSON.

Started in a network namespace of its own (`unshare --map-root-user --net`), where nobody else
can reach the server: Orthanc listens on every interface.
"""

import http.client
import json
import subprocess
import sys
import time
from pathlib import Path

PORT = 8042


def main(archive: Path, folder: Path) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with (folder / "orthanc.log").open("w") as log:
        server = subprocess.Popen(["Orthanc", configuration(folder)], stdout=log, stderr=log)
    try:
        wait_for(server)
        begun = time.monotonic()
        answer = upload(archive)
        seconds = time.monotonic() - begun
    finally:
        server.terminate()
        server.wait()
    stored = sum(instance["Status"] == "Success" for instance in answer)
    print(json.dumps({"seconds": seconds, "stored": stored}))


def configuration(folder: Path) -> Path:
    """Orthanc's defaults: its own SQLite index, files as they are, no plugins."""
    path = folder / "orthanc.json"
    storage = str(folder / "storage")
    settings = {
        "StorageDirectory": storage,
        "IndexDirectory": storage,
        "HttpPort": PORT,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
    }
    path.write_text(json.dumps(settings))
    return path


def wait_for(server: "subprocess.Popen[bytes]") -> None:
    while server.poll() is None:
        try:
            ask("GET", "/system")
            return
        except ConnectionError:
            time.sleep(0.1)
    sys.exit("Orthanc did not start; see orthanc.log in its folder.")


def upload(archive: Path) -> list[dict[str, str]]:
    with archive.open("rb") as stream:
        return ask("POST", "/instances", stream, {"Content-Length": str(archive.stat().st_size)})


def ask(method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", PORT, blocksize=1 << 20)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            sys.exit(f"Orthanc answered {answer.status}.")
        return json.loads(text)
    finally:
        connection.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
