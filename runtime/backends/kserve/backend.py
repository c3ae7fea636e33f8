"""The backend: finds the stages of a bundle among the models of a server, by name and by the hash of the graph."""

from pathlib import Path

from masklet.runtime.backends.kserve.connection import Connection, RefusedError
from masklet.runtime.backends.kserve.session import KServeSession
from masklet.runtime.backends.kserve.shared_memory import SharedRegions, can_share
from masklet.runtime.backends.session import check_tensors
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import Artifact
from masklet.runtime.bundle.served_model import ServedModel, served_name
from masklet.runtime.bundle.spec import StageSpec
from masklet.runtime.errors import SessionError

REPOSITORY = "write its model repository with `masklet serve`"


class KServe:
    """Opens stages as models of a server of the KServe V2 protocol.

    url:       HOST:PORT of its gRPC service, after grpcs:// for TLS.
    served_as: what the names of its models begin with, see `served_name`.
    authority: certificates that the server's is checked with; None for those of the system.
    timeout_s: of one call. wait_s: how long a server that was lost is waited for.
    Raises SessionError if Triton's client library is not installed, or nobody answers at the address.
    """

    engine_machine: str | None = None  # the server runs a graph of this bundle: its hash is its version

    def __init__(
        self,
        url: str | None,
        *,
        served_as: str | None = None,
        authority: Path | None = None,
        timeout_s: float = 10.0,
        wait_s: float = 60.0,
    ) -> None:
        self._connection = Connection(url, timeout_s, wait_s, authority)
        self._served_as = served_as
        self._shares = can_share(self._connection)
        self.ran_on: dict[str, str] = {}

    def __str__(self) -> str:
        """The server, and where it is."""
        shared = ", shared memory" if self._shares else ""
        tls = ", TLS" if self._connection.encrypted else ""
        return f"{self._connection.server or 'a server'} at {self._connection.url}{tls}{shared}"

    def artifact(self, bundle: Bundle, stage: StageSpec) -> Artifact:
        """The artifact of the bundle that the server has. Raises SessionError if it has none of them."""
        return self._found(bundle, stage)[0]

    def open(self, bundle: Bundle, stage: StageSpec) -> KServeSession:
        artifact, model = self._found(bundle, stage)
        self._check_tensors(stage, model)
        self.ran_on[stage.name] = f"{self}, {artifact.format}, {artifact.precision}"
        return KServeSession(stage, self._connection, model, SharedRegions(self._connection) if self._shares else None)

    def _found(self, bundle: Bundle, stage: StageSpec) -> tuple[Artifact, ServedModel]:
        of_stage = [artifact for artifact in bundle.manifest.artifacts if artifact.stage == stage.name]
        served = [(artifact, ServedModel.of(bundle.model, artifact, self._served_as)) for artifact in of_stage]
        for artifact, model in served:
            if self._connection.is_ready(model):
                return artifact, model
        raise self._missing(bundle, stage, [model for _, model in served])

    def _missing(self, bundle: Bundle, stage: StageSpec, wanted: list[ServedModel]) -> SessionError:
        name = served_name(bundle.model, stage.name, self._served_as)
        try:
            said = self._connection.ask(self._connection.client.get_model_metadata, name)
        except RefusedError:
            return SessionError(f"stage {stage.name!r}: {self._connection.url} has no model {name!r}; {REPOSITORY}")
        there = ", ".join(said.versions) or "none that is named"
        here = " or ".join(model.version for model in wanted)
        return SessionError(
            f"stage {stage.name!r}: {self._connection.url} has another graph as {name!r}: version {there}, that of "
            f"this bundle is {here} (its SHA-256); {REPOSITORY} again"
        )

    def _check_tensors(self, stage: StageSpec, model: ServedModel) -> None:
        said = self._connection.ask(self._connection.client.get_model_metadata, model.name, model.version)
        names = {tensor.name for tensor in (*said.inputs, *said.outputs)}
        if names:  # a server need not know them
            check_tensors(stage, names)
