"""Which of our arms stands for which row of the paper's tables, and what is odd about the paper's own numbers."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Layout:
    """One table of the paper. `rows`: its row names -> names of our arms; `numbers`: the table in paper_tables.json."""

    name: str
    title: str
    run: str
    numbers: str
    rows: dict[str, str]
    controls: list[str] = field(default_factory=list)
    """Names of our arms that the paper has no row for."""
    odd: str = ""
    """What a reader of the paper's numbers should know."""
    metrics: tuple[str, ...] = ("rouge1", "meteor", "bleu")
    """What the table prints, in its order; higher is better in each."""


SAME_CELLS = (
    "The paper's Table 7 'w/o DR' and Table 9 'w/o Guidance' are identical in all nine cells: one is a copying error. "
    "Do not read an order from either."
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
        "Only PPlug and DEP are trained in the paper, the others prompt an untuned model: what is gained by knowing "
        "the user and what by tuning to the task, the constant prompt tells. Rows of 32 B models are left out.",
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
        "Only DEP is trained in the paper; the rows below the line are controls that it lacks.",
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
        odd="The paper's dense retriever is Contriever; offline, ours is all-MiniLM-L6-v2.",
    ),
    Layout(
        "table9",
        "Table 9: the note that says what the embeddings denote",
        "table9",
        "table9",
        {"without guidance": "dep", "with guidance": "dep_guided"},
        odd=SAME_CELLS,
    ),
]
