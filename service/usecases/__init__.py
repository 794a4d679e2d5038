"""What can be asked of the platform, one module for each request; `decide` is the main path.

A use case takes the platform and plain values and returns plain values: it knows neither HTTP
nor the command line.
"""
