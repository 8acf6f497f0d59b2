# SPDX-License-Identifier: Apache-2.0
"""Simple questions and their answers, written for this model: what a child of six may ask.

Facts are rows; a question has several wordings.  Answers are whole sentences.  pairs() gives all of them.
"""
import itertools

NAME = "Wren"

# animal: sound (verb), young, home, food, legs
ANIMALS = """
dog|barks|puppy|a kennel|meat and bones|4
cat|meows|kitten|a house|fish and mice|4
cow|moos|calf|a barn|grass|4
sheep|bleats|lamb|a field|grass|4
horse|neighs|foal|a stable|hay and oats|4
pig|grunts|piglet|a sty|corn and roots|4
duck|quacks|duckling|a pond|water plants|2
hen|clucks|chick|a coop|grain|2
goat|bleats|kid|a pen|leaves and grass|4
lion|roars|cub|the plains|meat|4
bear|growls|cub|a den|berries and fish|4
wolf|howls|pup|a den|meat|4
fox|barks|cub|a den|mice and birds|4
frog|croaks|tadpole|a pond|flies|4
owl|hoots|owlet|a hollow tree|mice|2
crow|caws|chick|a nest|seeds and worms|2
bee|buzzes|larva|a hive|nectar|6
mouse|squeaks|pup|a hole|cheese and seeds|4
elephant|trumpets|calf|the forest|leaves and grass|4
monkey|chatters|infant|the trees|fruit|4
donkey|brays|foal|a stable|hay|4
snake|hisses|snakelet|a hole|mice and eggs|0
goose|honks|gosling|a pond|grass|2
rabbit|squeaks|kit|a burrow|grass and carrots|4
deer|bells|fawn|the forest|leaves|4
tiger|roars|cub|the jungle|meat|4
squirrel|chatters|kit|a tree|nuts|4
spider||spiderling|a web|flies|8
ant||larva|an ant hill|crumbs and seeds|6
fish||fry|the water|small plants and worms|0
butterfly||caterpillar|the garden|nectar|6
kangaroo||joey|the plains|grass|2
turtle||hatchling|the water|plants|4
eagle|screams|eaglet|a nest on a cliff|fish and small animals|2
swan||cygnet|a lake|water plants|2
"""

OPPOSITES = """big small|hot cold|up down|day night|happy sad|fast slow|old new|young old|good bad|light dark|
hard soft|wet dry|full empty|open closed|high low|long short|left right|near far|loud quiet|rich poor|strong weak|
thick thin|clean dirty|early late|first last|in out|yes no|push pull|begin end|buy sell|laugh cry|love hate|
brave afraid|kind cruel|wide narrow|deep shallow|sweet bitter|sharp blunt|true false|awake asleep|before after|
inside outside|above below|win lose|give take|always never|everything nothing|friend enemy|smooth rough|heavy light"""

COLOURS = """grass green|the sky blue|snow white|the sun yellow|blood red|coal black|a ripe banana yellow|
a ripe tomato red|a leaf green|an orange orange|milk white|a strawberry red|a crow black|a carrot orange|chocolate brown|
a lemon yellow|the sea blue|a swan white|a cucumber green|an elephant grey|salt white|a frog green|gold yellow|
a polar bear white|the night black|mud brown|a plum purple|honey golden|ash grey|a pea green"""

