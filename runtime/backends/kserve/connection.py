"""The connection to a server: time-outs, and waiting for a server that was lost."""

import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from masklet.runtime.backends.kserve.channel import OPTIONS, TOKEN_VARIABLE, Address
from masklet.runtime.backends.kserve.library import LOST, load_client, reason, status
from masklet.runtime.bundle.served_model import ServedModel
from masklet.runtime.errors import MaskletWarning, SessionError

POLL_S = 0.25  # between two questions whether a lost server is back


class RefusedError(SessionError):
    """The server answered a request with an error."""


class Connection:
    """A server of the KServe V2 protocol, over gRPC. Threads may share it.

    url:       HOST:PORT of its gRPC service, after grpcs:// if it speaks TLS.
    authority: certificates that its own is checked with, see `Address.credentials`.
    timeout_s: of one call.
    wait_s:    how long a server that was lost is waited for. Stages keep no state on the server, so a call is simply
               repeated when it is back.
    client:    the client of Triton's library; what else its RPCs offer.
    server:    the name and version that the server gives.
    extensions: the extensions of the protocol that it offers.
    outages:   how often it was lost.
    Raises SessionError if the address is none, nobody answers there, or the server refuses the token.
    """

    def __init__(self, url: str | None, timeout_s: float, wait_s: float, authority: Path | None = None) -> None:
        for flag, seconds in (("--server-timeout", timeout_s), ("--server-wait", wait_s)):
            if seconds <= 0:
                raise SessionError(f"{flag} {seconds:g}: wanted more than 0 seconds")
        address = Address.parse(url)
        self._grpc = load_client()
        self._timeout_s, self._wait_s = timeout_s, wait_s
        self._lock, self._is_lost = Lock(), False
        self.outages, self.url, self.encrypted = 0, address.url, address.encrypted
        credentials = address.credentials(authority)
        self.client: Any = self._grpc.InferenceServerClient(self.url, creds=credentials, channel_args=OPTIONS)
        try:
            said = self.client.get_server_metadata(client_timeout=timeout_s)
        except self._grpc.InferenceServerException as error:
            raise self._unanswered(url, error) from None
        self.server, self.extensions = f"{said.name} {said.version}".strip(), tuple(said.extensions)

    def _unanswered(self, url: str | None, error: Exception) -> SessionError:
        if status(error) in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
            return SessionError(f"--url {url}: the server refuses: {reason(error)}; set {TOKEN_VARIABLE} to its token")
        return SessionError(
            f"--url {url}: no server of the KServe V2 protocol answers there: {reason(error)}; start it, or give "
            "the address of its gRPC service"
        )

    def is_ready(self, model: ServedModel) -> bool:
        """Whether the server has a model in this version, loaded."""
        try:
            return bool(self.ask(self.client.is_model_ready, model.name, model.version))
        except RefusedError:
            return False

    def ask(self, rpc: Callable[..., Any], *words: Any) -> Any:
        """Call an RPC of the client once. Raises RefusedError if the server answers with an error."""
        try:
            return rpc(*words, client_timeout=self._timeout_s)
        except self._grpc.InferenceServerException as error:
            kind = SessionError if status(error) in LOST else RefusedError
            raise kind(f"{self.url}: {reason(error)}") from None

    def infer(self, model: ServedModel, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
        """Run a model; returns the result of the client library.

        If the server is lost, waits until it is back with the model and calls it again. Raises RefusedError if the
        server answers with an error, SessionError if it does not come back in time.
        """
        give_up_s: float | None = None
        while True:
            try:
                result = self.client.infer(
                    model.name, inputs, model.version, outputs=outputs, client_timeout=self._timeout_s
                )
            except self._grpc.InferenceServerException as error:
                if status(error) not in LOST:
                    raise RefusedError(f"{self.url}: {reason(error)}") from None
                give_up_s = give_up_s or time.monotonic() + self._wait_s
                self._note_lost(reason(error))
                self._await(model, give_up_s, reason(error))
            else:
                self._is_lost = False
                return result

    def _note_lost(self, why: str) -> None:
        with self._lock:
            if not self._is_lost:
                self._is_lost = True
                self.outages += 1
                times = "" if self.outages == 1 else f", for the {self.outages}th time"
                line = f"{self.url} was lost{times} ({why}); waiting up to {self._wait_s:g} s for it"
                warnings.warn(line, MaskletWarning, stacklevel=2)

    def _await(self, model: ServedModel, give_up_s: float, why: str) -> None:
        """Wait until the model is ready. Raises SessionError once it is too late."""
        while time.monotonic() < give_up_s:
            try:
                if self.is_ready(model):
                    return
                why = f"it has no model {model.name} of version {model.version} any more"
            except SessionError:
                pass
            time.sleep(POLL_S)
        raise SessionError(f"{self.url} did not come back within {self._wait_s:g} s: {why}")
