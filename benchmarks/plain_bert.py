"""rxnfp's BERT as one calls it through ``transformers``: texts in file order, padded batches of 32, mean over tokens.

:mod:`benchmarks.teachers` compares molmv with it.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import BertConfig, BertModel

from molmv.cards import TeacherCard
from molmv.weights import beside, locate

TOKEN = re.compile(r"\[[^\]]+]|Br?|Cl?|[NOSPFIbcnosp]|\(|\)|\.|=|#|-|\+|\\|/|:|~|@|\?|>>?|\*|\$|%[0-9]{2}|[0-9]")


def embedder(card: TeacherCard, batch_size: int) -> Callable[[Sequence[str]], np.ndarray]:
    weights = locate(card)

    def text(name: str) -> Path:
        return beside(card, weights, name, card.options["files"][name])

    model = BertModel(BertConfig.from_json_file(text("config.json")), add_pooling_layer=False).eval()
    state = torch.load(weights, map_location="cpu", weights_only=True)
    bert = {k.removeprefix("bert."): v for k, v in state.items() if k.startswith("bert.") and "pooler" not in k}
    model.load_state_dict(bert, strict=False)
    ids = {t: i for i, t in enumerate(text("vocab.txt").read_text().splitlines())}

    @torch.no_grad()
    def embed(smiles: Sequence[str]) -> np.ndarray:
        vectors = []
        for start in range(0, len(smiles), batch_size):
            texts = [["[CLS]", *TOKEN.findall(text)[:510], "[SEP]"] for text in smiles[start : start + batch_size]]
            longest = max(map(len, texts))
            tokens = torch.tensor([[ids.get(t, ids["[UNK]"]) for t in x] + [0] * (longest - len(x)) for x in texts])
            mask = torch.tensor([[1] * len(x) + [0] * (longest - len(x)) for x in texts])
            hidden = model(tokens, attention_mask=mask).last_hidden_state
            inner = mask.clone()
            inner[:, 0] = 0
            inner[range(len(texts)), [len(x) - 1 for x in texts]] = 0
            vectors.append(((hidden * inner[..., None]).sum(1) / inner.sum(1, keepdim=True)).numpy())
        return np.concatenate(vectors)

    return embed
