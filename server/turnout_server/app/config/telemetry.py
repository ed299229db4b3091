"""`telemetry`: what the process tells of itself."""

from typing import Literal

from turnout_server.app.config.section import Section, Url


class TelemetryConfig(Section):
    """What the process tells of itself; prompts and answers are never part of it."""

    otlp_endpoint: Url | None = None
    """Where traces and metrics are sent by OTLP over gRPC, such as `http://127.0.0.1:4317`."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important line that is logged."""

    log_format: Literal["json", "console"] = "json"
    """JSON for machines, console for people."""
