"""Anthropic's Messages API, for Claude and every server that speaks it.

client     one endpoint: sends, and streams what comes back
encode     request to body (turns, media, thinking, options)      pure
decode     bytes to events (events, blocks)                       pure
failures   exceptions and error bodies to ProviderFailure
"""

from turnout_server.providers.anthropic_messages.client import Client
from turnout_server.providers.anthropic_messages.options import Options

__all__ = ["Client", "Options"]
