"""Margins and exact tree SHAP from a LightGBM text model, through its C interface.

The shared library is called directly because importing the Python package brings scikit-learn and
pandas into the serving process. One row or many give the same bits: LightGBM sums the trees of a
row in a fixed order, whatever the batch or the number of threads.

Notes
-----
Attributions are LightGBM's ``pred_contrib``: path-dependent TreeSHAP (Lundberg et al. 2020). The
`EXPLAINER_ID` names it in bundle and record; another exact kernel gets an id of its own.
"""

import ctypes
import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from models.errors import ScorerError

Matrix: TypeAlias = npt.NDArray[np.float64]
EXPLAINER_ID = "lightgbm.pred_contrib"
_FLOAT64, _ROW_MAJOR, _RAW, _CONTRIB = 1, 1, 1, 3


@dataclass(frozen=True, slots=True)
class Scores:
    """Margins and their additive explanation.

    Parameters
    ----------
    margins
        Log-odds, shape ``(n_rows,)``.
    contributions
        SHAP values in log-odds, shape ``(n_rows, n_features)``.
    base_values
        Expected margin, shape ``(n_rows,)``.
    """

    margins: Matrix
    contributions: Matrix
    base_values: Matrix


class Scorer:
    """A loaded model. Safe to use from several threads.

    Parameters
    ----------
    model_text
        LightGBM text model, binary objective, without linear trees.
    n_features
        Columns of the matrix that it scores.

    Raises
    ------
    ScorerError
        When LightGBM cannot load the model or it does not fit `n_features`.
    """

    def __init__(self, model_text: str, n_features: int) -> None:
        if "\nis_linear=1" in model_text:
            raise ScorerError("the model has linear trees, which have no exact tree SHAP")
        self._library = _library()
        self._handle = ctypes.c_void_p()
        rounds = ctypes.c_int()
        self._check(
            self._library.LGBM_BoosterLoadModelFromString(
                model_text.encode(), ctypes.byref(rounds), ctypes.byref(self._handle)
            )
        )
        width = ctypes.c_int()
        self._check(self._library.LGBM_BoosterGetNumFeature(self._handle, ctypes.byref(width)))
        if width.value != n_features:
            raise ScorerError(f"the model takes {width.value} features, the schema {n_features}")
        self._n_features = n_features

    def score(self, matrix: Matrix, threads: int = 1) -> Scores:
        """Return margins and attributions.

        Parameters
        ----------
        matrix
            Shape ``(n_rows, n_features)``, NaN where a value is missing.
        threads
            How many threads LightGBM may use; the result does not depend on it.

        Raises
        ------
        ScorerError
            When LightGBM fails.
        """
        rows = np.ascontiguousarray(matrix, dtype=np.float64)
        margins = self.margins(rows, threads)
        explained = self._predict(rows, _CONTRIB, self._n_features + 1, threads)
        return Scores(margins, explained[:, :-1], explained[:, -1])

    def margins(self, matrix: Matrix, threads: int = 1) -> Matrix:
        """Return margins alone, shape ``(n_rows,)``, the same bits as `score` gives.

        Raises
        ------
        ScorerError
            When LightGBM fails.
        """
        rows = np.ascontiguousarray(matrix, dtype=np.float64)
        return self._predict(rows, _RAW, 1, threads)[:, 0]

    def _predict(self, rows: Matrix, what: int, width: int, threads: int) -> Matrix:
        out = np.empty((rows.shape[0], width), dtype=np.float64)
        length = ctypes.c_int64()
        self._check(
            self._library.LGBM_BoosterPredictForMat(
                self._handle,
                ctypes.c_void_p(rows.ctypes.data),
                ctypes.c_int(_FLOAT64),
                ctypes.c_int32(rows.shape[0]),
                ctypes.c_int32(rows.shape[1]),
                ctypes.c_int(_ROW_MAJOR),
                ctypes.c_int(what),
                ctypes.c_int(0),
                ctypes.c_int(-1),
                f"num_threads={threads}".encode(),
                ctypes.byref(length),
                ctypes.c_void_p(out.ctypes.data),
            )
        )
        return out

    def _check(self, status: int) -> None:
        if status != 0:
            text: bytes = self._library.LGBM_GetLastError()
            raise ScorerError(f"LightGBM: {text.decode(errors='replace')}")

    def __del__(self) -> None:
        free: Callable[..., int] | None = getattr(
            getattr(self, "_library", None), "LGBM_BoosterFree", None
        )
        if free is not None and self._handle:
            free(self._handle)


@cache
def _library() -> ctypes.CDLL:
    found = importlib.util.find_spec("lightgbm")
    if found is None or found.origin is None:
        raise ScorerError("LightGBM is not installed", "Install it: make setup.")
    folder = Path(found.origin).parent / "lib"
    candidates = sorted(folder.glob("lib_lightgbm.*"))
    if not candidates:
        raise ScorerError(f"no lib_lightgbm in {folder.name}", "Install it again: make setup.")
    library = ctypes.CDLL(str(candidates[0]))
    library.LGBM_GetLastError.restype = ctypes.c_char_p
    return library


def lightgbm_version() -> str:
    """Return the installed LightGBM's version, without importing it."""
    return importlib.metadata.version("lightgbm")
