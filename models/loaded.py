"""A bundle and a policy ready to decide: everything in memory, nothing decided yet."""

import platform
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version

import numpy as np

from models.bundle import Bundle
from models.calibration import Calibration
from models.conformal import Conformal
from models.domain import ModelRef, PolicyRef, Runtime
from models.errors import InvariantError
from models.features import Extractor, feature_code
from models.kind import Kind
from models.order import OrderSchema
from models.policy import CompiledPolicy
from models.policy_document import Policy
from models.reasons import ReasonCatalogue
from models.scorer import EXPLAINER_ID, Scorer, lightgbm_version
from models.thresholds import parse_thresholds


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """Everything that deciding needs, ready in memory; made by `load_model`."""

    kind: Kind
    schema: OrderSchema
    extractor: Extractor
    categories: dict[str, dict[str, float]]
    scorer: Scorer
    calibration: Calibration
    conformal: Conformal | None
    catalogue: ReasonCatalogue
    policy: CompiledPolicy
    thresholds: tuple[tuple[float, ...], ...]
    model_ref: ModelRef
    policy_ref: PolicyRef
    runtime: Runtime


def load_model(
    bundle: Bundle, model_ref: ModelRef, policy: Policy, policy_ref: PolicyRef
) -> LoadedModel:
    """Make a bundle and a policy ready to decide.

    Raises
    ------
    InvariantError
        When this version does not have the bundle's explainer.
    ScorerError
        When LightGBM refuses the model.
    KindFileError
        When the kind names a feature function that does not exist.
    PolicyError
        When the policy reads values that the kind does not have, or its graph may not be used.
    """
    if bundle.explainer.id != EXPLAINER_ID:
        raise InvariantError(f"no explainer {bundle.explainer.id!r} in this version")
    return LoadedModel(
        kind=bundle.kind,
        schema=OrderSchema(bundle.kind),
        extractor=Extractor(bundle.kind),
        categories={
            name: {value: float(code) for code, value in enumerate(values)}
            for name, values in bundle.categories.items()
        },
        scorer=Scorer(bundle.model_text, len(bundle.kind.features)),
        calibration=bundle.calibration,
        conformal=bundle.conformal,
        catalogue=ReasonCatalogue(bundle.kind),
        policy=CompiledPolicy(policy, bundle.kind.value_types()),
        thresholds=parse_thresholds(bundle.model_text, len(bundle.kind.features)),
        model_ref=model_ref,
        policy_ref=policy_ref,
        runtime=present_runtime(),
    )


@cache
def present_runtime() -> Runtime:
    """Return the versions of the code that would decide now."""
    return Runtime(
        candor=version("candor"),
        cpu=_instructions(),
        explainer=f"{EXPLAINER_ID}/{lightgbm_version()}",
        feature_code=feature_code(),
        libc=" ".join(platform.libc_ver()).strip(),
        lightgbm=lightgbm_version(),
        machine=platform.machine(),
        numpy=np.__version__,
        python=platform.python_version(),
        rapidfuzz=version("rapidfuzz"),
        scipy=version("scipy"),
        zen_engine=version("zen-engine"),
    )


def _instructions() -> str:
    # Those that NumPy found and may use; without any, what it was built for.
    built = np.show_config(mode="dicts")["SIMD Extensions"]
    return " ".join([*built["baseline"], *built.get("found", [])])
