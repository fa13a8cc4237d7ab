"""Fuzzing in a process of its own, watched: an exception that is not molmv's, a crash and a stall are each told.

As a script: ``python fuzzing.py FUZZER SEED COUNT PROGRESS START`` does the cases of ``files`` or ``smiles`` from START
on, prints a line of JSON for each that fails, and keeps the number of the case that it is at in the file PROGRESS.
"""

import csv
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 30.0  # seconds of work for a case
LOADING = "loading"
CHUNK = 50
# What may stand in a SMILES, and what may not.
LETTERS = "CNOPSFIHBrlcnops[]()=#$:/\\@+-.%0123456789*~>{}|^ \t\"',;&!?§éαß☃\U0001f600\u202e\x00\x7f"
PIECES = """
[ ] ( ) C1 %99 [nH] [C@@H] [13C] [Fe+2] c1ccccc1 = # . [*] [#6] [OH3-] [C-]#[N+] /C=C/ -> >> |$;$| [U] [C:999999999]
[999C] [C+15] [H] %(100) [2H] $ ~ [Og] N(=O)(=O) [Cu] [se] B1BB1 [C@SP1] [N@TH2] c1nnnn1 C=[N+]=[N-] [Na+].[Cl-]
""".split()
PIECES += ["C" * 120, "(" * 60, "1" * 30, "C12" * 9]


@dataclass
class Told:
    """What came of a fuzzing.

    Attributes:
        cases: inputs tried.
        outcomes: how many ended how; for people.
        faults: a sentence for each exception, crash and stall.
    """

    cases: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def fuzz(fuzzer: str, seed: int, count: int, limit: float = LIMIT) -> Told:
    """Run a fuzzer in watched processes; after a crash or a stall the next one goes on behind the culprit."""
    told = Told(count)
    with tempfile.TemporaryDirectory() as folder:
        progress, start = Path(folder) / "at", 0
        while start < count:
            progress.write_text(LOADING)
            log = Path(folder) / "log"
            command = [sys.executable, __file__, fuzzer, str(seed), str(count), str(progress), str(start)]
            env = {
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
                "OMP_NUM_THREADS": "1",
            }
            with log.open("w+", encoding="utf-8") as out:
                process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=env, cwd=folder)
                stalled = _watch(process, progress, limit)
                out.seek(0)
                lines = out.read().splitlines()
            for line in lines:
                if line.startswith('{"'):
                    said = json.loads(line)
                    told.outcomes.update(said.get("outcomes", {}))
                    told.faults += [f"{fuzzer}, seed {seed}, {fault}" for fault in said.get("faults", [])]
            if process.returncode == 0:
                break
            at = start if (now := progress.read_text()) in (LOADING, "") else int(now)
            how = f"stalled for {limit:.0f} s" if stalled else f"ended the process with {process.returncode}"
            told.faults.append(f"{fuzzer}, seed {seed}, case {at} {how}: {' '.join(lines[-3:])[-500:]}")
            start = at + 1
    return told


def _watch(process: "subprocess.Popen[bytes]", progress: Path, limit: float) -> bool:
    """Wait for the process; end it if it works on a case for longer than the limit, or ten times that by the clock."""
    before, began, since = LOADING, 0.0, time.monotonic()
    while True:
        try:
            process.wait(0.2)
            return False
        except subprocess.TimeoutExpired:
            now = progress.read_text() or before  # it may just be written
            if now != before or now == LOADING:
                before, began, since = now, _work(process.pid), time.monotonic()
            elif _work(process.pid) - began > limit or time.monotonic() - since > 10 * limit:
                process.kill()
                process.wait()
                return True


