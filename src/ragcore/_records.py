"""
What goes into a call and what comes out.

Records are frozen attrs classes: made once, compared by value, changed by
:func:`attrs.evolve`.
"""

from __future__ import annotations

import base64
import binascii
import re
import typing
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

import attrs

from ragcore.errors import (
    AuthenticationError,
    EmptyResponseError,
    InterruptedStreamError,
    NotFoundError,
    PermissionDeniedError,
    ProviderError,
    QuotaExceededError,
    TransientError,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "content_filter"]
InputType = Literal["query", "document"]
Truncate = Literal["error", "end"]
OnUnsupported = Literal["error", "warn", "prompt"]
Rung = Literal["native", "object", "schema", "prompted", "repaired"]
ParsedT = TypeVar("ParsedT")

_DATA_URL = re.compile(
    r"data:(?P<media_type>[\w.+-]+/[\w.+-]+)?(?:;[^,;]+)*;base64,(?P<data>.*)", re.DOTALL
)
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


def _media_type_of(data: bytes) -> str:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    for signature, media_type in _SIGNATURES:
        if data.startswith(signature):
            return media_type
    raise ValueError(
        "These bytes are no PNG, JPEG, GIF or WebP image; name another format with media_type=."
    )


@attrs.frozen
class Image:
    """
    A picture to look at, as bytes or as an address.

    Made by :meth:`from_path`, :meth:`from_bytes`, :meth:`from_url` and :meth:`from_base64`.
    PNG, JPEG, GIF and WebP are told apart by their first bytes.

    Attributes:
        data: The file's bytes, or None if *url* says where it is.
        url: ``https`` address that the service fetches by itself.
        media_type: ``"image/png"`` and so on; empty for an address.
    """

    data: bytes | None = attrs.field(repr=lambda data: f"<{len(data or b'')} bytes>")
    url: str | None = None
    media_type: str = attrs.field(default="", kw_only=True)

    def __attrs_post_init__(self) -> None:
        if (self.data is None) == (self.url is None):
            raise ValueError("An image is either data or a url.")

    @classmethod
    def from_path(cls, path: str | PathLike[str]) -> Image:
        """Read the file at *path*, now."""
        return cls.from_bytes(Path(path).read_bytes())

    @classmethod
    def from_bytes(cls, data: bytes, media_type: str | None = None) -> Image:
        """Take *data* as it is; *media_type* is found from its first bytes if not given."""
        return cls(data, media_type=media_type or _media_type_of(data))

    @classmethod
    def from_base64(cls, text: str, media_type: str | None = None) -> Image:
        """Decode base64, bare or as a ``data:`` URL."""
        if match := _DATA_URL.fullmatch(text):
            text, media_type = match["data"], media_type or match["media_type"]
        try:
            data = base64.b64decode("".join(text.split()), validate=True)
        except binascii.Error as exc:
            raise ValueError(f"An image is not valid base64: {exc}.") from exc
        return cls.from_bytes(data, media_type)

    @classmethod
    def from_url(cls, url: str) -> Image:
        """Point to *url*; a ``data:`` URL is decoded."""
        return cls.from_base64(url) if url.startswith("data:") else cls(None, url=url)

    @property
    def data_url(self) -> str:
        """The image as an address: its own, or a ``data:`` URL."""
        if self.data is None:
            return str(self.url)
        return f"data:{self.media_type};base64,{base64.b64encode(self.data).decode()}"


def _images(images: Iterable[Image]) -> tuple[Image, ...]:
    return tuple(images)


@attrs.frozen
class Message:
    """One turn of a conversation."""

    role: Role = attrs.field(validator=attrs.validators.in_(typing.get_args(Role)))
    content: str = attrs.field(validator=attrs.validators.instance_of(str))
    images: tuple[Image, ...] = attrs.field(
        default=(),
        kw_only=True,
        converter=_images,
        validator=attrs.validators.deep_iterable(attrs.validators.instance_of(Image)),
    )


def system(content: str) -> Message:
    """Say how the model is to behave."""
    return Message("system", content)


def user(content: str, *, images: Iterable[Image] = ()) -> Message:
    """Ask."""
    return Message("user", content, images=images)


def assistant(content: str) -> Message:
    """Say what the model answered before."""
    return Message("assistant", content)


@attrs.frozen
class JSONObject:
    """Ask for any one JSON object."""


