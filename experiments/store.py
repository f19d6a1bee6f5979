"""Where MLflow keeps the runs: mlruns/mlflow.db, or what MLFLOW_TRACKING_URI names.

Free of MLflow, whose import takes seconds.
"""

import ipaddress
import os
import re
import socket
import sqlite3
import sys
import sysconfig
import uuid
from contextlib import closing
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from lit_transformer.record import exclusive, write_bytes

VARIABLE = "MLFLOW_TRACKING_URI"
SECRETS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
LOCAL_FILE_SYSTEMS = {"apfs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs"}
"""Where SQLite's write-ahead log is safe; it shares memory, which no network file system does."""


ANSWER_S = 10.0
"""Longest wait for a server's answer."""
PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
"""Where databases listen, unless their URI says otherwise."""


class StoreError(ValueError):
    """A store of runs that cannot be used as asked; the message is meant for the person."""


def database(root: Path) -> Path:
    return root.resolve() / "mlruns" / "mlflow.db"


def artifacts(root: Path) -> Path:
    return root.resolve() / "mlruns" / "artifacts"


def uri(root: Path) -> str:
    """The tracking URI; it may hold a password, so show only what `scrub` leaves of it."""
    return os.environ.get(VARIABLE) or f"sqlite:///{database(root)}"


def is_default(root: Path) -> bool:
    return uri(root) == f"sqlite:///{database(root)}"


def is_server(address: str) -> bool:
    return address.startswith(("http://", "https://"))


def scrub(text: str) -> str:
    """The text without passwords and tokens."""
    for name in SECRETS:
        if secret := os.environ.get(name):
            text = text.replace(secret, "***")
    text = re.sub(r"(?<=://)[^/\s]*@", "***@", text)
    return re.sub(r"(?i)\b(password|token|secret)=[^&\s]+", r"\1=***", text)


def check(root: Path) -> None:
    """StoreError where MLflow could not keep the runs of this root; nothing is made."""
    path = database(root)
    if is_default(root) and set(str(path)) & set("?#%"):
        raise StoreError(f"{path}: MLflow cannot use a path with ?, # or %; set --root")