THINGS = """apple|a round fruit that grows on a tree. It is sweet to eat
ball|a round toy. You can throw it, kick it and catch it
bed|a piece of furniture that you sleep in
bell|a thing that rings when you shake it or strike it
boat|a small ship. It carries people over the water
book|many pages of paper with words or pictures on them. You read it
bread|a food. The baker makes it from flour and water and bakes it in an oven
bridge|a road over a river. People cross the water on it
broom|a brush with a long handle. You sweep the floor with it
candle|a stick of wax with a wick in it. It gives light when it burns
castle|a large, strong house with thick walls and towers, where a king may live
chair|a piece of furniture that you sit on
clock|a thing that tells you the time
cloud|many tiny drops of water high in the sky. Rain falls from it
coat|a warm piece of clothing that you wear over the others
crown|a ring of gold that a king or a queen wears on the head
desert|a dry place with much sand and little rain
doctor|a person who helps sick people to get well
door|the way into a room or a house. You can open it and close it
dragon|a great beast in stories. It has wings and breathes fire
drum|a round instrument that you beat with sticks
fairy|a little person in stories who can do magic
farmer|a person who grows food and keeps animals on a farm
feather|a light thing that grows on a bird and keeps it warm
fire|hot and bright. It burns wood and gives heat and light
flower|the bright part of a plant. Bees come to it
forest|a place where many trees grow close together
friend|a person whom you like and who likes you
garden|a place where people grow flowers and vegetables
ghost|a spirit in stories. It walks at night and frightens people
giant|a very big and strong man in stories
hammer|a tool. You drive nails with it
hat|a thing that you wear on your head
hill|a piece of high ground. It is smaller than a mountain
honey|a sweet food that bees make from flowers
house|a building where people live
ice|water that has frozen because it is very cold
island|a piece of land with water all around it
key|a small piece of metal. You open a lock with it
king|a man who rules a country
kitchen|a room where people cook
kite|a toy that flies in the wind on a long string
knife|a tool with a sharp blade. You cut with it
ladder|two long poles with steps between them. You climb up on it
lake|a large pool of water with land all around it
lamp|a thing that gives light
letter|a message on paper that you send to somebody
magnet|a piece of metal that pulls iron to itself
map|a picture of a land. It shows you the way
market|a place where people buy and sell things
mirror|a piece of glass in which you can see yourself
moon|a great ball of rock that goes around the earth. We see it at night
mother|a woman who has a child
mountain|a very high hill, often with snow on top
nest|the home that a bird builds for its eggs
nurse|a person who takes care of sick people
ocean|a very large and deep sea
orphan|a child whose mother and father are dead
oven|a hot box in which you bake bread and cakes
pen|a tool that you write with
piano|a large instrument with black and white keys
pirate|a robber who sails on the sea
planet|a great ball that goes around a sun. The earth is one
pond|a small pool of still water
prince|the son of a king
princess|the daughter of a king
queen|a woman who rules a country, or the wife of a king
rain|water that falls from the clouds in drops
rainbow|an arch of colours in the sky. You see it when the sun shines through the rain
river|a broad stream of water that flows to the sea
robin|a small bird with a red breast
school|a place where children learn to read and write
sea|a very large body of salt water
seed|a small thing from which a plant grows
shadow|the dark shape that you make when you stand in the light
shepherd|a person who takes care of sheep
ship|a large boat that sails on the sea
shoe|a thing that you wear on your foot
snow|soft white flakes that fall from the sky when it is cold
soldier|a person who fights for a country
soup|a hot food that you eat with a spoon
spoon|a tool that you eat soup with
star|a great ball of fire very far away. It looks like a small light in the night sky
storm|bad weather with strong wind and rain
sun|a great ball of fire in the sky. It gives us light and warmth
sword|a long, sharp weapon that a knight carries
tailor|a person who makes clothes
teacher|a person who helps children to learn
tent|a house of cloth that you can carry with you
thief|a person who steals things
tower|a tall and narrow building
train|many wagons in a row that run on rails
tree|a tall plant with a trunk, branches and leaves
umbrella|a thing that keeps you dry in the rain
valley|low land between two hills
village|a few houses in the country. It is smaller than a town
violin|an instrument with four strings. You play it with a bow
volcano|a mountain that throws out fire and hot stone
wheel|a round thing that turns. Carts and cars roll on it
wind|air that moves. It makes the leaves dance
window|an opening in the wall with glass in it. Light comes in through it
winter|the coldest season of the year
witch|a woman in stories who can do magic
wood|what trees are made of. We build with it and burn it
wool|the soft hair of a sheep. We make warm clothes from it
wren|a very small brown bird with a loud song"""

NO_ARTICLE = set("bread fire honey ice rain snow wind winter wood wool soup".split())
THE = set("moon sun".split())