@attrs.frozen
class JSONSchema:
    """Ask for JSON that fits *schema* (JSON Schema, draft 2020-12)."""

    schema: Mapping[str, Any] = attrs.field(hash=False)
    name: str = "answer"
    strict: bool = attrs.field(default=True, kw_only=True)


@attrs.frozen
class Usage:
    """
    Tokens that a call cost, as the service counted them.

    Cached and reasoning tokens are contained in input and output tokens.
    """

    input_tokens: int
    output_tokens: int = 0
    cached_input_tokens: int = attrs.field(default=0, kw_only=True)
    reasoning_tokens: int = attrs.field(default=0, kw_only=True)

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            cached_input_tokens=self.cached_input_tokens + other.cached_input_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
        )


@attrs.frozen(kw_only=True)
class Timings:
    """
    Where the time of a call went, in seconds.

    Attributes:
        queued: Waiting for a free slot.
        retrying: From the first attempt's start to the last one's: failures and waits.
        first_chunk: From the call to the first content; for an answer in one piece, *total*.
        total: From the call to the end of the answer.
        attempts: How many were made.
    """

    queued: float = 0.0
    retrying: float = 0.0
    first_chunk: float = 0.0
    total: float = 0.0
    attempts: int = 1


_seconds: Any = attrs.validators.optional(attrs.validators.gt(0))


@attrs.frozen
class Retry:
    """
    How persistent a call is. Times are in seconds.

    Between attempts *n* and *n + 1* the host waits a random time up to
    ``min(wait_max, wait_initial * 2 ** (n - 1))`` ("full jitter"), or what the service
    asked for (``Retry-After``) and a little more. What asks for more than ``wait_longest`` is not
    waited for: the error comes out at once. ``Retry(attempts=1)`` never tries again.

    ``attempt_timeout`` is the limit of an attempt up to its answer, or the first chunk of a stream.
    ``first_chunk_timeout`` is a limit for streams alone: without a chunk by then, the attempt has
    timed out. After that, ``idle_timeout`` is how long a stream may stay silent.

    Source:
        Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    attempts: int = attrs.field(default=3, validator=attrs.validators.ge(1))
    attempt_timeout: float | None = attrs.field(default=None, kw_only=True, validator=_seconds)
    first_chunk_timeout: float | None = attrs.field(default=None, kw_only=True, validator=_seconds)
    idle_timeout: float | None = attrs.field(default=60.0, kw_only=True, validator=_seconds)
    wait_initial: float = attrs.field(default=0.5, kw_only=True, validator=attrs.validators.ge(0))
    wait_max: float = attrs.field(default=20.0, kw_only=True, validator=attrs.validators.ge(0))
    wait_longest: float = attrs.field(default=300.0, kw_only=True, validator=attrs.validators.ge(0))


@attrs.frozen(repr=False)
class Fallback:
    """
    Models that are asked one after another; made by :func:`ragcore.fallback`.

    Attributes:
        models: References, each with its options.
        on: The errors upon which the next model is asked; :class:`ragcore.ProviderError` stands for
            those that are of no other class.
    """

    DEFAULT_ON: ClassVar[tuple[type[ProviderError], ...]] = (
        TransientError,
        AuthenticationError,
        PermissionDeniedError,
        NotFoundError,
        QuotaExceededError,
        InterruptedStreamError,
        EmptyResponseError,
        ProviderError,
    )

    models: tuple[tuple[str, Mapping[str, Any]], ...]
    on: tuple[type[ProviderError], ...] = DEFAULT_ON

    @property
    def references(self) -> tuple[str, ...]:
        """The models' references."""
        return tuple(reference for reference, _ in self.models)

    def __repr__(self) -> str:
        # Options may hold keys.
        return f"fallback({', '.join(map(repr, self.references))})"


@attrs.frozen
class CompletionRequest:
    """
    What a completion backend is handed: one attempt.

    Attributes:
        messages: At least one.
        options: The provider's option class; model- and call-scoped options merged.
        response_format: What the answer must be, for the backend to ask for natively.
        max_output_tokens: Upper bound of the answer, in tokens.
        attempt_timeout: Seconds that this attempt has; the host cancels it after them.
    """

    messages: tuple[Message, ...]
    options: Any
    response_format: JSONObject | JSONSchema | None = attrs.field(default=None, kw_only=True)
    max_output_tokens: int | None = attrs.field(default=None, kw_only=True)
    attempt_timeout: float | None = attrs.field(default=None, kw_only=True)


_finish_reason = attrs.validators.in_(typing.get_args(FinishReason))