def check_answers(root: Path) -> None:
    """StoreError where the runs are kept by a server that does not answer, or by a database."""
    address = uri(root)
    try:
        parts = urlsplit(address)
        kind, host = parts.scheme.partition("+")[0], parts.hostname
        if is_server(address):
            _ask(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")
        elif host is not None:
            port = parts.port or PORTS.get(kind, 0)
            socket.create_connection((host, port), ANSWER_S).close()
    except (OSError, HTTPException, ValueError) as error:
        raise StoreError(
            f"{VARIABLE}={scrub(address)}: does not answer ({scrub(str(error))}); start it, or "
            f"unset {VARIABLE}: the runs then go to mlruns/, and `ablate sync` sends them later"
        ) from None


def _ask(server: str) -> None:
    """Ask MLflow's server something that it has to look up in its database. OSError: it cannot."""
    place = f"{server.rstrip('/')}/api/2.0/mlflow/experiments/search"
    asked = Request(place, b'{"max_results": 1}', {"Content-Type": "application/json"})
    try:
        urlopen(asked, timeout=ANSWER_S).close()
    except HTTPError as error:
        with error:
            if error.code not in (401, 403):  # it is there, and MLflow's client has the password
                said = error.read(2000).decode("utf-8", "replace")
                raise OSError(f"status {error.code}: {said.strip()[:300]}") from None


def check_inside(folder: Path, parent: Path) -> None:
    """StoreError where a folder that a database names lies elsewhere: others may have made it."""
    if parent not in folder.resolve().parents:
        raise StoreError(f"{folder}: is not under {parent}, so nothing is written there")


def calm_mlflow() -> None:
    """Tell MLflow, before it is imported, neither to phone home nor to wait for minutes."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")


def owner(root: Path) -> str | None:
    """Whose runs a report of this root counts: those that `identity` tags. None: all of the store,
    which lies in mlruns/ itself."""
    return None if is_default(root) else identity(root)


def identity(root: Path) -> str:
    """What tells this mlruns/ from others that send to the same server; moves with the folder."""
    path = root / "mlruns" / ".id"
    if not path.exists():
        with exclusive(root / "mlruns" / ".id.lock", 10):
            if not path.exists():
                write_bytes(path, uuid.uuid4().hex[:12].encode())
    return path.read_text("utf-8").strip()


def allow_readers(path: Path) -> None:
    """Let reports read a database while it is written: the write-ahead log, where it is safe."""
    if file_system(path) in LOCAL_FILE_SYSTEMS:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")


def file_system(path: Path) -> str:
    """The type of the file system that holds a path, as Linux names it; empty: unknown."""
    best, found = -1, ""
    try:
        mounts = Path("/proc/self/mounts").read_text("utf-8", "replace")
    except OSError:
        return ""
    for line in mounts.splitlines():
        _, point, kind, *_ = line.split(" ")
        mount = Path(point.encode().decode("unicode_escape"))
        if path.resolve().is_relative_to(mount) and len(mount.parts) >= best:
            best, found = len(mount.parts), kind
    return found


def follow_a_move(root: Path) -> None:
    """Point artifacts at where mlruns/ lies now: MLflow stores absolute paths.

    The first experiment is made with the database, so its path says where mlruns/ was.
    """
    with closing(sqlite3.connect(database(root), timeout=20)) as connection, connection:
        first = connection.execute(
            "SELECT artifact_location FROM experiments WHERE experiment_id = 0"
        ).fetchone()
        before, now = str(Path(first[0]).parent) if first else "", str(artifacts(root))
        if before in ("", now) or Path(before).name != "artifacts":
            return
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?)"
                f" WHERE substr({column}, 1, ?) = ?",
                (now, len(before) + 1, len(before) + 1, before + "/"),
            )


def ui_command(
    root: Path, host: str, port: int, *, open_to_network: bool
) -> tuple[list[str], dict[str, str]]:
    """The command that shows the runs in MLflow's UI, and its environment.

    MLflow's server asks nobody who they are, so an address that others reach is refused unless
    `open_to_network`. StoreError too where the runs are on a server already.
    """
    address = uri(root)
    if is_server(address):
        raise StoreError(f"the runs are on a server: open {scrub(address)} in a browser")
    if not open_to_network and not _is_loopback(host):
        raise StoreError(
            f"--host {host}: others could reach it, and MLflow's server lets whoever reaches it"
            " change and delete runs; use 127.0.0.1 and an ssh tunnel"
        )
    command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port)]
    command += ["--workers", "1", "--no-serve-artifacts"]
    if not open_to_network:
        command += ["--allowed-hosts", "localhost,localhost:*,127.0.0.1,127.0.0.1:*,[[]::1]:*"]
    environment = {
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": address,  # not an argument: others see those in `ps`
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": str(artifacts(root)),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    return command, environment


def dashboard_command(path: Path, host: str, port: int) -> list[str]:
    """The command that shows an Optuna database in optuna-dashboard.

    It asks nobody who they are, as MLflow's server. StoreError where others could reach the
    address, or where the package is not there.
    """
    if not _is_loopback(host):
        raise StoreError(
            f"--host {host}: others could reach it, and optuna-dashboard lets whoever reaches it "
            "change and delete studies; use 127.0.0.1 and an ssh tunnel"
        )
    program = Path(sysconfig.get_path("scripts")) / "optuna-dashboard"
    if not program.exists():
        raise StoreError(
            "--optuna: optuna-dashboard is not installed: pip install '.[dashboard]' in the "
            "project's folder, or pip install optuna-dashboard"
        )
    return [str(program), f"sqlite:///{path}", "--host", host, "--port", str(port)]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
