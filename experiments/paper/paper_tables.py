"""Which of our arms stands for which row of the paper's tables, and what is odd about the paper's own numbers."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Layout:
    """One table of the paper. `rows`: its row names -> our labels; `numbers`: the table in paper_tables.json."""

    name: str
    title: str
    run: str
    numbers: str
    rows: dict[str, str]
    controls: list[str] = field(default_factory=list)
    """Labels of ours that the paper has no row for."""
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
            "Non-Perso (7B)": "Non-Perso",
            "RAG (7B)": "RAG",
            "PAG (7B)": "PAG",
            "DPL (7B)": "DPL",
            "PPlug (7B)": "PPlug",
            "DEP (7B)": "DEP",
        },
        [
            "User-LLM, soft prompt",
            "User-LLM, cross-attention",
            "Constant prompt",
            "DEP, another user's vectors",
            "DEP, untrained",
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
            "non_perso": "Non-Perso",
            "his, no text": "DEP, his only (w/o text)",
            "diff, no text": "DEP, diff only (w/o text)",
            "his+diff, no text": "DEP (w/o text)",
            "his, text": "DEP, his only",
            "diff, text": "DEP, diff only",
            "his+diff, text": "DEP",
        },
        [
            "RAG",
            "Constant prompt (w/o text)",
            "DEP, another user's vectors (w/o text)",
            "DEP, peers of another item (w/o text)",
            "DEP, his zeroed (w/o text)",
            "DEP, diff zeroed (w/o text)",
            "Constant prompt",
            "DEP, another user's vectors",
            "DEP, peers of another item",
            "DEP, his zeroed",
            "DEP, diff zeroed",
        ],
        "Only DEP is trained in the paper; the rows below the line are controls that it lacks.",
    ),
    Layout(
        "table3",
        "Tables 3 and 7: which compressor (with text; below, without)",
        "ablation",
        "table7",
        {"none": "DEP, no reduction", "ae": "DEP, plain autoencoder", "sae": "DEP"},
        ["DEP, no reduction (w/o text)", "DEP, plain autoencoder (w/o text)", "DEP (w/o text)"],
        SAME_CELLS,
    ),
    Layout(
        "table8",
        "Table 8: which past reviews RAG shows",
        "table8",
        "table8",
        {"random": "RAG, random", "bm25": "RAG, bm25", "contriever": "RAG, dense", "recency": "RAG"},
        odd="The paper's dense retriever is Contriever; offline, ours is all-MiniLM-L6-v2.",
    ),
    Layout(
        "table9",
        "Table 9: the note that says what the embeddings denote",
        "table9",
        "table9",
        {"without guidance": "DEP", "with guidance": "DEP, guidance note"},
        odd=SAME_CELLS,
    ),
]
