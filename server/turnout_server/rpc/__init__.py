"""The gRPC surface: one thin file for each service, its guards, and the table of errors."""
