"""What a request asks for, by ClickHouse's HTTP interface: its query string, its headers, its body."""

from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from urllib.parse import parse_qsl, urlsplit

from watchkeeper.embedded.engine import Statement
from watchkeeper.embedded.statements import refusal

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_MAX_FIELDS = 2000
_PARAMETER = "param_"
# What the interface itself understands. Everything else is a setting.
_RESERVED = frozenset(
    {
        "query",
        "database",
        "default_format",
        "compress",
        "decompress",
        "enable_http_compression",
        "http_zlib_compression_level",
        "session_id",
        "session_timeout",
        "session_check",
        "query_id",
        "user",
        "password",
        "quota_key",
        "role",
        "buffer_size",
        "wait_end_of_query",
        "client_protocol_version",
        "send_progress_in_http_headers",
        "http_headers_progress_interval_ms",
        "stacktrace",
        "close_session",
        "framing",
        "http_write_exception_in_output_format",
        "cancel_http_readonly_queries_on_client_close",
    }
)
_NOT_FOUND = frozenset({46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 124, 511})
_BAD_REQUEST = frozenset(
    {6, 10, 15, 25, 26, 27, 36, 38, 41, 44, 53, 62, 69, 72, 117, 158, 167, 168, 259, 376, 427, 675, 676}
)
_STATUS = {159: 408, 189: 413, 48: 501, 209: 503, 76: 503, 439: 503, 497: 403, 192: 403, 193: 403, 516: 403, 194: 401}


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        statement: What to execute.
        compressible: Whether the answer may be compressed.
        whole: Whether the client wants the answer only when all of it is known.
    """

    statement: Statement
    compressible: bool
    whole: bool


def request_of(target: str, headers: Message, body: bytes, *, readonly: bool) -> Request:
    """What a request asks for.

    Raises:
        Refused: It asks for what the embedded ClickHouse cannot do.
    """
    try:
        fields = dict(parse_qsl(urlsplit(target).query, keep_blank_values=True, max_num_fields=_MAX_FIELDS))
    except ValueError as error:
        raise refusal(36, "BAD_ARGUMENTS", f"The query string cannot be read: {error}") from None
    _refuse_what_is_missing(fields, headers)
    query = fields.get("query", "").encode()
    return Request(
        Statement(
            text=query or body,
            data=body if query else b"",
            database=fields.get("database") or headers.get("X-ClickHouse-Database") or "",
            format=fields.get("default_format") or headers.get("X-ClickHouse-Format") or "TabSeparated",
            parameters=_parameters(fields),
            settings={n: v for n, v in fields.items() if n not in _RESERVED and not n.startswith(_PARAMETER)},
            readonly=readonly,
        ),
        compressible=fields.get("enable_http_compression", "0") not in ("0", "false", ""),
        whole=fields.get("wait_end_of_query", "0") not in ("0", "false", ""),
    )


def _refuse_what_is_missing(fields: Mapping[str, str], headers: Message) -> None:
    if headers.get("Content-Type", "").lower().startswith("multipart/"):
        raise refusal(48, "NOT_IMPLEMENTED", "External data and forms are not in the embedded ClickHouse")
    for name in ("compress", "decompress"):
        if fields.get(name, "0") not in ("0", "false", ""):
            reason = f"{name}=1 is not in the embedded ClickHouse; use enable_http_compression=1 or Content-Encoding"
            raise refusal(48, "NOT_IMPLEMENTED", reason)


def _parameters(fields: Mapping[str, str]) -> dict[str, str]:
    return {name.removeprefix(_PARAMETER): value for name, value in fields.items() if name.startswith(_PARAMETER)}


def status_of(code: int) -> int:
    """HTTP status of one of ClickHouse's error codes."""
    if code in _NOT_FOUND:
        return 404
    return 400 if code in _BAD_REQUEST else _STATUS.get(code, 500)


def foreign(headers: Message) -> bool:
    """Whether a request is a web page's of another host, or came under another host's name.

    A page that a browser shows can reach loopback ports. Browsers say whose page it was; and a page whose host name
    was made to point to this machine comes with that name.
    """
    host, origin = headers.get("Host"), headers.get("Origin")
    name = _hostname(f"//{host}") if host else "localhost"
    if name not in LOOPBACK or (origin is not None and _hostname(origin) not in LOOPBACK):
        return True
    return headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin", "same-site")


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
