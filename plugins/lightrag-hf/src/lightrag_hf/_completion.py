"""Completes with a model on this machine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from lightrag_hf._calls import Ask
from lightrag_hf._engine import Engine
from lightrag_hf._errors import translated
from lightrag_hf._limits import context_window
from lightrag_hf._models import lent_engine
from lightrag_hf._prompt import room_for_answer
from lightrag_hf._sampling import sampling_of
from lightrag_hf._template import Prompter
from lightrag_hf.options import HFLLMOptions, HFOptions
from ragcore import Chunk, Completion, CompletionRequest

_log = logging.getLogger("lightrag_hf")


@asynccontextmanager
async def open_completion(
    client: HFOptions, model_name: str, options: HFLLMOptions
) -> AsyncIterator[HFCompletion]:
    """Lend a model that completes; raises as :func:`lightrag_hf._models.lent_engine`."""
    async with lent_engine(client, model_name, options) as engine:
        backend = HFCompletion(engine, model_name)
        highest = backend.window.highest
        if options.num_ctx is not None and options.num_ctx > highest:
            _log.warning(
                "num_ctx=%d: %s reads %d tokens, and no more", options.num_ctx, model_name, highest
            )
        yield backend


class HFCompletion:
    """
    One model's side of :class:`ragcore.StreamingBackend`.

    Attributes:
        window: Tokens that the model reads and writes together.
    """

    def __init__(self, engine: Engine, model_name: str) -> None:
        self._engine = engine
        self._model_name = model_name
        self._prompter = Prompter(engine.tokenizer, engine.folder)
        self.window = context_window(engine.model, engine.tokenizer)

    async def complete(self, request: CompletionRequest) -> Completion:
        """
        Answer *request*; calls at the same time share forward passes.

        Raises:
            ContextLengthError: The prompt does not fit into the context window.
            InvalidRequestError: The model's chat template refuses the messages, or leaves out some.
            OptionsError: An option is out of range.
            UnsupportedError: The model has no chat template.
            ProviderError: The model failed, or does not fit into memory.
        """
        text = ""
        async with aclosing(self.stream(request)) as chunks:
            async for chunk in chunks:
                text += chunk.text
        return Completion(
            text,
            finish_reason=chunk.finish_reason or "stop",
            usage=chunk.usage,
            model=self._model_name,
        )

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Chunk, None]:
        """Answer *request* token by token; raises as :meth:`complete`."""
        with translated(self._model_name):
            ask = await asyncio.to_thread(self._ask, request)
        if ask.begun:
            yield Chunk(ask.begun)
        async with aclosing(self._engine.answer(ask)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _ask(self, request: CompletionRequest) -> Ask:
        options: HFLLMOptions = request.options
        generation_config = self._engine.model.generation_config
        own = generation_config.stop_strings or ()
        sampling = sampling_of(options, generation_config)
        prompt = self._prompter.prompt(request.messages, options)
        room = room_for_answer(prompt.tokens, self.window.asked(options.num_ctx))
        longest = request.max_output_tokens or options.max_new_tokens
        longest = longest or generation_config.max_new_tokens
        return Ask(
            prompt=prompt.tokens,
            max_tokens=min(longest or room, room),
            sampling=sampling,
            stop=(*(options.stop or ()), *([own] if isinstance(own, str) else own)),
            begun=prompt.begun,
        )
