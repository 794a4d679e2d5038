"""Tests of the split."""
