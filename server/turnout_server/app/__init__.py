"""What a person or a supervisor starts: commands, configuration and the wiring of every room."""
