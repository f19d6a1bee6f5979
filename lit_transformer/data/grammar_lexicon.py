"""The words of the built-in corpus: what a dictionary tells, and no more.

A noun is noted as in a dictionary, `man/men der Mann -es Männer`: English (with its plural where it
is irregular), article, nominative, ending of the genitive, plural. A masculine noun with the
genitive -n or -en is weak: every other case takes the ending too. A plural of `-` means none.

An adjective is noted `old/older=alt/älter`, each side with its comparative: `more` makes more ill,
a left-out German one adds -er, and `teuer:teur` has a stem of its own before endings.

A verb is noted `English=German`. English: base, past, participle (left out where regular);
`turn+on` has a particle, `wait@for` a preposition. German: infinitive, with a bar after a separable
prefix; third person and participle (left out where regular); `sein` where the perfect takes it;
`auf:A` for a preposition and the case of its object.

Every list begins with its most frequent words: the generator prefers them. One English word with
several translations is listed once for each kind of company that decides between them.
"""

NOUNS = {
    "person": """man/men der Mann -es Männer, woman/women die Frau - Frauen, child/children das
        Kind -es Kinder, teacher der Lehrer -s Lehrer, friend der Freund -es Freunde, boy der Junge
        -n Jungen, girl das Mädchen -s Mädchen, doctor der Arzt -es Ärzte, sister die Schwester -
        Schwestern, brother der Bruder -s Brüder, mother die Mutter - Mütter, father der Vater -s
        Väter, student der Student -en Studenten, neighbour der Nachbar -n Nachbarn, daughter die
        Tochter - Töchter, farmer der Bauer -n Bauern, nurse die Krankenschwester -
        Krankenschwestern, guest der Gast -es Gäste, aunt die Tante - Tanten, policeman/policemen
        der Polizist -en Polizisten, waitress die Kellnerin - Kellnerinnen, son der Sohn -es Söhne,
        singer die Sängerin - Sängerinnen, baker der Bäcker -s Bäcker, actress die Schauspielerin -
        Schauspielerinnen, painter der Maler -s Maler""",
    "animal": """dog der Hund -es Hunde, cat die Katze - Katzen, horse das Pferd -es Pferde, bird
        der Vogel -s Vögel, cow die Kuh - Kühe, bear der Bär -en Bären, pig das Schwein -es
        Schweine, mouse/mice die Maus - Mäuse""",
    "thing": """table der Tisch -es Tische, bag die Tasche - Taschen, picture das Bild -es Bilder,
        chair der Stuhl -s Stühle, key der Schlüssel -s Schlüssel, cup die Tasse - Tassen,
        knife/knives das Messer -s Messer, present das Geschenk -s Geschenke, lamp die Lampe -
        Lampen, box die Kiste - Kisten, umbrella der Schirm -s Schirme, plate der Teller -s Teller,
        ring der Ring -s Ringe, bottle die Flasche - Flaschen, basket der Korb -es Körbe, glass das
        Glas -es Gläser""",
    "text": """book das Buch -es Bücher, letter der Brief -es Briefe, newspaper die Zeitung -
        Zeitungen, story die Geschichte - Geschichten, poem das Gedicht -es Gedichte, novel der
        Roman -s Romane""",
    "clothes": """coat der Mantel -s Mäntel, dress das Kleid -es Kleider, hat der Hut -es Hüte,
        jacket die Jacke - Jacken, shirt das Hemd -es Hemden""",
    "device": """lamp die Lampe - Lampen, radio/radios das Radio -s Radios, computer der Computer -s
        Computer, machine die Maschine - Maschinen""",
    "opening": "door die Tür - Türen, window das Fenster -s Fenster, gate das Tor -es Tore",
    "food": """apple der Apfel -s Äpfel, cake der Kuchen -s Kuchen, pear die Birne - Birnen, egg das
        Ei -s Eier, carrot die Karotte - Karotten""",
    "drink": """water das Wasser -s -, milk die Milch - -, coffee der Kaffee -s -, tea der Tee -s -,
        soup die Suppe - -""",
    "crop": "potato die Kartoffel - Kartoffeln, rose die Rose - Rosen, tree der Baum -es Bäume",
    "vehicle": """car das Auto -s Autos, train der Zug -es Züge, bus der Bus -ses Busse, ship das
        Schiff -es Schiffe""",
    "place": """house das Haus -es Häuser, garden der Garten -s Gärten, city die Stadt - Städte,
        park der Park -s Parks, forest der Wald -es Wälder, village das Dorf -es Dörfer, church die
        Kirche - Kirchen, kitchen die Küche - Küchen, castle das Schloss -es Schlösser, library die
        Bibliothek - Bibliotheken, theatre das Theater -s Theater""",
    "business": """school die Schule - Schulen, shop der Laden -s Läden, hotel das Hotel -s Hotels,
        bank die Bank - Banken, museum das Museum -s Museen""",
    "surface": """table der Tisch -es Tische, bed das Bett -es Betten, bench die Bank - Bänke, roof
        das Dach -es Dächer, bridge die Brücke - Brücken""",
    "shore": "river der Fluss -es Flüsse, lake der See -s Seen",
    "abstract": """question die Frage - Fragen, problem das Problem -s Probleme, plan der Plan -s
        Pläne, task die Aufgabe - Aufgaben, puzzle das Rätsel -s Rätsel""",
    "event": """meal das Essen -s Essen, party das Fest -es Feste, concert das Konzert -s Konzerte,
        lesson die Stunde - Stunden, trip die Reise - Reisen""",
    "music": "song das Lied -es Lieder, game das Spiel -s Spiele",
    "instrument": "guitar die Gitarre - Gitarren, piano/pianos das Klavier -s Klaviere",
    "money": "money das Geld -es -",
    "season": "summer der Sommer -s Sommer, evening der Abend -s Abende, week die Woche - Wochen",
}