def _work(pid: int) -> float:
    """Seconds of the processor that a process has used: a busy machine is no stall. Zero where nobody says it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError):
        return 0.0


# files ---------------------------------------------------------------------------------------------------------------


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, cut, doubled, moved or filled in."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        at, length = rng.randrange(len(out) + 1), rng.choice((1, 1, 2, 4, 8, 64))
        kind = rng.randrange(8)
        if kind == 0 and out:
            out[min(at, len(out) - 1)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[at : at + length] = rng.randbytes(length)
        elif kind == 2:
            del out[at : at + length]
        elif kind == 3:
            out[at:at] = out[at : at + length] * rng.choice((1, 3, 50))
        elif kind == 4:
            out[at : at + 8] = rng.choice((0, 1, 2**31 - 1, 2**31, 2**63 - 1, 2**64 - 1, 10**12)).to_bytes(8, "little")
        elif kind == 5:
            out[at:at] = rng.choice(TOKENS)
        elif kind == 6:
            del out[at:]
        else:
            to = rng.randrange(len(out) + 1)
            out[to:to] = out[at : at + length]
    return bytes(out)


TOKENS = rb"""
" ' , [ ] { } = -1 1e999 nan null true [[[[ {"a": 999999999999999999999 .. ../../x PK PAR1 ARROW1 """.split()
TOKENS += [b"\n", b"\r\n", b"\0", b"\t", b"\xff\xfe", b"\xef\xbb\xbf", b"\x80\x04.", b"\x1f\x8b"]


