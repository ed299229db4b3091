"""Turnout itself with a scripted provider, for the cases of cases.json: README.md says how.

python clients/smoke/gateway.py --port-file FILE [--with-parent]
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "server"), str(ROOT / "generated" / "python")]

import grpc  # noqa: E402
import uvloop  # noqa: E402
from turnout.v1.chat_service_pb2 import ChatRequest  # noqa: E402
from turnout.v1.chat_service_pb2_grpc import ChatServiceStub  # noqa: E402
from turnout.v1.content_pb2 import ROLE_USER, Message  # noqa: E402
from turnout.v1.embed_service_pb2 import EmbedRequest  # noqa: E402
from turnout.v1.embed_service_pb2_grpc import EmbedServiceStub  # noqa: E402
from turnout.v1.usage_service_pb2 import USAGE_DIMENSION_MODEL, QueryUsageRequest  # noqa: E402
from turnout.v1.usage_service_pb2_grpc import UsageServiceStub  # noqa: E402

import gateway_table  # noqa: E402
import report  # noqa: E402
from ready import Ready, serve  # noqa: E402
from turnout_server.app.settings import read_settings  # noqa: E402
from turnout_server.app.wiring import Gateway  # noqa: E402
from turnout_server.core.call import Call, Priority  # noqa: E402
from turnout_server.core.target import Secret  # noqa: E402
from turnout_server.core.watch import CallRecord, Observer  # noqa: E402
from turnout_server.providers.scripted.client import Client  # noqa: E402
from turnout_server.rpc.api_keys import new_key  # noqa: E402
from turnout_server.rpc.calls import NO_DEADLINE_S  # noqa: E402

PEPPER = "of the smoke tests"
KEYS: dict[str, dict[str, Any]] = {
    "caller": {"tenant": "smoke", "may_act_for": ["acme"]},
    "reader": {"tenant": "reader", "models": ["chat", "embed"]},
    "spent": {"tenant": "spent"},
}
"""Keys by their name in the table. Nothing is left of `spent`'s one call a minute."""
HOST = "127.0.0.1"


@dataclass(slots=True)
class Seen(Observer):
    """Tells the report what the gateway knows of each call, as far as its observers are told."""

    report: report.Report
    under_way: dict[int, report.SeenCall] = field(default_factory=dict)
    provider: Client | None = None

    def accepted(self, call: Call) -> None:
        """See Observer."""
        self.under_way[id(call)] = self.report.begin(
            call.method,
            call.model.removeprefix("smoke:"),
            _metadata(call),
            has_deadline=call.deadline - call.started < NO_DEADLINE_S[call.method],
        )

    def ended(self, call: Call, record: CallRecord) -> None:
        """See Observer. A stream upstream is closed before its call is over."""
        seen = self.under_way.pop(id(call), None)
        if seen is None:
            return
        if self.provider is not None:
            seen.upstreams_open = self.provider.open[record.route.model]
        gone = record.code in ("CANCELLED", "DEADLINE_EXCEEDED")
        self.report.end(seen, "ok" if record.code == "OK" else "cancelled" if gone else "failed")


def _metadata(call: Call) -> dict[str, str]:
    """What the caller sent, read back from what the gateway made of it."""
    told = {"x-request-id": call.request_id, "x-tenant-id": call.identity.tenant}
    if call.idempotency_key:
        told["idempotency-key"] = call.idempotency_key
    if call.priority is Priority.BATCH:
        told["x-priority"] = "batch"
    return {**told, **call.trace_headers}


@asynccontextmanager
async def _open(port_file: Path) -> AsyncIterator[Ready]:
    cases = json.loads((HERE / "cases.json").read_text("utf-8"))["cases"]
    keys = {name: new_key(Secret(PEPPER)) for name in KEYS}
    texts = {name: key.text for name, key in keys.items()}
    table_file = port_file.with_name("gateway_cases.json")
    table_file.write_text(json.dumps(gateway_table.table(cases, texts)), "utf-8")
    entries = [{"id": key.id, "hmac": key.digest.hex(), **KEYS[name]} for name, key in keys.items()]
    seen = Seen(report.Report())
    async with AsyncExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        gateway = await opened.enter_async_context(_running(folder, cases, entries, seen))
        await _use_up(f"{HOST}:{gateway.port}", texts)
        http = report.serve(seen.report)
        opened.callback(http.shutdown)
        yield {
            "address": f"{HOST}:{gateway.port}",
            "report": report.url_of(http),
            "api_key": texts["caller"],
            "cases": str(table_file),
        }


@asynccontextmanager
async def _running(
    folder: Path, cases: list[Any], entries: Iterable[Any], seen: Seen
) -> AsyncIterator[Gateway]:
    keys_file, config_file = folder / "keys.json", folder / "turnout.yaml"
    keys_file.write_text(json.dumps({"keys": list(entries)}))
    config = {
        "server": {"listen": f"{HOST}:0", "drain_grace": "1s"},
        "auth": {"api_keys_file": str(keys_file), "api_keys_pepper": {"env": "PEPPER"}},
        "providers": {name: {"row": "scripted", "keys": []} for name in ("scripted", "spare")},
        "models": gateway_table.aliases(cases),
        "limits": {"tenants": {"spent": {"rpm": 1}}},
        "usage": {"url": f"sqlite:///{folder}/usage.db"},
    }
    config_file.write_text(json.dumps(config, ensure_ascii=False), "utf-8")  # JSON is YAML
    gateway = Gateway(read_settings(config_file, {"PEPPER": PEPPER}), [seen])
    await gateway.start()
    provider = gateway.snapshot().providers["scripted"]
    assert isinstance(provider, Client)
    seen.provider = provider
    running = asyncio.create_task(gateway.run())
    try:
        yield gateway
    finally:
        await gateway.stop(lame_duck_s=0)
        running.cancel()


async def _use_up(address: str, keys: dict[str, str]) -> None:
    """Make the calls that some cases ask about: all of one tenant's limit, another's usage."""
    hello = ChatRequest(model="chat", messages=[Message(role=ROLE_USER, text="Hello.")])
    async with grpc.aio.insecure_channel(address) as channel:
        chat: Any = ChatServiceStub(channel)
        embed: Any = EmbedServiceStub(channel)
        usage: Any = UsageServiceStub(channel)
        reader = (("authorization", f"Bearer {keys['reader']}"),)
        await chat.CompleteChat(hello, metadata=(("authorization", f"Bearer {keys['spent']}"),))
        await chat.CompleteChat(hello, metadata=reader)
        await embed.Embed(EmbedRequest(model="embed", texts=["hello"]), metadata=reader)
        query = QueryUsageRequest(dimensions=[USAGE_DIMENSION_MODEL])
        query.start_time.GetCurrentTime()
        query.start_time.seconds -= 3600
        while len((await usage.QueryUsage(query, metadata=reader)).rows) < 2:  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    uvloop.run(serve("Serve cases.json by Turnout itself.", _open))
