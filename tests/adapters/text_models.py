"""Small random encoders of texts, laid out like a repository of the hub; and a static table. No network."""

import hashlib
import json
from pathlib import Path
from typing import Any

from molmv.student.tokens import train_vocabulary
from molmv.testing.adapter import TEXT_SPELLINGS

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 66,
}
SPECIAL = ("[PAD]", "[CLS]", "[SEP]")


def vocabulary() -> tuple[bytes, int]:
    """A ``tokenizer.json`` with the special tokens of BERT around each text, and how many tokens it has."""
    import tokenizers

    made = tokenizers.Tokenizer.from_str(train_vocabulary([*TEXT_SPELLINGS, "word"], 200).decode())
    made.add_special_tokens(list(SPECIAL))
    ids = {token: made.token_to_id(token) for token in SPECIAL}
    made.post_processor = tokenizers.processors.BertProcessing(("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"]))
    return made.to_str().encode(), made.get_vocab_size()


def encoder(folder: Path, kind: str = "bert", onnx: bool = False, **options: Any) -> Path:
    """The card of an encoder with pooling and normalisation in its folder, as sentence-transformers writes them."""
    import torch
    from transformers import AutoConfig, AutoModel

    place = _folder(folder)
    content, size = vocabulary()
    (place / "tokenizer.json").write_bytes(content)
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **SIZES, vocab_size=size, pad_token_id=0, initializer_range=0.2)
    model = AutoModel.from_config(config).eval()
    model.save_pretrained(place)
    (place / "modules.json").write_text(json.dumps([{"type": "sentence_transformers.models.Normalize"}]))
    (place / "sentence_bert_config.json").write_text('{"max_seq_length": 64}')
    (place / "1_Pooling").mkdir(exist_ok=True)
    pooling = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    (place / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    if onnx:
        _to_onnx(model, place / "model.onnx")
        (place / "model.safetensors").unlink()
    return card(folder, "text_encoder", "model.onnx" if onnx else "model.safetensors", **options)


def static(folder: Path, **tensors: Any) -> Path:
    """The card of a table as model2vec writes it."""
    import torch
    from safetensors.torch import save_file

    place = _folder(folder)
    content, size = vocabulary()
    (place / "tokenizer.json").write_bytes(content)
    table = torch.randn(size, 32, generator=torch.Generator().manual_seed(0))
    save_file({"embeddings": table, **tensors}, place / "model.safetensors")
    return card(folder, "static_embedding", "model.safetensors")


def card(folder: Path, adapter: str, weights: str, **options: Any) -> Path:
    """A card that pins every file of the repository."""
    place = _folder(folder)
    files = {str(path.relative_to(place)): path for path in sorted(place.rglob("*")) if path.is_file()}
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    digest = digests.pop(weights)
    path = folder / "tiny.toml"
    path.write_text(
        "\n".join(
            [
                f'name = "tiny"\nmodality = "text"\nadapter = "{adapter}"\ndim = 32',
                'likelihood = "gaussian"\nextra = "text"\n[options]',
                *(f"{key} = {json.dumps(value)}" for key, value in options.items()),
                "[options.files]",
                *(f'"{name}" = "{found}"' for name, found in digests.items()),
                f'[weights]\nhf = "org/tiny@abc"\nsha256 = "{digest}"',
                '[provenance]\nlicence = "MIT"\ntrained_on = []\nlabels_seen = []',
            ]
        )
    )
    return path


def _to_onnx(model: Any, path: Path) -> None:
    import torch

    class States(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask):
            return self.model(input_ids, attention_mask=attention_mask).last_hidden_state

    ids, mask = torch.ones(2, 5, dtype=torch.long), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    axes = {0: torch.export.Dim("rows"), 1: torch.export.Dim("tokens", max=64)}
    torch.onnx.export(
        States().eval(),
        (ids, mask),
        str(path),
        input_names=["input_ids", "attention_mask"],
        output_names=["states"],
        dynamic_shapes=(axes, axes),
        dynamo=True,
        external_data=False,
        verbose=False,
    )


def _folder(folder: Path) -> Path:
    place = folder / "org" / "tiny"
    place.mkdir(parents=True, exist_ok=True)
    return place
