"""The HTTP routes under `/v1`, one module for each part of the contract.

A route reads what HTTP carries, calls one use case and renders what it returns; `access` says who
may call it, `schemas` and `contract` describe it in the OpenAPI document.
"""
