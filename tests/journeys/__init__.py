"""Journeys end to end: HTTP, command line, crashes."""
