"""Small random transformers, laid out like a repository of the hub: real files, real classes, no network."""

import hashlib
import json
from pathlib import Path
from typing import Any

from molmv.adapters.smiles_tokens import SMILES
from molmv.testing.adapter import SPELLINGS

TEXTS = (*SPELLINGS, *SPELLINGS.values())
SELFIES = "ACHNO=@#lcnBranchRing123456[]\\/-+"
CONFIG = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 130,
}


def bert(folder: Path, **options: Any) -> Path:
    """A BERT of rxnfp's kind: legacy torch file with a head, ``vocab.txt``, a config without its type."""
    import torch
    from transformers import BertConfig, BertForPreTraining

    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *sorted({token for text in TEXTS for token in SMILES.findall(text)})]
    config = {**CONFIG, "vocab_size": len(tokens)}
    torch.manual_seed(0)
    model = BertForPreTraining(BertConfig(**config, initializer_range=0.2))
    place = _folder(folder)
    torch.save(model.state_dict(), place / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    (place / "vocab.txt").write_text("\n".join(tokens))
    (place / "config.json").write_text(json.dumps(config))
    return card(folder, "pytorch_model.bin", tokenizer="smiles-regex", model_type="bert", **options)


def roberta(folder: Path, **options: Any) -> Path:
    """A RoBERTa of ChemBERTa's kind: safetensors, one token a character."""
    import torch
    from transformers import RobertaConfig, RobertaForMaskedLM

    place = _folder(folder)
    characters = sorted({*"".join(TEXTS), *SELFIES})
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *characters]
    (place / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (place / "merges.txt").write_text("#version: 0.2\n")
    (place / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "RobertaTokenizer"}))
    torch.manual_seed(0)
    config = RobertaConfig(**CONFIG, vocab_size=len(tokens), pad_token_id=1, initializer_range=0.2)
    RobertaForMaskedLM(config).save_pretrained(place)
    return card(folder, "model.safetensors", **options)


def card(folder: Path, weights: str, **options: Any) -> Path:
    """A card that pins every file of the repository."""
    place = _folder(folder)
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(place.iterdir())}
    digest = digests.pop(weights)
    options = {"max_tokens": 128, **options}
    path = folder / "tiny.toml"
    path.write_text(
        "\n".join(
            [
                'name = "tiny"\nmodality = "molecule"\nadapter = "smiles_transformer"\ndim = 32',
                'likelihood = "gaussian"\nextra = "transformers"\n[options]',
                *(f"{key} = {json.dumps(value)}" for key, value in options.items()),
                "[options.files]",
                *(f'"{name}" = "{found}"' for name, found in digests.items()),
                f'[weights]\nhf = "org/tiny@abc"\nsha256 = "{digest}"',
                '[provenance]\nlicence = "MIT"\ntrained_on = []\nlabels_seen = []',
            ]
        )
    )
    return path


def _folder(folder: Path) -> Path:
    place = folder / "org" / "tiny"
    place.mkdir(parents=True, exist_ok=True)
    return place
