"""ternary_jax.engine.profile.hlo: scopes, FLOPs, bytes and executions of operations, from the text of a program."""

import math

import jax
import jax.numpy as jnp
import pytest

from ternary_jax.engine.plan import Plan
from ternary_jax.engine.profile import hlo, measure
from ternary_jax.engine.profile.trace import Times

STEP = "jit(train_chunk)/vmap()/while/body/closed_call/"
PROGRAM = f"""
%fused_computation.1 (param_0.1: f32[4]) -> f32[4] {{
  %param_0.1 = f32[4]{{0}} parameter(0)
  %add.1 = f32[4]{{0}} add(%param_0.1, %param_0.1), metadata={{op_name="{STEP}jvp(loss)/carrier/add"}}
  ROOT %tanh.1 = f32[4]{{0}} tanh(%add.1), metadata={{op_name="{STEP}jvp(loss)/movement/tanh"}}
}}

%fused_computation.2 (param_0.2: f32[4]) -> f32[4] {{
  ROOT %dot.2 = f32[4]{{0}} dot(%param_0.2, %param_0.2)
}}

ENTRY %main.1 (Arg_0.1: f32[4]) -> (s32[], f32[4]) {{
  %Arg_0.1 = f32[4]{{0}} parameter(0)
  %ynn_fusion.1 = f32[4]{{0}} fusion(%Arg_0.1), kind=kCustom, calls=%fused_computation.2
  %sum.1 = f32[4]{{0}} add(%ynn_fusion.1, %Arg_0.1), metadata={{op_name="{STEP}transpose(jvp(loss))/add_any"}}
  %sum.2 = f32[4]{{0}} add(%ynn_fusion.1, %Arg_0.1), metadata={{op_name="{STEP}transpose(jvp(loss))/carrier/add"}}
  %fusion.1 = f32[4]{{0}} fusion(%sum.1), kind=kLoop, calls=%fused_computation.1
  %copy.1 = f32[4]{{0}} copy(%Arg_0.1)
  ROOT %while.1 = (s32[], f32[4]{{0}}) while(%fusion.1), body=%body, metadata={{op_name="{STEP}while"}}
}}
"""
# Each operation with figures that are easy to find by hand; the loop of 7 has one of 5, and one of unknown length.
WORK = """
%fused_rows (table: f32[100,8], row: s32[]) -> f32[1,8] {
  %table = f32[100,8]{1,0} parameter(0)
  %row = s32[] parameter(1)
  %slice.1 = f32[1,8]{1,0} dynamic-slice(%table, %row, %row), dynamic_slice_sizes={1,8}
  ROOT %exp.1 = f32[1,8]{1,0} exponential(%slice.1)
}

%fused_write (table.1: f32[100,8], new: f32[1,8], row.1: s32[]) -> f32[100,8] {
  %table.1 = f32[100,8]{1,0} parameter(0)
  %new = f32[1,8]{1,0} parameter(1)
  %row.1 = s32[] parameter(2)
  ROOT %update.1 = f32[100,8]{1,0} dynamic-update-slice(%table.1, %new, %row.1, %row.1)
}

%inner (arg.1: f32[8,8]) -> f32[8,8] {
  %arg.1 = f32[8,8]{1,0} parameter(0)
  ROOT %negate.1 = f32[8,8]{1,0} negate(%arg.1)
}

%unknown (arg.2: f32[8,8]) -> f32[8,8] {
  %arg.2 = f32[8,8]{1,0} parameter(0)
  ROOT %negate.2 = f32[8,8]{1,0} negate(%arg.2)
}

%body (arg.3: f32[8,8]) -> f32[8,8] {
  %arg.3 = f32[8,8]{1,0} parameter(0)
  %while.2 = f32[8,8]{1,0} while(%arg.3), condition=%c, body=%inner, backend_config={"known_trip_count":{"n":"5"}}
  ROOT %while.3 = f32[8,8]{1,0} while(%while.2), condition=%c, body=%unknown
}

%left (arg.4: f32[8,8]) -> f32[8,8] {
  %arg.4 = f32[8,8]{1,0} parameter(0)
  ROOT %left.1 = f32[8,8]{1,0} abs(%arg.4)
}

ENTRY %main (x: f32[2,16,8], w: bf16[2,8,4], i: s32[], image: f32[1,8,8,3], kernel: f32[3,3,3,6]) -> f32[2,16,4] {
  %x = f32[2,16,8]{2,1,0} parameter(0)
  %w = f32[2,8,4]{2,1,0} parameter(1)
  %i = s32[] parameter(2)
  %big = f32[100,8]{1,0} parameter(3)
  %image = f32[1,8,8,3]{3,2,1,0} parameter(4)
  %kernel = f32[3,3,3,6]{3,2,1,0} parameter(5)
  %dot.1 = f32[2,16,4]{2,1,0} dot(%x, %w), lhs_batch_dims={0}, lhs_contracting_dims={2}, rhs_batch_dims={0}, x={1}
  %gemm.1 = (f32[2,16,4]{2,1,0}, s8[64]{0}) custom-call(%x, %w), custom_call_target="__cublas$gemm", backend_config=\
{"gemm_backend_config":{"dot_dimension_numbers":{"lhs_contracting_dimensions":["2"],"lhs_batch_dimensions":["0"]}}}
  %sum.1 = f32[2,16]{1,0} reduce(%x, %i), dimensions={2}, to_apply=%add
  %convolution.1 = f32[1,8,8,6]{3,2,1,0} convolution(%image, %kernel), window={size=3x3}, dim_labels=b01f_01io->b01f
  %rows.1 = f32[1,8]{1,0} fusion(%big, %i), kind=kLoop, calls=%fused_rows
  %write.1 = f32[100,8]{1,0} fusion(%big, %rows.1, %i), kind=kLoop, calls=%fused_write
  %while.1 = f32[8,8]{1,0} while(%x), condition=%c, body=%body, backend_config={"known_trip_count":{"n":"7"}}
  ROOT %conditional.1 = f32[8,8]{1,0} conditional(%i, %while.1, %while.1), branch_computations={%left, %left}
}
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"{STEP}optimizer/mul", "optimizer"),
        (f"{STEP}jvp(loss)/while/body/closed_call/carrier/Carrier/input_0/dot_general", "loss/carrier"),
        (f"{STEP}transpose(jvp(loss))/checkpoint/rematted_computation/neuron/add", "gradient of loss/neuron"),
        ("jit(train_chunk)/vmap(evaluate)/cond/branch_1_fun/collect/mul", "evaluate/collect"),
        (f"{STEP}jvp(loss)/read/transpose;{STEP}transpose(jvp(loss))/reshape", "loss/read"),
        (f"{STEP}vmap(jit(_where))/select_n", hlo.OUTSIDE),
        ("", hlo.OUTSIDE),
    ],
)
def test_the_scope_of_an_operation_is_its_name_without_control_flow(name, expected):
    assert hlo.scope(name, 2) == expected


def test_an_operation_without_a_name_counts_for_a_scope_beside_it():
    found = hlo.scopes_of(hlo.instructions(PROGRAM), 2)
    assert found["fusion.1"] == "loss/movement"  # the last operation of the fusion
    assert found["ynn_fusion.1"] == "gradient of loss/carrier"  # the innermost one that reads it
    assert found["copy.1"] == hlo.OUTSIDE
    assert "while.1" not in found


def test_the_work_of_an_operation_is_that_counted_by_hand():
    found = hlo.work_of(hlo.instructions(WORK))
    product = hlo.Product(batch=2, m=16, k=8, n=4, dtype="f32")
    for name in ("dot.1", "gemm.1"):
        assert found[name].products == (product,)
        assert found[name].flops == 2 * 2 * 16 * 8 * 4
    assert found["dot.1"].bytes == 4 * (2 * 16 * 8 + 2 * 8 * 4 + 2 * 16 * 4)
    assert found["gemm.1"].bytes == found["dot.1"].bytes + 64
    assert found["sum.1"][:2] == (2 * 16 * 8, 4 * (2 * 16 * 8 + 2 * 16 + 1))
    assert found["convolution.1"].flops == 2 * (8 * 8 * 6) * (3 * 3 * 3)
    assert found["rows.1"][:2] == (8, 4 * (8 + 1 + 8))  # of the table of 100 rows, one
    assert found["write.1"][:2] == (0, 4 * (8 + 1 + 8))
    assert not {"exp.1", "update.1", "while.1"} & found.keys()


def test_an_operation_runs_once_for_each_turn_of_the_loops_around_it():
    found = hlo.executions_of(hlo.instructions(WORK))
    assert (found["dot.1"], found["while.2"], found["negate.1"], found["negate.2"]) == (1, 7, 35, math.inf)
    assert found["left.1"] == 2


def test_the_flops_of_a_compiled_scan_are_those_of_its_formula():
    def scan(x, w):
        return jax.lax.scan(lambda x, _: (jnp.tanh(x @ w), None), x, length=7)[0]

    compiled = jax.jit(scan).lower(jnp.ones((32, 48)), jnp.ones((48, 48))).compile()
    program = hlo.instructions(compiled.as_text() or "")
    most = hlo.executions_of(program)
    flops = sum(most[name] * one.flops for name, one in hlo.work_of(program).items())
    expected = 7 * (2 * 32 * 48 * 48 + 32 * 48)
    assert expected <= flops < 1.001 * expected  # the counter of the loop too


def test_flops_and_bytes_of_a_program_without_loops_are_those_of_xla():
    def gradient(w, x):
        return jax.grad(lambda w: jnp.mean(jnp.maximum(x @ w[0], 0) @ w[1]))(w)

    shapes = [jnp.ones((64, 96)), jnp.ones((96, 32))], jnp.ones((128, 64))
    compiled = jax.jit(gradient).lower(*shapes).compile()
    work = hlo.work_of(hlo.instructions(compiled.as_text() or "")).values()
    theirs = compiled.cost_analysis() or {}
    assert sum(one.flops for one in work) == pytest.approx(theirs["flops"], rel=0.01)
    assert sum(one.bytes for one in work) == pytest.approx(theirs["bytes accessed"], rel=0.02)


def test_costs_are_summed_by_scope_for_each_step():
    steps = Plan(unit=1, total=80, chunk=4, cheap=8, costly=0, checkpoint=8)
    times = {"a": Times(4, 2.0), "b": Times(12, 1.0), "c": Times(1, 0.8), "while.1": Times(1, 9.0)}
    scopes = {"a": "loss", "b": "loss", "c": "evaluate/fit"}
    work = {"a": hlo.Work(100, 10, ()), "b": hlo.Work(10, 1, ()), "c": hlo.Work(80, 8, ())}
    loss, evaluate = measure.by_scope(times, {"a": 4, "b": 8, "c": 1}, scopes, work, steps)
    assert loss == ("loss", 0.75, 3, 120, 12)  # b took 12 kernels, and was called 8 times
    assert evaluate == ("evaluate/fit", 0.1, 0.125, 10, 1)
    only_at_the_end = steps._replace(cheap=400, costly=400)
    assert measure.by_scope(times, {"a": 4, "b": 8, "c": 1}, scopes, work, only_at_the_end)[1].calls == 1 / 80


def test_the_products_of_an_evaluation_count_with_their_share_of_a_step():
    """A step has one small product; an evaluation every 8 steps has one of 100 times its FLOPs."""
    steps = Plan(unit=1, total=80, chunk=4, cheap=8, costly=0, checkpoint=8)
    small, large = hlo.Product(1, 10, 10, 10, "f32"), hlo.Product(1, 1000, 10, 10, "f32")
    work = {"a": hlo.Work(0, 0, (small,)), "c": hlo.Work(0, 0, (large,))}
    found = measure.products(work, {"a": 4, "c": 1}, {"a": "loss", "c": "evaluate/fit"}, steps)
    assert found == {small: 2000, large: 200_000 / 8}


def test_the_time_of_a_step_has_the_share_of_an_evaluation(monkeypatch):
    """A chunk of 4 steps takes 0.4 s, and 1.2 s with an evaluation, which is after every 8 steps; or after each 4."""
    seconds = {0: 0.4, 4: 1.2}
    monkeypatch.setattr(measure, "called", lambda chunk, state, first, hypers: (state, seconds[first]))
    steps = Plan(unit=1, total=80, chunk=4, cheap=8, costly=0, checkpoint=8)
    assert measure.step_seconds(None, None, None, steps)[1] == pytest.approx((0.4 + 0.4 + 0.8) / 8)
    seconds[0] = 1.2
    assert measure.step_seconds(None, None, None, steps._replace(cheap=4))[1] == pytest.approx(0.3)
