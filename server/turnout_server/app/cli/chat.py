"""`turnout chat`: streams one answer to stdout."""

import argparse
import signal
import sys
from collections.abc import Iterable

import grpc
from turnout.v1 import chat_service_pb2 as pb
from turnout.v1.chat_service_pb2_grpc import ChatServiceStub
from turnout.v1.content_pb2 import ROLE_SYSTEM, ROLE_USER, Message

from turnout_server.app.cli.complaint import Complaint, complain
from turnout_server.app.cli.connection import connect
from turnout_server.app.cli.output import print_json


def chat(options: argparse.Namespace) -> int:
    """Ask once and print the answer as it arrives."""
    request = _request(options)
    with connect(options) as connection:
        stream = ChatServiceStub(connection.channel).Chat(
            request, timeout=connection.timeout_s, metadata=connection.metadata
        )
        try:
            _cancel_on_interrupt(stream)
            if options.json:
                for event in stream:
                    print_json(event)
            else:
                _print_text(stream)
        finally:
            stream.cancel()  # an interrupted command must not leave the provider writing
    return 0


def _cancel_on_interrupt(stream: grpc.Call) -> None:
    """Let Ctrl-C end the call itself: a KeyboardInterrupt alone may get lost in a callback."""

    def interrupt(*_: object) -> None:
        stream.cancel()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)


def _request(options: argparse.Namespace) -> pb.ChatRequest:
    text = options.text if options.text is not None else sys.stdin.read()
    if not text.strip():
        raise Complaint("no question; give TEXT or write it to stdin", exit_status=2)
    messages = [Message(role=ROLE_USER, text=text)]
    if options.system:
        messages.insert(0, Message(role=ROLE_SYSTEM, text=options.system))
    return pb.ChatRequest(
        model=options.model, messages=messages, max_output_tokens=options.max_output_tokens
    )


def _print_text(stream: Iterable[pb.ChatResponse]) -> None:
    generation, wrote = 0, False
    finish = pb.Finish()
    try:
        for event in stream:
            if event.generation != generation:
                generation = event.generation
                complain("another provider begins anew; what stands above is void")
            if event.text_delta:
                wrote = True
                print(event.text_delta, end="", flush=True)
            elif event.HasField("finish"):
                finish = event.finish
    finally:
        if wrote:
            print(flush=True)
    _note(finish)


def _note(finish: pb.Finish) -> None:
    """Say what a reader of the bare text would miss."""
    for warning in finish.warnings:
        kind = pb.Warning.Kind.Name(warning.kind).removeprefix("KIND_").lower()
        complain(f"{warning.field} was {kind}: {warning.message}")
    if finish.reason not in (pb.FINISH_REASON_STOP, pb.FINISH_REASON_STOP_SEQUENCE):
        reason = pb.FinishReason.Name(finish.reason).removeprefix("FINISH_REASON_")
        complain(f"the answer ended by {reason}")
