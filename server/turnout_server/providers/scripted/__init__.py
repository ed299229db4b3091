"""A provider that says what its model's name tells it to: for tests, demos and benchmarks."""