def file_cases(seed: int, count: int) -> Iterator[Callable[[], str]]:
    """Spoilt files of all kinds in turn, half with hashes that fit; each call tries one and says how it ended."""
    from hostile import KINDS

    made: dict[str, tuple[Any, dict[Path, bytes]]] = {}
    for case in range(count):
        kind = list(KINDS)[case % len(KINDS)]

        def attempt(kind: str = kind, case: int = case) -> str:
            if kind not in made:
                folder = Path(f"kind-{len(made)}-{os.getpid()}").resolve()
                folder.mkdir()
                target = KINDS[kind](folder)
                made[kind] = target, {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
            try:
                return _spoil(kind, *made[kind], random.Random(f"{kind} {seed} {case}"))
            except Exception as error:
                error.add_note(kind)
                raise

        yield attempt


def _spoil(kind: str, target: Any, files: dict[Path, bytes], rng: random.Random) -> str:
    from molmv.errors import MolmvError

    for path, content in files.items():
        path.parent.mkdir(exist_ok=True)  # a cache removes what is damaged
        path.write_bytes(content)
    target.file.write_bytes(mutated(files[target.file], rng))
    if rng.random() < 0.5:
        target.reseal()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = target.read()
        except MolmvError as error:
            return f"{kind}: refused" if str(error) else f"{kind}: refused without a word"
    _check_rows(found)
    return f"{kind}: read"


def _check_rows(found: Any) -> None:
    """Chunks of a table follow each other without a gap."""
    if isinstance(found, list) and found and hasattr(found[0], "start"):
        starts = [chunk.start for chunk in found]
        ends = [chunk.start + len(chunk) for chunk in found]
        assert starts == [0, *ends[:-1]], "rows are lost"
        assert all(chunk.ids is None or len(chunk.ids) == len(chunk) for chunk in found), "ids are lost"


# SMILES --------------------------------------------------------------------------------------------------------------


def spoilt_smiles(rng: random.Random, real: list[str]) -> str:
    """A real SMILES with some letters changed, or a part of another in it."""
    text = list(rng.choice(real))

    def letter() -> str:
        return rng.choice(LETTERS if rng.random() < 0.2 else rng.choice(real))

    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        at = rng.randrange(len(text) + 1)
        kind = rng.randrange(7)
        if kind == 0 and text:
            del text[min(at, len(text) - 1)]
        elif kind == 1:
            text.insert(at, letter())
        elif kind == 2 and text:
            text[min(at, len(text) - 1)] = letter()
        elif kind == 3:
            other = rng.choice(real)
            text[at:at] = other[rng.randrange(len(other)) :]
        elif kind == 4:
            text[at:at] = rng.choice(PIECES)
        elif kind == 5:
            text[at:at] = text[at : at + 12] * rng.choice((1, 2, 20))
        elif len(text) > 1:
            i, j = rng.randrange(len(text)), rng.randrange(len(text))
            text[i], text[j] = text[j], text[i]
    return "".join(text)


def invented_smiles(seed: int, count: int) -> list[str]:
    """Texts of the letters and pieces of SMILES, as hypothesis invents them."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded
    from hypothesis import strategies as st

    found: list[str] = []
    parts = st.lists(st.one_of(st.sampled_from(PIECES), st.sampled_from(LETTERS), st.text(max_size=3)), max_size=25)

    @seeded(seed)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(parts)
    def invent(pieces: list[str]) -> None:
        found.append("".join(pieces))

    invent()
    return found


def smiles_cases(seed: int, count: int) -> Iterator[Callable[[], str]]:
    """Chunks of fuzzed SMILES through screen, parser, featuriser and student; two good molecules stand among them."""
    import numpy as np

    from molmv import molecules
    from molmv.models import load_student
    from molmv.rows import STATUSES, VALID, row_keys

    with (ROOT / "examples" / "library.csv").open(newline="", encoding="utf-8") as file:
        real = [row["smiles"] for row in csv.DictReader(file) if row["smiles"]]
    invented = invented_smiles(seed, count * CHUNK // 5)
    student = load_student("molmv-small", device="cpu")
    good = ["CC(=O)Oc1ccccc1C(=O)O", "CN1C=NC2=C1C(=O)N(C)C(=O)N2C"]
    alone = np.concatenate([student.embed(student.screen([text])) for text in good])
    for case in range(count):
        rng = random.Random(f"{seed} {case}")
        texts: list[Any] = [spoilt_smiles(rng, real) for _ in range(CHUNK)]
        for place, text in zip(range(0, CHUNK, 5), invented[case * CHUNK // 5 :], strict=False):
            texts[place] = text
        places = sorted(rng.sample(range(CHUNK + 1), 2))
        for place, text in zip(places[::-1], good[::-1], strict=True):
            texts.insert(place, text)

        def attempt(texts: list[Any] = texts, places: list[int] = places) -> str:
            rows = student.screen(texts)
            X = student.embed(rows)
            assert len(rows) == len(X) == len(texts), "rows are lost"
            assert set(rows.status) <= set(STATUSES), rows.status
            valid = np.array([status in VALID for status in rows.status])
            assert np.array_equal(valid, np.isfinite(X).all(axis=1)), "status and vector differ"
            assert all(good or reason for good, reason in zip(valid, rows.reason, strict=True)), (
                "a row without a reason"
            )
            here = [places[0], places[1] + 1]
            assert valid[here].all(), [rows.reason[i] for i in here]
            assert np.allclose(X[here], alone, atol=1e-4), "a neighbour changed a vector"
            again = student.screen(texts)
            row_keys(molecules.canonicalise(again))
            return json.dumps(Counter(rows.status))

        yield attempt


# the process ---------------------------------------------------------------------------------------------------------


def main(fuzzer: str, seed: int, count: int, progress: Path, start: int) -> None:
    """See the module."""
    outcomes: Counter[str] = Counter()
    cases = {"smiles": smiles_cases, "files": file_cases}[fuzzer](seed, count)
    for case in range(count):
        attempt = next(cases)
        if case < start:
            continue
        progress.write_text(str(case))
        try:
            said = attempt()
            outcomes.update(json.loads(said) if said.startswith("{") else [said])
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)
            ours = next((f"{Path(f.filename).name}:{f.lineno}" for f in reversed(where) if "/molmv/" in f.filename), "")
            what = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            fault = f"case {case}: {what} ({ours}) {' '.join(getattr(error, '__notes__', []))}"
            sys.stdout.write(json.dumps({"faults": [fault]}) + "\n")
            sys.stdout.flush()
    sys.stdout.write(json.dumps({"outcomes": outcomes}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), int(sys.argv[5]))
