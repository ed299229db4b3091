"""A caller in a process of its own, to be killed: `python -m tests.fault.lone_caller PORT MODEL`.

It prints a line when the answer's first event has come.
"""

import sys

import grpc
from turnout.v1.chat_service_pb2 import ChatRequest
from turnout.v1.chat_service_pb2_grpc import ChatServiceStub
from turnout.v1.content_pb2 import ROLE_USER, Message


def main(port: str, model: str) -> None:
    """Call, and read to the end."""
    request = ChatRequest(model=model, messages=[Message(role=ROLE_USER, text="hello")])
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for _ in ChatServiceStub(channel).Chat(request):
            print("speaks", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
