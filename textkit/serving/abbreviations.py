"""What is written with a full stop that ends no sentence, by language: data for sentences.py; and what a line's language is.

An entry in lower case is meant in upper case as well; one that begins with a capital is not meant in lower case ("Sen. Smith",
but "She is a sen."). The classes:

- `never`: no sentence ends with it: e.g., vs., Inc.
- `title`: a name follows: Mr., Dr.
- `number`: a number follows, else it is a word like any other: No. 5, p. 3, and also "No. I am tired."
- `month`: a number stands on one side of it: Jan. 5.
- `unless`: a sentence ends where the next word begins one for certain: "Main St. She lives there."
- `last`: what stands at the end of a list: a sentence ends where a capital follows: etc.

Knows no line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

CLASSES = ("never", "title", "number", "month", "unless", "last")


@dataclass(frozen=True)
class Language:
    """`classes`: abbreviation, without its last stop -> class. `starters`: words, in lower case, that begin a sentence rather
    than go on with one. `ordinals`: "3." may be the third; `before`: after these words it is ("am 3. Oktober"), and `third`:
    before these. `nouns`: what a letter belongs to: "grade A.", "Plan B."."""

    classes: dict[str, str]
    starters: frozenset[str]
    ordinals: bool = False
    nouns: frozenset[str] = frozenset()
    before: frozenset[str] = frozenset()
    third: frozenset[str] = frozenset()

    def kind(self, word: str) -> str | None:
        """The class of an abbreviation, None for any other word."""
        return self.classes.get(word) or (self.classes.get(word.lower()) if len(word) > 1 else None)


_DATA: dict[str, dict[str, str]] = {
    # What many languages share.
    "": {
        "never": "e.g i.e vs cf viz approx ca resp e.V",
        "title": "Dr Prof St Mr Mrs Ms",
        "number": "no nos nr p pp fig figs vol art max min tel op eq ch sec",
        "unless": "al dept ext",
        "last": "etc",
    },
    "en": {
        "never": "e.g i.e vs cf viz approx ca incl excl inc ltd co corp bros a.k.a eg ie plc L.L.C",
        "title": "Mr Mrs Ms Messrs Mx Dr Prof Rev Hon Gen Col Lt Maj Sgt Cpl Capt Cmdr Adm Gov Sen Rep Pres Supt Fr Msgr Atty",
        "number": (
            "no nos p pp par para fig figs vol vols art arts max min op eq eqs ch chap sec sect app ver v ext tel nr pl pt "
            "r"
        ),
        "month": "Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec Mon Tue Tues Wed Thu Thurs Fri Sat Sun",
        "unless": "St Ste Mt Ft Ave Blvd Rd Sq Hwy Pkwy Jr Sr Esq dept Dept est Est Univ Assn Bldg Ph.D M.D B.A M.A B.Sc M.Sc",
        "last": "etc",
        "starters": (
            "he she it they we you i this that these those there here then now today yesterday tomorrow but and so yet also "
            "however when while where what who why how which whose if because although since after before in on at as for "
            "to from by with my your his her its our their the a an no yes not is are was were do does did have has had can "
            "could will would should may might must let please some many most all both each every another other one once "
            "later still perhaps maybe nobody everybody everyone nothing something someone anyone only even just never "
            "often sometimes soon suddenly finally don't didn't isn't i'm i'll i've it's he's she's we're they're you're "
            "that's there's what's who's let's can't won't"
        ),
        "nouns": (
            "a an the letter grade grades vitamin plan group class type option part point size team hepatitis note key "
            "exhibit appendix chapter level block gate hall room terminal section number platform page bus line step phase "
            "unit category"
        ),
    },
    "de": {
        "never": (
            "z.b d.h i.e e.g bzw vgl vs ca inkl exkl einschl ausschl evtl ggf zb dh sog bspw m.a.w z.t z.zt u.u i.d.r s.o "
            "s.u o.g geb gest verh verst vorm ehem gegr med phil jur rer nat habil"
        ),
        "title": "Fa Dr Prof Hr Hrn Fr Frl Fam Dipl Ing Dipl.-Ing Mag St Hl Mr Mrs Hptm Lt Gen Kard Pfr",
        "number": "nr nrn S abb abs art bd bde kap tab tel aufl str ziff anm rn §",
        "month": "Jan Jän Febr Feb Mrz Apr Jun Jul Aug Sept Sep Okt Nov Dez",
        "unless": (
            "mio mrd tsd jh jhd jhdt std ff hg hrsg ev kath max min u.a u.ä o.ä o.j n.chr v.chr Chr u.s.w allg od bes ing "
            "zzgl abzgl"
        ),
        "last": "usw etc u.s.w usf",
        "starters": (
            "er sie es ich wir ihr du man das dies dieser diese dieses der die den dem ein eine einen einem einer dann "
            "danach doch aber und oder wenn als wie was wer wo wann warum wieso weshalb hier da dort jetzt heute gestern "
            "morgen mein meine dein deine sein seine unser unsere euer eure kein keine alle viele auch nun so deshalb darum "
            "daher trotzdem ist sind war waren hat haben hatte kann können will wollen soll muss müssen darf ja nein nicht "
            "bitte im in am an auf bei mit nach von vor zu zum zur für aus über unter seit ohne durch gegen um bis denn "
            "weil obwohl damit dass ob nur noch schon immer nie manchmal vielleicht leider niemand jeder jemand nichts "
            "etwas beide zwei drei welche welcher welches wessen später"
        ),
        "nouns": (
            "buchstabe buchstaben note vitamin plan gruppe klasse typ teil größe seite nummer zimmer kapitel bus linie "
            "gleis platz stufe phase hausnummer artikel paragraf paragraph ein eine einen der die das"
        ),
        "before": (
            "der die das dem den des am zum vom im ins beim dieser diese dieses diesem diesen jeder jede jedes jedem jeden "
            "mein sein ihr unser euer kein meine meinem meinen meiner dein deine deinem deinen seine seinem seinen seiner "
            "ihre ihrem ihren ihrer unser unsere unserem unseren und bis ab zur als"
        ),
        "third": (
            "januar jänner februar märz april mai juni juli august september oktober november dezember jahrhundert "
            "jahrhunderts jahrtausend geburtstag jahrestag hochzeitstag todestag mal klasse stock etage platz weltkrieg "
            "weltkriegs tag tage woche monat jahr lebensjahr kapitel runde auflage bezirk liga semester person stelle "
            "spieltag minute stunde teil akt satz band buch armee division kongress"
        ),
    },
    "fr": {
        "never": "p.ex env cf c.-à-d n.b av apr max min",
        "title": "M MM Mme Mmes Mlle Mlles Dr Pr Me Mgr St Ste",
        "number": "n no p pp fig vol chap art t éd",
        "month": "janv févr avr juil sept oct nov déc",
        "unless": "J.-C boul bd St Cie",
        "last": "etc",
        "starters": (
            "il elle ils elles on je j tu nous vous le la les l un une des ce cet cette ces c mon ma mes ton ta tes son sa "
            "ses notre votre leur mais et ou donc puis alors ensuite enfin aussi quand où comment pourquoi qui que qu quoi "
            "si dans en à de du pour par avec sans sur après avant ici là oui non est ne n y maintenant hier demain aujourd "
            "tout tous"
        ),
        "nouns": "vitamine plan groupe classe type option partie point page numéro chambre un une la le lettre",
    },
    "es": {
        "never": "p.ej ej aprox av avda cf s.a s.l dña",
        "title": "Sr Sra Srta Sres Sras Dr Dra D Dña Lic Ing Prof Profa Gral Sto Sta Mons Ud Uds Vd Vds",
        "number": "núm nº n pág págs p fig vol cap art tel t",
        "month": "ene feb mar abr may jun jul ago sept set oct nov dic",
        "unless": "EE.UU EE UU a.C d.C C Cía",
        "last": "etc",
        "starters": (
            "él ella ellos ellas yo tú usted ustedes nosotros el la los las lo un una unos unas este esta esto estos estas "
            "ese esa eso mi mis tu tus su sus nuestro nuestra pero y o entonces luego después también cuando donde dónde "
            "cómo qué quién por para con sin en de desde hasta si sí no aquí allí ahora hoy ayer mañana es son está están "
            "hay me te se nos todo todos"
        ),
        "nouns": "vitamina plan grupo clase tipo opción parte punto página número una la letra",
    },
    "it": {
        "never": "p.es es ca cfr",
        "title": "sig sigg sig.ra sig.na dott dott.ssa dr prof prof.ssa ing avv on mons S arch geom rag",
        "number": "n nr p pag pagg pp fig vol cap art tel",
        "unless": "a.C d.C C",
        "last": "ecc etc",
        "starters": (
            "lui lei loro io tu noi voi il la lo i gli le un una uno questo questa questi quello quella ma e o poi allora "
            "anche quando dove come perché chi che cosa se in di da a per con su qui lì ora oggi ieri domani è sono ha non "
            "mi ti si ci"
        ),
    },
    "pt": {
        "never": "p.ex ex aprox cf av",
        "title": "Sr Sra Srs Srta Dr Dra Prof Profa Eng D",
        "number": "n nº núm pág págs p fig vol cap art tel",
        "unless": "a.C d.C C Ltda Cia",
        "last": "etc",
        "starters": (
            "ele ela eles elas eu tu você vocês nós o a os as um uma este esta isto esse essa isso meu minha seu sua mas e "
            "ou então depois também quando onde como porque quem que se em de da do no na por para com sem aqui ali agora "
            "hoje ontem amanhã é são está não sim me"
        ),
    },
    "nl": {
        "never": "bijv bv d.w.z m.a.w o.a i.p.v t.o.v ca vgl resp incl excl",
        "title": "dhr mevr mw dr prof ir drs mr St",
        "number": "nr nrs blz p pp fig art hfst tel",
        "month": "jan feb mrt apr jun jul aug sept okt nov dec",
        "unless": "e.a m.n n.Chr v.Chr jl",
        "last": "enz etc e.d",
        "starters": (
            "hij zij ze het ik wij we jij je jullie u men dit dat deze die de een dan daarna maar en of als wanneer waar "
            "wat wie waarom hoe hier daar nu vandaag gisteren morgen mijn jouw zijn haar ons onze hun geen alle ook in op "
            "aan met van voor na bij is was heeft kan wil ja nee niet er"
        ),
    },
    "ru": {
        "never": "т.е т.к напр см ср т.н ок",
        "title": "г-н г-жа проф акад доц д-р св им ул пр просп пл пер гр тов ген полк кап о пос с р оз гор",
        "number": "стр рис табл гл п пп ст № т кн вып",
        "month": "янв февр апр авг сент окт нояб дек",
        "unless": "руб коп тыс млн млрд кг см км м мин сек ч н.э э",
        "last": "др пр т.д т.п",
        "starters": (
            "он она оно они я мы вы ты это этот эта эти тот та те то но и а или если когда где что кто как почему зачем "
            "потом затем тогда здесь там сейчас теперь сегодня вчера завтра мой моя твой его её их наш ваш все всё в на с "
            "по за из к у о для не нет да уже ещё так также однако поэтому"
        ),
    },
}
_SAME = {"uk": "ru", "be": "ru", "bg": "ru", "sr": "ru", "gl": "es", "ca": "es", "at": "de", "lb": "de", "af": "nl"}
# Where a number with a stop is the third rather than three.
_ORDINALS = frozenset(re.split(" ", "de lb da no nb nn is fi et lv cs sk pl sl hr bs hu tr"))


@cache
def language(code: str) -> Language:
    """The language of an ISO 639 code ("de", "de-AT"); of one that has no data here what many languages share."""
    short = _THREE.get(code.lower(), re.split("[-_]", code.lower())[0])
    data = _DATA.get(_SAME.get(short, short), {})
    classes: dict[str, str] = {}
    for source in (_DATA[""], data):
        for kind in CLASSES:
            classes |= dict.fromkeys(source.get(kind, "").split(), kind)
    sets = {name: frozenset(data.get(name, "").split()) for name in ("nouns", "before", "third")}
    starters = frozenset((data or _DATA["en"]).get("starters", "").split())
    return Language(classes, starters, short in _ORDINALS, **sets)


_THREE = {
    "eng": "en", "deu": "de", "ger": "de", "fra": "fr", "fre": "fr", "spa": "es", "ita": "it", "por": "pt", "nld": "nl",
    "dut": "nl", "rus": "ru", "ukr": "uk", "pol": "pl", "ces": "cs", "dan": "da", "swe": "sv", "nor": "no", "fin": "fi",
    "hun": "hu", "jpn": "ja", "zho": "zh", "ell": "el",
}  # fmt: skip

_WORD = re.compile(r"[^\W\d_]+")
_FREQUENT = {
    "en": "the of and to is was it he she that you in i are were have has his her with this they we not do my at be for",
    "de": "der die das und ist nicht ein eine ich er sie wir zu den dem am im mit auf für von war sich es hat wie des kommen",
    "fr": "le la les des et est un une il elle je nous vous pas ne que qui dans pour sur avec du au ce cette né où à être été",
    "es": "el los las y es un una que no en se por con del al está aquí vive su muy qué cómo señor yo hola lo",
    "it": "il lo gli e è un una che non di per con del della sono ha ho questo questa qui sì",
    "pt": "o os as e é um uma que não de do da em para com está são ele ela você",
    "nl": "de het een en is niet ik hij zij van dat op te met voor zijn was",
}


def guessed(line: str) -> str:
    """The language of a line by its letters and its small words: "en" where nothing says otherwise."""
    if re.search("[\u0400-\u04ff]", line):
        return "ru"
    words = _WORD.findall(line[:2000].lower())
    best, most = "en", 0
    for code, frequent in _frequent().items():
        count = sum(word in frequent for word in words)
        count += sum(character in "äöüß„" for character in line[:2000]) if code == "de" else 0
        count += 2 * sum(character in "¿¡ñ" for character in line[:2000]) if code == "es" else 0
        if count > most:
            best, most = code, count
    return best


@cache
def _frequent() -> dict[str, frozenset[str]]:
    return {code: frozenset(words.split()) for code, words in _FREQUENT.items()}
