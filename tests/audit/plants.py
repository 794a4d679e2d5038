"""Changes that the drills plant."""

from dataclasses import replace

import numpy as np

from models.scorer import Matrix, Scorer, Scores


class LastBit(Scorer):
    """Scores as another build of the library might: one bit off."""

    def score(self, rows: Matrix, threads: int = 1) -> Scores:
        """Return the scores with margins and base values moved by one bit."""
        scores = super().score(rows, threads)
        up = {
            "margins": np.nextafter(scores.margins, np.inf),
            "base_values": np.nextafter(scores.base_values, np.inf),
        }
        return replace(scores, **up)
