"""Word vectors small enough to see, and golden bytes of the real fastText, shared by the tests of interop and its verbs."""

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
VECTORS = {  # by fastText's own get_word_vector, for known words and unseen ones
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

# train_supervised(dim=2, bucket=300, minn=2, maxn=3) on labelled lines of five words, then quantize(qnorm=True, dsub=2).
QUANTISED = (
    "c-n;*eN5F=^!IS7OQ$b4KZe-mDzmbQzK1CI?yVpzAl)=+{v!$xKNdv`^D6_VglVLf@H91*Rf;XAjo&LZcsC1;tVE!>xfhYpL$cC_f4D+d=YE`b@B2MicU*"
    "qlbI<oV_ngD&G4rMlw=63G_FZbbjPD?|r??~z|Jx7y(Tt?uJ7*-)q44)$MgJK81J=K4`HPoZ@46(+TDG!eg>^w4tb(Phtn+x7J+*{bO?X<hqR?u@!%IuQK"
    "EArp`U=l^c|}X}3ybpdl7$w0xuURX8s>6MSAr81h@T4%pGnWS*gLD%PRy>Ke!MU5k&}O|xpVKaVUOS5wt!u6%hl#~SGsXkx;r!&Rs?^wxs4Uk=x!51z-PN"
    "nhGKPSqDth|E`A1B`er8(M&j<<IM2#>x(+1nKoi;=s`ewJUE7wR(jY<Y6C)?4zz$ZkOJ3MEeydon7q;z$>u)Z6bK}02wXqiV<jbUlJ+<c`(f9q+VIH6!0f"
    "52wA|J#<xRVd!;rG3TPll>JuTeu^C0pW;m|x5ee;Xv0V{zU}MhfiUK=&Gg`bjycKi-aAT*fjxb~NBQ9#7IYqz(?kPJufQ?7Hn$O(d}O1?KdRVXv?i{c&Ps"
    "4e+e-`pb&g(+Q0sgxkGkbi$nv>qjJZg%-VB$c#8(EQCIYzi{LP_VMH_ig@(!L^^uY9IE{utB)aH=-`agvEW1W*ip*R&iFiY+IOjr`vB?N*1BmRcL6oxBEB"
    "D7O%K9OiO;K8dhKuNADw6NynjeGv#*b51L^Vnky$K1BRMMH$XRDx1RU|4{y=#M*JtSuBmP1z-XmX*!*R7967ND*4t;J;Vl>aIO1jCky?$!g=`~~<?@rR|c"
    "N3dm$giO~LT<JADeB>T55~KSdDFS4Z#Rq`R?6^vYkd;ky)TQR9?p1fbaj(!pZO{G0r!QrU+U?sJ=$L=SH2tM@3hB|r|L@o@7l=A7<--k_l%#x4*cO^sOQ?"
    "W`M!fk%P8u%8}MP*Ipr<c;$_L3QW)ahpXv>bb8Vn#57IgH+uz*oD=pRjMEFhc>pt*nUw4R1+V&!|AzpVNUZ@w^bt?aiZ%Vk7A>CV$C#jGpM_MxJCw2Ex%)"
    "|F{>U}G&X}owp#O6Qh+Xs5=0zI7meDm!{X!wtQX2eg#^SiD{$RF}E#7kb3O@8QJAN3#Vza8{U0X?1ZLp|OB{)2%(%Edf$)_uJH9Q@NK{3G8}3+S-~^w<S@"
    "!S?iIX0x*g#xt}_+b`?wc91s|<Qe|OI)iyC-;E<bk=~ilQNK<-6#D0Z5{CErPiN6J-AVNS`%i2gcAmS=6tX4FS3>8G7qCx<Un4#r)P}CB#2HU9LH**Kpk}"
    "}Xb<voh%H8g8bc6`ITQwL~1^y~GhmQ)4?luuBaDocQ4lAviD2%+C#Lob$$(*1nD&p?TInQuBT`Ll|q6y^=Rr`_Aq-}Gl2?{sQChVwH(as|)ld7_{szcb>U"
    "tA_CD{2GA3sd+w_0*~<Bzn&?s`u|YVrCD%3e_EK<YP=59@UX-tZ?bC|49(PI@+<M{&U;s5~H$vPEM&HyxWRdf1Y2^W!$}&oX@QBp&Zm9b@M%9aya+>R<mP"
    "@YOSY@TyM_lR-&_iW3BAW+-BLa(t|F7*@^tCRaM09h24?M={Y}?8r|Q!Eol^0GO+?g?N@#bs;Ng*YJ3g5Rh3sS+Qv!c&?^%}MZwOFa(O%gy8C$0KF(`h%{"
    "Rivl?!^*^viXg7+n6~4ieBlu`xbhW;{z#r(YwjI5A@!Jy!u1Fye|aQqyOh>h3mndDQE2=S&fc#+_A!%X|a$LfV#wkGLE=XNaXLjhqBHkKeLd2<8j-OZ}J|"
    "BJYa99uD7g&_^*AV}9C9xL+EdI7!wC{vvn9bc55>m57XawW_K{)$|qt&(%i;2_F~t-XJ;_F_Wf<35Q=F*O|s)8$cH3*~*>-I;r_#iaCN^qD<NQOj2hWKbO"
    "e3)Jfk-+%V{NeX%X@vbT&D{wk1hvv(=q^1V#j?q#PKc@^|*&Y44Ij_OSN8R(<`km7gr%>sJ%LMMeUgD?9J^=<XQ"
)
QUANTISED_VECTORS = {  # get_word_vector of the quantised model
    "dog": [-0.0508163869, 0.0503165722],
    "fish": [-0.267107517, -0.415798515],
    "</s>": [0.300798506, -0.00605937885],
    "naïve": [0.16719012, 0.356711239],
    "cats": [-0.0974026471, -0.19395256],
    "日本": [0, 0],
    "q": [-0.00931535661, -0.0191412568],
}
QUANTISED_LINES = {  # its get_sentence_vector
    "the cat": [0.0861759856, 0.0290623009],
    "dog cats naïve fish dog": [-0.0427850485, -0.0171670429],
    "q": [0.0682131052, -0.0158707872],
    "cat </s> dog": [-0.0759130195, -0.362905413],
    "__label__0 fish": [-0.215479702, -0.378549486],
}

# Five numbers per word: royal, male, female, fruit, young.
PEOPLE = {
    "king": [1, 1, 0, 0, 0],
    "man": [0, 1, 0, 0, 0],
    "queen": [1, 0, 1, 0, 0],
    "woman": [0, 0, 1, 0, 0],
    "apple": [0, 0, 0, 1, 0],
    "girl": [0, 0, 1, 0, 1],
}


def glove(vectors: dict[str, list[float]]) -> bytes:
    """The vectors as GloVe's text format."""
    lines = (" ".join([word, *map(repr, map(float, vector))]) for word, vector in vectors.items())
    return "".join(f"{line}\n" for line in lines).encode()


def golden(text: str) -> bytes:
    return zlib.decompress(base64.b85decode(text))
