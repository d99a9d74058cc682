"""experiments/trace_scopes.py: the scope of an operation, and the times of a chunk by scope."""

import pytest
import trace_scopes

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


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"{STEP}optimizer/mul", "optimizer"),
        (f"{STEP}jvp(loss)/while/body/closed_call/carrier/Carrier/input_0/dot_general", "loss/carrier"),
        (f"{STEP}transpose(jvp(loss))/checkpoint/rematted_computation/neuron/add", "gradient of loss/neuron"),
        ("jit(train_chunk)/vmap(evaluate)/cond/branch_1_fun/collect/mul", "evaluate/collect"),
        (f"{STEP}vmap(jit(_where))/select_n", trace_scopes.OUTSIDE),
        ("", trace_scopes.OUTSIDE),
    ],
)
def test_the_scope_of_an_operation_is_its_name_without_control_flow(name, expected):
    assert trace_scopes.scope(name, 2) == expected


def test_an_operation_without_a_name_counts_for_a_scope_beside_it():
    found = trace_scopes.scopes_of(PROGRAM, 2)
    assert found["fusion.1"] == "loss/movement"  # the last operation of the fusion
    assert found["ynn_fusion.1"] == "gradient of loss/carrier"  # the innermost one that reads it
    assert found["copy.1"] == trace_scopes.OUTSIDE
    assert "while.1" not in found
    times = trace_scopes.by_scope({"fusion.1": 2.0, "sum.2": 1.0, "ynn_fusion.1": 0.5, "while.1": 9.0}, found)
    assert times == {"loss/movement": 2.0, "gradient of loss/carrier": 1.5}
    assert trace_scopes.table(times, 8, 4e-3).splitlines()[1].split() == ["loss/movement", "2.0", "57.1%"]


def test_the_command_traces_a_chunk(capsys, monkeypatch):
    monkeypatch.syspath_prepend("tests")
    trace_scopes.main(["--config=tests/toy_config.py", "--config.train.epochs=4"])
    rows = {line.split("  ")[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    assert rows["scope"][1:4] == ["ms", "in", "8"]
    assert {"loss", "gradient of loss", "optimizer", "sample"} & rows.keys()
    assert 0 < float(rows["all operations"][-1]) < float(rows["the clock"][-1])