COMPOUNDS = """kitchen=Küchen: table chair lamp door window knife; garden=Garten: table chair gate
    bench door lamp party; school=Schul: book bag bus door garden trip; summer=Sommer: dress coat
    jacket hat house party; winter=Winter: coat jacket garden trip; city=Stadt: park bus library
    theatre school bridge; village=Dorf: school church shop party; coffee=Kaffee: cup machine
    house; wine=Wein: bottle glass"""

ADJECTIVES = {
    "person": """old/older=alt/älter, young/younger=jung/jünger, tired/more=müde/müder,
        happy/happier=glücklich, friendly/friendlier=freundlich, tall/taller=groß/größer,
        clever/cleverer=klug/klüger, sad/sadder=traurig, poor/poorer=arm/ärmer,
        rich/richer=reich, sick/sicker=krank/kränker""",
    "animal": """small/smaller=klein, big/bigger=groß/größer, old/older=alt/älter,
        black/blacker=schwarz/schwärzer, wild/wilder=wild, hungry/hungrier=hungrig""",
    "thing clothes": """new/newer=neu, old/older=alt/älter, small/smaller=klein,
        big/bigger=groß/größer, beautiful/more=schön, heavy/heavier=schwer, cheap/cheaper=billig,
        expensive/more=teuer:teur/teurer, red/redder=rot/röter, light/lighter=leicht""",
    "device instrument": """new/newer=neu, old/older=alt/älter, expensive/more=teuer:teur/teurer,
        cheap/cheaper=billig, heavy/heavier=schwer, light/lighter=leicht""",
    "vehicle": """fast/faster=schnell, new/newer=neu, old/older=alt/älter, big/bigger=groß/größer,
        small/smaller=klein, red/redder=rot/röter""",
    "opening": """old/older=alt/älter, new/newer=neu, big/bigger=groß/größer, small/smaller=klein,
        heavy/heavier=schwer""",
    "surface": """old/older=alt/älter, hard/harder=hart/härter, small/smaller=klein,
        big/bigger=groß/größer, new/newer=neu""",
    "text music": """long/longer=lang/länger, short/shorter=kurz/kürzer, new/newer=neu,
        beautiful/more=schön, interesting/more=interessant""",
    "food": "fresh/fresher=frisch, good/better=gut/besser, small/smaller=klein",
    "crop": "beautiful/more=schön, big/bigger=groß/größer, small/smaller=klein",
    "drink": "hot/hotter=heiß, cold/colder=kalt/kälter, good/better=gut/besser",
    "place business": """big/bigger=groß/größer, small/smaller=klein, old/older=alt/älter,
        beautiful/more=schön, quiet/quieter=ruhig, light/lighter=hell,
        dark/darker=dunkel:dunkl/dunkler""",
    "shore": "long/longer=lang/länger, deep/deeper=tief",
    "abstract": """hard/harder=schwierig, important/more=wichtig, new/newer=neu,
        simple/simpler=einfach""",
    "event season": "long/longer=lang/länger, short/shorter=kurz/kürzer, beautiful/more=schön",
}

