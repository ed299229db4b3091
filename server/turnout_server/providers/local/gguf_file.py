"""Turns a BERT sentence encoder's published weights into the one file that llama.cpp reads."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# The classifier's head: a sentence's vector is the mean of its tokens' vectors.
_UNUSED = ("pooler.dense.weight", "pooler.dense.bias")
# The tables that llama.cpp reads in full precision only.
_EXACT = ("position_embd", "token_types")
_WORD_START = "\u2581"


def convert_bert(source: Path, target: Path, *, name: str) -> None:
    """Write `target` from config.json, vocab.txt and model.safetensors in `source`.

    The same input gives the same bytes: matrices are rounded to half precision, tensors are in
    alphabetical order and no date is written.
    """
    import gguf
    import numpy as np

    config = json.loads((source / "config.json").read_text())
    layers = config["num_hidden_layers"]
    writer = gguf.GGUFWriter(target, gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.BERT])
    writer.add_name(name)
    writer.add_block_count(layers)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(value=False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    _add_vocabulary(writer, (source / "vocab.txt").read_text("utf-8").splitlines(), config)

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, layers)
    for published, weights in _tensors(source / "model.safetensors"):
        if published in _UNUSED:
            continue
        tensor = names.get_name(published, try_suffixes=(".weight", ".bias"))
        assert tensor is not None, published
        if weights.ndim == 2 and not tensor.startswith(_EXACT):
            weights = weights.astype(np.float16)  # noqa: PLW2901 — the exact copy is not needed
        writer.add_tensor(tensor, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_vocabulary(writer: Any, words: list[str], config: dict[str, Any]) -> None:
    """Add WordPiece the way llama.cpp wants it: a mark at word starts instead of on the rest."""
    from gguf import TokenType

    special = {word: index for index, word in enumerate(words) if word[:1] + word[-1:] == "[]"}
    writer.add_tokenizer_model("bert")
    writer.add_token_list([w if w in special else _marked(w) for w in words])
    writer.add_token_types([TokenType.CONTROL if w in special else TokenType.NORMAL for w in words])
    writer.add_token_type_count(config["type_vocab_size"])
    writer.add_unk_token_id(special["[UNK]"])
    writer.add_bos_token_id(special["[CLS]"])
    writer.add_sep_token_id(special["[SEP]"])
    writer.add_pad_token_id(special["[PAD]"])
    writer.add_mask_token_id(special["[MASK]"])


def _marked(word: str) -> str:
    return word[2:] if word.startswith("##") else _WORD_START + word


def _tensors(path: Path) -> Iterator[tuple[str, Any]]:
    """Read a safetensors file: 8 bytes of header length, a JSON header, then the numbers."""
    import numpy as np

    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header.pop("__metadata__", None)
    for name in sorted(header):
        if header[name]["dtype"] != "F32":
            continue  # a table of positions, which llama.cpp counts itself
        begin, end = header[name]["data_offsets"]
        weights = np.frombuffer(content, "<f4", (end - begin) // 4, start + begin)
        yield name, weights.reshape(header[name]["shape"])
