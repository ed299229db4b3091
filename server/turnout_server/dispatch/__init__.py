"""One call's way from admitted request to last event."""
