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
  :func:`misdirected` says which address was asked, where :func:`is_lost` finds the answer strange.
- :func:`event_stream` yields each :class:`Event` of a stream, :func:`lines` its lines;
  :func:`drained` frees the connection.
- :func:`decoded`, :func:`text_and_thoughts`, :func:`finish_reason`, :func:`count` and
  :func:`vector` read the parts of an answer, in whatever shape a service puts them.
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
    from ragcore.wire import decoded, drained, event_stream


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
                        said = decoded(event.data)
                        if "error" in said:
                            raise reported(said, codes=CODES, more_phrases=PHRASES)
                        yield Chunk(said["text"], finish_reason=said.get("end"))
                await drained(pieces)
'''

from ragcore.wire._answers import count, decoded, finish_reason, text_and_thoughts, vector
from ragcore.wire._checks import ADDRESS, HEADER, HEADERS, JSON
from ragcore.wire._phrases import Phrase
from ragcore.wire._readers import Event, drained, event_stream, lines
from ragcore.wire._redacted import redacted
from ragcore.wire._reported import http_error, is_lost, misdirected, reported, retry_after
from ragcore.wire._said import described, said
from ragcore.wire._thinking import ThinkingSplitter, split_thinking
from ragcore.wire._transport import translating, transport_error

__all__ = [
    "ADDRESS",
    "HEADER",
    "HEADERS",
    "JSON",
    "Event",
    "Phrase",
    "ThinkingSplitter",
    "count",
    "decoded",
    "described",
    "drained",
    "event_stream",
    "finish_reason",
    "http_error",
    "is_lost",
    "lines",
    "misdirected",
    "redacted",
    "reported",
    "retry_after",
    "said",
    "split_thinking",
    "text_and_thoughts",
    "translating",
    "transport_error",
    "vector",
]
