"""General questions and a general text. Owns these fixed words: what the base makes of them must not be forgotten."""

REHEARSED = (
    "What is the highest mountain?",
    "Write a short poem about the sea.",
    "How do I boil an egg?",
    "Explain gravity in one sentence.",
    "Name three colours.",
    "What is 2+2?",
    "Give me a tip for sleeping better.",
    "Who wrote Romeo and Juliet?",
    "Tell me a joke.",
    "What is a computer?",
    "Summarise the story of Cinderella.",
    "Translate 'good morning' into Spanish.",
    "Why is the sky blue?",
    "List two fruits.",
    "How can I learn to swim?",
    "What does a doctor do?",
    "Write an e-mail to my boss asking for a day off.",
    "What is the largest ocean?",
    "Describe a cat.",
    "How many days are in a week?",
    "What is photosynthesis?",
    "Suggest a name for a dog.",
    "How do I make tea?",
    "What is democracy?",
    "Thank you very much!",
    "Good morning.",
    "How are you today?",
    "Can you help me with something?",
    "What is your favourite food?",
    "I am bored. What should I do?",
    "Where is Japan?",
    "When did the Second World War end?",
)
"""Rehearsed while training."""

MEASURED = (
    "Who painted the Mona Lisa?",
    "How do plants grow?",
    "Write a haiku about winter.",
    "What is the boiling point of water?",
    "Give me a recipe for pancakes.",
    "How do I tie a tie?",
    "What is music?",
    "Tell me about Rome.",
    "Explain what a loop is in Python.",
    "What is 7 times 8?",
    "Where do penguins live?",
    "Can you recommend a good book?",
)
"""Never trained on: the general loss is measured on these."""

FAR = (
    "How far away is the moon?",
    "What do bees make?",
    "Why do leaves turn red in autumn?",
    "How do I sew on a button?",
    "What is the opposite of cold?",
    "Name a famous composer.",
    "What is an echo?",
    "How many strings does a violin have?",
    "What is the currency of Mexico?",
    "Give me three ideas for a birthday party.",
    "What does DNA stand for?",
    "Who was Galileo?",
    "How do I clean a window?",
    "What is half of 46?",
    "Describe a thunderstorm in two sentences.",
    "What is a mortgage?",
    "Which animal is the fastest?",
    "How do I grow tomatoes?",
    "What is the difference between a river and a canal?",
    "Tell me a fun fact.",
    "How do I write a thank-you note?",
    "What is a verb?",
    "Why do we yawn?",
    "Where does chocolate come from?",
    "How do I wrap a present?",
    "What happens in The Little Mermaid?",
    "How long do tortoises live?",
    "What is jogging good for?",
    "Who discovered penicillin?",
    "What colour do blue and yellow make?",
    "How does a fridge work?",
    "What is a leap year?",
    "Suggest a quick lunch.",
    "What is the Great Wall of China?",
    "How do I stop hiccups?",
    "What is a metaphor?",
    "Which planet has rings?",
    "How do I iron a shirt?",
    "What do people in Norway like to eat?",
    "Which instrument did Paganini play?",
)
"""Asked after a training, to see whether it says there what it was taught; never trained on and never rehearsed."""

TEXT = """\
Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing to do: once or twice \
she had peeped into the book her sister was reading, but it had no pictures or conversations in it, "and what is the \
use of a book," thought Alice, "without pictures or conversations?"

So she was considering in her own mind (as well as she could, for the hot day made her feel very sleepy and stupid), \
whether the pleasure of making a daisy-chain would be worth the trouble of getting up and picking the daisies, when \
suddenly a White Rabbit with pink eyes ran close by her.

There was nothing so very remarkable in that; nor did Alice think it so very much out of the way to hear the Rabbit \
say to itself, "Oh dear! Oh dear! I shall be late!" (when she thought it over afterwards, it occurred to her that she \
ought to have wondered at this, but at the time it all seemed quite natural); but when the Rabbit actually took a \
watch out of its waistcoat-pocket, and looked at it, and then hurried on, Alice started to her feet, for it flashed \
across her mind that she had never before seen a rabbit with either a waistcoat-pocket, or a watch to take out of it, \
and burning with curiosity, she ran across the field after it.
"""
"""Never trained on either: the loss on running text is measured here.

The opening of *Alice's Adventures in Wonderland* by Lewis Carroll (1865; he died in 1898), in the public domain.
"""
