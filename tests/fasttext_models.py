"""Small supervised models of the real fastText, and the probabilities that it prints."""

# fasttext-wheel 0.9.2: train_supervised(lr=0.4, thread=1, seed=1) on 900 labelled lines of sixteen words, with each loss
# (dim=2, epoch=4, minn=2, maxn=3, wordNgrams=2, bucket=30). pruned: loss="hs", maxn=4, wordNgrams=1, bucket=400, then
# quantize(qnorm=True, cutoff=260, dsub=2). zlib, base 85.
MODELS = {
    "softmax": (
        "c-mdjYe-XZ7zXhFacZ=@v<L$?6s*hy*`P2&J@0`&Wn^RtnZ}yivFX-EZc3@BGxLH*=m$-_qLy}%GVsEx^Bxkq&}|b9OVW^VL7JvXSfL&99F6|)"
        "!1H_HJztJ9=$P7%5aK1oM~Jr&O6;qfOiai>HVBD2r20A;9Sqxrt`PUpRS0iIe6ea9O-f{IBeCi1L`8|v3kZ;4u%08ECFtxd*(AYgAwE*K8`%w{"
        "XV{E{l5}49+OpWm;G;A)i_A*Y4YrWaWaCV4B*PL-I(sflUQ0A&u;hsZSFh_K$z7Mz#kq@#RkFLtUFqs^UnUl5(Q3`QG}f%uvKA8TwYE{~qk$!X"
        ")c<2vHc1h$DWVpecuFeDFLF`VaPW>yr@Pv1(E2<O%4cIBu`>?BKNuiBu?nUuS|DV>7eI9lnx{tSQ<iM-jLATmUkrT{cWB+jL1^eZgY9(`hH+}_"
        "XzJxSs{_BB^}`}XH7Y)(;cQY44mAAc-knT><;DxR7^VbG$_?zV{YcCE+fc6D3fq2-AywuJ1NZhZ`$v}O`AdaR6IKY(`K6e;BM*v)s&Qqkm79}C"
        "GK<OGG`F`Kntk8G_o3qu-}C_Me>_D;NgJoQUx9NiJ=~ka!7!A-)6u4*Fuqg9y9RmgN>nq(&XjPe&S4l|ss~R%GJ1SUF*9d|(-S#l-qz!!tpFMZ"
        "Liw_*HdG#<7=PM`rp6$?GwvJmYJYro<UL*Fn5Pq#UOZ0vIf^g0T<26bry;R$4o>{>aHOCL9GX-*1|k^0U3(zYT!*L48mQ^Gi=oclIDadTCbIv2"
        "#EL@01WmnSY8U!=Q=S(eF%rjQcUAI#0XmBcdj"
    ),
    "ova": (
        "c-mdjZAep590u^Sxlt2wnqlVKhfpL_2X09p>i$ppE=6HjM$nk<=A_M`TM8?3WY$VEtgw+$q)6B-u`t2eJ-6A5MCwL~BSpy<N=z(>N}Smh?^W=?"
        "1JCb)|NU~iLk}wg5JF-uQZ5oMBEE}x`*Dfpz0$Q@5>q2*CsM*;E7ybh-Ma$rE%R@$!bG7<eybxgY0M~6#G{Zypa8A02+0I!%rx30z*vH$LO1K^"
        "b(}6X>5xc}f&1D&zN6lr0=f*%3)J*JKvQV_tWbwO2|S}QTWHiTP+LqRmjHLC+lee|>UJ}pi^wS0WA)UyJ3LjWL|D{ny{3THtJQP~3Ky?#qP0;="
        "Be`hfSauej<gZ0Y!8iUC4d>~Zv99BAB1;C@m0n1TO9E`SLuFMS7;?HHooazc3o<-$Kmvbm{eZzx9o1ep1j7YsFfSQ^Axj-)FgL*E;1;s`sg=z5"
        "YKh9H>S=Cd$h+856592exQ;B5#Q`U2owSh;-()zc@;Ng@--TwCkF@oMf&Ek%d-RC~GUJokocw4;I@*AZueL+vUk_B5`(s<)4HDDt1=mz3u`K~<"
        "yQjr9BVVYxaXH>|Cj`g0yn#ajvqV3*nf;s*#RTsdBDX_YiD7yh)puczl215buIm^}O@C!VV*3eF{$@JAM`PbPF?KXbNXJY*v04*I#rte1jd78t"
        "#hdW3O2ek_93bPh2eC5sF>|dpfgM?1CPj@ZB0uk-kgWm|6Miz~_CVI(@q+Q@Zovyt$@rJHlza>tg_M0#raB@E_bKi}eb6M4T~|Vcbr*YOEQ4e|"
        "d;1dkZTJyab22fB3)ml{TV&NW_3W6;iN(rc_CMTc3nT"
    ),
    "ns": (
        "c-mdjdq`7Z7zXg~=rn|ti50q5lovFdThN7SbMGgEC<<HzVwA4U9XInvI+4V5soB_!vWUv4w7{f`U}%Nu`Hnf42Fi}DG(x)#Qo0z4K{xA!=V<uB"
        "1JCb)_xy7@R-~w;2%!KzL3|{9D4_=k3FNc-zi#G}sFQzqyIBUy_#P(gBmcm^Kf=?finORYaCSsRMjMh-0y23l5n(Q{pb!y88;ur;D9A@aVz*i8"
        "d1Pf5SrH{FkN?_?&{0pPi7rHwB8@#)ksr;UWm=I>WRB5RN}~ah=4={065(z4K18K+>hLmLB`Ofj**TZDm8(Me;$kr58clSr!9eFDS-|W@&5dRn"
        "g;ER0!eX>vxTcUwXu>I~JaU1=ZL&b*wl~mv^b5#2CnTme!-?9P@KNu9Sho(_r&eOy>Blgwp8;LC1DwhsD3=XDSe75$DH`Y<Zh&2`-=qv(BNr$8"
        "$?#~CHb^O9+cfpW)4Z1bRv*d6Ntd#FLOf)PF&O7fIN-*~7RFaxMQ*L>Cb93QNPhxL8iVVIC7!|~V|Cclcn0n)e+}h66HMIO2$V9H$rzvN{3^Mu"
        ")hP8iEv%($^m_zW9GBtv&k7t9dW^LuJIVP$AL&k_iR9%o@=E9FI$LoVDx{ro&g^1K?2*Kk_JqVnBr(s!)wp5t4s05~OS0TGU0e6DOm(XoO4@Fd"
        "_6jH5hg!B_c$9=+X@OHsUf}A=*wjQjS<gOTF3l*kQk2TL)z`HN+t;x}EQ07LJ>FfDgZs=GT9v;K@{%jz-9aPP`eT@1tM-zpzG<RPe@YzOCq^;$"
        "f<b``e#D?=L$YZg9Xk)%S%*Bjd*_c{_<2CX{smO630D"
    ),
    "hs": (
        "c-mc&ZAep57{|}OOU)2Xh$Ul84eiCS6**IA_ql19y$S|Jj2c&W^=j%uSENFkMpP0>g)dR5q0a0>iTXjeoin$r45i&L5Q5<wWrT!9j6$p{-mBmP"
        "fB60W@SOAE8B}NK!w^EWlprY^q);-`GOMKMWM5{Bl*DxH_vvH}Y>_xp?kAQ-nt$>f)R!^nhH9lmWt<IZDOqwQ30K5o%}1e%a5f%=C}J%^K?>Uh"
        "eogWU$^=9yRxG`?Bs20lbNEv9Ls8D#f@aa$TCRY`6}`yWDtI)esHK2M9z}fpJ_o8;wLu>iYmilOv0AM2^@z2oL}|?CA})t7GMo7lq@h<jYPGcR"
        "D1usFmR?3Cd7DCdnP}yQm=TvfZ;Z*Nc({7g0CWZi^O*r=m~VmlcX42F{DH8hDhN(!0MFEMX!?8!w8AzJo9kin=V9;+rGPH*o4NJsDfz@5!H1qy"
        "k<;BVI5VS%JdRJoU2PwUZhQo{>R*uBulw=B)-)J0JRsY%zPX~OUX!rYNHTW{lV&P}jHX4n8!J?7Y;h=C3AZ8KnF0n44T5fj%m~k!#lkuArt2DL"
        ")sd`rcO|$wE<mq(BfHPq=e&PD#vSN?L<-ebQa5^?h-aGc#FchtCN3S~Iw_#bW8G|OCIgNE(r$`kynYSqP3dEj`WlJQnoW!~$v7=P9_;rP@ypIy"
        "*js+oZ9lomIokFC{BQq~9nHtwClabj!&nENy}KC>6u6k8T@;C0`b8WAxlDBD9@gkLfyeGQPEvPZTEx)1K(l9!vChPY4zg1nOmfO+$x>h#JI;jy"
        "Qms2gV<L8cna^jtp3Sq}ruVFJ@c*7o0hI"
    ),
    "pruned": (
        "c-qaFdst5C8phX`^C>w@LL$Ua6qQr8-g3%mk8@H(6MYmZLrE!>$|+=+G-enLn{rIM8l=`5hcRIfg>e{W8)k+*3?non$?W@C>wPQVT=U2NXJ7lh"
        "uKW6}`*{!FTJPams|qd0J2saj$qZ@$)rSoH+Q3y0+Gx<*P<;^8XPEWFy8}9~wzzJ^+gvAu@=S;1?zmW%lIwA|I50x8HgGc=#$1@7@VQbGVFDwJ"
        "QX^r)!=wh{IwIIuYvzP34wekUEx>56`L%SaXqIu2^sBIer*=p`O10f)2TNCkogWwxW0bxYHYmg>ofM|Dp!B#DQ{xItm9iC5xbS5OWvQjPWl2()"
        "hy(<L2F@~u1_T(xqz-0!%uo{yGD<BCroly#l0WZl7>e3QxEK!p0*(M5f@8o3;8^fy@NeM1!EWF^a3c5<I0>Z3oDBW|P66+NQ^7mnH1K=S7rYJn"
        "f&T(~gWrM<;0;<=@H*%SUIm@NZ$KCD66gw+fo|YMT4V46=mFA1%HTi2DDWJ(6g&$?gC$@L_!YPeJOjpoUxLfQ)8Gp51egMT0j>m9a4lF2t^<p}"
        "_26;vU5M6t2K-U*J@5!P3;dim8dv}t!93al&{JqG{6D~XU@mPTFb50+57Ev84}uH91K=WXKkY(rFBl1CgP~v+_y@EHs)qg!y@GZ^FQLz%7tju<"
        "6WV_YK8HSr(%?S=pFmrnawr|DfIj4BX*1Ln?KbgeO@+F^uLV1Ut3exZm82io6reG<4Qxbn3N?pM1DipKkOh1)*b+*B-h$r>(h-iA^gZVa1@n6g"
        "G3e)>_FR9cBm8c#1MLy$7StEYq&);(<2l6#?K~xYO@=@N;M>vs^Jfi)AI#Up9(o_%5wrrwNP64ed~TvB{~(^k^NkU*g#U!@AL>r`1K&;3W9HB("
        "_%5I~*jdu|;COmw_+$K8ZJ^hD49Y3a{7^2UtOdW1UpFDae?arg=XNB#3*}329nX);p-QL+Ju~71=r_Udz;~dA&^Y*B^vqyCnmdC&XEb-Av`^tF"
        "FW={Td^LPi@Hd)!T0?`LcWLd~&|Jf><oWu2=xu|(COv5``QD_pvO}D5)^@(ul#wmL->HwJpRE?O#s+<?VLWRwa1fnusI{c;ecDSs4f>gK1~2oy"
        "L3^qn{CU1N?D&{8XO#3U=$&EE_X=Gvmh`bZL4y$=NONb<@4Xjzli!;)rE~c9l&isfI^UFwXpZ11cT+<3pgc!84VsR4fTZU>y7!rsvnX97KAJqp"
        "XzzetpeIQ02Z{}amcSpT^G<Ui>A7(@l!W*Q+5_MQzNSl{4e*7OpJ;E;S%sfLb7Ii<EbYk%N#B#UB*eYJfncem@0C%sFX2z|y)+hzg`W(r0u@PL"
        ">v2#r{1kd_Fog0ty(1(&moJs{987y|v_YS%cMSTTqBavG{arJWUWJHH2fe_@l740<NqR1vD(Q3U16A?4eaL@nf<d2iTC-`ijs|^>Tk+h{8vZ>="
        "&rx(X*1!kyvos%S3Qup<7GPIN-}B2P{arXq(sMB73VJ8ZqrGm>zfEWlE`Zv@@8WxWA>{@5H9Yswnl*#pDCuV>n%2pnuMLesZ}+zF8T<^zQob?h"
        "XM@f}oR$yj^Ao_|=~@Pwz2}76u+pc4v-3NQE$W|B6=1)Ae^m8=gU!5NqTKP{O~uTtyuAEgZ7KPJipxW-oce~B22}1>XvLtH$g@=B=2XJQ?6`??"
        "7{%LtQ&VHtUALCDpE=X2VL~jsn|d|3-hsS<7cx&e#LXG>KQ3lG+n8~A?VO`ng+{aSpf&g^xG4+qpQid0zAA3lY`H4p^|JkxII9>|bx)CdtX-ha"
        "K)eg$L10(#ah9JFh5EA=Q&{Dkmg>tt=Bf6U=jFxo0+b%#)b<zSwSrHCe}UgK;`d&m|1$WQXx|0xML+R7#RD6<LIsCge&zz@3nG^?Ez>=XSEpRb"
        "a`#H@#JZP^Rz-ax#_5f5O#5wCuR23{p{VbU`gC|G?_!`YoBDO*n*JjG-?EcsL+0JaPd)g2nQAl6Rn9;Ra^7{{%@ryT?L=JoWv&g_SKItlicwwb"
        "CN0&sCrn|YozL063X@~i?7fj{e8Y{h_>hgTx}&I%jWy44J*b83zAlbk7&DGd8QGyGzVBF1_1igKYGlP|)?;F)nsE;%E>|1=bjw5dUgay~)v-~m"
        "_L+Pz7d|ec{%4DD)xGl(#q`<dr4-8X!C}lUr4@7hbdoCinYI&aVLE=Db$+8>#7(_uC%oW6Ws|abXryY|Zu{*>7WUx=<xZOb)v8Zb-TSAtuK7Lh"
        "GZAX(vvgVXn-Q=~%_{R!-YJb|W**kXqJ7;x#qXELZSkA7uBQ7g;i@~UxbC3ViM>%Tp20Nk>H9uQRQD;uyZV|j^QrHuJAD?gkMF6<UyXOAVz_Fz"
        "x*NN^)PimCnf#}7&~9eDI{bE8v1weamAIcRSeq@{8tHM-ZY$<981rem|KD5XqB^Z`RsZUIh<$4s&rh1bjwH8LP3y&ZsO_JCkBfwC5jU-`Jy)jt"
        "PxrPjoYb~egH#WXASV5AU#`<%Yxn!sKz66Pyk>u_Y1V{=4e?bg<DJ#ql>?X<$1<~>vbj$jGkwOW^YfM4Hqp#{Qn<S3Y=PW&)O01wK1LPeOt*<s"
        "OI_M4qX&m7{#McK)0OdTPoL=G5cIo=epzM1*@3)ntkmP0oaP;@nvU;=e$&uT^iRRK^Du527y*iX7#C~KJ~=d{X1|>-2vyChPAaKrw-D{l!B@UK"
        "sU%-H?U7l!oUOl|=kEL@UM-(BRUR1_!!Dry8S1xI%vC~twLGegBl^WUhOzru$CX2<UxfN;xSs&rkMJdE_X_Q@;1|O0-<zmpW<{y7_QC3j&#x)Q"
        "bt{$aQWQ&oKMpURPxvDATY`Sc@CERW#c?d{d?RHwd=C81?emolw$U~HMZ3d@Z$kV`&TKWe`2*RjS0m;eGF=@E+JmB<h>!m`T*?1&shaMXsl2pX"
        "tcw04P(Kj$3j7v$H~2pAht(p*>BR!o1Ktr{#QWo1w#K=10xdv>ct6A|`x})JiP6jf@#ct&e&)_bWh~<DdQVob9kWn_8_be-=R~ssXlIFbPtk7}"
        ">Ls-E2F3k0f*%ck!PtO}iTA7d-BS2*@Oxj+Q$4NED}8yM$oq0t@#XM%)&{?G6Tfo>?IxhzpTCKY9@W2z=;P;(e*u;H^(!kYFV&WkLMkqgv~ubf"
        "UbL^E`_Hw~Q7@6FsmNwj@J;kBN(+?#vu`3po&TDV#_bMgBcV%$-fV8qH2F-%C+s?|i!6VYDLx9i0Ph*pp547(%!a}jCp)qekkfiUb{g#|XC8xh"
        "fv0h(zBjJv?2P>UcX^_FmHge%)yx60E2yuNyK7|sq>VNnX>;v2!W&}0nR~7s?k=0gDVLq=TA;n($A%^``tDfK^#<E(<EMQyG@lx(eG@#(@ne~b"
        "I%)UOBV{xjd;601t<rB-KJ|6Z$=J!#>*U6SZ9RGJyP7w9q$gYFdYNUsnVYzL@-ymO^LIwRsORrG*ZP;UX?)5l`KJvp<cue(_}0_pWy`eOdaQF>"
        "mUbw{L&W)5`E}^B|K%{ApKJ?E--UKvrqj3u>u*%E`X5Mj=R4mq^?~eGV35W4rCZ#in)kkfdlGHw9awjL=$Xrkcgy^H#>I3Ep5L%$b>3lOUEa7R"
        "(Ys8%uTt;I?BckQvUo>UN3~$$y*1)U7j5pl<<)$bX*%k#Qhw~OXmv#uDcXFt%gxlru)LKd7i>Gm1~=ZJ^%)56dsMAmA3Cv$xx+W!lF!825OWbv"
        ">gdgEGKR{@!Lh7&zp0Gc9)M_^em7RJY>eTAIMwxlq?T*g#H#VK8EA1ao((~}YV$Q(oJi{Hze~=+7=Pe8{gfN~0D6t<C0X^D10SObem&wvM-Q^c"
        "GxKGt-+CjCZH7uV=CVW6jBGou&*1tTR5>V`RX`bt(Rk^+9mU+bZ`0}%d-}6#Fb<@65_s;xCaunQ+YwfR>!@oFSvfrYmL&f9E&h1?>7z@YcFjG$"
        "*cSD@(s9UJUgG2AKlg*mVE"
    ),
}
LABELS = ["en", "de", "ru"]
PRINTED = {  # predict(line, k=3), in the order of LABELS
    "softmax": {
        "the cat sat": [0.9992737, 0.0005836103, 0.0001727262],
        "die Katze aß": [0.0005843329, 0.9973689, 0.002076793],
        "кот и cat": [0.9209468, 0.04740508, 0.03167816],
        "zzz": [0.9949321, 0.001806814, 0.003291117],
        "the katze на": [0.8690401, 0.1261523, 0.004837446],
        "dog dog </s> кот кот": [0.9956633, 0.002416577, 0.001950096],
        "__label__de fish": [0.9938823, 0.004409371, 0.001738406],
    },
    "ova": {
        "the cat sat": [1.00001, 0.006498271, 0.0004405571],
        "die Katze aß": [0.005070332, 1.00001, 0.008587487],
        "кот и cat": [0.966924, 0.07370627, 0.1645265],
        "zzz": [1.00001, 0.0005984087, 0.008071992],
        "the katze на": [0.9511522, 0.8080772, 0.001877566],
        "dog dog </s> кот кот": [0.9993638, 0.00713143, 0.01451358],
        "__label__de fish": [1.00001, 0.01206378, 0.002641675],
    },
    "ns": {
        "the cat sat": [0.9916942, 1e-05, 0.01323282],
        "die Katze aß": [1e-05, 0.9905974, 0.03515484],
        "кот и cat": [0.3140605, 0.0007654057, 0.04886778],
        "zzz": [1.00001, 1e-05, 0.01451358],
        "the katze на": [0.006913838, 0.002060743, 0.02369947],
        "dog dog </s> кот кот": [0.9790457, 1e-05, 0.01913404],
        "__label__de fish": [0.9855064, 1e-05, 0.01543456],
    },
    "hs": {
        "the cat sat": [0.9984331, 0.000489757, 0.001097175],
        "die Katze aß": [0.0008118092, 0.9938411, 0.005387076],
        "кот и cat": [0.8428437, 0.05851644, 0.09866307],
        "zzz": [0.9928666, 0.0006823079, 0.006471212],
        "the katze на": [0.8043674, 0.1606234, 0.03503312],
        "dog dog </s> кот кот": [0.9919804, 0.001944825, 0.006094916],
        "__label__de fish": [0.9891795, 0.00389284, 0.006947899],
    },
    "pruned": {
        "the cat sat": [0.999437, 1.210096e-05, 0.0005709495],
        "die Katze aß": [0.004410856, 0.9688168, 0.02681225],
        "кот и cat": [0.8271424, 0.008502383, 0.1643787],
        "zzz": [0.04013884, 0.4991236, 0.4607768],
        "the katze на": [0.1356516, 0.7756037, 0.08878195],
        "dog dog </s> кот кот": [0.9968264, 0.0003720141, 0.002821712],
        "__label__de fish": [0.9854107, 0.001523019, 0.01308653],
    },
}
