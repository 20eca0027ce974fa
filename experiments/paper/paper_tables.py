"""Maps the rows of the paper's tables to our arms, with notes on the paper's numbers."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Layout:
    """Layout of one of the paper's tables."""

    name: str
    title: str
    run: str
    """Name of our run that has the results."""
    numbers: str
    """Key of the table in paper_tables.json."""
    rows: dict[str, str]
    """The paper's name of a row -> name of our arm."""
    controls: list[str] = field(default_factory=list)
    """Names of our arms that have no row in the paper."""
    note: str = ""
    """Note for readers of the paper's numbers."""
    metrics: tuple[str, ...] = ("rouge1", "meteor", "bleu")
    """Metrics of the table, in its order; higher is better in all of them."""


SAME_CELLS = (
    "The paper's Table 7 'w/o DR' and Table 9 'w/o Guidance' are identical in all nine cells, so one of them is a "
    "copying error. Do not conclude an order from either."
)

LAYOUTS = [
    Layout(
        "table1",
        "Table 1: every system",
        "table1",
        "table1",
        {
            "Non-Perso (7B)": "non_perso",
            "RAG (7B)": "rag",
            "PAG (7B)": "pag",
            "DPL (7B)": "dpl",
            "PPlug (7B)": "pplug",
            "DEP (7B)": "dep",
        },
        [
            "user_llm",
            "user_llm_cross",
            "constant",
            "shuffled",
            "untrained",
        ],
        "Only PPlug and DEP are trained in the paper; the other systems prompt an untuned model. The constant prompt "
        "separates the gain from tuning to the task from the gain from the user. Rows of 32 B models are not shown.",
        ("rouge1", "meteor", "bleu", "bertscore"),
    ),
    Layout(
        "table2",
        "Tables 2 and 6: which vectors, without and with review text",
        "ablation",
        "table6",
        {
            "non_perso": "non_perso",
            "his, no text": "his_notext",
            "diff, no text": "diff_notext",
            "his+diff, no text": "dep_notext",
            "his, text": "his",
            "diff, text": "diff",
            "his+diff, text": "dep",
        },
        [
            "rag",
            "constant_notext",
            "shuffled_notext",
            "other_peers_notext",
            "zero_his_notext",
            "zero_diff_notext",
            "constant",
            "shuffled",
            "other_peers",
            "zero_his",
            "zero_diff",
        ],
        "Only DEP is trained in the paper; the shaded rows are controls that the paper does not have.",
    ),
    Layout(
        "table3",
        "Tables 3 and 7: which compressor (with text; below, without)",
        "ablation",
        "table7",
        {"none": "dep_none", "ae": "dep_ae", "sae": "dep"},
        ["dep_none_notext", "dep_ae_notext", "dep_notext"],
        SAME_CELLS,
    ),
    Layout(
        "table8",
        "Table 8: which past reviews RAG shows",
        "table8",
        "table8",
        {"random": "rag_random", "bm25": "rag_bm25", "contriever": "rag_dense", "recency": "rag"},
        note="The paper's dense retriever is Contriever; ours is all-MiniLM-L6-v2, which is available offline.",
    ),
    Layout(
        "table9",
        "Table 9: the note in the prompt that explains the embeddings",
        "table9",
        "table9",
        {"without guidance": "dep", "with guidance": "dep_guided"},
        note=SAME_CELLS,
    ),
]
