"""The text of a compiled program: the scope of each operation, its FLOPs, its bytes and its matrix products.

A trace names the operations of the compiled program alone, so scopes and work are looked up here. XLA's own cost
analysis gives one figure for the whole program, and counts the body of a loop once; the figures below are of each
operation, to be multiplied by how often it ran.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

# Parts of the name of an operation that stand for control flow, and not for a scope.
CONTROL_FLOW = re.compile(r"while|body|cond|branch_\d+_fun|closed_call|checkpoint|rematted_computation")
CONTAINERS = ("while", "conditional", "call")  # operations whose time is that of the operations within them
INSTRUCTION = re.compile(r"\s+(?:ROOT )?%(\S+) = (.*?)([a-z][\w-]*)\(")
ARRAY = re.compile(r"\b([a-z]\w*)\[([\d,]*)\]")  # such as f32[512,64]
OUTSIDE = "outside of all scopes"
# Operations with one FLOP for each element of their result. A transcendental function counts as one FLOP too, as the
# instructions that it takes differ between devices.
ELEMENTWISE = re.compile(
    r"abs|add|and|atan2|cbrt|ceil|clamp|compare|cosine|divide|erf|exponential|exponential-minus-one|"
    r"floor|is-finite|log|log-plus-one|logistic|maximum|minimum|multiply|negate|not|or|power|remainder|"
    r"round-nearest-afz|round-nearest-even|rsqrt|select|shift-left|shift-right-arithmetic|shift-right-logical|"
    r"sign|sine|sqrt|subtract|tan|tanh|xor"
)
NO_BYTES = ("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "iota")  # nothing is moved
PARTIAL = ("dynamic-slice", "slice", "gather")  # operations that read of their first argument what they return


class Instruction(NamedTuple):
    """A line of the text of a compiled program.

    computation: the one that it stands in; operation: its name there, and in a trace; kind: such as "fusion"
    shape: the text of its result's type, such as "f32[512,64]{1,0}"; of a tuple, all of its parts
    arguments: the operations whose results it reads; calls: the computation of a fusion, or ""
    name: jax's name of it, with the named scopes, or ""; attributes: the text after the arguments
    """

    computation: str
    operation: str
    kind: str
    shape: str
    arguments: Sequence[str]
    calls: str
    name: str
    attributes: str


class Product(NamedTuple):
    """A matrix product: `batch` times (m, k) @ (k, n) of the type `dtype`, such as "f32"."""

    batch: int
    m: int
    k: int
    n: int
    dtype: str


class Work(NamedTuple):
    """The work of one execution of an operation.

    flops: of products, convolutions, reductions and ELEMENTWISE operations
    bytes: read and written, as if no cache held any of it between two operations. Within a fusion nothing is moved
    products: the matrix products in it
    """

    flops: float
    bytes: float
    products: tuple[Product, ...]


def instructions(program: str) -> list[Instruction]:
    """All instructions of the text of a compiled program, in its order."""
    return [*_instructions(program)]


def scopes_of(program: Sequence[Instruction], depth: int) -> dict[str, str]:
    """{operation: its scope}, without CONTAINERS.

    A fusion without a name has that of the last operation in the computation that it calls. XLA leaves products that it
    hands to a library without any name: they count for the innermost scope among those of the operations that read
    their results and of those that give their arguments, the former first.
    """
    last = {one.computation: one.name for one in program if one.name}
    named = {one.operation: name for one in program if (name := one.name or last.get(one.calls))}
    beside: dict[str, list[str]] = {one.operation: [] for one in program}
    for one in program:
        for argument in one.arguments:
            beside.get(argument, []).append(one.operation)

    def found(one):
        near = [one.operation] if one.operation in named else [*beside[one.operation], *one.arguments]
        scopes = [scope(named[operation], depth) for operation in near if operation in named]
        return max(scopes, key=lambda name: name.count("/") + (name != OUTSIDE), default=OUTSIDE)

    return {one.operation: found(one) for one in program if one.kind not in CONTAINERS}


def scope(name: str, depth: int) -> str:
    """The scope of an operation: jit(f)/vmap()/while/body/transpose(jvp(loss))/carrier/dot is gradient of loss/carrier.

    depth: the number of scopes that are kept. Of several names, which XLA joins by ";", the first counts
    """
    name = name.partition(";")[0]
    parts = [re.sub(r"^(\w+\()+|\)+$", "", part) for part in name.split("/")[:-1] if "jit(" not in part]
    parts = [part for part in parts if part and "<" not in part and not CONTROL_FLOW.fullmatch(part)]
    gradient = "gradient of " if "transpose(" in name else ""
    return gradient + "/".join(parts[:depth]) if parts else OUTSIDE


def work_of(program: Sequence[Instruction]) -> dict[str, Work]:
    """{operation: its work}, without CONTAINERS and the operations within fusions."""
    shapes = {one.operation: one.shape for one in program}
    within: dict[str, list[Instruction]] = defaultdict(list)
    for one in program:
        within[one.computation].append(one)
    called = {one.calls for one in program if one.calls}

    def work(one):
        parts = within[one.calls] if one.calls else [one]
        products = tuple(p for part in parts for p in _product(part, shapes))
        return Work(sum(_flops(part, shapes) for part in parts), _bytes(one, within[one.calls], shapes), products)

    own = [one for one in program if one.kind not in CONTAINERS and one.computation not in called]
    return {one.operation: work(one) for one in own}


def executions_of(program: Sequence[Instruction]) -> dict[str, float]:
    """{operation: how often it runs in one call of the program}; inf in a loop whose length XLA does not know.

    Each branch of a conditional counts, so this is the greatest number; a trace tells which branch ran.
    """
    within: dict[str, list[Instruction]] = defaultdict(list)
    inner = set()
    for one in program:
        within[one.computation].append(one)
        inner |= {*_inner(one)}
    found: dict[str, float] = defaultdict(float)

    def walk(computation, times):
        for one in within[computation]:
            found[one.operation] += times
            for name in _inner(one):
                walk(name, times * _trips(one))

    for computation in within.keys() - inner - {one.calls for one in program}:
        walk(computation, 1.0)
    return dict(found)


def product_flops(product: Product) -> int:
    """2 batch m k n: a multiplication and an addition for each term of each sum."""
    return 2 * product.batch * product.m * product.k * product.n


def elements(shape: str) -> int:
    """The number of elements of all arrays in the text of a type."""
    return sum(math.prod(dims) for _, dims in _arrays(shape))


def size(shape: str) -> float:
    """The bytes of all arrays in the text of a type: f32[2,3] has 24, pred[4] has 4."""
    return sum(math.prod(dims) * _bits(dtype) / 8 for dtype, dims in _arrays(shape))


# --- inside -----------------------------------------------------------------------------------------------------------


def _instructions(program: str) -> Iterator[Instruction]:
    computation = ""
    for line in program.splitlines():
        if found := INSTRUCTION.match(line):
            calls, name = re.search(r"calls=%([^\s,]+)", line), re.search(r'op_name="([^"]*)"', line)
            arguments, _, attributes = line[found.end() :].partition(")")
            yield Instruction(
                computation,
                operation=found[1],
                kind=found[3],
                shape=found[2],
                arguments=re.findall(r"%([^\s,)]+)", arguments),
                calls=calls[1] if calls else "",
                name=name[1] if name else "",
                attributes=attributes,
            )
        elif line.startswith(("%", "ENTRY")):
            computation = line.removeprefix("ENTRY ").split()[0].removeprefix("%")


def _arrays(shape: str) -> list[tuple[str, list[int]]]:
    return [(dtype, [int(n) for n in dims.split(",") if n]) for dtype, dims in ARRAY.findall(shape)]


def _bits(dtype: str) -> int:
    digits = re.search(r"\d+", dtype)
    return int(digits[0]) if digits else {"pred": 8}.get(dtype, 0)


def _inner(one: Instruction) -> list[str]:
    """The computations of a container, whose operations run as operations of the program."""
    if one.kind not in CONTAINERS:
        return []
    listed = re.search(r"branch_computations=\{([^}]*)\}", one.attributes)
    names = re.findall(
        r"(?:body|condition|to_apply|true_computation|false_computation|calls)=%([^\s,)]+)", one.attributes
    )
    return [*names, *(re.findall(r"%([^\s,]+)", listed[1]) if listed else [])]


def _trips(one: Instruction) -> float:
    if one.kind != "while":
        return 1
    known = re.search(r'"known_trip_count":\{"n":"(\d+)"', one.attributes)
    return int(known[1]) if known else math.inf


def _product(one: Instruction, shapes: Mapping[str, str]) -> list[Product]:
    """The product of a dot, or of a call of a library, which has the same dimensions in its backend_config."""
    if one.kind not in ("dot", "custom-call"):
        return []
    contracted = _dimensions(one, "contracting")
    if contracted is None or len(one.arguments) < 2:
        return []
    (dtype, left), (_, right) = (_arrays(shapes[name])[0] for name in one.arguments[:2])
    k, batch = (math.prod(left[n] for n in dims or ()) for dims in (contracted, _dimensions(one, "batch")))
    return [Product(batch, math.prod(left) // (k * batch), k, math.prod(right) // (k * batch), dtype)]


def _dimensions(one: Instruction, role: str) -> list[int] | None:
    """Dimensions of the first argument of a product that have this role; None without an entry."""
    found = re.search(rf'lhs_{role}_dim(?:s=\{{|ensions":\[)([^\]}}]*)', one.attributes)
    return [int(n) for n in re.findall(r"\d+", found[1])] if found else None


def _flops(one: Instruction, shapes: Mapping[str, str]) -> float:
    if product := _product(one, shapes):
        return product_flops(product[0])
    if one.kind == "convolution":  # a term for each element of the kernel, for each output but its feature
        labels, (_, kernel) = re.search(r"dim_labels=\w+_(\w+)->", one.attributes), _arrays(shapes[one.arguments[1]])[0]
        features = kernel[labels[1].index("o")] if labels else 1
        return 2 * elements(one.shape) * math.prod(kernel) / features
    if one.kind in ("reduce", "reduce-window"):
        return elements(shapes[one.arguments[0]])
    return elements(one.shape) if ELEMENTWISE.fullmatch(one.kind) else 0


def _bytes(one: Instruction, inside: Sequence[Instruction], shapes: Mapping[str, str]) -> float:
    """The bytes that an operation reads and writes. inside: the operations of a fusion."""
    if one.kind in NO_BYTES:
        return 0
    if one.kind == "dynamic-update-slice":  # in place: it reads the update and writes it
        return 2 * size(shapes[one.arguments[1]])
    if one.kind in PARTIAL:
        return 2 * size(one.shape)
    if not inside:
        return size(one.shape) + sum(size(shapes[name]) for name in one.arguments)
    updates = [part for part in inside if part.kind == "dynamic-update-slice"]
    in_place = {part.arguments[0] for part in updates}
    parameters = [part for part in inside if part.kind == "parameter"]
    read = sum(_read(part, inside, in_place) for part in parameters)
    written = sum(size(shapes[part.arguments[1]]) - size(part.shape) for part in updates)
    return read + max(0.0, size(one.shape) + written)


def _read(parameter: Instruction, inside: Sequence[Instruction], in_place: set[str]) -> float:
    """The bytes of a parameter of a fusion that are read: all, or where only parts of it are taken, these parts."""
    readers = [part for part in inside if parameter.operation in part.arguments]
    if parameter.operation in in_place and len(readers) == 1:
        return 0
    if readers and all(part.kind in PARTIAL and part.arguments[0] == parameter.operation for part in readers):
        return min(size(parameter.shape), sum(size(part.shape) for part in readers))
    return size(parameter.shape)
