"""A fault-injecting upstream: `FaultServer` (faultd) speaks both wires by script, `TcpProxy`
(tcpx) spoils the connection to any server, `answer` is the text a good script says.
"""

from tests.fault.upstream.addresses import black_hole, closed_port
from tests.fault.upstream.embeddings_script import vector
from tests.fault.upstream.exchange import INPUT_TOKENS, SCRIPTS
from tests.fault.upstream.faultd import FaultServer
from tests.fault.upstream.record import RecordedRequest
from tests.fault.upstream.script import Script, UnknownScript
from tests.fault.upstream.stream_faults import AFTER_FINISH
from tests.fault.upstream.tcp_proxy import TcpProxy, Weather
from tests.fault.upstream.tokens import answer, continuation
from tests.fault.upstream.transport_faults import POISON

__all__ = [
    "AFTER_FINISH",
    "INPUT_TOKENS",
    "POISON",
    "SCRIPTS",
    "FaultServer",
    "RecordedRequest",
    "Script",
    "TcpProxy",
    "UnknownScript",
    "Weather",
    "answer",
    "black_hole",
    "closed_port",
    "continuation",
    "vector",
]
