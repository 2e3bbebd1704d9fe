"""The JSON Schema of each option class takes what the class takes."""

import pytest
from every_option import thorough
from hypothesis import given
from hypothesis import strategies as st
from schema_agreement import class_takes, documents, edges, schema_takes

from lightrag_bedrock import BedrockEmbeddingOptions, BedrockLLMOptions, BedrockOptions
from ragcore import BindingOptions

GROUPS: list[type[BindingOptions]] = [BedrockEmbeddingOptions, BedrockLLMOptions, BedrockOptions]


@pytest.mark.parametrize("group", GROUPS)
@thorough
@given(data=st.data())
def test_class_and_schema_agree(group: type[BindingOptions], data: st.DataObject) -> None:
    """On any JSON object."""
    for document in (*edges(group), *data.draw(documents(group))):
        assert schema_takes(group, document) is class_takes(group, document)
