"""
What botocore raises, and what Bedrock answers -> ragcore's errors.

Source:
    Codes: the service's model in botocore, and
    https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import urllib3.exceptions as wire
from botocore import exceptions as aws
from botocore.eventstream import ParserError
from botocore.parsers import ResponseParserError

from ragcore import (
    AuthenticationError,
    ContentFilterError,
    ContextLengthError,
    InterruptedStreamError,
    InvalidRequestError,
    NotFoundError,
    OptionsError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    RagcoreError,
    RateLimitError,
    RequestTimeoutError,
    UnavailableError,
    http_error,
    retry_after,
)

# Lower case: in a stream the service writes "throttlingException", else "ThrottlingException".
BY_CODE: dict[str, type[ProviderError]] = {
    "accessdeniedexception": PermissionDeniedError,
    "conflictexception": UnavailableError,
    "internalserverexception": UnavailableError,
    "modelerrorexception": UnavailableError,
    "modelnotreadyexception": UnavailableError,
    "modelstreamerrorexception": UnavailableError,
    "modeltimeoutexception": RequestTimeoutError,
    "resourceinuseexception": UnavailableError,
    "resourcenotfoundexception": NotFoundError,
    "servicequotaexceededexception": QuotaExceededError,
    "serviceunavailableexception": UnavailableError,
    "throttlingexception": RateLimitError,
    "toomanytagsexception": InvalidRequestError,
    "validationexception": InvalidRequestError,
    # Of AWS in general.
    "accessdenied": PermissionDeniedError,
    "authfailure": AuthenticationError,
    "expiredtoken": AuthenticationError,
    "expiredtokenexception": AuthenticationError,
    "incompletesignature": AuthenticationError,
    "incompletesignatureexception": AuthenticationError,
    "internalfailure": UnavailableError,
    "internalservererror": UnavailableError,
    "invalidclienttokenid": AuthenticationError,
    "invalidsignatureexception": AuthenticationError,
    "limitexceededexception": RateLimitError,
    "missingauthenticationtoken": AuthenticationError,
    "missingauthenticationtokenexception": AuthenticationError,
    "notauthorized": PermissionDeniedError,
    "optinrequired": PermissionDeniedError,
    "requestexpired": AuthenticationError,
    "requestlimitexceeded": RateLimitError,
    "requesttimeout": RequestTimeoutError,
    "requesttimeoutexception": RequestTimeoutError,
    "serviceunavailable": UnavailableError,
    "signaturedoesnotmatch": AuthenticationError,
    "slowdown": RateLimitError,
    "throttledexception": RateLimitError,
    "throttling": RateLimitError,
    "toomanyrequestsexception": RateLimitError,
    "unrecognizedclientexception": AuthenticationError,
    "unknownoperationexception": NotFoundError,
    "validationerror": InvalidRequestError,
}

_TOO_LONG = (
    r"too long|too many (input )?tokens|input tokens exceed|expected maxlength"
    r"|context (length|window|limit)|number of (input )?tokens\b.*\bexceed"
)

# The service says much by its message alone; each row belongs to the kind its code stands for.
_BY_MESSAGE: tuple[tuple[type[ProviderError], str, type[ProviderError]], ...] = (
    (RateLimitError, r"per day|daily", QuotaExceededError),
    (PermissionDeniedError, r"api key|security token|authentication failed", AuthenticationError),
    (InvalidRequestError, _TOO_LONG, ContextLengthError),
    (InvalidRequestError, r"content filter|guardrail.*(block|interven)", ContentFilterError),
    (InvalidRequestError, r"model identifier is invalid", NotFoundError),
)

# 500 and above, and what HTTP itself calls transient, are worth another attempt.
_TRANSIENT = (408, 409, 424, 425, 429)

_CURES = (
    (
        r"on-demand throughput",
        "Name an inference profile instead, such as 'us.' or 'global.' before the model.",
    ),
    (
        r"model identifier is invalid",
        "Models differ by region; `list_models` says which are there.",
    ),
    (
        r"don.t have access to the model|not authorized to perform",
        "Allow bedrock:InvokeModel and bedrock:InvokeModelWithResponseStream for it.",
    ),
)

# Of an error that is not in its model, botocore tells neither name nor message.
_NAMELESS = "The service reported an error that this version of botocore does not know."

_CREDENTIALS = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE or AWS_BEARER_TOKEN_BEDROCK, or "
    "pass profile=, session= or bearer_token=."
)
_SIGN_IN = "Sign in again (`aws sso login` or `aws login`), or pass other credentials."
_REGION = "region: missing: pass region= or set AWS_REGION @ aws.region"

_Row = tuple[type[Exception], type[RagcoreError], str]

# Tried from the top; the last row of botocore's own tree is its root, which is for what is wrong
# with botocore's use or setup.
BY_CLASS: tuple[_Row, ...] = (
    (aws.NoRegionError, OptionsError, _REGION),
    (aws.InvalidRegionError, OptionsError, ""),
    (aws.UnknownRegionError, OptionsError, ""),
    (aws.ServiceNotInRegionError, OptionsError, ""),
    (aws.BaseEndpointResolverError, OptionsError, ""),
    (aws.ProfileNotFound, OptionsError, "Check profile= or AWS_PROFILE."),
    (aws.ConfigParseError, OptionsError, ""),
    (aws.ConfigNotFound, OptionsError, ""),
    (aws.InvalidConfigError, OptionsError, ""),
    (aws.InvalidEndpointConfigurationError, OptionsError, ""),
    (aws.EndpointProviderError, OptionsError, ""),
    (aws.InvalidProxiesConfigError, OptionsError, ""),
    (aws.InvalidIMDSEndpointError, OptionsError, ""),
    (aws.InvalidIMDSEndpointModeError, OptionsError, ""),
    (aws.InvalidRetryConfigurationError, OptionsError, ""),
    (aws.InvalidRetryModeError, OptionsError, ""),
    (aws.InvalidMaxRetryAttemptsError, OptionsError, ""),
    (aws.InvalidDefaultsMode, OptionsError, ""),
    (aws.InvalidChecksumConfigError, OptionsError, ""),
    (aws.InvalidSTSRegionalEndpointsConfigError, OptionsError, ""),
    (aws.InvalidS3UsEast1RegionalEndpointConfigError, OptionsError, ""),
    (aws.UnknownSignatureVersionError, OptionsError, ""),
    (aws.UnsupportedSignatureVersionError, OptionsError, ""),
    (aws.PartialCredentialsError, OptionsError, ""),
    (aws.UnknownCredentialError, OptionsError, ""),
    (aws.UnknownTokenProviderError, OptionsError, ""),
    (aws.RefreshWithMFAUnsupportedError, OptionsError, ""),
    (aws.MissingDependencyException, OptionsError, ""),
    (aws.NoCredentialsError, AuthenticationError, _CREDENTIALS),
    (aws.NoAuthTokenError, AuthenticationError, _CREDENTIALS),
    (aws.TokenRetrievalError, AuthenticationError, _SIGN_IN),
    (aws.CredentialRetrievalError, AuthenticationError, ""),
    (aws.SSOError, AuthenticationError, _SIGN_IN),
    (aws.LoginError, AuthenticationError, _SIGN_IN),
    (aws.MetadataRetrievalError, UnavailableError, ""),
    (aws.ReadTimeoutError, RequestTimeoutError, ""),
    (aws.ConnectTimeoutError, RequestTimeoutError, ""),
    (aws.SSLError, UnavailableError, "If the certificate is your own, set AWS_CA_BUNDLE."),
    (aws.ConnectionError, UnavailableError, ""),
    (aws.HTTPClientError, UnavailableError, ""),
    (aws.IncompleteReadError, UnavailableError, ""),
    (aws.CapacityNotAvailableError, UnavailableError, ""),
    (aws.ParamValidationError, InvalidRequestError, ""),
    (aws.ValidationError, InvalidRequestError, ""),
    (aws.MissingParametersError, InvalidRequestError, ""),
    (aws.InvalidHostLabelError, InvalidRequestError, ""),
    # Of no use to this package's calls: pages, waiters, S3, stubs and checksums.
    (aws.BotoCoreError, ProviderError, ""),
    (aws.UndefinedModelAttributeError, ProviderError, ""),
    # What botocore's event stream lets through from below it.
    (wire.ReadTimeoutError, RequestTimeoutError, ""),
    (wire.HTTPError, UnavailableError, "The connection broke off."),
    (ParserError, InterruptedStreamError, "The stream carries what is no event."),
    (ResponseParserError, ProviderError, "The answer can't be read."),
    (UnicodeDecodeError, ProviderError, "The answer can't be read."),
)


@contextmanager
def translated() -> Iterator[None]:
    """Raise ragcore's errors where botocore raises its own."""
    try:
        yield
    except aws.ClientError as exc:
        error = of_answer(exc.response)
        if isinstance(error, AuthenticationError):
            # To a wrong signature the service answers with what it should have signed: tokens too.
            exc.args, exc.response = error.args, {}
        raise error from exc
    except tuple(kind for kind, _, _ in BY_CLASS) as exc:
        raise _of_class(exc) from exc


