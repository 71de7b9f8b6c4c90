"""Measures a translation peer's tokens/s: `python translate_peer.py JOB`, in the translation peers' environment; prints JSON.

JOB is JSON: `peer` (ctranslate2 | optimum), `model` (a folder of its format, made by `convert`), `tokens` (a JSON file with a
list of source tokens for each line), `beam`, `batch`, `length` (tokens of every translation), `threads`, `compute`
(ctranslate2's type), `device` (of ctranslate2), `beside` (how many batches it translates at a time, each with `threads`),
`again` (how many times to run; the best counts). With `peer` = convert, JOB has `checkpoint`, `model` and `optimum` (whether to
convert to that format too). Loading is not counted. Knows no textkit.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # otherwise onnxruntime, which optimum imports, would report to its maker

Work = Callable[[list[Any]], list[Any]]  # lines of a batch -> their translations as tokens


def ctranslate2(job: dict[str, Any]) -> tuple[Work, list[Any]]:
    import ctranslate2

    translator = ctranslate2.Translator(
        job["model"], device=job.get("device", "cpu"), compute_type=job["compute"],
        inter_threads=job["beside"], intra_threads=job["threads"],
    )  # fmt: skip
    options = {
        "beam_size": job["beam"], "min_decoding_length": job["length"], "max_decoding_length": job["length"],
        "length_penalty": 1.0, "max_batch_size": job["batch"],
    }  # fmt: skip

    def work(lines: list[list[str]]) -> list[Any]:
        return [found.hypotheses[0] for found in translator.translate_batch(lines, **options)]

    return work, json.loads(Path(job["tokens"]).read_text())


def optimum(job: dict[str, Any]) -> tuple[Work, list[Any]]:
    import onnxruntime
    import torch
    from optimum.onnxruntime import ORTModelForSeq2SeqLM

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job["threads"]
    torch.set_num_threads(job["threads"])
    model = ORTModelForSeq2SeqLM.from_pretrained(job["model"], session_options=options)
    table = json.loads(Path(job["model"], "vocab.json").read_text())
    pad = model.config.pad_token_id
    lines = [[table[token] for token in line] for line in json.loads(Path(job["tokens"]).read_text())]

    def work(lines: list[list[int]]) -> list[Any]:
        width = max(map(len, lines))
        ids = torch.tensor([line + [pad] * (width - len(line)) for line in lines])
        found = model.generate(
            input_ids=ids, attention_mask=(ids != pad).long(), num_beams=job["beam"], do_sample=False,
            min_new_tokens=job["length"] + 1, max_new_tokens=job["length"] + 1,
        )  # fmt: skip
        return [row[1 : job["length"] + 1] for row in found.tolist()]

    return work, lines


def convert(job: dict[str, Any]) -> None:
    """Converts the checkpoint to CTranslate2's format and, if `optimum` is true, to optimum's."""
    import ctranslate2.converters

    checkpoint, target = Path(job["checkpoint"]), Path(job["model"])
    ctranslate2.converters.TransformersConverter(str(checkpoint)).convert(str(target / "ctranslate2"), force=True)
    if not job["optimum"]:
        return
    from optimum.onnxruntime import ORTModelForSeq2SeqLM

    ORTModelForSeq2SeqLM.from_pretrained(checkpoint, export=True).save_pretrained(target / "optimum")
    shutil.copy(checkpoint / "vocab.json", target / "optimum")


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    os.environ["HF_HUB_OFFLINE"] = "1"
    if job["peer"] == "convert":
        convert(job)
        return
    work, lines = {"ctranslate2": ctranslate2, "optimum": optimum}[job["peer"]](job)
    lines = sorted(lines, key=len)
    size = job["batch"] * job["beside"]  # CTranslate2 cuts what it gets into batches
    batches = [lines[at : at + size] for at in range(0, len(lines), size)]
    work(batches[-1])
    best, made = float("inf"), []
    for _ in range(job["again"]):
        begun = time.perf_counter()
        made = [tokens for batch in batches for tokens in work(batch)]
        best = min(best, time.perf_counter() - begun)
    count = sum(map(len, made))
    name = {"ctranslate2": "ctranslate2", "optimum": "optimum-onnx"}[job["peer"]]
    print(json.dumps({"rate": count / best, "tokens": count, "lines": made, "version": version(name)}))


if __name__ == "__main__":
    main()
