"""The errors of splitting."""

from models.errors import PlatformError


class SplitPolicyError(PlatformError):
    """A split policy does not say what it must say."""

    code = "split-policy-invalid"
    default_remedy = "Correct the split policy at the place that the detail names."


class PlanInvalidError(PlatformError):
    """A plan breaks a hard constraint or its costs do not add up, so it must not be answered."""

    code = "plan-invalid"
    default_remedy = "Report it with the order; decide this order by hand."


class SolverError(PlatformError):
    """The optimiser failed for another reason than its limits."""

    code = "solver-failed"
    default_remedy = "Try again; when it fails again, decide this order by hand and report it."
