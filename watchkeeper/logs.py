"""Structured logs on standard error: key-value lines for people, JSON for machines. Nothing logs each record."""

import logging
import sys
from typing import Literal

import structlog
from structlog.types import Processor

_PAIRS = structlog.processors.KeyValueRenderer(
    key_order=["timestamp", "level", "process", "logger", "event"], drop_missing=True
)
NOISY = ("aiokafka", "faust", "mode", "clickhouse_connect", "urllib3", "asyncio")


def configure(process: str, *, level: str = "info", style: Literal["text", "json"] = "text") -> None:
    """Sets up the logs of this process; the libraries' own come out in the same form, from warnings on.

    Args:
        process: Name of the process, on every line.
        level: Least severity: debug, info, warning or error.
        style: `text` or `json`.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=_common(process), processors=_last(style))
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*_common(process), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _common(process: str) -> list[Processor]:
    def named(_: object, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        return {"process": process, **event}

    return [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        named,
    ]


def _last(style: Literal["text", "json"]) -> list[Processor]:
    if style == "json":
        return [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(),
        ]
    return [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        _line,
    ]


def _line(logger: object, name: str, event: structlog.types.EventDict) -> str:
    """Key-value pairs; a traceback below them, so that the last line says what went wrong."""
    trace = event.pop("exception", None)
    pairs = str(_PAIRS(logger, name, event))
    return f"{pairs}\n{trace}" if trace else pairs
