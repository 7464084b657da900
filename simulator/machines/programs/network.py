"""Programs that talk to this machine's own services. Nothing else is reachable from a simulated machine."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from simulator.machines.addresses import SSH
from simulator.machines.programs.call import Call, Program, UsageError
from simulator.machines.programs.docker import inside
from simulator.machines.wolf.answers import Answer, EventStream
from simulator.machines.wolf.server import Wolf

OWN_NAMES = ("localhost", "127.0.0.1", "[::1]", "::1", "0.0.0.0")
NO_HOST, NO_CONNECTION, HTTP_ERROR, TIMED_OUT = 6, 7, 22, 28
LONG = (
    *("unix-socket=", "request=", "data=", "data-raw=", "data-binary=", "header=", "silent", "show-error", "fail"),
    *("max-time=", "connect-timeout=", "output=", "write-out=", "no-buffer", "location", "insecure", "retry=", "json="),
    *("fail-with-body", "http1.0", "http1.1", "http0.9", "globoff", "url=", "noproxy=", "get", "head", "retry-delay="),
    *("retry-connrefused", "include", "proto=", "tlsv1.2", "compressed"),
)
BODY_FLAGS = ("-d", "--data", "--data-raw", "--data-binary", "--json")


async def curl(call: Call) -> int:
    """To Wolf's socket, or to an HTTP port of this machine."""
    found, names = call.options("X:d:H:sSfm:o:w:NLkiIgT:O0", LONG, status=2)
    url = found.get("--url") or (names[0] if names else "")
    parts = urlsplit(url if "://" in url else f"http://{url}")
    body = await _body(call, found)
    method = found.get("-X") or found.get("--request") or ("POST" if body is not None else "GET")
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    if socket := found.get("--unix-socket"):
        wolf = _wolf_behind(call, socket)
        answer = await wolf.api.answer(method, target, body or b"") if wolf else None
    else:
        if parts.hostname not in OWN_NAMES:
            return _fail(call, NO_HOST, f"Could not resolve host: {parts.hostname}", found)
        answer = await _own_port(call, parts.port or 80, method, target, body or b"")
    if answer is None:
        return _fail(call, NO_CONNECTION, f"Failed to connect to {parts.hostname}: Couldn't connect to server", found)
    if isinstance(answer, EventStream):
        return await _follow(call, answer, found)
    return _tell(call, answer, found)


async def nc(call: Call) -> int:
    """`nc -z HOST PORT`."""
    found, names = call.options("zvw:nu4")
    if "-z" not in found or len(names) != 2 or names[0] not in OWN_NAMES:
        raise UsageError("only ports of this machine can be asked for")
    open_ports = {SSH, *call.machine.containers.listening()}
    is_open = int(names[1]) in open_ports
    if "-v" in found:
        text = "succeeded!" if is_open else "failed: Connection refused"
        call.streams.stderr.write(f"Connection to {names[0]} {names[1]} port [tcp/*] {text}\n".encode())
    return 0 if is_open else 1


async def ss(call: Call) -> int:
    call.say("State  Recv-Q Send-Q Local Address:Port Peer Address:Port")
    for port in sorted({SSH, *call.machine.containers.listening()}):
        call.say(f"LISTEN 0      4096         0.0.0.0:{port}      0.0.0.0:*")
    return 0


def _wolf_behind(call: Call, socket: str) -> Wolf | None:
    """The Wolf whose socket this is, as seen from where the call is made, when the caller may open it."""
    try:
        wolf = call.machine.containers.wolf(inside(call))
    except LookupError:
        return None
    if inside(call):
        return wolf if socket == wolf.socket_inside else None
    return wolf if call.user.uid == 0 and call.files.tree.resolve(call.path(socket)) == wolf.socket_outside else None


async def _own_port(call: Call, port: int, method: str, target: str, body: bytes) -> Answer | None:
    try:
        wolf = call.machine.containers.wolf()
    except LookupError:
        return None
    return await wolf.pages.answer(port, method, target, body, call.machine.address.ip)


async def _body(call: Call, found: Mapping[str, str]) -> bytes | None:
    given = next((found[flag] for flag in BODY_FLAGS if flag in found), None)
    if given is None or not given.startswith("@"):
        return given.encode() if given is not None else None
    return await call.stdin.read() if given == "@-" else call.files.read(call.path(given[1:]))


async def _follow(call: Call, events: EventStream, found: Mapping[str, str]) -> int:
    limit = found.get("-m") or found.get("--max-time")
    async for chunk in events.until(float(limit) if limit else None):
        call.stdout.write(chunk)
    return TIMED_OUT


def _tell(call: Call, answer: Answer, found: Mapping[str, str]) -> int:
    failed = answer.status >= 400
    if failed and {"-f", "--fail"} & found.keys():
        return _fail(call, HTTP_ERROR, f"The requested URL returned error: {answer.status}", found)
    output = found.get("-o") or found.get("--output")
    if output:
        call.files.write(call.path(output), answer.body)
    else:
        call.stdout.write(answer.body)
    form = found.get("-w") or found.get("--write-out") or ""
    call.stdout.write(form.replace("%{http_code}", str(answer.status)).replace("\\n", "\n").encode())
    return HTTP_ERROR if failed and "--fail-with-body" in found else 0


def _fail(call: Call, status: int, text: str, found: Mapping[str, str]) -> int:
    if not {"-s", "--silent"} & found.keys() or {"-S", "--show-error"} & found.keys():
        call.streams.stderr.write(f"curl: ({status}) {text}\n".encode())
    form = found.get("-w") or found.get("--write-out") or ""
    call.stdout.write(form.replace("%{http_code}", "000" if status != HTTP_ERROR else "500").encode())
    return status


PROGRAMS: Mapping[str, Program] = {"curl": curl, "nc": nc, "ss": ss}
