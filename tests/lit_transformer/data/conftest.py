"""A made-up corpus in files, and a web server on loopback that can misbehave."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

from lit_transformer.config import DataConfig, FilePair, FilesConfig

NOUNS = ["dog", "cat", "bird", "house", "tree", "river", "child", "farmer"]
VERBS = ["sees", "finds", "likes", "follows", "paints"]


class Reply(NamedTuple):
    """What the server answers: status, body, and the length that it claims."""

    status: int
    body: bytes
    claimed: int


class Server:
    """The address, the replies by file name, and the names asked for so far."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.replies: dict[str, Reply] = {}
        self.asked: list[str] = []
        self._failing: set[str] = set()

    def put(self, name: str, body: bytes, claimed: int | None = None) -> None:
        """Serve `body`, under another length than its own where one is claimed."""
        self.replies[name] = Reply(200, body, len(body) if claimed is None else claimed)

    def fail_once(self, name: str) -> None:
        """Answer the next request for `name` with an error of the server's."""
        self._failing.add(name)

    def answer(self, name: str) -> Reply:
        self.asked.append(name)
        if name in self._failing:
            self._failing.remove(name)
            return Reply(503, b"", 0)
        return self.replies.get(name, Reply(404, b"", 0))


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reply = server.answer(self.path.rpartition("/")[2])
            self.send_response(reply.status)
            self.send_header("Content-Length", str(reply.claimed))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server = Server(f"http://127.0.0.1:{http.server_port}/raw")
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        yield server
        http.shutdown()
        thread.join()


def sentences(count: int) -> list[tuple[str, str]]:
    """Pairs of a toy language and its mirror image."""
    pairs = []
    for i in range(count):
        words = ["the", NOUNS[i % 8], VERBS[i // 8 % 5], "the", NOUNS[i // 40 % 8]]
        pairs.append((" ".join(words), " ".join(word[::-1] for word in words[::-1])))
    return pairs


@pytest.fixture
def write_corpus(tmp_path: Path) -> Callable[..., DataConfig]:
    """write_corpus(train=[(source, target), ...], vocabulary_size=...) -> its configuration."""

    def write(train: list[tuple[str, str]] | None = None, **knobs: object) -> DataConfig:
        parts = {"train": sentences(200) if train is None else train, "valid": sentences(7)}
        files = {}
        for part, pairs in parts.items():
            paths = tmp_path / f"{part}.source", tmp_path / f"{part}.target"
            for side, path in enumerate(paths):
                path.write_text("".join(pair[side] + "\n" for pair in pairs), "utf-8")
            files[part] = FilePair(source=str(paths[0]), target=str(paths[1]))
        given = {"corpus": "files", "files": FilesConfig(**files), "vocabulary_size": 60, **knobs}
        return DataConfig.model_validate(given)

    return write
