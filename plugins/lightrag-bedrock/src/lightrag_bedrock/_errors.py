"""
What botocore raises, and what Bedrock answers -> ragcore's errors.

Source:
    Codes: the service's model in botocore, and
    https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from botocore.exceptions import ClientError

from ragcore import (
    AuthenticationError,
    ContextLengthError,
    InvalidRequestError,
    NotFoundError,
    OptionsError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    RagcoreError,
    RateLimitError,
    RequestTimeoutError,
    TransientError,
    UnavailableError,
    http_error,
)
from ragcore.wire import (
    Phrase,
    described,
    is_lost,
    misdirected,
    reported,
    translating,
    transport_error,
)

# In lower case: in a stream the service writes "throttlingException", else "ThrottlingException".
_CODES: dict[type[ProviderError], str] = {
    AuthenticationError: """
        authfailure expiredtoken expiredtokenexception incompletesignature
        incompletesignatureexception invalidclienttokenid invalidsignatureexception
        missingauthenticationtoken missingauthenticationtokenexception requestexpired
        signaturedoesnotmatch unrecognizedclientexception
    """,
    InvalidRequestError: "toomanytagsexception validationerror validationexception",
    NotFoundError: "resourcenotfoundexception unknownoperationexception",
    PermissionDeniedError: "accessdenied accessdeniedexception notauthorized optinrequired",
    QuotaExceededError: "servicequotaexceededexception",
    RateLimitError: """
        limitexceededexception requestlimitexceeded slowdown throttledexception throttling
        throttlingexception toomanyrequestsexception
    """,
    RequestTimeoutError: "modeltimeoutexception requesttimeout requesttimeoutexception",
    UnavailableError: """
        conflictexception internalfailure internalservererror internalserverexception
        modelerrorexception modelnotreadyexception modelstreamerrorexception
        resourceinuseexception serviceunavailable serviceunavailableexception
    """,
}
BY_CODE = {code: kind for kind, codes in _CODES.items() for code in codes.split()}

# The service says much by its message alone.
_PHRASES = (
    Phrase(
        "api key|security token|authentication failed",
        AuthenticationError,
        (PermissionDeniedError,),
    ),
    Phrase(
        "don.t have access to the model|not authorized to perform",
        PermissionDeniedError,
        (PermissionDeniedError,),
        cure="allow bedrock:InvokeModel and bedrock:InvokeModelWithResponseStream for it",
    ),
    Phrase("too long", ContextLengthError),
    Phrase(
        "model identifier is invalid",
        NotFoundError,
        cure="models differ by region; `list_models` says which are there",
    ),
    Phrase(
        "on-demand throughput",
        InvalidRequestError,
        cure="name an inference profile instead, such as 'us.' or 'global.' before the model",
    ),
)


def translated() -> AbstractContextManager[None]:
    """Raise ragcore's errors where botocore raises its own."""
    return translating(TABLE)


def of_answer(response: Mapping[str, Any]) -> ProviderError:
    """Return what the error that botocore parsed from an answer, or an event, is called here."""
    said, metadata = response.get("Error", {}), response.get("ResponseMetadata", {})
    code = str(said.get("Code", ""))
    name = code.lower().rpartition("#")[2]
    codes = {**BY_CODE, name: InvalidRequestError} if _is_models_refusal(response) else BY_CODE
    # What follows an empty line is what should have been signed: session tokens, too.
    message = str(said.get("Message") or "").split("\n\n")[0].strip()
    error = reported(
        {"message": message or code, "code": name},
        metadata.get("HTTPStatusCode"),
        headers=metadata.get("HTTPHeaders"),
        codes=codes,
        more_phrases=_PHRASES,
        unknown=UnavailableError,
    )
    error.request_id = metadata.get("RequestId")
    address = response.get("Address")
    return misdirected(error, address, "endpoint_url") if address and is_lost(error) else error


def _is_models_refusal(response: Mapping[str, Any]) -> bool:
    """Say whether a model refused what "ModelErrorException" hands on: asking again won't help."""
    original = response.get("originalStatusCode")
    return isinstance(original, int) and not isinstance(http_error(original, ""), TransientError)


# --- the table ------------------------------------------------------------------------------


def _by_answer(exc: ClientError) -> RagcoreError:
    error = of_answer(exc.response)
    if isinstance(error, AuthenticationError):
        exc.args, exc.response = error.args, {}
    return error


def _by_certificate(exc: Exception) -> RagcoreError:
    if "CERTIFICATE_VERIFY_FAILED" in str(exc):
        cure = "if the certificate is your own, set AWS_CA_BUNDLE or SSL_CERT_FILE"
        return ProviderError(f"{described(exc)}; {cure}")
    return _by_root(exc)


def _by_root(exc: Exception) -> RagcoreError:
    """Name what went wrong on the network, or with the use or setup of botocore."""
    return transport_error(exc) or ProviderError(described(exc))


def _by_no_region(_: Exception) -> RagcoreError:
    return OptionsError("region: missing: pass region= or set AWS_REGION @ aws.region")


def _cured(kind: type[RagcoreError], cure: str) -> Callable[[Exception], RagcoreError]:
    return lambda exc: kind(f"{described(exc)}; {cure}")


_CREDENTIALS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE or AWS_BEARER_TOKEN_BEDROCK, or "
    "pass profile=, session= or bearer_token="
)
_SIGN_IN = "sign in again (`aws sso login` or `aws login`), or pass other credentials"

# By name, since releases of botocore differ in the classes that they have.
_ROWS: dict[Callable[[Any], RagcoreError], str] = {
    _by_answer: "ClientError",
    _by_certificate: "SSLError",
    _by_root: "BotoCoreError UndefinedModelAttributeError",
    _by_no_region: "NoRegionError",
    _cured(OptionsError, "check profile= or AWS_PROFILE"): "ProfileNotFound",
    OptionsError: """
        InvalidRegionError UnknownRegionError ServiceNotInRegionError BaseEndpointResolverError
        ConfigParseError ConfigNotFound InvalidConfigError InvalidEndpointConfigurationError
        EndpointProviderError InvalidProxiesConfigError InvalidIMDSEndpointError
        InvalidIMDSEndpointModeError InvalidRetryConfigurationError InvalidRetryModeError
        InvalidMaxRetryAttemptsError InvalidDefaultsMode InvalidChecksumConfigError
        InvalidSTSRegionalEndpointsConfigError InvalidS3UsEast1RegionalEndpointConfigError
        UnknownSignatureVersionError UnsupportedSignatureVersionError PartialCredentialsError
        UnknownCredentialError UnknownTokenProviderError RefreshWithMFAUnsupportedError
        MissingDependencyException
    """,
    _cured(AuthenticationError, _CREDENTIALS): "NoCredentialsError NoAuthTokenError",
    _cured(AuthenticationError, _SIGN_IN): "TokenRetrievalError SSOError LoginError",
    AuthenticationError: "CredentialRetrievalError",
    UnavailableError: """
        MetadataRetrievalError CapacityNotAvailableError ResponseParserError ParserError
    """,
    InvalidRequestError: """
        ParamValidationError ValidationError MissingParametersError InvalidHostLabelError
    """,
}
TABLE = {name: row for row, names in _ROWS.items() for name in names.split()}
