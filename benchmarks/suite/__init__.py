"""A generated suite of runs with known events, and the scorer that judges detectors by it."""
