"""ternary_jax.lattice.text.decoder and byte_texts: a text byte by byte, beside whole passes and plain counts."""

import functools
import itertools
import math
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ternary_jax.lattice.text import byte_texts, decoder
from ternary_jax.lattice.text.models import MARK, SYMBOLS

LONGEST = 6
RECIPE = decoder.Recipe(width=8, heads=2, layers=2, steps=3, batch=2, warmup=1, every=1)
TEXTS = ["ab", "abcab", "", "née", "abcdefgh"]
SURFACE = jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)), "float32")


@functools.cache
def trained():
    """Parameters that give symbols different probabilities, and the network."""
    texts = byte_texts.rows(TEXTS, LONGEST)
    params = decoder.network(RECIPE, LONGEST).init(jax.random.key(0), jnp.asarray(texts.ids), SURFACE)
    params = jax.tree.map(lambda x: x + 0.3 * jax.random.normal(jax.random.key(x.size), x.shape), params)
    return params, decoder.network(RECIPE, LONGEST)


@functools.cache
def whole():
    params, net = trained()
    return jax.jit(lambda ids, surface: jax.nn.log_softmax(net.apply(params, ids, surface)))


def nats(face, symbols):
    """The cost of symbols after a surface, by whole passes over all of them; marks after the first are free."""
    symbols = list(symbols)
    length = symbols.index(MARK) + 1 if MARK in symbols else len(symbols)
    ids = np.full((1, LONGEST + 1), MARK)
    ids[0, 1 : 1 + length] = symbols[:length]
    logs = np.asarray(whole()(jnp.asarray(ids), face[None]))[0]
    return -sum(logs[t, symbol] for t, symbol in enumerate(symbols[:length]))


def costs_of(face, texts):
    """The cost of each text so far, one whole pass for each text without its last symbol."""
    logs: dict[tuple, np.ndarray] = {}
    found = []
    for text in texts:
        before = tuple(text[:-1])
        if MARK in before:
            found.append(nats(face, text))
            continue
        if before not in logs:
            ids = np.full((1, LONGEST + 1), MARK)
            ids[0, 1 : 1 + len(before)] = before
            logs[before] = np.asarray(whole()(jnp.asarray(ids), face[None]))[0]
        found.append(-sum(logs[before][t, symbol] for t, symbol in enumerate(text)))
    return found


def test_texts_are_marks_and_bytes():
    rows = byte_texts.rows(TEXTS, LONGEST)
    assert rows.ids[1].tolist() == [MARK, *b"abcab", MARK]
    assert rows.after[1].tolist() == [*b"abcab", MARK, MARK]
    assert rows.counted.sum(1).tolist() == [3, 6, 1, 5, LONGEST]  # the mark after a text that was cut does not count
    assert [byte_texts.text_of(row) for row in rows.after] == ["ab", "abcab", "", "née", "abcdef"]
    assert byte_texts.text_of("é".encode()[:1]) == "\N{REPLACEMENT CHARACTER}"


def test_one_position_at_a_time_is_the_whole_text_at_once():
    params, net = trained()
    ids = jnp.asarray(byte_texts.rows(TEXTS, LONGEST).ids)
    at_once = jax.jit(net.apply)(params, ids, SURFACE)
    past = jax.jit(lambda face: net.apply(params, face, method="start"))(SURFACE)
    step = jax.jit(lambda symbol, past, t: net.apply(params, symbol, past, t, method="next_byte"))
    for t in range(LONGEST):
        logits, past = step(ids[:, t], past, t)
        np.testing.assert_allclose(logits, at_once[:, t], atol=1e-5)


def test_greedy_takes_the_best_symbol_each_time():
    params, _ = trained()
    found = np.asarray(jax.jit(lambda p, x: decoder.greedy(p, x, RECIPE, LONGEST))(params, SURFACE))
    for row, face in zip(found, SURFACE, strict=True):
        expected: list[int] = []
        while len(expected) < LONGEST and MARK not in expected:
            ids = np.full((1, LONGEST + 1), MARK)
            ids[0, 1 : 1 + len(expected)] = expected
            expected.append(int(whole()(jnp.asarray(ids), face[None])[0, len(expected)].argmax()))
        assert row.tolist() == expected + [MARK] * (LONGEST - len(expected))