VERBS = {
    "none person": """work=arbeiten, sleep slept=schlafen schläft geschlafen, laugh=lachen, sing
        sang sung=singen singt gesungen, wait=warten, get+up got=auf|stehen steht aufgestanden
        sein, dance=tanzen, come+back came come=zurück|kommen kommt zurückgekommen sein,
        cry=weinen, fall+asleep fell fallen=ein|schlafen schläft eingeschlafen sein,
        smoke=rauchen""",
    "none animal": """sleep slept=schlafen schläft geschlafen, run+away ran run=weg|laufen läuft
        weggelaufen sein, jump=springen springt gesprungen sein""",
    "none vehicle": """arrive=an|kommen kommt angekommen sein, leave left=ab|fahren fährt
        abgefahren sein, stop=halten hält gehalten""",
    "none crop": "grow grew grown=wachsen wächst gewachsen sein",
    "none event music": "begin began begun=an|fangen fängt angefangen, end=enden",
    "acc person > thing clothes device text vehicle": """buy bought=kaufen, sell sold=verkaufen,
        look@for=suchen, look@at=an|sehen sieht angesehen, hide hid hidden=verstecken,
        pay@for=bezahlen, steal stole stolen=stehlen stiehlt gestohlen, choose chose
        chosen=aus|wählen""",
    "acc person > person": """visit=besuchen, call=an|rufen ruft angerufen, meet met=treffen
        trifft getroffen, invite=ein|laden lädt eingeladen, know knew known=kennen kennt
        gekannt, pick+up=ab|holen, love=lieben, greet=begrüßen""",
    "acc person > animal": """feed fed=füttern, look@for=suchen, catch caught=fangen fängt
        gefangen, love=lieben""",
    "acc animal > person animal": """follow=verfolgen, bite bit bitten=beißen beißt gebissen,
        see saw seen=sehen sieht gesehen""",
    "acc person > text": """write wrote written=schreiben schreibt geschrieben,
        translate=übersetzen übersetzt übersetzt, know knew known=kennen kennt gekannt""",
    "acc person > food": """eat ate eaten=essen isst gegessen, bring+along brought=mit|bringen
        bringt mitgebracht""",
    "acc animal > food": "eat ate eaten=fressen frisst gefressen",
    "acc person > drink": "drink drank drunk=trinken trinkt getrunken, cook=kochen",
    "acc person > clothes": """wear wore worn=tragen trägt getragen, take+off took
        taken=aus|ziehen zieht ausgezogen, wash=waschen wäscht gewaschen""",
    "acc person > device": "turn+on=an|machen, repair=reparieren, turn+off=aus|machen",
    "acc person > opening": """open=öffnen öffnet geöffnet, close=zu|machen, paint=streichen
        streicht gestrichen""",
    "acc person > crop": "grow grew grown=an|bauen",
    "acc person > place": """leave left=verlassen verlässt verlassen, know knew known=kennen
        kennt gekannt""",
    "acc person > business": "leave left=verlassen verlässt verlassen, run ran run=leiten",
    "acc person > abstract": """understand understood=verstehen versteht verstanden,
        solve=lösen, forget forgot forgotten=vergessen vergisst vergessen, know knew
        known=kennen kennt gekannt""",
    "acc person > vehicle": """miss=verpassen, take took taken=nehmen nimmt genommen,
        repair=reparieren""",
    "acc person > music instrument": "play=spielen, practise=üben",
    "acc person > money": "spend spent=aus|geben gibt ausgegeben, need=brauchen",
    "acc person > season": "spend spent=verbringen verbringt verbracht",
    "dat person > person": """help=helfen hilft geholfen, thank=danken, listen@to=zu|hören,
        follow=folgen folgt gefolgt sein, trust=vertrauen""",
    "prep person > person vehicle": "wait@for=warten wartet gewartet auf:A",
    "prep person > person animal": "think@of thought=denken denkt gedacht an:A",
    "prep person > person abstract text": """talk@about=sprechen spricht gesprochen über:A,
        laugh@about=lachen lacht gelacht über:A""",
    "prep person > event place": "dream@of=träumen träumt geträumt von:D",
    "give person > thing clothes text food": """give gave given=geben gibt gegeben, show showed
        shown=zeigen, bring brought=bringen bringt gebracht, send sent=schicken,
        return@to=zurück|geben gibt zurückgegeben, lend lent=leihen leiht geliehen""",
    "give person > abstract": "explain@to=erklären",
    "go person": """go went gone=gehen geht gegangen sein, drive drove driven=fahren fährt
        gefahren sein, come came come=kommen kommt gekommen sein""",
    "go animal": """run ran run=laufen läuft gelaufen sein, come came come=kommen kommt gekommen
        sein""",
    "live person animal": "live=leben, sit sat=sitzen sitzt gesessen",
    "put person > thing": "put put put=stellen",
    "put person > text clothes": "lay laid=legen",
    "that person": """say said=sagen, know knew known=wissen weiß gewusst, think
        thought=glauben, hope=hoffen, believe=glauben, hear heard=hören, write wrote
        written=schreiben schreibt geschrieben, forget forgot forgotten=vergessen vergisst
        vergessen""",
    "whether person": """ask=fragen, know knew known=wissen weiß gewusst, forget forgot
        forgotten=vergessen vergisst vergessen, see saw seen=sehen sieht gesehen""",
    "tell person": "tell told=erzählen, write wrote written=schreiben schreibt geschrieben",
    "to person": """try=versuchen, forget forgot forgotten=vergessen vergisst vergessen,
        hope=hoffen, promise=versprechen verspricht versprochen, decide=beschließen beschließt
        beschlossen, begin began begun=an|fangen fängt angefangen""",
}
"""By frame, kinds of subject > kinds of object. The frames `acc`, `dat` and `prep` name what the
German object is; `give` has a dative and an accusative; `go` and `live` have a place, `put` an
object and a place; `none` has nothing; the last four have a clause."""

