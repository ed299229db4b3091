"""Who calls: set by the auth interceptor, read by whoever makes the Call.

A ContextVar set in a grpc.aio interceptor is visible in the handler of the same RPC (measured), so
no stream needs wrapping to carry it.
"""

from contextvars import ContextVar

from turnout_server.core.call import ANONYMOUS, Identity

caller: ContextVar[Identity] = ContextVar("caller", default=ANONYMOUS)
