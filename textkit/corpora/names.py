"""Names of people and places of many origins, and names that nobody has, so that a translator learns to copy any name."""

from __future__ import annotations

import random


def _each(names: str) -> list[str]:
    return names.split()


_FIRST = _each(
    "Aaliyah Abdul Adam Aiko Alejandro Alessandro Amara Amina Anders Andrea Anika Antoine Anton Arjun Astrid Ayse Beatriz "
    "Bjorn Bogdan Camille Carlos Carmen Catarina Chen Chiara Chloe Claire Daniel David Deepak Diego Dmitri Ebru Elena Elif "
    "Emeka Emily Emma Erik Esther Fatima Felix Femi Fernando Florian Francesca Freya Gabriel Giulia Grace Guillaume Gustav "
    "Hana Hannah Haruto Hassan Helena Hiroshi Ibrahim Igor Imani Ines Ingrid Isabella Ivan Jakub Jamal James Jan Javier "
    "Jelena Joao Johanna Jorge Juan Julia Kamal Karim Katarzyna Kenji Khadija Kofi Kwame Lars Laura Leila Li Lucas Lucia "
    "Luis Magdalena Mahmoud Malik Marco Marie Marta Mateo Matteo Mehmet Mei Miguel Milan Mohammed Monika Nadia Naomi "
    "Natasha Nguyen Nikolai Noah Nora Olga Olivia Omar Oscar Pablo Paolo Patricia Pavel Pedro Petra Pierre Priya Rafael "
    "Rahul Rania Ravi Rebecca Ricardo Robert Rosa Ruth Ryan Samira Samuel Sandra Sanjay Santiago Sarah Sergei Shreya Sofia "
    "Stefan Sven Takashi Tamara Tariq Tatiana Thabo Thandiwe Thomas Tomasz Ursula Valentina Vera Victor Wei William Xiao "
    "Yara Yasmin Yuki Yusuf Zainab Zeynep Zoe"
)
_LAST = _each(
    "Abebe Ahmed Almeida Andersson Bauer Becker Bianchi Brown Campbell Castro Chaudhry Clark Costa Dubois Eriksen Fernandez "
    "Fischer Fontaine Garcia Gomez Greene Gupta Haddad Hansen Hernandez Hoffmann Horvat Hussein Ito Ivanova Jackson Jensen "
    "Johnson Kaya Keller Khan Kim Kowalski Kumar Larsson Lopez MacDonald Martin Mbeki Mendoza Meyer Miller Moreau Mueller "
    "Murphy Nakamura Nguyen Nielsen Novak Obi Okafor Oliveira Olsen Park Patel Pereira Petrov Popescu Ramirez Reyes Ricci "
    "Rossi Santos Schneider Sharma Silva Singh Smith Sokolov Suzuki Takahashi Tanaka Taylor Thompson Torres Tran Vasquez "
    "Vogel Wagner Walker Wang Weber Wilson Wong Yamamoto Yilmaz Zhang Zimmermann"
)
_PLACES = _each(
    "Aberdeen Accra Alicante Amsterdam Ankara Atlanta Auckland Baltimore Bangalore Bangkok Barcelona Belfast Bergen Berlin "
    "Bilbao Birmingham Bogota Bordeaux Bratislava Bremen Brisbane Bristol Buenos-Aires Calgary Chennai Chicago Cleveland "
    "Cork Dakar Dallas Delhi Denver Dresden Dubai Dublin Durban Edinburgh Essen Frankfurt Gdansk Glasgow Granada Graz "
    "Hamburg Hanoi Harare Havana Helsinki Houston Ibadan Istanbul Jakarta Johannesburg Kampala Karachi Kassel Kyoto Lagos "
    "Leeds Leipzig Lima Lisbon Liverpool London Lyon Madrid Malaga Manchester Manila Marseille Melbourne Memphis Miami "
    "Montreal Mumbai Nairobi Nantes Naples Nottingham Osaka Oslo Ottawa Oxford Palermo Paris Perth Philadelphia Phoenix "
    "Porto Portland Quito Riga Rostock Rotterdam Seattle Sevilla Shanghai Singapore Sofia Stockholm Stuttgart Sydney Taipei "
    "Tampere Tokyo Toronto Toulouse Tunis Turin Utrecht Valencia Vancouver Vilnius Yokohama Zagreb"
)
_BEGIN = _each("b br c ch d dr f fl g gr h j k kl kr l m n p ph pr qu r s sch sh sl st t th tr v w wh x y z zh")
_MIDDLE = _each("a e i o u a e i o u ai au ea ee ei ia ie io oa oo ou ue y")
_BACK = ["", "", "", *_each("b ck ct d f ff g l ll lm ln m n nd ng nn nt p r rd rg rk rn rs s sk ss st t th tt x z")]


def listed(chance: random.Random) -> str:
    """A first name, a first and a last name, a last name or a place."""
    kind = chance.random()
    if kind < 0.4:
        return chance.choice(_FIRST)
    if kind < 0.65:
        return f"{chance.choice(_FIRST)} {chance.choice(_LAST)}"
    return chance.choice(_LAST if kind < 0.8 else _PLACES)


def invented(chance: random.Random) -> str:
    """A name made of syllables, such as no list has; now and then with a second part."""
    name = "".join(
        chance.choice(_BEGIN) + chance.choice(_MIDDLE) + chance.choice(_BACK)
        for _ in range(chance.choice((1, 2, 2, 2, 3)))
    )
    return name.capitalize() if chance.random() < 0.85 else f"{name.capitalize()} {invented(chance)}"
