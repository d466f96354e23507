"""Questions in other words: what comes of each, and that nothing comes where the grammar is not certain."""

from __future__ import annotations

import pytest

from lora_chat.training.proof.rewording import ALL, LONG, MOST, rewordings, to_ask, to_learn

EXPECTED = {
    "What is the capital of Germany?": [
        "What's the capital of Germany?",
        "Can you tell me what the capital of Germany is?",
        "Do you know what the capital of Germany is?",
        "I would like to know what the capital of Germany is.",
    ],
    "What are your opening hours?": ["Can you tell me what your opening hours are?"],
    "What is LoRA?": ["Can you tell me what LoRA is?"],
    "What's your name?": ["I would like to know what your name is."],
    "What is the weather like today?": ["Can you tell me what the weather is like today?"],
    "What is this button for?": ["Can you tell me what this button is for?"],
    "What is Python used for?": ["Can you tell me what Python is used for?"],
    "What is the time in Tokyo right now?": ["Can you tell me what the time in Tokyo is right now?"],
    "What is the difference between A and B?": ["Can you tell me what the difference between A and B is?"],
    "What does DHL mean?": ["Can you tell me what DHL means?"],
    "What do you sell?": ["Can you tell me what you sell?"],
    "What time is it?": ["Can you tell me what time it is?"],
    "What should I do if the box is lost?": ["Can you tell me what to do if the box is lost?"],
    "Where is my parcel?": [
        "Where's my parcel?",
        "Do you know where my parcel is?",
        "Can you tell me where my parcel is?",
        "I would like to know where my parcel is.",
    ],
    "where are my shoes now": ["Do you know where my shoes are now?"],
    "Where is your shop located?": ["Do you know where your shop is located?"],
    "When is my parcel arriving?": ["Do you know when my parcel is arriving?"],
    "When does the shop open on Sundays?": ["Do you know when the shop opens on Sundays?"],
    "When do you open?": ["Can you tell me when you open?"],
    "When will my refund arrive?": ["Do you know when my refund will arrive?"],
    "Who wrote Hamlet?": ["Do you know who wrote Hamlet?"],
    "Who is Ada Lovelace?": ["Do you know who Ada Lovelace is?"],
    "Why is my parcel late?": ["Can you tell me why my parcel is late?"],
    "Why can't I log in?": ["Can you tell me why I can't log in?"],
    "Why hasn't my parcel arrived?": ["Can you tell me why my parcel hasn't arrived?"],
    "Which payment methods do you accept?": ["Can you tell me which payment methods you accept?"],
    "How do I return an order?": [
        "How can I return an order?",
        "Can you tell me how to return an order?",
        "What is the way to return an order?",
        "I would like to know how to return an order.",
    ],
    "How much does shipping cost?": ["What does shipping cost?", "Can you tell me how much shipping costs?"],
    "How many days do I have to return an order?": [
        "Can you tell me how many days I have to return an order?",
    ],
    "How long does it take to get a refund?": ["Can you tell me how long it takes to get a refund?"],
    "Do you ship to France?": ["Can you tell me if you ship to France?", "I would like to know if you ship to France."],
    "Can I return my order?": ["Is it possible to return my order?", "Can you tell me if I can return my order?"],
    "Can you write a poem about the sea?": [
        "Could you write a poem about the sea?",
        "Please write a poem about the sea.",
    ],
    "May I bring my dog?": ["Can I bring my dog?", "Am I allowed to bring my dog?"],
    "Is there a warranty?": ["Do you know if there is a warranty?"],
    "Is delivery free?": ["Do you know if delivery is free?"],
    "Has my parcel arrived?": ["Can you tell me if my parcel has arrived?"],
    "Hey there! Can I pay by card, please?": ["Is it possible to pay by card?", "Hello, can I pay by card?"],
    "Write a poem about the sea.": ["Please write a poem about the sea.", "Could you write a poem about the sea?"],
    "Name three fruits": ["Please name three fruits", "Could you name three fruits?"],
    "Translate to French: good morning": ["Please translate to French: good morning"],
    "My parcel is late.": ["I have a problem: my parcel is late.", "Hello, my parcel is late."],
    "I like your shop.": ["Hello, I like your shop."],
    "My parcel is late. Where is it?": ["Hello, my parcel is late. Where is it?"],
}


