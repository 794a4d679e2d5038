"""From records to rows, words, pictures and pages: what an auditor reads.

Read `evidence.build_evidence` first: it writes an evidence bundle (`bundle_range`, `bundle_walk`,
`bundle_extras`, `bundle_spool`) that `verifier` checks without us. `analytics`
answers SQL over archive and hot store.
"""

__all__ = [
    "analytics",
    "bundle_extras",
    "bundle_range",
    "bundle_spool",
    "bundle_walk",
    "errors",
    "evidence",
    "verifier",
]
