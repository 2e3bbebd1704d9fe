"""What the OpenAI SDK raises -> ragcore's errors."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from ragcore import (
    AuthenticationError,
    ContentFilterError,
    OptionsError,
    ProviderError,
    RagcoreError,
    RequestTimeoutError,
    UnavailableError,
)
from ragcore.wire import is_lost, misdirected, reported

Row = Callable[[Any], RagcoreError]


def _by_status(exc: Any) -> ProviderError:
    response = exc.response
    body = response.text if exc.body is None else exc.body
    return reported(body, exc.status_code, headers=response.headers)


@functools.cache
def table(address_option: str) -> Mapping[str, Row]:
    """Return the rows of a service whose address is said by *address_option*."""

    def by_status(exc: Any) -> ProviderError:
        error = _by_status(exc)
        if is_lost(error):
            return misdirected(error, str(exc.response.url), address_option)
        return error

    return {name: by_status if row is _by_status else row for name, row in TABLE.items()}


# Each class of the SDK has its row, so that a new one is noticed; by name, since not every release
# of the SDK has them all.
TABLE: dict[str, Row] = {
    "APITimeoutError": RequestTimeoutError,
    "APIConnectionError": UnavailableError,
    "BadRequestError": _by_status,
    "AuthenticationError": _by_status,
    "OAuthError": _by_status,
    "PermissionDeniedError": _by_status,
    "NotFoundError": _by_status,
    "ConflictError": _by_status,
    "UnprocessableEntityError": _by_status,
    "RateLimitError": _by_status,
    "InternalServerError": _by_status,
    "APIStatusError": _by_status,
    "APIResponseValidationError": ProviderError,
    "APIError": ProviderError,
    "LengthFinishReasonError": ProviderError,
    "ContentFilterFinishReasonError": ContentFilterError,
    "SubjectTokenProviderError": AuthenticationError,
    "WebSocketConnectionClosedError": UnavailableError,
    "WebSocketQueueFullError": UnavailableError,
    "MutuallyExclusiveAuthError": OptionsError,
    "InvalidWebhookSignatureError": ProviderError,
    "MissingDependencyError": ProviderError,
    "StreamAlreadyConsumed": ProviderError,
    "APIRemovedInV1": ProviderError,
    "_AmbiguousModuleClientUsageError": ProviderError,
    "AgentOutputParseError": ProviderError,
    "AgentFilePreparationError": ProviderError,
    "AgentFileStagingError": ProviderError,
    "AgentTurnResultError": ProviderError,
    "OpenAIError": ProviderError,
}
