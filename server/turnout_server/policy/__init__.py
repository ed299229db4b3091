"""Pure decisions, without I/O or an event loop: what to try, how long to wait, whom to let in."""