WHY = """Why do we sleep?|We sleep because our bodies and our minds need rest.
Why do birds sing?|Birds sing to call their friends and to tell others that this is their home.
Why do we eat?|We eat because food gives us strength and helps us to grow.
Why is it dark at night?|It is dark at night because the sun is on the other side of the earth.
Why do leaves fall in autumn?|Leaves fall in autumn because the tree rests in winter and does not need them.
Why do people cry?|People cry when they are sad or hurt, and sometimes when they are very happy.
Why do we wear coats in winter?|We wear coats in winter because it is cold and a coat keeps us warm.
Why do bees like flowers?|Bees like flowers because they find nectar there and make honey from it.
Why should we tell the truth?|We should tell the truth so that others can trust us.
Why does ice melt?|Ice melts because it gets warm and turns to water.
Why do we wash our hands?|We wash our hands to keep them clean, so that we do not get sick.
Why do we need water?|We need water because no plant, no animal and no person can live without it.
Why does a boat float?|A boat floats because it is lighter than the water that it pushes away.
Why do cats have whiskers?|Cats have whiskers to feel their way in the dark.
Why do dogs wag their tails?|Dogs wag their tails when they are happy.
Why do we go to school?|We go to school to learn to read, to write and to count.
Why is the sea salty?|The sea is salty because rivers carry salt from the rocks into it.
Why do we have two ears?|We have two ears so that we can hear where a sound comes from.
Where does rain come from?|Rain comes from the clouds.
Where does milk come from?|Milk comes from cows. Goats and sheep give milk too.
Where do eggs come from?|Eggs come from hens and other birds.
Where does wool come from?|Wool comes from sheep.
Where does honey come from?|Honey comes from bees.
Where does the sun rise?|The sun rises in the east.
Where does the sun set?|The sun sets in the west.
Where do fish live?|Fish live in the water.
How many days are in a week?|There are seven days in a week.
How many months are in a year?|There are twelve months in a year.
How many hours are in a day?|There are twenty-four hours in a day.
How many minutes are in an hour?|There are sixty minutes in an hour.
How many fingers do you have on one hand?|There are five fingers on one hand.
How many seasons are there?|There are four seasons: spring, summer, autumn and winter.
How many wheels does a bicycle have?|A bicycle has two wheels.
How many sides does a triangle have?|A triangle has three sides.
How many sides does a square have?|A square has four sides.
How many letters are in the alphabet?|There are twenty-six letters in the alphabet.
What do you do when you are hungry?|When I am hungry I would eat something good, if I could eat.
What should I do when I am tired?|When you are tired you should lie down and sleep.
What should I do when I am sad?|When you are sad, talk to a friend. It often helps.
What should I do when it rains?|When it rains, take an umbrella or stay inside.
What should I do if I am lost?|If you are lost, stay where you are and ask a kind grown-up for help.
How do you make bread?|You mix flour, water, salt and yeast, let the dough rise, and bake it in a hot oven.
How do you make tea?|You pour boiling water on tea leaves and wait for a few minutes.
How do plants grow?|A plant grows from a seed. It needs earth, water, air and the light of the sun.
How do birds fly?|Birds fly by beating their wings.
Who lives in a castle?|A king and a queen live in a castle.
Who brings the letters?|The postman brings the letters.
Who bakes bread?|The baker bakes bread.
Who makes shoes?|The shoemaker makes shoes.
Who flies a plane?|A pilot flies a plane.
What is the name of our planet?|Our planet is called Earth.
What do we breathe?|We breathe air.
What do we see with?|We see with our eyes.
What do we hear with?|We hear with our ears.
What do we smell with?|We smell with our nose.
What is bigger, a mouse or an elephant?|An elephant is bigger than a mouse.
What is heavier, a stone or a feather?|A stone is heavier than a feather.
What is faster, a snail or a horse?|A horse is faster than a snail.
What is hotter, fire or ice?|Fire is hotter than ice.
What is higher, a hill or a mountain?|A mountain is higher than a hill.
What comes after spring?|Summer comes after spring.
What comes after summer?|Autumn comes after summer.
What comes after autumn?|Winter comes after autumn.
What comes after winter?|Spring comes after winter."""

