"""Word vectors small enough to see, and golden bytes of the real fastText: what the tests of interop and its verbs share."""

from __future__ import annotations

import base64
import zlib

# fasttext-wheel 0.9.2 wrote this: train_unsupervised(dim=3, bucket=7, minn=2, maxn=3, minCount=1, thread=1) on
# 'the cat sat on the mat' and 'the dog ate naïve fish', three times each; zlib, base 85.
FASTTEXT = (
    "c-q?~=C9Agz`(!^#7scU3dD>^G!qoFLurt@6b2ahV9y04xu86CDE%J_N-|OzIAKa{^o#8n*kHWm#1gPkU{H+A$<ITubCD%d^3xHV#FA75Col2v`Z6SbT4r$ug2"
    "x~TrC}n`D^hG<p4GEwh`V9e;GVqyuoI7i#C!?cfUAQ09M4a*U-99x-68$k`;O`v*gq09+;_M$XWy|i5_V_8LiZIt65Q`~V$wdV?5O?wmhQ2AEz-IF-m-`L-u6!2"
    "cl`8YyI=QM_X+K+uzPm3(k`s_mYw9PAiJZ7TK21+p0JNUe4X93(5L%$_d430oWivK@G@t6vG9U@r$XNDi_yPo?`bi`E{B(Uf6;@c{m+ih+|RP=`@VPOf(~`=BKA"
    "IoYxhfVMep6hc58pcAMO2Zd%NuBY%|yo4||yB<ZO)W^N(-c*BYj4zkF$ly}9=8{cGKB+O08~XaAk6d%wR~x&5(M#rC=z6ZhRU?XcI*t+DrKn!A5`y{P@+zf0^TI"
    "~4Z4n19e-H>ueE+0*>}Yc?C$f8SVa?>A%0e#abP`yY<a?G8xE?&W*VX}`$0#a<!C)9zC9273Uyin##"
)
WORDS = ["the", "</s>", "cat", "sat", "on", "mat", "dog", "ate", "naïve", "fish"]
VECTORS = {  # what fastText's own get_word_vector said, known words and unseen ones
    "the": [-0.54089123, 0.176752836, -0.577346146],
    "</s>": [-0.887809753, 2.19157481, 0.0372610986],
    "cat": [-0.584981263, 0.725142837, -0.347716123],
    "naïve": [-0.429332614, 0.189339608, -0.43280828],
    "fish": [-0.640208304, -0.522127807, -1.06212127],
    "cats": [-0.406724185, 0.768062472, -0.105076157],
    "naïves": [-0.482141703, 0.202109352, -0.491495878],
    "日本": [-0.536026597, 0.561357737, -0.372018039],
    "q": [-0.501294851, 1.26715732, 0.0366004929],
}
# The same tool, train_supervised(dim=2, bucket=3, wordNgrams=2): no character n-grams, two labels.
SUPERVISED = (
    "c-q?~=C9Agz`(!+#H>Kf2*s>WF=iwT11UhP>n!v7k(rb|2awGMRVxRT{|^Nv8L417FtE`twnOle6H5?A79(>~^3xHV#FA75Cq6zWF)1}CK0XmH#t0WnLWnVNLRm"
    "~uI@tcoJ`jCX^R6X`e)lhU8!~<6;yp`b`rW_FDB_p?##*5m2&0!ycij!57fg4x2GIbE95_V"
)

# Five numbers a word, for royal, male, female, fruit, young.
PEOPLE = {
    "king": [1, 1, 0, 0, 0],
    "man": [0, 1, 0, 0, 0],
    "queen": [1, 0, 1, 0, 0],
    "woman": [0, 0, 1, 0, 0],
    "apple": [0, 0, 0, 1, 0],
    "girl": [0, 0, 1, 0, 1],
}


def glove(vectors: dict[str, list[float]]) -> bytes:
    """The vectors as GloVe's text."""
    lines = (" ".join([word, *map(repr, map(float, vector))]) for word, vector in vectors.items())
    return "".join(f"{line}\n" for line in lines).encode()


def golden(text: str) -> bytes:
    return zlib.decompress(base64.b85decode(text))
