"""What a call costs: CPU of the server per request and per token, beside a bare grpc.aio stream."""