def _of_class(exc: Exception) -> RagcoreError:
    kind, cure = next((ours, cure) for theirs, ours, cure in BY_CLASS if isinstance(exc, theirs))
    if isinstance(exc, aws.NoRegionError):
        return OptionsError(cure)
    said = " ".join(str(exc).split()) or type(exc).__name__
    return kind(f"{said.rstrip('.')}. {cure}".rstrip())


def of_answer(response: Mapping[str, Any]) -> ProviderError:
    """Return what the error that botocore parsed from an answer, or an event, is called here."""
    error, metadata = response.get("Error", {}), response.get("ResponseMetadata", {})
    code, message = str(error.get("Code", "")), _first_lines(error.get("Message"))
    status = _status(metadata)
    headers = metadata.get("HTTPHeaders", {})
    kind = BY_CODE.get(code.lower().rpartition("#")[2])
    if kind is None:
        by_status = http_error(status or 500, message or code, headers=headers, codes=(code,))
        kind, message = type(by_status), message or code or _NAMELESS
    kind = _refined(kind, message, response)
    return kind(
        _with_cure(message or code),
        status=status,
        request_id=metadata.get("RequestId"),
        retry_after=retry_after(headers),
    )


def _status(metadata: Mapping[str, Any]) -> int | None:
    # An error inside a stream came with 200.
    status = metadata.get("HTTPStatusCode")
    return status if isinstance(status, int) and status >= 400 else None  # noqa: PLR2004


def _refined(
    kind: type[ProviderError], message: str, response: Mapping[str, Any]
) -> type[ProviderError]:
    original = response.get("originalStatusCode")
    if isinstance(original, int) and 400 <= original < 500 and original not in _TRANSIENT:  # noqa: PLR2004
        # A model's own refusal, handed on by "ModelErrorException": asking again won't help.
        kind = InvalidRequestError
    rows = (row for row in _BY_MESSAGE if row[0] is kind)
    return next((to for _, words, to in rows if re.search(words, message.lower())), kind)


def _with_cure(message: str) -> str:
    cures = [cure for words, cure in _CURES if re.search(words, message.lower())]
    return " ".join([message, *cures])


def _first_lines(message: object) -> str:
    return str(message or "").split("\n\n")[0].strip()
