"""The words of abbreviations.py for northern and eastern languages, laid out as in abbreviation_lists.py. Data alone."""

from __future__ import annotations

MORE: dict[str, dict[str, str]] = {
    "ru": {
        "never": "т.е т.к напр см ср т.н т.ч т.о букв",
        "title": (
            "г-н г-жа проф акад доц д-р св им ул пр просп пл пер гр тов ген полк кап о пос с р оз гор Дж Дм мкр наб "
            "ред зам зав нач инж мл"
        ),
        "number": "стр рис табл гл п пп ст № т кн вып ок кв корп оф эт",
        "month": "янв февр апр авг сент окт нояб дек",
        "unless": "руб коп тыс млн млрд кг см км м мин сек ч н.э э в вв гг шт экз долл изд англ франц греч чл обл",
        "last": "др пр т.д т.п",
        "starters": (
            "он она оно они я мы вы ты это этот эта эти тот та те то но и а или если когда где что кто как почему "
            "зачем потом затем тогда здесь там сейчас теперь сегодня вчера завтра мой моя твой его её их наш ваш все "
            "всё в на с по за из к у о для не нет да уже ещё так также однако поэтому"
        ),
    },
    "uk": {
        "never": "напр див т.зв т.ч",
        "title": "вул пл просп пров бул проф акад доц ім св ред зам інж р-н Дж",
        "number": "рис табл гл п пп ст № т с кв буд корп",
        "month": "січ лют берез квіт трав черв лип серп верес жовт листоп груд",
        "unless": "грн коп тис млн млрд р рр м н.е англ обл ген полк",
        "last": "ін т.д т.п",
        "starters": (
            "він вона воно вони я ми ви ти це цей ця ці той та те ті але і й або якщо коли де що хто як чому потім "
            "тоді тут там зараз тепер сьогодні вчора завтра мій моя твій його її їх наш ваш всі все усі у в на з із "
            "за по до для не ні так вже ще також однак тому"
        ),
    },
    "da": {
        "never": "f.eks fx dvs ca pga evt jf vedr inkl ekskl",
        "title": "hr fr frk dr prof ing cand mag stud skt",
        "number": "kl tlf str stk årg afsn kap",
        "month": "jan feb apr jun jul aug sept sep okt nov dec mar",
        "unless": "f.Kr e.Kr afd red",
        "last": "osv m.m m.fl mv",
        "starters": (
            "han hun den det de vi jeg du i man denne dette disse der her nu så da men og eller hvis når hvor hvad "
            "hvem hvorfor hvordan hvilken fordi derfor derefter senere også ja nej ikke på af til fra med for om "
            "efter før ved under min mit mine din dit hans hendes vores deres en et alle ingen mange nogle er var har "
            "havde kan vil skal må"
        ),
        "third": (
            "januar februar marts april maj juni juli august september oktober november december verdenskrig division "
            "klasse"
        ),
    },
    "no": {
        "never": "f.eks dvs ca pga evt jf vedr inkl ekskl",
        "title": "hr fr frk dr prof ing siv.ing cand stud",
        "number": "kl tlf str stk årg avsn kap",
        "month": "jan feb apr jun jul aug sept sep okt nov dec mar des",
        "unless": "f.Kr e.Kr avd red",
        "last": "osv m.m m.fl mv",
        "starters": (
            "han hun den det de vi jeg du man denne dette disse der her nå så da men og eller hvis når hvor hva hvem "
            "hvorfor hvordan hvilken fordi derfor etterpå senere også ja nei ikke i på av til fra med for om etter "
            "før ved under min mitt mine din ditt hans hennes vår deres en et ei alle ingen mange noen er var har "
            "hadde kan vil skal må eg ho dei"
        ),
        "third": (
            "januar februar mars april mai juni juli august september oktober november desember verdenskrig divisjon "
            "klasse"
        ),
    },
    "sv": {
        "never": "t.ex bl.a dvs d.v.s ca s.k m.a.o p.g.a pga fr.o.m t.o.m ev inkl exkl jfr jmf resp",
        "title": "hr fr frk dr prof ing S:t S:ta",
        "number": "kl tel kap avsn",
        "month": "jan feb apr jun jul aug sept sep okt nov dec febr",
        "unless": "f.Kr e.Kr avd red fil doc dir",
        "last": "osv o.s.v m.m m.fl o.d",
        "starters": (
            "han hon den det de vi jag du ni man denna detta dessa där här nu så då men och eller om när var vad vem "
            "varför hur vilken därför sedan sen senare också ja nej inte i på av till från med för efter före vid "
            "under min mitt mina din ditt hans hennes vår deras en ett alla ingen många några är har hade kan vill "
            "ska måste idag igår imorgon"
        ),
    },
    "fi": {
        "never": "esim ts nk ns ks vrt",
        "title": "tri prof dos hra rva nti kenr",
        "number": "puh nro",
        "unless": "eKr jKr mrd milj mm",
        "last": "jne ym yms tms",
        "starters": (
            "hän he se ne me minä sinä te tämä tuo nämä nuo mutta ja tai jos kun missä mikä mitä kuka miten miksi "
            "sitten silloin täällä siellä nyt tänään eilen huomenna minun sinun hänen meidän teidän heidän kaikki ei "
            "kyllä on oli olen myös siksi koska vaikka kuitenkin"
        ),
    },
    "pl": {
        "never": "np tj tzn tzw m.in wg zob",
        "title": "prof dr hab mgr inż ks św kpt płk ppłk mjr abp bp lek ul pl ur woj pow",
        "number": "ok godz str rozdz art ust pkt poz tab rys nr tel",
        "unless": "tys mln mld im pt os por red tłum wyd ang niem łac n.e p.n.e gen",
        "last": "itd itp",
        "starters": (
            "on ona ono oni one ja ty my wy to ten ta te ci ale i a lub czy jeśli kiedy gdy gdzie co kto jak dlaczego "
            "potem wtedy tu tam teraz dziś dzisiaj wczoraj jutro mój moja moje twój jego jej ich nasz wasz wszyscy "
            "wszystko w na z do po za od dla nie tak już jeszcze też także jednak dlatego jest są był była"
        ),
        "third": "liga liceum",
    },
    "cs": {
        "never": "např tj tzv tzn resp cca mj popř příp vč",
        "title": "Ing Mgr Bc MUDr JUDr PhDr RNDr MVDr doc prof dr sv plk kpt mjr npor ul nám",
        "number": "str odst písm čp tab obr tel",
        "unless": "tis mil mld tř angl něm lat vyd př.n.l gen",
        "last": "atd apod aj",
        "starters": (
            "on ona ono oni já ty my vy to ten ta ti tato tento toto tyto ale a nebo jestli když kde co kdo jak proč "
            "pak potom tehdy tady tam teď dnes včera zítra můj moje tvůj jeho její jejich náš váš všichni vše v ve na "
            "z ze do po za od pro ne ano už ještě také však proto je jsou byl byla"
        ),
        "third": "liga",
    },
    "sk": {
        "never": "napr tj tzv tzn resp cca príp",
        "title": "Ing Mgr Bc MUDr JUDr PhDr RNDr doc prof dr sv plk ul nám",
        "number": "str ods písm tab obr tel",
        "unless": "tis mil mld angl gen",
        "last": "atď",
        "starters": (
            "on ona ono oni ja ty my vy to ten tá tí táto tento toto ale a alebo ak keď kde čo kto ako prečo potom "
            "vtedy tu tam teraz dnes včera zajtra môj moja tvoj jeho jej ich náš váš všetci všetko v vo na z zo do po "
            "za od pre nie áno už ešte tiež však preto je sú bol bola"
        ),
        "third": "liga",
    },
    "hr": {
        "never": "npr tj tzv odn",
        "title": "dr prof sv gđa gđica gosp mr akad inž dipl ul",
        "number": "br str čl tel",
        "last": "itd itsl",
        "starters": (
            "on ona ono oni one ja ti mi vi to ovo taj ta te ali i ili ako kad gdje što tko kako zašto onda zatim "
            "tada ovdje tamo sada danas jučer sutra moj moja njegov njezin naš vaš svi sve u na s iz za od po ne da "
            "već još je su bio bila"
        ),
        "third": "liga",
    },
    "hu": {
        "never": "pl ill ún kb vö ld",
        "title": "dr prof id ifj özv Szt",
        "number": "old tel fsz",
        "month": "jan febr márc ápr máj jún júl aug szept okt nov dec",
        "unless": "krt ker sz Bp i.e i.sz",
        "last": "stb",
        "starters": (
            "ő ők én te mi ti ez az ezek azok a egy de és vagy ha mikor amikor hol mit ki hogyan miért aztán akkor "
            "itt ott most ma tegnap holnap nem igen is már még csak mert ezért azért van volt"
        ),
        "third": "kerület világháború század hétfő kedd szerda csütörtök péntek szombat vasárnap",
    },
    "tr": {
        "never": "örn bkz",
        "title": "Sn Dr Prof Doç Av Yrd Uzm Op Alb Yzb Gen Hz Öğr Arş Gör Müh",
        "number": "no",
        "unless": "Cad Sok Mah Apt Blv Üniv Fak Böl Ltd Şti",
        "last": "vb vs vd",
        "starters": (
            "o onlar ben sen biz siz bu şu bunlar şunlar ama ve veya eğer ne kim nerede nasıl neden niçin sonra şimdi "
            "bugün dün yarın burada orada benim senin onun bizim sizin onların herkes hiç bir evet hayır çok daha da "
            "de için çünkü"
        ),
        "third": "dünya yüzyıl abdülhamid mahmud mehmed murad selim bayezid osman mustafa ahmed lig cadde sokak",
    },
    "el": {
        "never": "π.χ δηλ βλ πρβλ",
        "title": "κα κος κας δρ καθ αγ οδ λεωφ δις",
        "number": "αρ σελ τηλ κεφ αριθ τόμ παρ",
        "month": "Ιαν Φεβ Μαρ Απρ Ιουν Ιουλ Αυγ Σεπ Σεπτ Οκτ Νοε Δεκ",
        "unless": "π.Χ μ.Χ εκ εκατ δισ χιλ",
        "last": "κ.λπ κλπ κ.τ.λ κτλ κ.ά κ.α",
        "starters": (
            "αυτός αυτή αυτό αυτοί αυτές αυτά εγώ εσύ εμείς εσείς ο η το οι τα τον την ένας μια μία ένα αλλά και ή αν "
            "όταν πού που τι ποιος πώς γιατί μετά τότε εδώ εκεί τώρα σήμερα χθες αύριο όλοι όλα στο στη στην στον σε "
            "με από για δεν ναι όχι θα να είναι ήταν έχει"
        ),
    },
    "ro": {
        "never": "ex cf aprox pt",
        "title": "dl dna d-na d-l dr prof ing av Sf Gen Col lt cpt conf acad str bd șos jud",
        "number": "nr pag art alin cap fig tel et ap bl sc vol sec",
        "month": "ian feb mar apr iun iul aug sept oct nov dec",
        "unless": "î.Hr d.Hr mil mld",
        "last": "etc ș.a ș.a.m.d",
        "starters": (
            "el ea ei ele eu tu noi voi acesta aceasta asta acest această dar și sau dacă când unde ce cine cum apoi "
            "atunci aici acolo acum azi astăzi ieri mâine toți toate în pe la cu din pentru fără nu da este e sunt "
            "era are am un o"
        ),
    },
}
