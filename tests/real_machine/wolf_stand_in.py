"""Wolf's ports and its API on a real machine, without a GPU: runs in a container with the machine's own Python.

Standard library only. It answers what the service asks (serverinfo over HTTP and HTTPS, RTSP, the API on the unix
socket), starts a session's container through Docker's own client, and is told by a test what a player does through
paths under /test/ on the same socket. Like the published Wolf it pauses no container when a client disconnects.
"""

import http.server
import json
import os
import re
import secrets
import socketserver
import ssl
import subprocess
import sys
import threading
import tomllib
from pathlib import Path
from typing import Any

ADDRESS, STATE_FOLDER, SOCKET, CONFIG = sys.argv[1:5]
MEMORY = Path(STATE_FOLDER) / "cfg" / "clients.json"
LOCK = threading.RLock()
PENDING: dict[str, str] = {}
SESSIONS: dict[str, dict[str, Any]] = {}
SERVERINFO = (
    '<?xml version="1.0" encoding="utf-8"?><root status_code="200"><hostname>machine</hostname>'
    "<uniqueid>8a5c</uniqueid><PairStatus>0</PairStatus><state>SUNSHINE_SERVER_FREE</state></root>"
)
STRANGER = '<?xml version="1.0" encoding="utf-8"?><root status_code="401"></root>'


def clients() -> list[dict[str, Any]]:
    found = json.loads(MEMORY.read_text()) if MEMORY.exists() else []
    return list(found)


def remember(found: list[dict[str, Any]]) -> None:
    MEMORY.parent.mkdir(parents=True, exist_ok=True)
    MEMORY.write_text(json.dumps(found))


def apps() -> list[dict[str, Any]]:
    config = tomllib.loads(Path(CONFIG).read_text())
    profiles = [one for one in config.get("profiles", []) if one.get("id") == "moonlight-profile-id"]
    return [app for profile in profiles for app in profile.get("apps", [])]


def docker(*argv: str) -> str:
    return subprocess.run(["docker", *argv], capture_output=True, text=True, check=True).stdout.strip()


def log(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def begin_pairing(body: dict[str, Any]) -> dict[str, Any]:
    secret = secrets.token_hex(8)
    PENDING[secret] = str(body["pin"])
    return {"success": True, "pair_secret": secret}


def pair(body: dict[str, Any]) -> dict[str, Any]:
    pin = PENDING.pop(str(body["pair_secret"]), None)
    if pin is None:
        return {"success": False, "error": "Invalid pair secret"}
    if pin == body["pin"]:
        client = {"client_id": str(secrets.randbits(63)), "app_state_folder": "none", "settings": {"run_uid": 1000}}
        remember([*clients(), client])
        log(f"Succesfully paired {client['client_id']}")
    return {"success": True}


def settings(body: dict[str, Any]) -> dict[str, Any]:
    found = clients()
    for client in found:
        if client["client_id"] == str(body["client_id"]):
            client["app_state_folder"] = body["app_state_folder"]
    remember(found)
    return {"success": True}


def begin_session(body: dict[str, Any]) -> dict[str, Any]:
    """A paired client starts the app of this title: its home is made, and its container runs until it is stopped."""
    app = next(one for one in apps() if one["title"] == body["title"])
    client = clients()[-1]
    name = f"{app['runner']['name']}_{client['client_id']}"
    home = Path(STATE_FOLDER) / str(client["app_state_folder"]) / str(app["title"])
    home.mkdir(parents=True, exist_ok=True)
    os.chown(home, 1000, 1000)
    mounts = [word for mount in app["runner"]["mounts"] for word in ("--volume", mount)]
    system = [word for folder in ("/usr", "/bin", "/lib", "/lib64") for word in ("--volume", f"{folder}:{folder}:ro")]
    docker(
        "run",
        "--detach",
        "--name",
        name,
        "--network",
        "none",
        "--user",
        "1000",
        "--init",
        "--volume",
        f"{home}:/home/retro",
        *mounts,
        *system,
        "stand-in",
        "/bin/sleep",
        "86400",
    )
    session = {"client_id": client["client_id"], "app_id": "1", "client_ip": "127.0.0.1", "container": name}
    SESSIONS[str(client["client_id"])] = session
    return {"success": True, "home": str(home), "container": name}


def stop_session(body: dict[str, Any]) -> dict[str, Any]:
    session = SESSIONS.pop(str(body["session_id"]), None)
    if session is None:
        return {"success": False, "error": "Session not found"}
    subprocess.run(["docker", "rm", "--force", str(session["container"])], check=False, capture_output=True)
    return {"success": True}


ROUTES = {
    ("GET", "/api/v1/clients"): lambda _: {"success": True, "clients": clients()},
    ("GET", "/api/v1/sessions"): lambda _: {"success": True, "sessions": list(SESSIONS.values())},
    ("GET", "/api/v1/apps"): lambda _: {"success": True, "apps": apps()},
    ("GET", "/api/v1/pair/pending"): lambda _: {
        "success": True,
        "requests": [{"pair_secret": one, "client_ip": "127.0.0.1"} for one in PENDING],
    },
    ("POST", "/api/v1/pair/client"): pair,
    ("POST", "/api/v1/clients/settings"): settings,
    ("POST", "/api/v1/sessions/stop"): stop_session,
    ("POST", "/test/begin-pairing"): begin_pairing,
    ("POST", "/test/begin-session"): begin_session,
}


class Api(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.answer("GET")

    def do_POST(self) -> None:
        self.answer("POST")

    def answer(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        route = ROUTES.get((method, self.path))
        try:
            with LOCK:
                said = route(json.loads(body or b"{}")) if route else {"success": False, "error": "Not found"}
        except Exception as error:  # what failed is for the test to read
            said = {"success": False, "error": f"{type(error).__name__}: {error}"}
        content = json.dumps(said).encode()
        self.send_response(200 if route else 404)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Log nothing: the container's log is what the service reads pairings from."""

    def address_string(self) -> str:
        return "unix"


class Serverinfo(http.server.BaseHTTPRequestHandler):
    text = SERVERINFO

    def do_GET(self) -> None:
        content = self.text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


class Secure(Serverinfo):
    text = STRANGER


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class Rtsp(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        if re.match(rb"[A-Z]+ ", self.rfile.readline()):
            self.wfile.write(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n")


class TcpServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True


def main() -> None:
    certificate = Path(STATE_FOLDER) / "cfg"
    certificate.mkdir(parents=True, exist_ok=True)
    if not (certificate / "cert.pem").exists():
        subprocess.run(
            [
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "30",
                "-subj",
                "/CN=wolf",
                "-keyout",
                str(certificate / "key.pem"),
                "-out",
                str(certificate / "cert.pem"),
            ],
            check=True,
            capture_output=True,
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    secure = http.server.ThreadingHTTPServer((ADDRESS, 47984), Secure)
    secure.socket = context.wrap_socket(secure.socket, server_side=True)
    Path(SOCKET).parent.mkdir(parents=True, exist_ok=True)
    Path(SOCKET).unlink(missing_ok=True)
    servers = [
        UnixServer(SOCKET, Api),
        http.server.ThreadingHTTPServer((ADDRESS, 47989), Serverinfo),
        secure,
        TcpServer((ADDRESS, 48010), Rtsp),
    ]
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    log("Wolf stand-in is ready")
    for thread in threads:
        thread.join()


main()
