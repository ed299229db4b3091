"""Turnout: one gRPC contract in front of many language-model providers."""
