'''
What services have in common, for the authors of plugins: their second page.

What comes in: a service's answers, streams and exceptions. What goes out: ragcore's errors, events
and lines. No service is known here, and no SDK is imported. May be imported by plugins, and by the
host's calls, which translate what a plugin lets through.

A plugin says what is peculiar to its service, and leaves the rest to the tables here:

- :func:`translating` names an SDK's exceptions, by rows; the network's it knows by itself, as
  :func:`transport_error` does.
- :func:`reported` names the error that a body describes, :func:`http_error` one whose status and
  message are known. :class:`Phrase` adds a service's own words. :func:`said` finds the message in
  any shape of body, :func:`described` makes one of an exception.
  :func:`misdirected` says which address was asked; :func:`is_lost` finds where that may be wrong.
- :func:`sent` sends a request over httpx, again where a connection that was kept had been closed.
- :func:`event_stream` yields each :class:`Event` of a stream, :func:`lines` its lines;
  :func:`drained` frees the connection.
- :func:`decoded`, :func:`object_in`, :func:`text_in`, :func:`text_and_thoughts`,
  :func:`finish_reason`, :func:`count`, :func:`counted`, :func:`usage_in`, :func:`vector` and
  :func:`table` read the parts of an answer, in whatever shape a service puts them;
  :func:`unlike` names the error of what is no answer.
- :func:`chat_completion` and :class:`ChatReader` read chat completions, which many services answer
  with: whole, and streamed as :func:`objects` up to :data:`DONE`; :func:`without_error` finds the
  errors that come in their place.
- :data:`ADDRESS`, :data:`HEADER`, :data:`HEADERS` and :data:`JSON` are checks of options:
  ``option("Base URL of the service.", default=None, check=ADDRESS)``.
- :func:`retry_after`, :func:`split_thinking`, :class:`ThinkingSplitter` and :func:`redacted` are
  for what the host can't do in a plugin's place.

Messages begin in lower case and have no full stop at their end. For a service that is asked over
httpx, ``_errors.py`` is::

    """What Acme answers -> ragcore's errors."""

    import httpx

    from ragcore import ContentFilterError, InterruptedStreamError, ProviderError, RagcoreError
    from ragcore import QuotaExceededError
    from ragcore.wire import Phrase, described, reported, translating

    CODES = {"out_of_acorns": QuotaExceededError}
    PHRASES = (Phrase("too nutty", ContentFilterError, cure="ask for something milder"),)


    def refused(response: httpx.Response) -> ProviderError:
        return reported(
            response.content,
            response.status_code,
            headers=response.headers,
            address=str(response.url),
            codes=CODES,
            more_phrases=PHRASES,
        )


    def malformed(exc: KeyError) -> RagcoreError:
        return InterruptedStreamError(f"an event of the stream lacks a field: {described(exc)}")


    ROWS = {KeyError: malformed}

and a stream in ``_completion.py``::

    from collections.abc import AsyncGenerator
    from contextlib import aclosing

    from ragcore import Chunk
    from ragcore.wire import drained, event_stream, object_in


    async def stream(http: httpx.AsyncClient, body: dict) -> AsyncGenerator[Chunk, None]:
        with translating(ROWS):
            async with http.stream("POST", "/chat", json=body) as response:
                pieces = response.aiter_bytes()
                if not response.is_success:
                    await response.aread()
                    raise refused(response)
                async with aclosing(event_stream(pieces)) as events:
                    async for event in events:
                        if event.says_nothing:
                            continue
                        if event.data == "[DONE]":
                            break
                        said = object_in(event.data, "part of an answer")
                        if "error" in said:
                            raise reported(said, codes=CODES, more_phrases=PHRASES)
                        yield Chunk(said["text"], finish_reason=said.get("end"))
                await drained(pieces)
'''

from ragcore.wire._answers import (
    count,
    counted,
    decoded,
    finish_reason,
    object_in,
    table,
    text_and_thoughts,
    text_in,
    unlike,
    usage_in,
    vector,
)
from ragcore.wire._chat import ChatReader, chat_completion
from ragcore.wire._checks import ADDRESS, HEADER, HEADERS, JSON
from ragcore.wire._objects import DONE, objects, without_error
from ragcore.wire._phrases import Phrase
from ragcore.wire._readers import Event, drained, event_stream, lines
from ragcore.wire._redacted import redacted
from ragcore.wire._reported import http_error, is_lost, misdirected, reported, retry_after
from ragcore.wire._said import described, said
from ragcore.wire._sending import sent
from ragcore.wire._thinking import ThinkingSplitter, split_thinking
from ragcore.wire._transport import translating, transport_error

__all__ = [
    "ADDRESS",
    "DONE",
    "HEADER",
    "HEADERS",
    "JSON",
    "ChatReader",
    "Event",
    "Phrase",
    "ThinkingSplitter",
    "chat_completion",
    "count",
    "counted",
    "decoded",
    "described",
    "drained",
    "event_stream",
    "finish_reason",
    "http_error",
    "is_lost",
    "lines",
    "misdirected",
    "object_in",
    "objects",
    "redacted",
    "reported",
    "retry_after",
    "said",
    "sent",
    "split_thinking",
    "table",
    "text_and_thoughts",
    "text_in",
    "translating",
    "transport_error",
    "unlike",
    "usage_in",
    "vector",
    "without_error",
]
