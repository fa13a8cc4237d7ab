"""A modality of rows of numbers, written ``1;2;3``."""

from math import isfinite

from molmv.modality import Modality
from molmv.rows import EMPTY, INVALID, OK, Rows


def screen(values, problems=None):
    rows = Rows(list(values), [OK] * len(values), [""] * len(values))
    for i, value in enumerate(rows.inputs):
        if not isinstance(value, str) or not value.strip():
            rows.refuse(i, EMPTY, "no numbers")
        elif i in (problems or {}):
            rows.refuse(i, INVALID, problems[i])
    return rows


def parse(rows):
    parsed = [None] * len(rows)
    for i in rows.good:
        try:
            numbers = [float(part) for part in rows.inputs[i].split(";")]
        except ValueError as error:
            rows.refuse(i, INVALID, str(error))
            continue
        if all(map(isfinite, numbers)):
            parsed[i] = numbers
        else:
            rows.refuse(i, INVALID, "a number that is not finite")
    return parsed


def canonical(parsed):
    return ["" if numbers is None else ";".join(map(repr, numbers)) for numbers in parsed]


NUMBERS = Modality("numbers", ("values", "numbers"), screen, parse, canonical)


class Norms:
    """A teacher of such rows: their sum and their length."""

    dim = 2
    takes_parsed = True  # lists of numbers instead of text

    def __init__(self, card, *, device="cpu"):
        pass

    def embed_batch(self, inputs):
        return [[sum(numbers), sum(number**2 for number in numbers) ** 0.5] for numbers in inputs]
