"""Asking ClickHouse's HTTP interface as any program would, byte by byte where that matters."""

import http.client
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def code(self) -> int:
        """ClickHouse's error code; 0: none."""
        return int(self.headers.get("X-ClickHouse-Exception-Code", 0))


@dataclass(frozen=True, slots=True)
class Server:
    """Where it answers."""

    host: str
    port: int
    user: str = "default"
    password: str = ""

    def send(
        self,
        method: str,
        body: bytes | Iterator[bytes] = b"",
        *,
        path: str = "/",
        headers: Mapping[str, str] | None = None,
        **fields: object,
    ) -> Reply:
        """One request on a connection of its own. An iterator is sent in chunks."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_S)
        query = f"?{urlencode(fields)}" if fields else ""
        known = {"X-ClickHouse-User": self.user, "X-ClickHouse-Key": self.password} if self.password else {}
        try:
            chunked = not isinstance(body, bytes)
            connection.request(method, path + query, body, {**known, **(headers or {})}, encode_chunked=chunked)
            answer = connection.getresponse()
            return Reply(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def ask(self, statement: str, **fields: object) -> Reply:
        """A statement in the body."""
        return self.send("POST", statement.encode(), **fields)  # type: ignore[arg-type]

    def rows(self, statement: str, **fields: object) -> list[list[str]]:
        """The answer's cells; an assertion error where it is a refusal."""
        reply = self.ask(statement, default_format="TabSeparated", **fields)
        assert reply.status == http.client.OK, reply.text
        return [line.split("\t") for line in reply.text.splitlines()]
