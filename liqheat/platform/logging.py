"""Structured logs: one JSON object per line, or coloured lines where a person watches.

Each process calls `configure` once; modules take `structlog.get_logger()`.
"""

import logging
import sys

import structlog

from liqheat.platform.errors import ConfigurationError
from liqheat.platform.repeated_lines import RepeatedLines

LEVELS = ("debug", "info", "warning", "error")


def configure(level: str = "info", style: str = "json") -> None:
    """Set up logging to standard error for this process; `style` is `json` or `console`.

    Raises:
        ConfigurationError: unknown level or style.
    """
    if level not in LEVELS:
        raise ConfigurationError(f"Expected a log level out of {', '.join(LEVELS)}, was {level!r}")
    if style not in ("json", "console"):
        raise ConfigurationError(f"Expected the log style json or console, was {style!r}")
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    threshold = getattr(logging, level.upper())
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if style == "json":
        # The console's renderer writes tracebacks itself.
        shared.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    # Libraries (aiokafka, faust, kafka) log through the standard module: warnings and worse, same shape.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    handler.addFilter(RepeatedLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(threshold, logging.WARNING))
