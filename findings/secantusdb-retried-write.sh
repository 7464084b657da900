#!/bin/sh
# secantusdb 0.7.0b3 on CPython 3.11, asked in MongoDB's wire protocol.
#
# A write that a driver sends again, with the same `lsid` and `txnNumber`, is recognised only while every other field of the
# command is the same too. A driver that is given `timeoutMS` puts the time that is left into `maxTimeMS`, which is less the
# second time: such a write is carried out again. MongoDB's specification of retryable writes has the server recognise it by
# the two alone, so that an answer lost with its connection does no harm. Here an `$inc` counts twice, and an insert is
# refused with DuplicateKey (11000) although it was this very insert that wrote the document. With `timeoutMS`, writes must
# be harmless when they are repeated (`$set`, guarded updates, inserts whose conflict is taken as done).
#
# Expected output:
#   $inc sent twice: 1
#   $inc sent twice, with less maxTimeMS: 2
#   insert sent twice, with less maxTimeMS: 11000
# Exits non-zero when that changes.
set -eu
folder=$(mktemp -d)
server=
trap 'kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check secantusdb==0.7.0b3 pymongo==4.20.0
port=$("$folder/venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$folder/venv/bin/secantusd-py" --host 127.0.0.1 --port "$port" --storage-path "$folder/data" --log-level WARNING &
server=$!
cat >"$folder/try.py" <<'PYTHON'
import socket
import struct
import sys
import time
import uuid

import bson
from bson.binary import Binary, UuidRepresentation
from bson.int64 import Int64


def connected():
    for _ in range(100):
        try:
            return socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10)
        except OSError:
            time.sleep(0.1)
    raise SystemExit("no server")


def ask(command):
    """Send one OP_MSG on a connection of its own, as a driver does after it lost one."""
    with connected() as wire:
        body = b"\0\0\0\0\0" + bson.encode({**command, "$db": "probe"})
        wire.sendall(struct.pack("<iiii", 16 + len(body), 1, 0, 2013) + body)
        answer = wire.makefile("rb")
        length = struct.unpack("<i", answer.read(4))[0]
        return bson.decode(answer.read(length - 4)[17:])


def session():
    return {"lsid": {"id": Binary.from_uuid(uuid.uuid4(), UuidRepresentation.STANDARD)}, "txnNumber": Int64(1)}


def count_twice(name, first_ms, second_ms):
    count = {
        "findAndModify": "things",
        "query": {"_id": name},
        "update": {"$inc": {"value": 1}},
        "upsert": True,
        "new": True,
        **session(),
    }
    ask({**count, "maxTimeMS": first_ms})
    return ask({**count, "maxTimeMS": second_ms})["value"]["value"]


same, less = count_twice("same", 2000, 2000), count_twice("less", 2000, 1500)
insert = {"insert": "things", "documents": [{"_id": "once"}], **session()}
ask({**insert, "maxTimeMS": 2000})
refused = ask({**insert, "maxTimeMS": 1500}).get("writeErrors", [{"code": None}])[0]["code"]
print(f"$inc sent twice: {same}")
print(f"$inc sent twice, with less maxTimeMS: {less}")
print(f"insert sent twice, with less maxTimeMS: {refused}")
raise SystemExit(0 if (same, less, refused) == (1, 2, 11000) else 1)
PYTHON
"$folder/venv/bin/python" "$folder/try.py" "$port"
