"""
An engine: a loaded model and the one thread that runs it.

Event loops put calls into its queue; nothing of torch happens on their threads.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import torch

from lightrag_hf._calls import Ask, Call, CallQueue, closed_error
from lightrag_hf._decoding import SharedDecoding, SingleDecoding, decoding
from lightrag_hf._text import Vocabulary
from ragcore import Chunk

_Decoding = SharedDecoding | SingleDecoding

_log = logging.getLogger("lightrag_hf")


class Engine:
    """
    Answers calls from any number of event loops and threads.

    Whoever makes one closes it before the interpreter ends: a daemon thread that is inside torch
    then aborts the process.

    Attributes:
        model: As transformers loaded it; None once the engine is closed.
        tokenizer: The model's.
        folder: Where both came from.
    """

    def __init__(
        self, model: Any, tokenizer: Any, model_name: str, folder: Path | None = None
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.folder = folder
        self._vocabulary = Vocabulary(tokenizer)
        self._eos = _eos(model, tokenizer)
        self._queue = CallQueue()
        work = (decoding(model, model_name),)
        name = "lightrag-hf-engine"
        self._thread = threading.Thread(target=self._work, args=work, name=name, daemon=True)
        self._thread.start()

    async def answer(self, ask: Ask) -> AsyncGenerator[Chunk, None]:
        """
        Yield the answer as it comes; the last chunk has finish reason and usage.

        Closing the generator, or cancelling who reads it, stops the generation.

        Raises:
            InterruptedStreamError: The engine was closed.
            ProviderError: The model failed.
        """
        letters: asyncio.Queue[Chunk | Exception] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def deliver(letter: Chunk | Exception) -> None:
            loop.call_soon_threadsafe(letters.put_nowait, letter)

        call = Call(ask, self._vocabulary, self._eos, deliver)
        self._queue.put(call)
        try:
            is_complete = False
            while not is_complete:
                letter = await letters.get()
                if isinstance(letter, Exception):
                    raise letter
                is_complete = letter.finish_reason is not None
                yield letter
        finally:
            call.is_cancelled = True

    def close(self) -> None:
        """Give calls under way an error, stop the thread, and free the weights."""
        self._queue.close()
        self._thread.join()
        self.model = None

    def _work(self, decoding: _Decoding) -> None:
        try:
            with torch.inference_mode():
                while self._has_work(decoding):
                    decoding.turn(self._queue)
        except Exception:  # noqa: BLE001  # the calls are told below, the log why
            _log.exception("The engine's thread ended.")
        finally:
            self._queue.close()
            waiting = iter(self._queue.take, None)
            for call in (*decoding.abandon(), *waiting):
                call.fail(closed_error())

    def _has_work(self, decoding: _Decoding) -> bool:
        if not decoding.is_busy:
            self._queue.wait()
        return not self._queue.is_closed


def _eos(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return the tokens that end an answer: the model's own, and its tokenizer's."""
    own = model.generation_config.eos_token_id
    several = own if isinstance(own, list) else [own]
    return frozenset(token for token in (*several, tokenizer.eos_token_id) if token is not None)