def test_a_beam_keeps_the_best_texts_so_far():
    params, _ = trained()
    texts, costs = jax.jit(lambda p, x: decoder.beam(p, x, RECIPE, LONGEST, 3))(params, SURFACE[:2])
    for row, face, cost in zip(np.asarray(texts), SURFACE, costs, strict=False):
        kept: list[list[int]] = [[]]
        for _ in range(LONGEST):
            longer = [[*one, s] for one in kept for s in ([MARK] if MARK in one else range(SYMBOLS))]
            kept = [longer[k] for k in np.argsort(costs_of(face, longer))[:3]]
        assert row.tolist() == kept
        np.testing.assert_allclose(cost, [nats(face, one) for one in kept], rtol=1e-4)


def test_a_text_costs_what_whole_passes_say():
    params, _ = trained()
    rows = byte_texts.rows(TEXTS, LONGEST)
    found = jax.jit(lambda p, x: decoder.cost(p, rows, x, RECIPE, block=2))(params, SURFACE)
    for k, (text, face) in enumerate(zip(TEXTS, SURFACE, strict=True)):
        data = [*text.encode()[:LONGEST]]
        symbols = data + [MARK] * (len(text.encode()) <= LONGEST)
        np.testing.assert_allclose(found[k], nats(face, symbols) / math.log(2), rtol=1e-4)


def test_the_search_makes_one_pass_for_each_symbol(monkeypatch):
    traced = []
    plain = decoder.ByteDecoder.next_byte
    monkeypatch.setattr(decoder.ByteDecoder, "next_byte", lambda *given: traced.append(1) or plain(*given))
    params, _ = trained()
    jaxpr = jax.make_jaxpr(lambda p, x: decoder.beam(p, x, RECIPE, LONGEST, 3))(params, SURFACE)
    assert len(traced) <= 2  # scan may trace its body twice
    scans = [eqn for eqn in jaxpr.jaxpr.eqns if eqn.primitive.name == "scan"]
    assert [eqn.params["length"] for eqn in scans] == [LONGEST]


def test_the_trigram_is_that_of_plain_counts():
    train, test = byte_texts.rows(["abab", "abc"], 8), byte_texts.rows(["abcab"], 8)
    model = byte_texts.trigram(train, test)._replace(weights=(0.6, 0.7))

    def symbols(rows):
        for ids, after, counted in zip(*rows, strict=True):
            data = [MARK, *ids, MARK]
            yield from ((data[t], data[t + 1], after[t]) for t in range(len(after)) if counted[t])

    three, two, one = Counter(symbols(train)), Counter(), Counter()
    for (_, b, c), n in three.items():
        two[b, c] += n
        one[c] += n
    total = []
    for a, b, c in symbols(test):
        share = (one[c] + 1) / (sum(one.values()) + SYMBOLS)
        after = {key: n for key, n in two.items() if key[0] == b}
        if after:
            share = 0.7 * two[b, c] / sum(after.values()) + 0.3 * share
        after = {key: n for key, n in three.items() if key[:2] == (a, b)}
        if after:
            share = 0.6 * three[a, b, c] / sum(after.values()) + 0.4 * share
        total.append(-math.log2(share))
    np.testing.assert_allclose(byte_texts.cost(model, test), sum(total), rtol=1e-5)
    assert byte_texts.per_byte(10.0, test) == 2  # five bytes; the mark costs, and is none


def test_the_weights_of_the_trigram_are_the_best_of_all():
    train, chosen = byte_texts.rows(["abab", "abc", "bca"], 8), byte_texts.rows(["abca"], 8)
    best = byte_texts.trigram(train, chosen)
    others = (best._replace(weights=pair) for pair in itertools.product(byte_texts.WEIGHTS[::4], repeat=2))
    assert byte_texts.cost(best, chosen) <= min(byte_texts.cost(one, chosen) for one in others)


