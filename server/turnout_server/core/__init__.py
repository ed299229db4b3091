"""Words every room shares: call, target, failure, error, watch, clock. Imports no other room."""
