"""Opens and closes boto3's clients."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from typing import Any
from urllib.parse import urlsplit

import attrs
import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.tokens import FrozenAuthToken

from lightrag_bedrock._answers import read_here
from lightrag_bedrock._errors import translated
from lightrag_bedrock._log import masked
from lightrag_bedrock._sockets import make_breakable
from lightrag_bedrock._threads import Threads
from lightrag_bedrock.options import LOGGERS, BedrockOptions
from ragcore import OptionsError, Secret
from ragcore.wire import HEADER, redacted

# The host's limits hold for all but this: nobody is there who has not answered by then.
_CONNECT_TIMEOUT = 10  # seconds

_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")


@attrs.frozen
class Bedrock:
    """
    An account's Bedrock.

    Attributes:
        runtime: boto3's client of ``bedrock-runtime``; blocks.
        threads: Where it may block.
        open_control: Makes boto3's client of ``bedrock``, which lists models; blocks.
    """

    runtime: Any
    threads: Threads
    open_control: Callable[[], Any] = attrs.field(repr=False)


@asynccontextmanager
async def connect(connection: BedrockOptions) -> AsyncIterator[Bedrock]:
    """Open boto3's client of *connection*; its requests run in threads of its own."""
    _check(connection)
    threads = Threads(connection.max_connections)
    try:
        with masked():
            with translated():
                # Finding credentials reads files, and may ask a metadata service.
                account = await threads.run(lambda: _Account.open(connection))
                runtime = await threads.run(
                    lambda: account.client("bedrock-runtime", connection.endpoint_url)
                )
            with closing(runtime), redacted(LOGGERS, *account.found):
                yield Bedrock(runtime, threads, lambda: account.client("bedrock", account.control))
    finally:
        threads.close()


@attrs.frozen
class _Account:
    """
    Who asks, and where.

    Attributes:
        found: Credentials that boto3 found by itself.
    """

    session: Any = attrs.field(repr=False)
    connection: BedrockOptions
    found: tuple[Secret, ...]

    @classmethod
    def open(cls, connection: BedrockOptions) -> _Account:
        session = connection.session or _session(connection)
        is_given = connection.access_key_id or _uses_bearer(connection)
        return cls(session, connection, () if is_given else _found(session))

    @property
    def control(self) -> str | None:
        """Where models are listed: beside the runtime, if that is not Amazon's own address."""
        url = self.connection.endpoint_url
        host = urlsplit(url).hostname or "" if url else ""
        return None if host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws")) else url

    def client(self, service: str, endpoint_url: str | None) -> Any:
        keys = self.connection
        client = self.session.client(
            service,
            region_name=_region(self.connection),
            endpoint_url=endpoint_url,
            verify=_authority(self.session),
            aws_access_key_id=_value(keys.access_key_id),
            aws_secret_access_key=_value(keys.secret_access_key),
            aws_session_token=_value(keys.session_token),
            config=_config(self.connection),
        )
        make_breakable(client)
        read_here(client)
        return client


def _session(connection: BedrockOptions) -> Any:
    session = botocore.session.Session(profile=connection.profile)
    if _uses_bearer(connection):
        session.register_component("token_provider", _OneToken(connection.bearer_token))
        session.register_component("credential_provider", _NoCredentials())
    return boto3.Session(botocore_session=session)


def _authority(session: Any) -> str | None:
    """Return the file of the authority that all programs trust, unless AWS's have one of theirs."""
    # boto3 has no public way to what its session was configured with.
    own = session._session.get_config_variable("ca_bundle")  # noqa: SLF001  # see above
    return None if own else os.environ.get("SSL_CERT_FILE")


class _OneToken:
    """What botocore asks for a bearer token, which it else reads from the environment alone."""

    def __init__(self, token: Secret | None) -> None:
        self._token = token

    def load_token(self, **_: Any) -> FrozenAuthToken | None:
        return FrozenAuthToken(self._token.get()) if self._token else None


class _NoCredentials:
    """What botocore asks for credentials, which beside a token it would look for in vain."""

    def load_credentials(self) -> None:
        return None


def _config(connection: BedrockOptions) -> Config:
    settings: dict[str, Any] = {}
    # What is given outright beats a bearer token of the environment, which botocore would prefer.
    if connection.access_key_id:
        settings["signature_version"] = "v4"
    elif _uses_bearer(connection):
        settings["signature_version"] = "bearer"
    return Config(
        connect_timeout=_CONNECT_TIMEOUT,
        read_timeout=None,
        max_pool_connections=connection.max_connections,
        # botocore's own default is five attempts.
        retries={"total_max_attempts": 1, "mode": "standard"},
        **settings,
    )


def _uses_bearer(connection: BedrockOptions) -> bool:
    """Say whether a token signs; what a session of the user's does is for botocore to say."""
    others = (connection.access_key_id, connection.session)
    return connection.bearer_token is not None and others == (None, None)


def _region(connection: BedrockOptions) -> str | None:
    """Return the region to name; a session's own beats the environment's."""
    if connection.session and connection.session.region_name and _is_ambient(connection.region):
        return None
    return connection.region


def _is_ambient(region: str | None) -> bool:
    return region is None or region in (os.environ.get(name) for name in _REGIONS)


def _value(secret: Secret | None) -> str | None:
    return None if secret is None else secret.get()


def _found(session: Any) -> tuple[Secret, ...]:
    """Return what no log may show; a key's identifier, too, is nobody else's business."""
    found = session.get_credentials()
    # Others change while the client is open; to read them may take a request.
    if type(found) is not Credentials:
        return ()
    values = (found.access_key, found.secret_key, found.token)
    secrets = tuple(Secret(value) for value in values if value)
    for secret in secrets:
        # urllib3 would quote the header.
        if problem := HEADER.problem(secret):
            raise OptionsError(f"an AWS credential that was found {problem} @ aws")
    return secrets


def _check(connection: BedrockOptions) -> None:
    """
    Refuse what can't be meant; what a weaker source says is not here any more.

    Raises:
        OptionsError: With every problem.
    """
    problems = []
    if connection.session_token and not connection.access_key_id:
        problems.append("session_token: goes with access_key_id and secret_access_key @ aws")
    if connection.access_key_id and connection.bearer_token:
        problems.append("bearer_token: access_key_id is given too; leave one out @ aws")
    if connection.session is not None:
        problems += [
            f"{name}: the session has its own; leave one out @ aws.{name}"
            for name in ("access_key_id", "bearer_token", "profile")
            if getattr(connection, name) is not None
        ]
    if _uses_bearer(connection) and (connection.endpoint_url or "").lower().startswith("http:"):
        problems.append("endpoint_url: a bearer token is sent over https only @ aws.endpoint_url")
    if problems:
        raise OptionsError("\n".join(problems), problems=problems)
