"""A small server that speaks OP_MSG: documents in lists, many connections.

Enough for a driver to connect, insert, find in batches, update, delete and
wait; it is not MongoDB.  Run by threads, so that it shares nothing with the
loop under test.

    python -m interop.mongo.responder PORT
"""

import socketserver
import struct
import sys
import threading
import time

import bson

HEADER = struct.Struct("<iiii")
OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013

HELLO = {
    "ok": 1, "ismaster": True, "isWritablePrimary": True, "helloOk": True,
    "minWireVersion": 0, "maxWireVersion": 21, "readOnly": False,
    "maxBsonObjectSize": 1 << 24, "maxMessageSizeBytes": 48_000_000,
    "maxWriteBatchSize": 100_000,
}
LOCK = threading.Lock()
COLLECTIONS: dict[str, list[dict]] = {}
CURSORS: dict[int, list[dict]] = {}
# How many commands run now, and how many did so at most.
LOAD = {"now": 0, "most": 0}


def matches(document: dict, query: dict) -> bool:
    return all(document.get(name) == value for name, value in query.items())


def next_batch(collection: str, rest: list, size: int, name: str) -> dict:
    batch, rest = rest[:size], rest[size:]
    cursor = 0
    if rest:
        cursor = len(CURSORS) + 1
        CURSORS[cursor] = rest
    return {"ok": 1, "cursor": {"id": cursor, "ns": collection, name: batch}}


def insert(name: str, command: dict) -> dict:
    COLLECTIONS.setdefault(name, []).extend(command["documents"])
    return {"ok": 1, "n": len(command["documents"])}


def find(name: str, command: dict) -> dict:
    found = [
        document for document in COLLECTIONS.get(name, ())
        if matches(document, command.get("filter", {}))
    ]
    size = 1 if command.get("singleBatch") else command.get("batchSize", 101)
    if command.get("limit"):
        found = found[:command["limit"]]
    return next_batch(name, found, size, "firstBatch")


def get_more(name: str, command: dict) -> dict:
    rest = CURSORS.pop(command["getMore"])
    size = command.get("batchSize", 1000)
    return next_batch(name, rest, size, "nextBatch")


def update(name: str, command: dict) -> dict:
    changed = 0
    for one in command["updates"]:
        for document in COLLECTIONS.get(name, ()):
            if matches(document, one["q"]):
                document.update(one["u"]["$set"])
                changed += 1
    return {"ok": 1, "n": changed, "nModified": changed}


def delete(name: str, command: dict) -> dict:
    before = COLLECTIONS.get(name, [])
    kept = [
        document for document in before
        if not any(matches(document, one["q"]) for one in command["deletes"])
    ]
    COLLECTIONS[name] = kept
    return {"ok": 1, "n": len(before) - len(kept)}


COMMANDS = {
    "insert": insert, "find": find, "getMore": get_more, "update": update,
    "delete": delete,
}


def run(command: dict) -> dict:
    verb = next(iter(command))
    if verb.lower() in ("hello", "ismaster"):
        return HELLO
    if verb == "sleep":
        time.sleep(command["sleep"])
        return {"ok": 1}
    if verb == "load":
        return {"ok": 1, **LOAD}
    if verb in ("ping", "endSessions", "killCursors"):
        return {"ok": 1}
    if verb not in COMMANDS:
        return {
            "ok": 0, "code": 59, "codeName": "CommandNotFound",
            "errmsg": f"no such command: {verb!r}",
        }
    collection = command["collection" if verb == "getMore" else verb]
    with LOCK:
        return COMMANDS[verb](f"{command['$db']}.{collection}", command)


def parse(body: bytes) -> dict:
    """The command of an OP_MSG: its document, and its sequences."""
    command: dict = {}
    place = 4
    while place < len(body):
        kind = body[place]
        size = struct.unpack_from("<i", body, place + 1)[0]
        if kind == 0:
            command = bson.decode(body[place + 1:place + 1 + size]) | command
        else:
            name, _, rest = body[place + 5:place + 1 + size].partition(b"\0")
            command[name.decode()] = bson.decode_all(rest)
        place += 1 + size
    # Of two sections the document may come second; its verb has to be first.
    verb = next((name for name in COMMANDS if name in command), None)
    return {verb: command[verb], **command} if verb else command


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while head := self.rfile.read(16):
            size, request, _, operation = HEADER.unpack(head)
            body = self.rfile.read(size - 16)
            if operation == OP_QUERY:
                # Of an old handshake, the flags and the collection's name.
                answer = struct.pack("<iqii", 8, 0, 0, 1) + bson.encode(HELLO)
                operation = OP_REPLY
            else:
                with LOCK:
                    LOAD["now"] += 1
                    LOAD["most"] = max(LOAD["most"], LOAD["now"])
                reply = run(parse(body))
                with LOCK:
                    LOAD["now"] -= 1
                answer = b"\0\0\0\0\0" + bson.encode(reply)
            self.wfile.write(HEADER.pack(
                len(answer) + 16, 0, request, operation
            ) + answer)


class Responder(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 100
    allow_reuse_address = True


if __name__ == "__main__":
    Responder(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