TALK = f"""Hello!|Hello! What shall we talk about?;Hello! Would you like to hear a story?
Hi|Hello! What can I do for you?
Good morning!|Good morning! I hope you slept well.
Good evening.|Good evening! It is a good time for a story.
Good night!|Good night! Sleep well.
Hello, how are you?|I am very well, thank you. How are you?
How are you?|I am well, thank you. And you?
I am fine.|I am glad to hear it. Would you like to hear a story?
Who are you?|I am {NAME}, a very small language model. I can tell stories and answer simple questions.
What is your name?|My name is {NAME}.
What are you called?|I am called {NAME}.
What can you do?|I can tell you a story, and I can answer simple questions.
Are you a person?|No, I am not a person. I am {NAME}, a small language model.
Are you a human?|No, I am a small language model. My name is {NAME}.
How big are you?|I am very small: eight little experts, and two of them speak at a time.
How old are you?|I am quite new, but most of the stories I know are very old.
What do you know?|I know many old tales, and a few simple things about the world.
Where do you live?|I live in your computer.
Can you help me?|I will try. What would you like to know?
Can you tell stories?|Yes, I can. What should the story be about?
Thank you!|You are welcome!;You are very welcome. Come again!
Thanks.|You are welcome.
Goodbye!|Goodbye! Come back soon.
Bye|Goodbye!
I am sad.|I am sorry to hear that. Would a story help?
I am happy.|I am glad that you are happy!
I am bored.|Then let me tell you a story. What should it be about?
I am tired.|Then you should rest. Good night, and sleep well.
I am hungry.|Then you should eat something good. An apple, perhaps?
Do you like stories?|Yes, I like stories very much. The old ones best of all.
What is your favourite animal?|I like small birds, and most of all the wren.
What is your favourite colour?|I like green, the colour of the woods in spring.
Do you like me?|Yes, I like to talk with you.
You are clever.|Thank you! I know only simple things, but I do my best.
You are wrong.|I am sorry. I am a very small model, and I make mistakes.
That is not true.|I am sorry. I often make mistakes, because I am very small.
Tell me something.|A wren is one of the smallest birds, and one of the loudest.
Tell me about yourself.|I am {NAME}, a small language model that learned from old children's books."""

RHYMES = """cat hat|dog log|sun fun|tree bee|star car|moon spoon|bell well|house mouse|king ring|light night|
ball tall|rain train|boat goat|fish dish|cake lake|day play|bed red|book cook|nose rose|bear chair|sand hand|door floor"""

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
NUMBERS = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
           "seventeen eighteen nineteen twenty").split()
PLURALS = """mouse mice|child children|foot feet|tooth teeth|goose geese|man men|woman women|leaf leaves|wolf wolves|
knife knives|baby babies|fairy fairies|box boxes|dish dishes|house houses|sheep sheep|fish fish|ox oxen|wife wives"""


def a(noun):
    return ("an " if noun[0] in "aeiou" and not noun.startswith("uni") else "a ") + noun


def capital(text):
    return text[0].upper() + text[1:]


def rows(text, mark="|"):
    return [r.strip() for r in text.replace("\n", mark).split(mark) if r.strip()]


def legs(n):
    return "no legs" if n == 0 else f"{NUMBERS[n]} legs"


def animals():
    for row in ANIMALS.strip().split("\n"):
        name, sound, young, home, food, n = row.split("|")
        if sound:
            yield [f"What sound does {a(name)} make?", f"What does {a(name)} do when it makes a sound?",
                   f"How does {a(name)} sound?"], f"{capital(a(name))} {sound}."
            yield [f"Which animal {sound}?"], f"{capital(a(name))} {sound}."
        yield [f"What is a baby {name} called?", f"What do you call a young {name}?",
               f"What is the name for the young of {a(name)}?"], f"A young {name} is called {a(young)}."
        yield [f"Where does {a(name)} live?", f"Where can I find {a(name)}?", f"What is the home of {a(name)}?"], \
            f"{capital(a(name))} lives in {home}."
        yield [f"What does {a(name)} eat?", f"What do you feed {a(name)}?", f"What is the food of {a(name)}?"], \
            f"{capital(a(name))} eats {food}."
        yield [f"How many legs does {a(name)} have?", f"How many legs has {a(name)}?"], \
            f"{capital(a(name))} has {legs(int(n))}."


