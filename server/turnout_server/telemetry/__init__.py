"""Observers of calls: logs, traces, metrics and usage."""