@pytest.mark.parametrize("question", EXPECTED)
def test_a_question_in_other_words(question: str) -> None:
    found = rewordings(question, 9)
    assert [words for words in EXPECTED[question] if words not in found] == [], found


CAREFUL = [
    "What is wrong with my order?",
    "What is new?",
    "What's going on?",
    "What is the company running the shop?",
    "What is Berlin famous for?",
    "Where is the parcel that I ordered?",
    "Where was the parcel left?",
    "When is the meat tender?",
    "Why did you cancel my order?",
    "Does the red work glove stretch?",
    "How do I return an order and when do I get my money?",
    "How are you?",
    "Which is better, A or B?",
    "Which planet is the biggest?",
    "What is the fastest way to get there?",
    "WHERE IS MY PARCEL",
]


@pytest.mark.parametrize("question", CAREFUL)
def test_where_the_grammar_is_not_certain_only_something_goes_before_it(question: str) -> None:
    found = rewordings(question, 9)
    assert [words.split(",")[0].split(":")[0] for words in found] == ["I have a question", "Hello"]
    assert all(words.casefold().rstrip("?").endswith(question[-8:].casefold().rstrip("?")) for words in found)


SILENT = [
    "",
    " \n",
    ".",
    "🙂",
    "Hello",
    "Help",
    "And if I lost the box?",
    "Order status?",
    "List of planets",
    "Was kostet der Versand?",
    "Is mijn pakket er al?",
    "¿Dónde está mi paquete?",
    "Où est mon colis ?",
    "您好，我的包裹在哪里？",
    "What is this?\nAnd what is that?",
]


@pytest.mark.parametrize("question", SILENT)
def test_where_no_rule_knows_it_nothing_is_proposed(question: str) -> None:
    assert rewordings(question) == []


@pytest.mark.parametrize("question", [*EXPECTED, *CAREFUL, *SILENT])
def test_what_is_proposed_is_other_than_the_question_and_said_once(question: str) -> None:
    found = rewordings(question, 99)
    bare = [words.casefold().strip(" .?!") for words in (question, *found)]
    assert len(set(bare)) == len(bare)
    assert rewordings(question) == found[:MOST]
    assert all(words == words.strip() and "  " not in words and "\n" not in words for words in found)


def test_a_long_one_gets_a_greeting_alone() -> None:
    long = f"What is the price of {'very ' * (LONG // 5)}good tea?"
    assert rewordings(long) == [f"Hello, w{long[1:]}"]
    order = f"Write a poem about {'very ' * (LONG // 5)}good tea."
    assert rewordings(order) == [f"Please w{order[1:]}"]


@pytest.mark.parametrize(
    "question", [*EXPECTED, *CAREFUL, "Could you please?", "What?!", "Can you please please stop?"]
)
def test_half_a_question_and_its_words_in_any_order_break_nothing(question: str) -> None:
    words = question.split()
    for end in range(len(words) + 1):
        for asked in (words[:end], words[end:], words[:end][::-1], [*words[end:], *words[:end]]):
            for mark in ("", "?", "!", "?!", ".", ","):
                assert all(rewordings(" ".join(asked).rstrip("?.!") + mark))


@pytest.mark.parametrize("question", [*EXPECTED])
def test_what_is_asked_is_never_learnt_and_nothing_is_lost(question: str) -> None:
    asked, learnt = to_ask(question, ALL), to_learn(question)
    assert not {*asked} & {*learnt}
    assert {*asked, *learnt} == {*rewordings(question, ALL)}
    assert asked[:1] == rewordings(question)[:1], "the boldest is asked"
    assert to_ask(question) == asked[:MOST]
