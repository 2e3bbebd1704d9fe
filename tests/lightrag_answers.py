"""
Services that answer what LightRAG asks: a graph, keywords, vectors, and else a sentence.

A model that is small enough for tests extracts nothing.
"""

from __future__ import annotations

from typing import cast

from ragcore.testing.server import Answer, Connection, Reply, Request, Service, Vectors

GRAPH = """entity<|#|>Ada Lovelace<|#|>person<|#|>Ada Lovelace wrote the first program.
entity<|#|>Analytical Engine<|#|>artifact<|#|>The Analytical Engine is a machine.
relation<|#|>Ada Lovelace<|#|>Analytical Engine<|#|>programming<|#|>She wrote a program for it.
<|COMPLETE|>"""
KEYWORDS = '{"high_level_keywords": ["programming"], "low_level_keywords": ["Ada Lovelace"]}'


class Extracting(Service):
    """
    Stands before a double's class among the bases of another, and speaks in the double's format.

    Attributes:
        said: The answer to a question of a user.
        length: The length of the vectors, if no smaller one is asked for.
        questions: The requests that asked a question of a user, in order.
    """

    said = "Ada did."
    length = 0

    def __init__(self, *replies: Reply) -> None:
        super().__init__(*replies)
        self.questions: list[str] = []

    async def reply(self, request: Request, reply: Reply, connection: Connection) -> None:
        """Answer by what is asked, whatever *reply* is."""
        asked = request.body.decode()
        if request.path.partition("?")[0].endswith(("/embeddings", "/embed", "/invoke")):
            await super().reply(request, _vectors(request, self.length), connection)
        elif extracted := _extracted(asked):
            await super().reply(request, Answer(extracted), connection)
        else:
            self.questions.append(asked)
            await self.converse(request, connection)

    async def converse(self, request: Request, connection: Connection) -> None:
        """Answer a question of a user."""
        await super().reply(request, Answer(self.said), connection)


def _extracted(asked: str) -> str:
    if "high_level_keywords" in asked:
        return KEYWORDS
    if "extract any missed" in asked:
        return "<|COMPLETE|>"
    return GRAPH if "Extract entities" in asked else ""


def _vectors(request: Request, longest: int) -> Vectors:
    texts = request.json.get("input") or request.json.get("texts") or [""]
    length = min(longest, request.json.get("dimensions", longest))
    return Vectors([[0.5] * length] * len(texts))


def scripted(
    double: type[Service], length: int = 0, base: type[Extracting] = Extracting
) -> Extracting:
    """Return a service in the format of *double* that answers as *base* does."""
    made = type("Scripted", (base, double), {"length": length})
    return cast("Extracting", made(Answer()))
