"""What training reads: lines, pairs, streams of ids; and the tokenizers that are learnt from them."""
