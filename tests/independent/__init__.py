"""Our proofs, checked by verifiers that others wrote."""
