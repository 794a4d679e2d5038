"""Tests, mirroring the packages; journeys drive HTTP and CLI end to end, trials use real data."""
