"""The JSON Schema of each option class takes what the class takes."""

from typing import Any

import pytest
from every_option import thorough
from hypothesis import given
from hypothesis import strategies as st
from schema_agreement import class_takes, documents, edges, schema_takes

from lightrag_ollama import OllamaEmbeddingOptions, OllamaLLMOptions, OllamaOptions
from ragcore import BindingOptions

GROUPS: list[type[BindingOptions]] = [OllamaEmbeddingOptions, OllamaLLMOptions, OllamaOptions]


@pytest.mark.parametrize("group", GROUPS)
@thorough
@given(data=st.data())
def test_class_and_schema_agree(group: type[BindingOptions], data: st.DataObject) -> None:
    """On any JSON object."""
    for document in (*edges(group), *data.draw(documents(group))):
        assert schema_takes(group, document) is class_takes(group, _with_a_known_host(document))


def _with_a_known_host(document: dict[str, Any]) -> dict[str, Any]:
    # Which texts are hosts no schema says.
    is_text = isinstance(document.get("host"), str)
    return document | {"host": "localhost"} if is_text else document
