"""Scripts that are written without spaces between words, as character classes for regular expressions. Imports nothing."""

# Ideographs and kana: each character is a word by itself, as in BERT's pre-tokenizer.
IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
FIRST_IDEOGRAPH = 0x3040
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\uaa60-\uaa7f"  # Thai, Lao, Burmese, Khmer