def test_a_map_of_the_surface_by_its_size_is_added_to_every_byte():
    """With the map of three numbers moved into the embeddings of all bytes, a decoder without a surface is the same."""
    params, net = trained()
    ids = jnp.asarray(byte_texts.rows(TEXTS, LONGEST).ids)
    apply, inner = jax.jit(net.apply), params["params"]
    found = apply(params, ids, SURFACE)
    for k, face in enumerate(np.asarray(SURFACE, float)):
        moved = (face / 3) @ np.asarray(inner["surface"]["kernel"], float)
        table = {"embedding": inner["bytes"]["embedding"] + jnp.asarray(moved, "float32")[None]}
        logits = apply({"params": inner | {"bytes": table}}, ids, jnp.zeros_like(SURFACE))
        np.testing.assert_allclose(found[k], logits[k], atol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 0.1


# --- training ---------------------------------------------------------------------------------------------------------


def loop(key, texts, recipe):
    """The parameters after each two steps of a plain loop, for six steps."""
    net = decoder.network(recipe, LONGEST)
    start, key = jax.random.split(key)
    schedule = optax.warmup_cosine_decay_schedule(0, recipe.rate, recipe.warmup, recipe.steps)
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=0.1))

    @jax.jit
    def step(params, opt, number):
        rows = jax.random.randint(jax.random.fold_in(key, number), (recipe.batch,), 0, len(TEXTS))
        ids, after, counted = (jnp.asarray(x)[rows] for x in texts)

        def loss(params):
            logs = jax.nn.log_softmax(net.apply(params, ids, SURFACE[rows]))
            return -(logs * jax.nn.one_hot(after, SYMBOLS) * counted[..., None]).sum() / counted.sum()

        updates, opt = tx.update(jax.grad(loss)(params), opt, params)
        return optax.apply_updates(params, updates), opt

    params = jax.jit(net.init)(start, jnp.asarray(texts.ids[:2]), SURFACE[:2])
    opt, found = tx.init(params), []
    for number in range(6):
        params, opt = step(params, opt, number)
        found += [params] * (number % 2)
    return found


def test_a_training_is_the_loop_of_its_steps_and_gives_the_look_that_costs_least(monkeypatch):
    """The cost of a look is dictated: its distance from one of three looks. So each of them is once the best."""
    texts, recipe = byte_texts.rows(TEXTS, LONGEST), RECIPE._replace(layers=1, steps=6, every=2)
    looks, chosen = loop(jax.random.key(3), texts, recipe), (texts, SURFACE[::-1])

    def bias(params):
        return params["params"]["symbols"]["bias"]

    @jax.jit
    def run(wanted):
        def cost(params, *given):
            assert given == (*chosen, recipe)
            return jnp.square(bias(params) - wanted)

        monkeypatch.setattr(decoder, "cost", cost)
        return decoder.train(jax.random.key(3), texts, SURFACE, chosen, recipe)

    for k, look in enumerate(looks):
        found, bits = run(bias(look))
        for name in ("bytes", "surface", "symbols"):  # the bias of a key has no gradient, and Adam moves it by rounding
            jax.tree.map(
                functools.partial(np.testing.assert_allclose, atol=2e-5), found["params"][name], look["params"][name]
            )
        assert np.argmin(bits) == k
        np.testing.assert_allclose(bits, [np.square(bias(one) - bias(look)).sum() for one in looks], atol=1e-6)


@pytest.mark.slow
def test_a_decoder_reads_its_surface():
    """Three words of nine, a vector each: with its surface a byte costs nearly nothing, with another a bit or more."""
    rng, words = np.random.default_rng(0), ["red", "green", "blue", "cat", "dog", "runs", "sleeps", "big", "small"]
    vectors, chosen = rng.normal(size=(9, 8)), rng.integers(0, 9, (400, 3))
    surface = jnp.asarray(vectors[chosen].reshape(400, -1), "float32")
    rows = byte_texts.rows([" ".join(words[k] for k in row) for row in chosen], 24)
    train, test = (byte_texts.Rows(*(x[part] for x in rows)) for part in (slice(350), slice(350, 400)))
    recipe = decoder.Recipe(width=32, heads=2, layers=1, steps=600, every=200)
    chosen = (test, surface[350:])
    params, _ = jax.jit(lambda key: decoder.train(key, train, surface[:350], chosen, recipe))(jax.random.key(0))
    cost = jax.jit(lambda face: byte_texts.per_byte(decoder.cost(params, test, face, recipe).sum(), test))
    assert cost(surface[350:]) < 0.1
    assert cost(surface[350:][::-1]) > 1