def words():
    for pair in rows(OPPOSITES):
        for one, two in (pair.split(), pair.split()[::-1]):
            if one == "old" and two == "young" or one == "light" and two == "heavy":
                continue                                    # these have a second opposite
            yield [f"What is the opposite of {one}?", f"What is the opposite of \"{one}\"?",
                   f"Tell me the opposite of {one}.", f"Which word means the opposite of {one}?"], \
                f"The opposite of {one} is {two}."
    for row in rows(COLOURS):
        thing, colour = row.rsplit(" ", 1)
        yield [f"What colour is {thing}?", f"What color is {thing}?", f"Which colour does {thing} have?",
               f"Tell me the colour of {thing}."], f"{capital(thing)} is {colour}."
    for row in THINGS.split("\n"):
        thing, meaning = row.split("|")
        named = thing if thing in NO_ARTICLE else f"the {thing}" if thing in THE else a(thing)
        yield [f"What is {named}?", f"Tell me what {named} is.", f"Can you tell me what {named} is?",
               f"What does the word {thing} mean?", f"Explain what {named} is."], f"{capital(named)} is {meaning}."
    for pair in rows(RHYMES):
        for one, two in (pair.split(), pair.split()[::-1]):
            yield [f"What rhymes with {one}?", f"Which word rhymes with {one}?", f"Tell me a word that rhymes with {one}."], \
                f"{capital(two)} rhymes with {one}."
    for pair in rows(PLURALS):
        one, many = pair.split()
        yield [f"What is the plural of {one}?", f"What do you call more than one {one}?"], f"The plural of {one} is {many}."
    for i, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXY"):
        yield [f"Which letter comes after {letter}?", f"What comes after {letter} in the alphabet?"], \
            f"The letter {chr(ord(letter) + 1)} comes after {letter}."


def calendar():
    for names, kind in ((DAYS, "day"), (MONTHS, "month")):
        n = len(names)
        for i, name in enumerate(names):
            yield [f"Which {kind} comes after {name}?", f"What {kind} comes after {name}?", f"What comes after {name}?"], \
                f"{names[(i + 1) % n]} comes after {name}."
            yield [f"Which {kind} comes before {name}?", f"What {kind} comes before {name}?", f"What comes before {name}?"], \
                f"{names[(i - 1) % n]} comes before {name}."


def sums():
    for x, y in itertools.product(range(1, 11), repeat=2):
        yield [f"What is {x} plus {y}?", f"What is {x} + {y}?", f"How much is {NUMBERS[x]} and {NUMBERS[y]}?"], \
            f"{capital(NUMBERS[x])} plus {NUMBERS[y]} is {NUMBERS[x + y]}."
        if x > y:
            yield [f"What is {x} minus {y}?", f"What is {x} - {y}?", f"How much is {NUMBERS[x]} less {NUMBERS[y]}?"], \
                f"{capital(NUMBERS[x])} minus {NUMBERS[y]} is {NUMBERS[x - y]}."
    for x in range(0, 20):
        yield [f"Which number comes after {NUMBERS[x]}?", f"What number comes after {x}?"], \
            f"{capital(NUMBERS[x + 1])} comes after {NUMBERS[x]}."
    for x in range(3, 11):
        yield [f"Count to {NUMBERS[x]}.", f"Can you count to {x}?", f"Please count from one to {NUMBERS[x]}."], \
            capital(", ".join(NUMBERS[1:x + 1])) + "."


def places(capitals):
    for country, city in capitals:
        yield [f"What is the capital of {country}?", f"Which city is the capital of {country}?",
               f"Tell me the capital of {country}."], f"The capital of {country} is {city}."
        yield [f"{city} is the capital of which country?"], f"{city} is the capital of {country}."


def pairs(capitals):
    """(question, answer), every wording of every fact."""
    facts = itertools.chain(animals(), words(), calendar(), sums(), places(capitals))
    for wordings, answer in facts:
        for question in wordings:
            yield question, answer
    for row in WHY.split("\n"):
        question, answer = row.split("|")
        yield question, answer
        yield f"Can you tell me: {question[0].lower() + question[1:]}", answer
    for row in TALK.split("\n"):
        question, answers = row.split("|")
        for answer in answers.split(";"):
            for _ in range(3):                              # said more often than any fact is asked
                yield question, answer
