"""Attacks on a log with real records of every form: each has to be found, and named."""
