"""The commands of `turnout`: what an operator runs, and small callers of each service."""