@attrs.frozen(kw_only=True)
class Completion:
    """
    An answer.

    Attributes:
        text: What the model said, without its reasoning.
        finish_reason: ``"length"`` if the token limit cut it, ``"content_filter"`` if a filter did.
        usage: None where the service does not say.
        reasoning: What it thought before, where the service shows it.
        provider: Name of the provider that answered; filled in by the host.
        model: The model's name as the service says it, or else as it was asked for.
        request_id: The service's identifier of the request.
        structured: How JSON was asked for, if it was: ``"native"``, as the service offers it;
            ``"object"``, for an object of the service's and the schema in words; ``"schema"``, for
            an object by a schema; ``"prompted"``, in words alone; ``"repaired"``, when nothing else
            came, by a library.
        parsed: The instance, where *response_format* was a class.
        timings: Filled in by the host.
    """

    text: str = attrs.field(kw_only=False)
    finish_reason: FinishReason = attrs.field(default="stop", validator=_finish_reason)
    usage: Usage | None = None
    reasoning: str = ""
    provider: str | None = None
    model: str | None = None
    request_id: str | None = None
    structured: Rung | None = None
    parsed: Any = None
    timings: Timings = attrs.field(factory=Timings)


@attrs.frozen(kw_only=True)
class ParsedCompletion(Completion, Generic[ParsedT]):
    """An answer whose *parsed* is an instance of the class that was asked for."""

    parsed: ParsedT


@attrs.frozen
class Chunk:
    """
    A piece of a streamed answer.

    Attributes:
        text: May be empty.
        reasoning: May be empty.
        finish_reason: On the last chunk, which may have no text; None before.
        usage: On the last chunk, where the service says it.
    """

    text: str = ""
    reasoning: str = ""
    finish_reason: FinishReason | None = attrs.field(
        default=None, kw_only=True, validator=attrs.validators.optional(_finish_reason)
    )
    usage: Usage | None = attrs.field(default=None, kw_only=True)


@attrs.frozen(kw_only=True)
class EmbeddingRequest:
    """
    What an embedding backend is handed: one attempt.

    Attributes:
        texts: At least one.
        input_type: ``"query"`` for what is asked, ``"document"`` for what is searched.
        dimensions: Asked for, where the model can choose; else None.
        truncate: ``"error"``: a text that is too long is a :class:`ContextLengthError`;
            ``"end"``: its end is cut off and its position reported.
        options: The provider's option class.
        attempt_timeout: Seconds that this attempt has; the host cancels it after them.
    """

    texts: tuple[str, ...] = attrs.field(kw_only=False)
    input_type: InputType = "document"
    dimensions: int | None = None
    truncate: Truncate = "error"
    options: Any = None
    attempt_timeout: float | None = None


def _positions(positions: Iterable[int]) -> tuple[int, ...]:
    return tuple(positions)


@attrs.frozen(eq=False, kw_only=True)
class Embeddings:
    """
    Vectors for texts.

    Attributes:
        vectors: float32, shape ``(len(texts), dimensions)``; row *i* belongs to ``texts[i]``.
        usage: None where the service does not say.
        truncated: Positions of texts whose end was cut off, in order.
        model: The model's name as the service says it.
        timings: Filled in by the host.
    """

    vectors: npt.NDArray[np.float32] = attrs.field(kw_only=False)
    usage: Usage | None = None
    truncated: tuple[int, ...] = attrs.field(default=(), converter=_positions)
    model: str | None = None
    timings: Timings = attrs.field(factory=Timings)


@attrs.frozen(kw_only=True)
class Capabilities:
    """
    What a model can do.

    Attributes:
        json_object: Answers with a JSON object on request.
        json_schema: Answers with JSON that fits a schema.
        images: Looks at images.
        reasoning: Shows what it thinks first.
        dimensions: Embeds to as many dimensions as asked.
        input_type: Embeds queries and documents differently.
        think_tags: The text of an answer may begin with reasoning, between ``<think>`` and
            ``</think>``, which the host then parts from it; ``"open"``: it begins there, since the
            chat template has opened it already.
        max_batch: Texts in one embedding request.
        max_batch_tokens: Tokens in one embedding request.
        context_window: Tokens of prompt and answer together, or of one text to embed.
        max_output_tokens: Tokens of one answer.
    """

    json_object: bool = False
    json_schema: bool = False
    images: bool = False
    reasoning: bool = False
    dimensions: bool = False
    input_type: bool = False
    think_tags: bool | Literal["open"] = False
    max_batch: int | None = None
    max_batch_tokens: int | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
