"""BERT's splitting of a text into token ids, character by character, as its lower-case English models have it.

It shares no code with the package, which leaves this to the library `tokenizers`.
"""

import unicodedata

CHINESE = [(0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0xF900, 0xFAFF)]
LONGEST_WORD = 100


def ids(text, vocabulary):
    """The numbers of the tokens of a text, from [CLS] to [SEP]. vocabulary: token -> number."""
    found = ["[CLS]"]
    for word in words(text):
        found += pieces(word, vocabulary)
    return [vocabulary[token] for token in [*found, "[SEP]"]]


def words(text):
    """Lower-case words without accents; each mark of punctuation and each Chinese character is a word of its own."""
    spaced = "".join(_spaced(mark) for mark in text)
    plain = (mark for mark in unicodedata.normalize("NFD", spaced) if unicodedata.category(mark) != "Mn")
    lower = "".join(mark.lower() for mark in plain)  # one by one: the sigma that ends a word is the usual one
    return "".join(f" {mark} " if _is_punctuation(mark) else mark for mark in lower).split()


def pieces(word, vocabulary):
    """From the left, the longest token each time; all but the first begin with ##."""
    found, start = [], 0
    if len(word) > LONGEST_WORD:
        return ["[UNK]"]
    while start < len(word):
        end = len(word)
        while end > start and "##" * (start > 0) + word[start:end] not in vocabulary:
            end -= 1
        if end == start:
            return ["[UNK]"]
        found.append("##" * (start > 0) + word[start:end])
        start = end
    return found


def _spaced(mark):
    if mark in "\t\n\r":
        return " "
    if mark == "\ufffd" or unicodedata.category(mark)[0] == "C":
        return ""
    return f" {mark} " if any(low <= ord(mark) <= high for low, high in CHINESE) else mark


def _is_punctuation(mark):
    """Of ASCII, also the signs that Unicode has as symbols."""
    return unicodedata.category(mark)[0] == "P" or (mark.isascii() and unicodedata.category(mark)[0] == "S")
