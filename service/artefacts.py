"""What a record rests on, as it lies on disk: which of it is no longer what the record names.

Nothing altered is ever loaded, so a replay that meets it is not made; but it is named.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from audit.causes import Cause, Factor, others
from audit.versions import Versions, parse_versions
from models.bundle import find_altered
from models.content_store import find_digest

_TABLES: Final = ("calibration.json", "conformal.json")


@dataclass(frozen=True, slots=True)
class Artefacts:
    """Folders of content-addressed files.

    Parameters
    ----------
    bundles, policies, kinds, references
        One folder each.
    """

    bundles: Path
    policies: Path
    kinds: Path
    references: Path

    def find_altered(self, facts: bytes) -> tuple[Cause, ...]:
        """Return what on disk is not what a decision's facts part names.

        Parameters
        ----------
        facts
            The stored bytes.

        Returns
        -------
        tuple of Cause
            One for each file that is there and is another; what is not there at all is left out.

        Raises
        ------
        BundleCorruptError
            When a file cannot be read.
        RecordMalformedError
            When the facts name no model and policy.
        """
        made = parse_versions(facts)
        return (*self._of_model(made), *self._of_documents(made))

    def _of_model(self, made: Versions) -> Iterator[Cause]:
        for name, (named, kept) in find_altered(self.bundles, made.model.bundle).items():
            factor = Factor.CALIBRATION if name in _TABLES else Factor.MODEL
            yield Cause(factor, name, named, kept)

    def _of_documents(self, made: Versions) -> Iterator[Cause]:
        named = [
            (Factor.MODEL, "kind", self.kinds, made.model.bundle),
            (Factor.POLICY, "policy", self.policies, made.policy.digest),
            *(
                (Factor.REFERENCE, one.name, self.references, one.digest)
                for one in made.surroundings.references
            ),
        ]
        for factor, part, folder, digest in named:
            kept = find_digest(folder, digest)
            if kept is not None:
                yield from others(factor, part, digest, kept)


# Where a record names each factor that can lie on disk.
PLACES: Final[Mapping[Factor, str]] = {
    Factor.MODEL: "/model/bundle",
    Factor.CALIBRATION: "/model/bundle",
    Factor.POLICY: "/policy/digest",
    Factor.REFERENCE: "/surroundings/references",
}
