"""What can go wrong on the way from a table to a registered model."""

from models.errors import PlatformError


class TrainingError(PlatformError):
    """A model could not be trained from what was given."""

    code = "training-failed"
    default_remedy = "Correct the data or the kind as the detail says, then train again."


class TableError(TrainingError):
    """A CSV file is not the table that the kind describes."""

    code = "table-invalid"
    default_remedy = "Correct the row and column that the detail names, or the kind's column names."


class RegistryError(TrainingError):
    """The model registry does not hold what was asked for."""

    code = "registry-failed"
    default_remedy = "Check that the registry below var/mlflow is the one the model was trained in."


class SimulationError(TrainingError):
    """The simulator was asked for what it cannot draw."""

    code = "simulation-refused"
    default_remedy = "Ask for a kind that is simulated and for a number of orders in its range."
