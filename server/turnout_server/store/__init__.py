"""The I/O that policies need: cache, shared counters and ledger."""
