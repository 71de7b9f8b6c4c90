"""Where a line is cut into sentences: at these bars, by each language's rules, whether it is told or guessed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from small_translator import write_translator

from textkit.serving.abbreviations import guessed, language
from textkit.serving.sentences import Part, own_abbreviations, sentences
from textkit.serving.translator import Translator

Call = Callable[..., tuple[int, str, str]]

# | stands for a space between two sentences, and between ¦ stands what else is there: smileys, nothing.
CUT = """
We waited until 10.|Nobody came.
He is 40.|She is 35.
I have 2.|You have 5.
She turned 18.|Tom was happy.
I was born on May 5.|My brother was born on June 7.
No.|I am tired.
Is he here?|No.|He went home.
I got an A.|Tom got a C.
I met Jan.|He was happy.
I am happy¦ 😀 ¦Tom is sad.
I am happy¦ :) ¦Tom is sad.
Dr. Smith is here.|He waits.
The price is 3.5 dollars.|It is cheap.
He said: "Go home."|Then he left.
Wait... what?
Wait...|Then he left.
See p. 5 and Fig. 3.|It is clear.
We met at 5 p.m. on Monday.
J. R. R. Tolkien wrote it.
The U.S. Army came.|The U.S. is big.
No. 5 is alive.
No.|I do not want it.
Did she?|No.|She did not.
Use a hammer, etc.|Then paint it.
Am 3. Oktober 1990 war es soweit.
Ludwig XIV. war König.|Er starb 1715.
Es war das Jahr 1989.|Die Mauer fiel.
Das ist z. B. so.|Das nicht.
Wir wohnen in der Hauptstr. 5.|Kommen Sie.
Er sagte: „Geh nach Hause.“|Dann ging er.
Il est né à Paris, av. J.-C.|Il est mort.
M. Dupont est là.|Il attend.
Hola.|¿Cómo estás?
El Sr. García vive aquí.|¡Qué bien!
「行くよ。」と言った。
Он пришёл.|Она ушла.
Это и т. д. и т. п.|Потом ушла.
यह घर है।|वह गाड़ी है।
Πού είσαι;|Εδώ είμαι.
Visit www.example.com.|It is good.
Am I?Are you?
1. First item.|2. Second item.
The firm Acme Inc. Sold it.
Acme Inc. He worked there.
It is 5 km.|It is far.
He weighs 80 kg.|He is fat.
She has 12.|He has 3.
She is 30.|He is 29.
What year?|1999.|It was good.
Plan B.|Then go.
I got an A.|She got a B.|We were happy.
Hello World¦ :) ¦How are you?
I am here!¦ 😀 ¦Where are you?
He ran.¦¦She sat.
Who?|Me?|Yes.|You.
iPhone is here.|iPad is not.
It rained.|3 people came.
It rained.|(He was sad.)|She left.
It is true.[1]|He said so.
It is true.|[1] He said so.
• First.|• Second.
Er ist 1,80 m groß.|Sie ist klein.
Das kostet 5 Mio. Euro.|Das ist viel.
Siehe S. 5 ff.|Das ist wichtig.
Sen. Smith met Gov. Brown.|They talked.
He lives on Main St.|She lives on Elm St.
I have no.|Do you?
Is it so?|I said no.|He said no.|We left.
He ate the max.|She ate the min.|They left.
Look at my art.|It is new.
He plays on the sea.|It is op.|Fine.
I met al.|He is nice.
She is a sen.|He is.
The sun rose over the mt.|It was red.
He is a med.|She is too.
His name is Jan.|She is Ed.|They are Max.|Phil.|Abs.
This is Max.|Max is a dog.
Hello, I am Ed.|Nice to meet you.
I saw Jan.|She smiled.
That is a nice tab.|Thank you.
It is up to me.|I go.
I am going to bed.|Ud. knows.
আমি যাই।|তুমি আসো।
هل أنت هنا؟|نعم.
यह घर है॥|वह गाड़ी है।
ሰላም ነው።|እንዴት ነህ።
သူလာသည်။|ကျွန်တော်သွားသည်။
ខ្ញុំទៅផ្ទះ។|គាត់មក។
今日は晴れです。¦¦明日は雨です。
彼は「はい。」と答えた。¦¦そして帰った。
他说：“走吧。”¦¦然后他走了。
3。5公里。
ほんと？！¦¦はい。
안녕하세요.|어떻게 지내세요?
สวัสดี.|คุณสบายดีไหม?
Am 3. Oktober feiern wir.
Er kam am 3. Oktober.|Sie kam am 4. November.
Er wohnt im 2. Stock links.
Ich bin 18.|Tom ist 20.
Er ist 40.|Sie ist 35.
Der 2. Weltkrieg endete 1945.
Wir treffen uns um 10.|Komm bitte pünktlich.
Friedrich II. von Preußen war König.
Heinrich VIII. hatte sechs Frauen.|Er war König.
Das ist z.B. Wasser.
Sie hat z. B. Äpfel gekauft.
Das heißt, d. h. Tom kommt.
Wir kauften Äpfel, Birnen usw.|Danach gingen wir.
Herr Dr. Müller ist da.
Frau Prof. Dr. Schmidt ist krank.
Dr. med. Weber hat Dienst.
Die Stadt St. Gallen ist schön.
Nein.|Ich komme nicht.
Er ist im 19. Jahrhundert geboren.|Das ist lange her.
Siehe Nr. 5 und Abb. 3 auf S. 7.
Das sind ca. 5 Mio. Euro.|Das ist viel.
Das war am 3.10.1990 in Berlin.
Es ist 10.30 Uhr.|Wir gehen.
„Komm her!“|Dann ging er.
Er sagte: »Geh!«|Dann lief er.
„Komm her!“, sagte er.
Wo ist Tom?|Er ist weg.
Ja!|Nein!|Vielleicht.
Mr. Smith left.|Mrs. Smith stayed.
St. Louis is a city.
He lives in St. Louis.|She lives in Mt. Vernon.
We like fruit, e.g. Apples and pears.
The second one, i.e. Tom, left.
We met at 5 p.m.|Then we ate.
We met at 5 p.m. Monday in Boston.
It starts at 9 a.m.|Tom is late.
He has a Ph.D.|He is smart.
It is England vs. France tonight.
He lives in the U.S.|She lives in the U.K.
The U.S. President spoke.
Bring pens, paper, etc.|We start at ten.
Pens, paper, etc. are here.
He works for Apple Inc. in Cupertino.
The Dow Jones Co. Building burned.
The rate is 3.14.|It is pi.
Version 2.0 is out.|Get it at https://example.com/a.b?c=d.|Thanks!
Go to www.example.org.|It works.
Email me at a.b@example.com.|I will answer.
1. First thing.|2. Second thing.|3. Third thing.
He said, "Stop!"|Then he ran.
"Stop!" Tom shouted.
"Are you all right?" she asked.
(It was late.)|We left.
It was late (very late).|We left.
It was late...|We left.
It was... strange.
I... I don't know.
It was late…|We left.
Who... or what is it?
¿Dónde estás?|¡Ven aquí!
¡Hola!|¿Qué tal?
La Sra. López y el Dr. Pérez llegaron.
Vive en EE. UU.|Es feliz.
Compré pan, leche, etc.|Luego volví.
Son las 5 p. m.|Vamos a comer.
Comment allez-vous ?|Je vais bien.
Il a dit : « Viens ! »|Puis il est parti.
« Viens ! » dit-il.
M. Martin et Mme. Durand sont là.
Il est 8 h.|Je pars.
Il aime les pommes, les poires, etc.|Elle aime le pain.
Он родился в 1990 г. в Москве.
Он родился в 1990 г.|Она родилась в 1992 г.
Это, т.е. Москва, столица.
А. С. Пушкин родился в Москве.
Он живёт в г. Москве на ул. Ленина.
Где ты?|Я здесь.
Πού πας;|Πάω σπίτι.
Θέλω ψωμί, γάλα κ.λπ. στο σπίτι.
Ποιος είναι;|Δεν ξέρω.
你好。¦¦我是汤姆。
你是谁？¦¦我是汤姆！
“你好！”他说。
他走了……我哭了。
私はトムです。¦¦彼女はメアリーです。
「ありがとう。」と彼女は言った。
「はい！」¦¦彼は走った。
本当？¦¦うそ！
أين أنت؟|أنا هنا.
मैं घर जा रहा हूँ।|तुम कहाँ हो?
Où es-tu?|Ici.
Plan B failed.|Plan C.|Then D.
I take vitamin C.|Tom takes vitamin D.
She got an A.|Tom got a B.
George W. Bush was president.
By J. K. Rowling and C. S. Lewis.
I know Mr. T.|He is strong.
It is I.|You know me.
World War II.|It was terrible.
Section 5.|Tom wrote it.
I was born in 1990.|Tom was born in 1991.
My number is 12.|What is yours?
We have 3.|Tom has 4.
She is 5 ft.|She is small.
It weighs 3 lbs.|Tom can carry it.
Gen. Lee and Col. Sanders met Capt. Kirk.
On Jan. 5 we left.|On Feb. 6 we came back.
I was born in Jan.|She was born in Dec.
I love you¦ 😍 ¦I miss you.
I am tired¦ :-( ¦Good night.
I ❤ New York.
Thanks!¦ :) ¦See you.
Yes¦ :D ¦Of course.
The ratio is 3:1 Tom said.
OK.|Let's go.
No!|Wait!
No way.|It is no. 5.
Is this No. 7?|Yes.
Yes.|No.|Maybe.
I said no.|Tom said yes.
See Fig. 2.|Tom drew it.
Turn to p. 10.|Read it.
See pp. 10-12 and vol. 3 for more.
He is at the dept.|She is not.
Smith et al. 2019 showed it.
It is in Washington, D.C.|The White House is there.
I like the song.|"Hello" is its name.
What?!|You did it?
Hey!!!|Stop it!!!
eBay is big.|iPhone sales rose.
He is approx. 5 years old.
Ask Sgt. Pepper.|He knows.
Sie kommt um 8.|Er kommt um 9.
Ich wohne in Haus Nr. 12.|Und du?
Das 1. Kapitel ist kurz.
Am 1. und 2. Mai ist frei.
Heute ist der 5.|Morgen ist der 6.
Die Fa. Meyer GmbH liefert.
Ruf mich an.|Tel. 12345.
Ich heiße Jan.|Du heißt Max.
Das ist Kunst.|Das ist keine Art.|Das ist Natur.
Wir haben Plan B.|Tom hat Plan C.
Նա եկավ։|Նա գնաց։
وہ آیا۔|وہ گیا۔
そうですか。¦¦分かりました。
네.|알겠습니다.
Sì.|Il dott. Rossi è qui.
Ele é o Sr. Silva.|Ela é a Sra. Costa.
Hij heet dhr. Jansen.|Zij heet mevr. De Vries.
Jan. 1 is a holiday.|Dec. 25 is too.
"It is late."|Nobody answered.
"Where is he?"|"At home."
""".strip().split("\n")


def parts_of(cut: str) -> list[Part]:
    found = re.findall(r"([^|¦]+)(\||¦[^¦]*¦|$)", cut)
    return [Part(text, gap.replace("|", " ").replace("¦", "")) for text, gap in found]


@pytest.mark.parametrize("cut", CUT)
def test_a_line_is_cut_where_its_sentences_end(cut: str) -> None:
    expected = parts_of(cut)
    line = "".join(part.text + part.space for part in expected)
    assert sentences(line) == expected
    assert sentences(f"  {line}\t") == expected


def test_the_language_decides() -> None:
    assert [part.text for part in sentences("Wir sind im 3. Tom ist da.", "de")] == ["Wir sind im 3. Tom ist da."]
    assert [part.text for part in sentences("Wir sind im 3. Tom ist da.", "en")] == ["Wir sind im 3.", "Tom ist da."]
    assert len(sentences("It is on fig. Four is right.", "en")) == 2
    assert len(sentences("Das sind 5 Mio. Euro.", "de")) == 1
    assert len(sentences("Das sind 5 Mio. Euro.", "en")) == 2
    assert language("eng") is not language("deu")
    assert language("de-AT").ordinals
    assert language("xx").kind("etc") == "last"
    assert [guessed(line) for line in ("Wo ist das?", "Where is it?", "Где он?", "¿Dónde?", "12")] == [
        "de", "en", "ru", "es", "en",
    ]  # fmt: skip


def test_abbreviations_of_a_users_own() -> None:
    own = own_abbreviations(["Abk.", "zzt", "", "Sp. z o.o."])
    assert [part.text for part in sentences("Die Abk. Einkauf kam. Gut.", "de", own)] == [
        "Die Abk. Einkauf kam.",
        "Gut.",
    ]
    assert len(sentences("Die Abk. Einkauf kam.", "de")) == 2
    assert len(sentences("Er ist Zzt. Kunde.", "de", own)) == 1  # in lower case: in any
    assert len(sentences("Die abk. Einkauf kam.", "de", own)) == 2  # with a capital: as it is
    assert len(sentences("Die Firma Sp. z o.o. Kunde.", "de", own)) == 1
    assert len(sentences("Die Jazzt. Kunde.", "de", own)) == 2  # the end of another word
    assert own_abbreviations(["", " . "]) is None


def test_smileys_between_sentences_are_carried_along(tmp_path: Path) -> None:
    translate = Translator(write_translator(tmp_path / "small"))
    assert translate(["The dog 😀 The cat. :)", "The dog 😀"]) == ["der Hund 😀 der Katze. :)", "der Hund 😀"]
    assert translate(["The dog. :)  The cat ❤️", "😀"])[0] == "der Hund. :)  der Katze ❤️"


def test_translate_takes_abbreviations_from_a_file(tmp_path: Path, call: Call) -> None:
    model, lines, own = write_translator(tmp_path / "small"), tmp_path / "lines.txt", tmp_path / "own.txt"
    lines.write_text("The dog. The cat.\n")
    own.write_text("dog.\n")
    options = "translate", "-m", model, lines, "--format", "jsonl"
    plain, with_own = call(*options), call(*options, "--abbreviations", own)
    assert plain[0] == with_own[0] == 0
    assert plain[1] != with_own[1]  # the ends of two sentences were counted, and of one
    for wrong in (["--abbreviations", "-"], ["--abbreviations", own, "--no-sentences"]):
        assert call(*options, *wrong)[0] == 2
    code, _, error = call(*options, "--abbreviations", tmp_path / "none")
    assert code == 1
    assert "none: no such file" in error