STATIC = """know love wear need see hope believe think hear forget live understand trust say
    decide"""
"""Verbs that take no progressive and no adverb of manner."""

OWNED = """person: friend sister brother mother father neighbour daughter son aunt child doctor
    teacher guest; place: house garden kitchen village city; business: school shop; surface: bed
    table; music: song; event: lesson trip; animal thing text clothes device opening food vehicle
    abstract instrument money"""
"""What somebody has: these take possessives and genitives. A part without colon names kinds."""
ORDER = """interesting important, simple hard, friendly clever, beautiful quiet, expensive cheap,
    good, sick tired, happy sad, poor rich, hungry wild, heavy light, fast, big small tall,
    long short, deep, old young new fresh, red black, dark, hot cold"""
"""The order of two adjectives; between two commas stand those that exclude each other."""

NAMES = "Anna=f, Peter=m, Maria=f, Paul=m, Julia=f, Thomas=m, Lena=f, Max=m, Clara=f, Felix=m"
CITIES = """Berlin=Berlin, Munich=München, London=London, Vienna=Wien, Rome=Rom, Cologne=Köln,
    Prague=Prag"""
NUMBERS = "two=zwei, three=drei, four=vier, five=fünf, six=sechs, ten=zehn, twelve=zwölf"
UNITS = "days=Tagen, weeks=Wochen, months=Monaten, years=Jahren"

TIMES = {
    "past": """yesterday=gestern, last week=letzte Woche, last year=letztes Jahr, on Monday=am
        Montag, in the morning=am Morgen, last summer=letzten Sommer""",
    "present": """today=heute, now=jetzt, every day=jeden Tag, in the evening=am Abend, every
        week=jede Woche""",
    "future": "tomorrow=morgen, soon=bald, next week=nächste Woche, next year=nächstes Jahr",
}
FREQUENCIES = "often=oft, always=immer, never=nie, sometimes=manchmal"
MANNERS = """quickly=schnell, carefully=vorsichtig, quietly=leise, slowly=langsam,
    secretly=heimlich"""
