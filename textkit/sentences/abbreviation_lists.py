"""The words of abbreviations.py: by language, the abbreviations, and the words that begin a sentence. Data alone."""

from __future__ import annotations

LISTS: dict[str, dict[str, str]] = {
    # Shared by many languages; in the scripts of India also the names of Latin letters, which serve as initials.
    "": {
        "never": "e.g i.e vs cf viz approx ca resp e.V მაგ उदा",
        "title": (
            "Dr Prof St Mr Mrs Ms डॉ डा श्री श्रीमती सुश्री प्रो प्रा ए बी डी एफ एच जे एल एम एन आर एस टी वी यू "
            "डब्ल्यू के ई ডা ডাঃ মো প্রফেসর এ বি সি ডি এফ জি এইচ জে এল এম এন পি এস টি ইউ ভি டாக்டர் திரு திருமதி பேரா "
            "எம் என் எஸ் ஆர் எல் கே ஜி சி பி டி வி ஜெ డా శ్రీ శ్రీమతి ప్రొ కె ఎన్ ఎస్ ఆర్ ఎల్ ఎం బి సి జి పి టి వి ಡಾ "
            "ಶ್ರೀ ಶ್ರೀಮತಿ ಪ್ರೊ ಬಿ ಸಿ ಡಿ ಎಚ್ ಎಸ್ ಎನ್ ಆರ್ ಎಲ್ ಎಂ ಕೆ ಜಿ ಪಿ ಟಿ ವಿ ഡോ ശ്രീ ശ്രീമതി പ്രൊഫ എ ബി സി ഡി എഫ് ജി "
            "എച്ച് ജെ കെ എൽ എം എൻ ഒ പി ആർ എസ് ടി വി ડૉ ડો શ્રી શ્રીમતી પ્રો બી સી ડી એચ જે એલ એમ એન આર એસ ટી વી கு மு "
            "ดร นพ พญ ผศ รศ รศ.ดร ผศ.ดร პროფ"
        ),
        "initial": "आई जी पी सी ओ જી પી",
        "number": "no nos nr p pp fig figs vol art max min tel op eq ch sec",
        "unless": "al dept ext",
        "last": "etc ა.შ",
    },
    "en": {
        "never": "e.g i.e vs cf viz approx ca incl excl inc ltd co corp bros a.k.a eg ie plc L.L.C esp",
        "title": (
            "Mr Mrs Ms Messrs Mx Dr Prof Rev Hon Gen Col Lt Maj Sgt Cpl Capt Cmdr Adm Gov Sen Rep Pres Supt Fr Msgr "
            "Atty Brig Pvt Cpt Cdr Det Insp Cllr Bp Abp Mme Mlle Mgr Amb"
        ),
        "number": (
            "no nos p pp par para fig figs vol vols art arts max min op eq eqs ch chap sec sect app ver v ext tel nr "
            "pl pt r ref refs apt rm"
        ),
        "month": "Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec Mon Tue Tues Wed Thu Thurs Fri Sat Sun",
        "unless": (
            "St Ste Mt Ft Ave Blvd Rd Sq Hwy Pkwy Jr Sr Esq dept Dept est Est Univ Assn Bldg Ph.D M.D B.A M.A B.Sc "
            "M.Sc Inst Assoc Soc Intl Natl Govt Mfg Ct Ln Ter Calif Conn Fla Ariz Colo Minn Mich Okla Tenn ibid"
        ),
        "last": "etc",
        "starters": (
            "he she it they we you i this that these those there here then now today yesterday tomorrow but and so "
            "yet also however when while where what who why how which whose if because although since after before in "
            "on at as for to from by with my your his her its our their the a an no yes not is are was were do does "
            "did have has had can could will would should may might must let please some many most all both each "
            "every another other one once later still perhaps maybe nobody everybody everyone nothing something "
            "someone anyone only even just never often sometimes soon suddenly finally don't didn't isn't i'm i'll "
            "i've it's he's she's we're they're you're that's there's what's who's let's can't won't"
        ),
        "nouns": (
            "a an the letter grade grades vitamin plan group class type option part point size team hepatitis note "
            "key exhibit appendix chapter level block gate hall room terminal section number platform page bus line "
            "step phase unit category"
        ),
    },
    "de": {
        "never": (
            "z.b d.h i.e e.g bzw vgl vs ca inkl exkl einschl ausschl evtl ggf zb dh sog bspw m.a.w z.t z.zt u.u i.d.r "
            "s.o s.u o.g geb gest verh verst vorm ehem gegr med phil jur rer nat habil mind lt gem dt insb insbes "
            "betr bzgl diesbzgl urspr ugs versch wg zw entspr stellv z.hd"
        ),
        "title": (
            "Fa Dr Prof Hr Hrn Fr Frl Fam Dipl Ing Dipl.-Ing Mag St Hl Mr Mrs Hptm Lt Gen Kard Pfr hl kgl "
            "Chr Ph Th Gebr Bgm Insp Uffz Fw Inh Kfm"
        ),
        "number": "nr nrn S abb abs art bd bde kap tab tel aufl str ziff anm rn § kl jg anh abschn lit kto ausg zi bl",
        "month": "Jan Jän Febr Feb Mrz Apr Jun Jul Aug Sept Sep Okt Nov Dez",
        "unless": (
            "Joh Seb Wilh Friedr Ludw "
            "mio mrd tsd jh jhd jhdt std ff hg hrsg ev kath max min u.a u.ä o.ä o.j n.chr v.chr u.s.w allg od bes ing "
            "zzgl abzgl engl frz ital griech russ poln österr schweiz amerik europ bayr preuß röm lat hebr arab türk "
            "jüd Abt Univ Verf Red Übers Bearb Dir Vors staatl städt gesetzl wiss techn chem öffentl öff ges gesch "
            "kaufm landw Nachf jun sen Ew Einw Pkt Stk Sek co Inst Akad Bhf Verl Jgst Zt Min.-Präs Reg.-Bez ehrenamtl "
            "spez bez zus geogr hist math phys Kgr v.Chr n.Chr"
        ),
        "last": "usw etc u.s.w usf",
        "starters": (
            "er sie es ich wir ihr du man das dies dieser diese dieses der die den dem ein eine einen einem einer "
            "dann danach doch aber und oder wenn als wie was wer wo wann warum wieso weshalb hier da dort jetzt heute "
            "gestern morgen mein meine dein deine sein seine unser unsere euer eure kein keine alle viele auch nun so "
            "deshalb darum daher trotzdem ist sind war waren hat haben hatte kann können will wollen soll muss müssen "
            "darf ja nein nicht bitte im in am an auf bei mit nach von vor zu zum zur für aus über unter seit ohne "
            "durch gegen um bis denn weil obwohl damit dass ob nur noch schon immer nie manchmal vielleicht leider "
            "niemand jeder jemand nichts etwas beide zwei drei welche welcher welches wessen später"
        ),
        "nouns": (
            "buchstabe buchstaben note vitamin plan gruppe klasse typ teil größe seite nummer zimmer kapitel bus "
            "linie gleis platz stufe phase hausnummer artikel paragraf paragraph ein eine einen der die das"
        ),
        "before": (
            "der die das dem den des am zum vom im ins beim dieser diese dieses diesem diesen jeder jede jedes jedem "
            "jeden mein sein ihr unser euer kein meine meinem meinen meiner dein deine deinem deinen seine seinem "
            "seinen seiner ihre ihrem ihren ihrer unser unsere unserem unseren und bis ab zur als"
        ),
        "third": (
            "januar jänner februar märz april mai juni juli august september oktober november dezember jahrhundert "
            "jahrhunderts jahrtausend geburtstag jahrestag hochzeitstag todestag mal klasse stock etage platz "
            "weltkrieg weltkriegs tag tage woche monat jahr lebensjahr kapitel runde auflage bezirk liga semester "
            "person stelle spieltag minute stunde teil akt satz band buch armee division kongress"
        ),
    },
    "fr": {
        "never": "p.ex env cf c.-à-d n.b av apr max min resp qq qqn qqch",
        "title": (
            "M MM Mme Mmes Mlle Mlles Dr Pr Me Mgr St Ste Ch Ph Th Chr Gal Col Cdt Cne Sgt Adj Vve Éts Ets Prof pl"
        ),
        "number": "n no p pp fig vol chap art t éd tél réf appt bât paragr",
        "month": "janv févr avr juil sept oct nov déc",
        "unless": "J.-C boul bd St Cie ex angl all esp ital lat hab dép dépt gouv univ inst dir coll suiv Sté féd trad",
        "last": "etc",
        "starters": (
            "il elle ils elles on je j tu nous vous le la les l un une des ce cet cette ces c mon ma mes ton ta tes "
            "son sa ses notre votre leur mais et ou donc puis alors ensuite enfin aussi quand où comment pourquoi qui "
            "que qu quoi si dans en à de du pour par avec sans sur après avant ici là oui non est ne n y maintenant "
            "hier demain aujourd tout tous"
        ),
        "nouns": "vitamine plan groupe classe type option partie point page numéro chambre un une la le lettre",
    },
    "es": {
        "never": "p.ej ej aprox av avda cf s.a s.l dña máx mín Bs.As",
        "title": (
            "Sr Sra Srta Sres Sras Dr Dra D Dña Lic Ing Prof Profa Gral Sto Sta Mons Ud Uds Vd Vds Cap Cnel Tte Sgto "
            "Mtro Mtra Arq Pdte Pdta Pte Excmo Excma Ilmo Ilma Rvdo Fr Pbro Hno Hna Fco Ntra Ntro Ldo Lda pza plza "
            "ctra Bs"
        ),
        "number": "núm nº n pág págs p fig vol cap art tel t apdo tfno tlf teléf cta ref",
        "month": "ene feb mar abr may jun jul ago sept set oct nov dic",
        "unless": (
            "EE.UU EE UU a.C d.C C Cía depto dpto admón atte izq dcha dcho prov edif urb hab ed trad ibíd univ dir"
        ),
        "last": "etc",
        "starters": (
            "él ella ellos ellas yo tú usted ustedes nosotros el la los las lo un una unos unas este esta esto estos "
            "estas ese esa eso mi mis tu tus su sus nuestro nuestra pero y o entonces luego después también cuando "
            "donde dónde cómo qué quién por para con sin en de desde hasta si sí no aquí allí ahora hoy ayer mañana "
            "es son está están hay me te se nos todo todos"
        ),
        "nouns": "vitamina plan grupo clase tipo opción parte punto página número una la letra",
    },
    "it": {
        "never": "p.es es ca cfr vd",
        "title": (
            "sig sigg sig.ra sig.na dott dott.ssa dr prof prof.ssa ing avv on mons S arch geom rag Gen Cap Magg Ten "
            "Serg Cav Comm dr.ssa sig.re egr gent spett v.le c.so p.za p.zza l.go"
        ),
        "number": "n nr p pag pagg pp fig vol cap art tel sec secc artt all cod fatt rif cell",
        "month": "gen feb mar apr mag giu lug ago set sett ott nov dic",
        "unless": "a.C d.C C soc prov fraz ibid cit ed ediz univ gg",
        "last": "ecc etc",
        "starters": (
            "lui lei loro io tu noi voi il la lo i gli le un una uno questo questa questi quello quella ma e o poi "
            "allora anche quando dove come perché chi che cosa se in di da a per con su qui lì ora oggi ieri domani è "
            "sono ha non mi ti si ci"
        ),
    },
    "pt": {
        "never": "p.ex ex aprox cf av máx mín",
        "title": (
            "Sr Sra Srs Srta Dr Dra Prof Profa Eng D Exmo Exma Ilmo Ilma Cel Gen Cap Ten Sgt Arq Pe Des Dep Sto Sta "
            "Pça Rod Gov"
        ),
        "number": "n nº núm pág págs p fig vol cap art tel séc sécs apto ref inc",
        "month": "jan fev mar abr mai jun jul ago set out nov dez",
        "unless": "a.C d.C C Ltda Cia depto dept univ hab ed exa Jr",
        "last": "etc",
        "starters": (
            "ele ela eles elas eu tu você vocês nós o a os as um uma este esta isto esse essa isso meu minha seu sua "
            "mas e ou então depois também quando onde como porque quem que se em de da do no na por para com sem aqui "
            "ali agora hoje ontem amanhã é são está não sim me"
        ),
    },
    "nl": {
        "never": "bijv bv d.w.z m.a.w o.a i.p.v t.o.v ca vgl resp incl excl nl evt zgn ong",
        "title": "dhr mevr mw dr prof ir drs mr St ing ds bc mej Jhr fam kol kapt luit",
        "number": "nr nrs blz p pp fig art hfst tel par",
        "month": "jan feb mrt apr jun jul aug sept okt nov dec",
        "unless": "e.a m.n n.Chr v.Chr jl mln mld afd univ div str gem prov a.u.b Eng Lat Kon ned",
        "last": "enz etc e.d",
        "starters": (
            "hij zij ze het ik wij we jij je jullie u men dit dat deze die de een dan daarna maar en of als wanneer "
            "waar wat wie waarom hoe hier daar nu vandaag gisteren morgen mijn jouw zijn haar ons onze hun geen alle "
            "ook in op aan met van voor na bij is was heeft kan wil ja nee niet er"
        ),
    },
}
