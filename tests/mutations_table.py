"""The mutations of `mutations.py`: one-line changes of meaning, each with the tests that are expected to notice it.

tests: arguments of pytest. Sets are small and few: each first runs unmutated, and its mutations share a copy.
"""

from typing import NamedTuple


class Mutation(NamedTuple):
    """One mutation: `old`, which `file` contains exactly once, is replaced by `new`; `tests` are expected to fail."""

    name: str
    file: str
    tests: str
    old: str
    new: str


POINTS = "tests/test_poincare.py -k 'not_in_the_ball or check_returns or whatever_c_is or project_moves or not_reached'"
NEAR_THE_EDGE = (
    "tests/test_poincare.py -k 'norm and dist or coincident_points or crosses_the_whole or everywhere and translate'"
)
PRECISION = "tests/test_precision.py"
SERIES = "tests/test_poincare.py tests/vae/test_wrapped_kl.py -k 'at_every_norm or log_prob or wrapped_kl'"
RIEMANNIAN = "tests/test_riemannian.py -k 'very_point or bad_gradient or adam_takes or geoopt'"
AT_THE_EDGE = "tests/test_riemannian.py -k 'no_push'"
BY_GROUP = "tests/test_riemannian.py -k 'group or clip_norm or zero or slopes'"
TERNARY = "tests/test_ternary.py -k 'pair_valuation'"
CHECKPOINT = "tests/workdir/test_checkpoint.py -k 'not killed and not wait_for_the_arrays'"
STRANGERS = "tests/workdir/test_strangers.py"
LOG = "tests/workdir/test_rows.py tests/workdir/test_tensorboard.py tests/workdir/test_summary.py"
CONFIG = "tests/test_config.py"
STEP = (
    "tests/engine/test_program.py -k 'python_loop or used_twice or batch_in_parts or last_step or controls_before "
    "or frozen or no_equation'"
)
CHUNKS = "tests/engine/test_program.py -k 'cadence or own_run or rollback or each_reason or row_for_every'"
STOPPING = "tests/engine/test_stopping.py"
HOST = "tests/engine/test_host.py -k 'what_happened or other_rules or run_alone or measured_in_full or falls_back'"
AHEAD = "tests/control/test_look_ahead.py -k 'that_of_differences and not forwards'"
BALANCE, PRIOR = (f"tests/vae/controllers/test_{name}.py" for name in ("balance", "prior"))
GATES = "tests/control/test_gates.py"
SCHEDULES = "tests/control/test_schedules.py tests/vae/controllers/test_exploration.py"
SMALL_CONTROLLERS = "tests/vae/controllers/test_curriculum.py tests/control/test_groups.py"
STATENET = "tests/vae/controllers/test_statenet.py -k 'not descends and not differentiable'"
WITH_THE_MODEL = "tests/vae/controllers/test_learned_weights.py"
FACTORS = (
    "tests/vae/test_control.py tests/vae/test_loss_factors.py "
    "-k 'multiply or products or homeostat_moves or curriculum_moves'"
)
FREEZING = "tests/vae/controllers/test_vae_homeostasis.py -k 'hold_what_they_hold'"
LOSSES = "tests/vae/test_losses.py"
PAIRS = "tests/vae/test_bands.py tests/vae/test_centroid.py tests/vae/test_ranking.py tests/vae/test_wrapped_kl.py"
OBJECTIVE = "tests/vae/test_objective.py"
TASK = "tests/vae/test_task.py -k 'targets_do_not or their_epochs or partners_are'"
BRANCH = "tests/vae/test_branch.py -k 'what_is_drawn'"
DATA = "tests/vae/test_data.py"
EVALUATE = (
    "tests/vae/test_evaluate.py -k 'fewer_digits or held_out or prior_coverage or ceiling or collapse or bad_point'"
)
ADDITION = "tests/addition/test_addition_data.py"
EVENTS = "tests/grokking/test_definitions.py -k 'plain_python or each_threshold or rise_out_of or that_can_know'"
GENERALISATION = "tests/grokking/test_generalisation.py tests/grokking/test_progress.py"
ONLINE = "tests/grokking/test_online.py -k 'no_step_twice or all_that_have or cannot_watch or gradient'"
CHANGES = "tests/grokking/test_changes.py"
EMERGENCE = "tests/grokking/test_emergence.py -k 'rank or vertices or hyperplane or switch or loop'"
ANALYSIS = "tests/analysis/test_analyze.py -k 'not drawn and not of_its_task and not mistake'"
SETTINGS, PLATEAUS = (f"tests/analysis/test_{name}.py" for name in ("settings", "plateaus"))

# An entry is one line of name, file and tests, and one of the old and the new text.
# fmt: off
ROWS = (
    # --- geometry
    ("edge_is_inside_the_ball", "ternary_jax/poincare/formulas.py", POINTS,
     "jnp.where((g > 0) & (c > 0), 1, jnp.nan)", "jnp.where((g >= 0) & (c > 0), 1, jnp.nan)"),
    ("negative_c_is_allowed", "ternary_jax/poincare/formulas.py", POINTS,
     "jnp.where((g > 0) & (c > 0), 1, jnp.nan)", "jnp.where(g > 0, 1, jnp.nan)"),
    ("stretch_in_float32", "ternary_jax/poincare/distances.py", NEAR_THE_EDGE,
     "@in_float64\ndef _stretch(x, c):", "def _stretch(x, c):"),
    ("dist_slope_at_coincidence", "ternary_jax/poincare/distances.py", NEAR_THE_EDGE,
     "jnp.arcsinh(safe_sqrt(squared) * stretch)", "jnp.arcsinh(jnp.sqrt(squared) * stretch)"),
    ("exp_gap_recomputed", "ternary_jax/poincare/formulas.py", NEAR_THE_EDGE,
     "gap_x, 1 / (1 + sinh2), c)", "gap_x, gap(tanhc(w) * u, c), c)"),
    ("check_passes_nan", "ternary_jax/poincare/operations.py", POINTS,
     "bad = ~(norm < 1)", "bad = norm >= 1"),
    ("project_limit_of_all_dtypes", "ternary_jax/poincare/operations.py", AT_THE_EDGE,
     "max_norm(jnp.result_type(float, x)), c)", "max_norm(jnp.result_type(float, x, c)), c)"),
    ("frechet_accepts_what_is_not_reached", "ternary_jax/poincare/statistics.py", POINTS,
     "jnp.where(length <= 1e-7, m, jnp.nan)", "jnp.where(length <= 1e7, m, jnp.nan)"),
    ("taylor_series_too_far", "ternary_jax/precision.py", SERIES,
     "small = w < 1 / 64", "small = w < 1 / 2"),
    ("taylor_coefficient", "ternary_jax/precision.py", PRECISION,
     "1 / 2835,", "1 / 2385,"),
    ("safe_sqrt_without_inner_where", "ternary_jax/precision.py", PRECISION,
     "jnp.sqrt(jnp.where(zero, 1, w))", "jnp.sqrt(w)"),
    ("int64_leaks_out", "ternary_jax/precision.py", PRECISION,
     "return convert(rounded, jnp.int64, integer)", "return rounded"),
    # --- the ternary numbers
    ("valuation_of_0_is_one_less", "ternary_jax/ternary.py", TERNARY,
     "for k in range(1, n_digits + 1))", "for k in range(1, n_digits))"),
    # --- optimizers
    ("momentum_to_the_unrounded_point", "ternary_jax/riemannian.py", RIEMANNIAN,
     "poincare.transport(x, x + update, first, c)", "poincare.transport(x, y, first, c)"),
    ("second_moment_corrected_by_b1", "ternary_jax/riemannian.py", RIEMANNIAN,
     "safe_sqrt(v / (1 - b2**count))", "safe_sqrt(v / (1 - b1**count))"),
    ("overflow_stands_still", "ternary_jax/riemannian.py", RIEMANNIAN,
     "v = jnp.where(v < jnp.inf, v, jnp.nan)", "v = jnp.where(v < jnp.inf, v, v)"),
    ("frozen_in_the_clip_norm", "ternary_jax/engine/optimizer.py", BY_GROUP,
     "jnp.where(frozen[group], 0.0, n)", "jnp.where(frozen[group], n, n)"),
    ("clip_raises_small_gradients", "ternary_jax/engine/optimizer.py", BY_GROUP,
     "clip_norm / jnp.maximum(total, clip_norm)", "clip_norm / total"),
    ("frozen_optimizer_moves_on", "ternary_jax/engine/optimizer.py", BY_GROUP,
     "lambda old, new: jnp.where(still, old, new)", "lambda old, new: jnp.where(still, new, new)"),
    ("weight_decay_without_the_rate", "ternary_jax/engine/optimizer.py", BY_GROUP,
     "-rates[group] * (u + weight_decay * x)", "-rates[group] * u - weight_decay * x"),
    ("no_slope_of_an_unused_unit", "ternary_jax/engine/optimizer.py", BY_GROUP,
     "eps_root=1e-16 if differentiable else 0.0", "eps_root=0.0 if differentiable else 0.0"),
    # --- checkpoints
    ("arrays_unchecked", "ternary_jax/workdir/checkpoint_files.py", CHECKPOINT,
     "if zlib.crc32(data) != header.crc:", "if not header.crc:"),
    ("header_unchecked", "ternary_jax/workdir/checkpoint_files.py", CHECKPOINT,
     '!= own["header_crc"]:', '!= zlib.crc32(own["header"].encode()):'),
    ("one_more_of_the_latest", "ternary_jax/workdir/checkpoint.py", CHECKPOINT,
     "[-policy.latest :]", "[-policy.latest - 1 :]"),
    ("the_worst_is_kept", "ternary_jax/workdir/checkpoint.py", CHECKPOINT,
     "*ranked(metrics)[: policy.best]", "*ranked(metrics)[::-1][: policy.best]"),
    ("infinite_metrics_are_ranked", "ternary_jax/workdir/checkpoint.py", CHECKPOINT,
     "if m is not None and math.isfinite(m))", "if m is not None)"),
    ("weak_types_are_saved", "ternary_jax/workdir/checkpoint.py", CHECKPOINT,
     'if getattr(x, "weak_type", False) or jnp', "if jnp"),
    ("damaged_is_still_listed", "ternary_jax/workdir/checkpoint.py", CHECKPOINT,
     "del store.metrics[bad]", "store.metrics[bad] = None"),
    ("another_state_is_taken", "ternary_jax/workdir/checkpoint.py", CHECKPOINT,
     "for name in {**there, **here} if", "for name in there if"),
    # --- logs and summaries
    ("resumed_row_is_lost", "ternary_jax/workdir/rows.py", LOG,
     'if row["step"] <= step:', 'if row["step"] < step:'),
    ("later_rows_stay", "ternary_jax/workdir/rows.py", LOG,
     "if len(kept) < n or not n:", "if not n:"),
    ("row_without_an_end_is_kept", "ternary_jax/workdir/rows.py", LOG,
     'parse(line if line.endswith(b"\\n") else b"", runs)', "parse(line, runs)"),
    ("best_is_a_collapse", "ternary_jax/workdir/summary.py", LOG,
     "and not metric.beyond(value):", "and not math.isnan(value):"),
    ("one_target_is_enough", "ternary_jax/workdir/summary.py", LOG,
     "and met and all(met) else", "and met and any(met) else"),
    ("shown_without_a_change", "ternary_jax/workdir/tensorboard.py", LOG,
     "abs(v - shown[k][1]) > board.share", "abs(v - shown[k][1]) >= board.share"),
    # --- workdirs of strangers
    ("a_link_is_a_file", "ternary_jax/workdir/safe_files.py", STRANGERS,
     'not in ("", "a file"):', 'not in ("", "a file", "a link"):'),
    ("a_link_is_a_folder", "ternary_jax/workdir/safe_files.py", STRANGERS,
     'if (what := kind(path)) not in ("", "a folder"):', 'if (what := kind(path)) not in ("", "a folder", "a link"):'),
    ("a_half_written_file_is_gone_on_with", "ternary_jax/workdir/safe_files.py", STRANGERS,
     'if kind(part) not in ("", "a folder"):', "if not part:"),
    ("a_task_is_imported_by_any_name", "ternary_jax/config/stored.py", STRANGERS,
     "if not task and not PACKAGED.fullmatch", "if not task and not PACKAGED.match"),
    ("claims_of_an_array_are_believed", "ternary_jax/workdir/checkpoint_files.py", STRANGERS,
     "if claimed.get(name) != value]", "if name not in claimed]"),
    ("claims_of_an_export_are_believed", "ternary_jax/workdir/npz.py", STRANGERS,
     "if claimed > size:", "if claimed < 0:"),
    ("a_hard_link_is_appended_to", "ternary_jax/workdir/safe_files.py", STRANGERS,
     "st_nlink > 1", "st_nlink > 2"),
    ("paths_of_a_workdir_are_opened", "ternary_jax/config/stored.py", STRANGERS,
     "for key in table if table[key].at_start}", "for key in ()}"),
    # --- configs
    ("free_keys_are_bound", "ternary_jax/config/split.py", CONFIG,
     "if not (key in table and table[key].free)]", "if key]"),
    ("seeds_given_are_shifted", "ternary_jax/config/split.py", CONFIG,
     'if key == "seed" and np.isscalar(value) else 0', 'if key == "seed" else 0'),
    ("traced_integers_are_floats", "ternary_jax/config/split.py", CONFIG + " tests/addition/test_addition_task.py",
     "np.int32 if table[key].kind is int else np.float32", 'np.int32 if key == "seed" else np.float32'),
    ("checkpoints_off_the_cadence", "ternary_jax/config/checks.py", CONFIG,
     '        ("checkpoint.every", config.checkpoint.every),\n', ""),
    ("warmup_as_long_as_its_phase", "ternary_jax/config/checks.py", CONFIG,
     "if train.warmup_epochs >= lengths[0]:", "if train.warmup_epochs > lengths[0]:"),
    ("float32_of_an_excluded_value", "ternary_jax/config/keys.py", CONFIG,
     "used in key.excluded and", "value in key.excluded and"),
    ("a_bool_is_a_number", "ternary_jax/config/keys.py", CONFIG,
     "or (isinstance(value, bool) and key.kind is not bool):", "or isinstance(value, str) and key.kind is bool:"),
    # --- the step and the chunk
    ("same_key_in_every_step", "ternary_jax/engine/step.py", STEP,
     "context = Context(step, jax.random.fold_in(key, step),", "context = Context(step, key,"),
    ("same_key_in_every_microbatch", "ternary_jax/engine/step.py", STEP,
     "context._replace(key=jax.random.fold_in(context.key, number))", "context"),
    ("loss_drawn_by_the_key_of_the_batch", "ternary_jax/engine/step.py", STEP,
     "context._replace(key=key_loss)", "context._replace(key=key_batch)"),
    ("measured_by_the_knobs_of_the_start", "ternary_jax/engine/step.py", FACTORS,
     "knobs={name: controls.knobs[name] for name in state.knobs}", "knobs=state.knobs"),
    ("rollback_at_the_full_rate", "ternary_jax/engine/step.py", CHUNKS,
     "{group: state.stop.rate for group in state.params}", "{group: jnp.float32(1) for group in state.params}"),
    ("first_bad_step_is_that_of_the_chunk", "ternary_jax/engine/step.py", CHUNKS,
     "jnp.where(jnp.any(bad), first + row, -1)", "jnp.where(jnp.any(bad), first, -1)"),
    ("a_nan_in_step_0_is_kept", "ternary_jax/engine/program.py", CHUNKS,
     "_select(bad_step >= 0, undone, after)", "_select(bad_step > 0, undone, after)"),
    ("stopped_runs_are_not_held", "ternary_jax/engine/program.py", CHUNKS,
     "moves = (state.stop.reason == stopping.RUNNING) & (state.stop.at == first)", "moves = state.stop.at == first"),
    ("runs_ahead_are_not_held", "ternary_jax/engine/program.py", HOST,
     "moves = (state.stop.reason == stopping.RUNNING) & (state.stop.at == first)",
     "moves = state.stop.reason == stopping.RUNNING"),
    ("bad_chunks_count_in_rows", "ternary_jax/engine/program.py", HOST,
     "moves, moves & (bad_step < 0))", "moves, moves)"),
    ("costly_targets_are_never_measured", "ternary_jax/engine/plan.py", STOPPING,
     " and not static.stop.on_targets\n", "\n"),
    ("nothing_is_due_at_the_end", "ternary_jax/engine/plan.py", CHUNKS,
     "return (end % every == 0) | (end == self.total)", "return end % every == 0"),
    ("best_checkpoint_is_the_worst", "ternary_jax/engine/saving.py", STOPPING,
     "values = -training.metrics[name].better *", "values = training.metrics[name].better *"),
    ("reference_of_the_same_batch", "ternary_jax/control/look_ahead.py", AHEAD,
     "sampled(last, number + own.ahead,", "sampled(last, number,"),
    ("reference_over_all_rows", "ternary_jax/control/look_ahead.py", AHEAD,
     "rows[: max(1, round(own.share * len(rows)))]", "rows[: len(rows)]"),
    # --- stopping
    ("at_the_threshold_is_not_converged", "ternary_jax/engine/stopping.py", STOPPING,
     "& (watch >= threshold)", "& (watch > threshold)"),
    ("threshold_of_the_lower_the_better", "ternary_jax/engine/stopping.py", CHUNKS,
     "sign * metrics[s.watch], sign * s.watch_threshold", "sign * metrics[s.watch], s.watch_threshold"),
    ("the_last_reason_wins", "ternary_jax/engine/stopping.py", STOPPING,
     "in reversed(verdicts):", "in verdicts:"),
    ("negative_loss_has_grown", "ternary_jax/engine/stopping.py", STOPPING,
     "loss > s.divergence * jnp.abs(first)", "loss > s.divergence * first"),
    ("one_rollback_more", "ternary_jax/engine/stopping.py", CHUNKS,
     "again = stop.rollbacks < allowed", "again = stop.rollbacks <= allowed"),
    ("a_collapse_meets_its_target", "ternary_jax/metric.py", LOG,
     "if math.isfinite(self.best) else math.inf", "if math.isnan(self.best) else math.inf"),
    # --- controllers
    ("lambdas_are_swapped", "ternary_jax/vae/controllers/balance.py", BALANCE,
     '{"lambda_1": after[0], "lambda_2": after[1]}', '{"lambda_1": after[1], "lambda_2": after[0]}'),
    ("a_weight_beyond_its_bound_is_moved", "ternary_jax/vae/controllers/balance.py", BALANCE,
     "low, high = jnp.minimum(before, rule.bounds[0]), jnp.maximum(before, rule.bounds[1])", "low, high = rule.bounds"),
    ("one_branch_alone_is_followed", "ternary_jax/vae/controllers/balance.py", BALANCE,
     "both = jnp.isfinite(latest.A) & jnp.isfinite(latest.B)", "both = jnp.isfinite(latest.A)"),
    ("curriculum_forgets_what_is_not_finite", "ternary_jax/vae/controllers/curriculum.py", SMALL_CONTROLLERS,
     "jnp.where(jnp.isfinite(loss), loss, aim)", "jnp.where(jnp.isnan(loss), aim, loss)"),
    ("freezing_thaws_what_is_frozen", "ternary_jax/control/groups.py", SMALL_CONTROLLERS,
     "before = controls.frozen or dict.fromkeys", "before = dict.fromkeys"),
    ("closes_before_it_was_reached", "ternary_jax/control/gates.py", GATES,
     "closes = state.reached & (inputs.coverage < low)", "closes = inputs.coverage < low"),
    ("hysteresis_one_more", "ternary_jax/control/gates.py", GATES,
     "(step - gate.changed >= rule.hysteresis)", "(step - gate.changed > rule.hysteresis)"),
    ("relaxed_below_the_floor", "ternary_jax/control/gates.py", GATES,
     "((move < 0) & (low + move >= rule.floor))", "(move < 0)"),
    ("cycles_that_cost_little_are_punished", "ternary_jax/control/gates.py", GATES,
     "jnp.where(gain < -WORSE, -1, 0)", "jnp.where(gain < 0, -1, 0)"),
    ("decides_at_step_0", "ternary_jax/control/gates.py", GATES,
     "due = (signals.step > 0) & (signals.step % every == 0)", "due = signals.step % every == 0"),
    ("gates_thaw_what_is_frozen", "ternary_jax/control/gates.py", GATES,
     "frozen[group] = frozen[group] | gate.closed", "frozen[group] = gate.closed"),
    ("one_bad_value_is_remembered", "ternary_jax/vae/controllers/prior.py", PRIOR,
     "about * math.exp(-2), about * math.exp(2))", "about * math.exp(-2), about * math.exp(20))"),
    ("warmup_begins_at_0", "ternary_jax/control/schedules.py", SCHEDULES,
     "np.minimum(1, (n + 1) / (warmup_steps + 1))", "np.minimum(1, n / max(1, warmup_steps))"),
    ("a_cycle_ends_one_step_late", "ternary_jax/control/schedules.py", SCHEDULES,
     'side="right")', 'side="left")'),
    ("offsets_pass_their_bound", "ternary_jax/vae/controllers/corrections.py", STATENET,
     "jnp.clip(offsets[name] + move, *_offset_bounds(rule, knobs[name]))", "offsets[name] + move"),
    ("sees_knobs_without_corrections", "ternary_jax/vae/controllers/statenet.py", STATENET,
     "now = corrections(knobs, state.offsets)", "now = knobs"),
    ("look_ahead_trains_the_model", "ternary_jax/vae/controllers/learned_weights.py", WITH_THE_MODEL,
     "params, rest = jax.lax.stop_gradient((params, rest))", "rest = jax.lax.stop_gradient(rest)"),
    ("tau_mixes_the_other_way", "ternary_jax/vae/loss_factors.py", FACTORS,
     "lambda tau, hypers: 2 * (1 - tau)),", "lambda tau, hypers: 2 * tau),"),
    ("lambda_leaves_the_entropy", "ternary_jax/vae/losses/entropy.py", FACTORS,
     'LossSpec("entropy", _of_branch, families=("autoencoder",), place=18)',
     'LossSpec("entropy", _of_branch, place=18)'),
    ("factors_of_both_are_lost", "ternary_jax/vae/loss_factors.py", FACTORS,
     "return a | b | {k: a[k] * b[k] for k in a if k in b}", "return a | b"),
    ("branches_are_balanced_swapped", "ternary_jax/vae/controllers/balance.py", FACTORS,
     "own, (a, b) = static.balance,", "own, (b, a) = static.balance,"),
    ("plateau_gate_by_the_other_branch", "ternary_jax/vae/controllers/homeostasis.py", FREEZING,
     'plateau_order=-metrics["hierarchy_B"]', 'plateau_order=-metrics["hierarchy_A"]'),
    # --- losses
    ("margin_between_equal_levels", "ternary_jax/vae/losses/radial.py", LOSSES,
     "jax.nn.relu(outward * (wanted - (r_i - r_j))), v_i != v_j)",
     "jax.nn.relu(outward * (wanted - (r_i - r_j))), v_i == v_i)"),
    ("floor_of_a_single_row", "ternary_jax/vae/losses/rich.py", LOSSES,
     "(levels.size > 1) & below_top", "(levels.size > 0) & below_top"),
    ("biased_variance", "ternary_jax/vae/losses/levels.py", LOSSES,
     "jnp.maximum(size - 1, 1))", "jnp.maximum(size, 1))"),
    ("padic_targets_one_level_in", "ternary_jax/vae/losses/padic.py", LOSSES,
     "scale * 3.0**-v, 0)", "scale * 3.0 ** -(v + 1), 0)"),
    ("geodesic_with_itself", "ternary_jax/vae/losses/geodesic.py", LOSSES,
     "pair_v < targets.shape[0] - 1)", "pair_v <= targets.shape[0] - 1)"),
    ("free_bits_per_row", "ternary_jax/vae/losses/reconstruction.py", LOSSES,
     "jnp.maximum(jnp.mean(kl, 0), free_bits)", "jnp.mean(jnp.maximum(kl, free_bits), 0)"),
    ("focus_moves_the_points", "ternary_jax/vae/losses/reconstruction.py", LOSSES,
     "(1 - lax.stop_gradient(share)) ** power", "(1 - share) ** power"),
    ("zeros_anywhere_are_leading", "ternary_jax/vae/losses/zero.py", LOSSES,
     "jnp.sum(jnp.cumprod((x == 0).astype(jnp.int32), -1), -1, dtype=jnp.int32)",
     "jnp.sum((x == 0).astype(jnp.int32), -1, dtype=jnp.int32)"),
    ("pairs_of_one_operation_have_a_band", "ternary_jax/vae/losses/bands.py", PAIRS,
     "(v < last) | top)", "v <= last)"),
    ("balls_of_one_row_count", "ternary_jax/vae/losses/centroid.py", PAIRS,
     "[ball] >= 2)", "[ball] >= 1)"),
    ("negative_of_equal_valuation", "ternary_jax/vae/losses/ranking.py", PAIRS,
     "lower = v < highest", "lower = v <= highest"),
    ("its_own_operation_is_positive", "ternary_jax/vae/losses/ranking.py", PAIRS,
     "jnp.max(jnp.where(v < n_digits, v, -1))", "jnp.max(v)"),
    ("shift_onto_itself", "ternary_jax/vae/losses/ranking.py", PAIRS,
     "jax.random.randint(other, (), 1, n - 1)", "jax.random.randint(other, (), 0, n - 1)"),
    ("triplets_that_keep_their_margin", "ternary_jax/vae/losses/ranking.py", OBJECTIVE + " " + LOSSES,
     "found & (short > 0))", "found)"),
    ("bands_at_the_curvature_of_now", "ternary_jax/vae/losses/bands.py", OBJECTIVE,
     "geometry.length(h.furthest, output.c0)", "geometry.length(h.furthest, output.c)"),
    ("focus_by_the_radius", "ternary_jax/vae/losses/reconstruction.py", OBJECTIVE,
     "geometry.share(output.points.r, output.c)", "geometry.share(output.points.r, 4 * output.c)"),
    ("triplets_by_the_key_itself", "ternary_jax/vae/losses/ranking.py", OBJECTIVE,
     "shifts(stream(output.batch.key, TRIPLETS),", "shifts(output.batch.key,"),
    # --- the dual model
    ("injection_trains_the_other_branch", "ternary_jax/vae/forward.py", WITH_THE_MODEL,
     "rho * jax.lax.stop_gradient(other[b])", "rho * other[b]"),
    ("targets_follow_the_curvature", "ternary_jax/vae/forward.py", TASK,
     "hypers.radii.outer, c0, static", "hypers.radii.outer, c, static"),
    ("phase_one_step_late", "ternary_jax/vae/controllers/phases.py", TASK,
     "(steps >= scope.plan.unit * at)", "(steps > scope.plan.unit * at)"),
    ("partners_at_the_next_valuation", "ternary_jax/vae/task.py", TASK,
     "jnp.arange(len(anchors), dtype=jnp.int32) % static.data.n_digits",
     "jnp.arange(1, len(anchors) + 1, dtype=jnp.int32) % static.data.n_digits"),
    ("draw_of_the_variance", "ternary_jax/vae/branch.py", BRANCH,
     "scale = jnp.exp(latent.log_variance / 2)", "scale = jnp.exp(latent.log_variance)"),
    # --- batches and splits
    ("rows_for_empty_levels", "ternary_jax/vae/data.py", DATA,
     "(level >= high_from) & (sizes > 0)", "(level >= high_from) & (sizes >= 0)"),
    ("strata_in_a_clump", "ternary_jax/vae/data.py", DATA,
     "(np.arange(n) + (s + 0.5) / len(rows)) / max(1, n)", "(np.arange(n) + s + 0.5) / batch_size"),
    ("partner_within_the_gap", "ternary_jax/vae/data.py", DATA,
     "jnp.where(place < gap, place,", "jnp.where(place <= gap, place,"),
    ("share_rounded_down", "ternary_jax/vae/data.py", DATA,
     "(_random_words(seed, n))[: round(share * n)]] = True", "(_random_words(seed, n))[: int(share * n)]] = True"),
    ("full_batch_holds_one_more", "ternary_jax/addition/data.py", ADDITION,
     "jnp.arange(rows, dtype=jnp.int32) < count", "jnp.arange(rows, dtype=jnp.int32) <= count"),
    # --- evaluation
    ("rounding_of_one_eps", "ternary_jax/vae/evaluate.py", EVALUATE,
     "8 * float(jnp.finfo(z.dtype).eps)", "float(jnp.finfo(z.dtype).eps)"),
    ("ties_are_nearer", "ternary_jax/vae/evaluate.py", EVALUATE,
     "jnp.nan, near < far)", "jnp.nan, near <= far)"),
    ("q_of_the_signed_hierarchy", "ternary_jax/vae/evaluate.py", EVALUATE,
     "q=dist_corr + 1.5 * jnp.abs(hierarchy)", "q=dist_corr - 1.5 * hierarchy"),
    ("one_bad_point_is_one_bad_point", "ternary_jax/vae/evaluate.py", EVALUATE,
     "invalid = jnp.any(~jnp.isfinite(r))", "invalid = ~jnp.isfinite(r)"),
    ("hidden_collapse_is_none", "ternary_jax/vae/references.py", EVALUATE,
     "elif abs(rounded) > best + 1e-4:", "elif abs(rounded) > best + 1e-1:"),
    ("higher_gap_is_better", "ternary_jax/vae/references.py", EVALUATE,
     '    "coverage_gap",\n)', ")"),
    # --- grokking
    ("a_spike_bars_for_good", "ternary_jax/grokking/definitions.py", EVENTS,
     "jnp.array([True, True, False, False])", "jnp.array([True, True, True, False])"),
    ("gain_over_what_is_before_alone", "ternary_jax/grokking/definitions.py", EVENTS,
     "jnp.maximum(t.gains[0] * scale, t.over * movement(past, t.within))", "t.gains[0] * scale"),
    ("plateau_ends_at_a_spike", "ternary_jax/grokking/definitions.py", EVENTS,
     "smooth = jnp.where(jnp.isfinite(a), middle, c)", "smooth = c"),
    ("plateau_ends_at_the_memory", "ternary_jax/grokking/definitions.py", EVENTS,
     "jnp.where(longest == n, jnp.maximum(m.plateaus[-1] + 1, n), longest)", "longest"),
    ("an_evaluation_too_soon", "ternary_jax/grokking/definitions.py", EVENTS,
     "self.within + 3) + self.within + self.kept - 1", "self.within + 3) + self.within + self.kept - 2"),
    ("one_evaluation_is_reached", "ternary_jax/grokking/generalisation.py", GENERALISATION,
     "there &= np.append(there[1:], True)", "there = there.copy()"),
    ("delay_of_few_evaluations", "ternary_jax/grokking/generalisation.py", GENERALISATION,
     "((t_gen > levels.delay * t_fit) & (apart >= levels.apart), DELAYED)", "(t_gen > levels.delay * t_fit, DELAYED)"),
    ("forgetting_after_a_spike", "ternary_jax/grokking/generalisation.py", GENERALISATION,
     "(lost > levels.lost, FORGETTING)", "(lost > levels.lost / 4, FORGETTING)"),
    ("interval_one_wider", "ternary_jax/grokking/generalisation.py", GENERALISATION,
     "float(x[k - 1]), float(x[n - k])) if k", "float(x[0]), float(x[-1])) if k"),
    ("never_generalised_is_left_out", "ternary_jax/grokking/generalisation.py", GENERALISATION,
     "[math.inf if math.isnan(ratio) else ratio for ratio in each]", "[x for x in each if not math.isnan(x)]"),
    ("sure_without_a_second", "ternary_jax/grokking/progress.py", GENERALISATION,
     "stays = r.sure | (r.here & here)", "stays = r.sure | here"),
    ("detector_sums_the_loss_of_before", "ternary_jax/grokking/online.py", ONLINE,
     "means = Evaluation(state.loss / every, figures,", "means = Evaluation(state.loss, figures,"),
    ("detector_has_a_gradient", "ternary_jax/grokking/online.py", ONLINE,
     "jax.lax.stop_gradient((signals, controls))", "(signals, controls)"),
    ("pieces_are_pruned_too_soon", "ternary_jax/grokking/changes.py", CHANGES,
     "begins = begins[total <= best[end]]", "begins = begins[total <= best[end] - cost]"),
    ("vectors_have_a_rank", "ternary_jax/grokking/emergence.py", EMERGENCE,
     "leaf.ndim == 2 and min(leaf.shape) > 1]", "leaf.ndim == 2 and min(leaf.shape) > 0]"),
    ("the_first_chunk_is_not_traced", "ternary_jax/engine/profile/window.py", "tests/engine/test_profile_window.py",
     "steps[0] <= first < steps[1]", "steps[0] < first < steps[1]"),
    # --- analysis
    ("speed_of_one_run", "ternary_jax/analysis/data.py", ANALYSIS,
     "rate = len(e.runs) * float(", "rate = float("),
    ("success_of_a_collapse", "ternary_jax/analysis/data.py", ANALYSIS,
     "in asked.items()], 0) & ~any_beyond for asked", "in asked.items()], 0) for asked"),
    ("runs_of_other_splits_are_apart", "ternary_jax/analysis/settings.py", SETTINGS,
     'if not name.endswith("seed")}', 'if name != "seed"}'),
    ("the_worst_is_the_least", "ternary_jax/analysis/settings.py", SETTINGS,
     "key=lambda x: metric.better * x, default", "default"),
    ("noise_falls", "ternary_jax/analysis/plateaus.py", PLATEAUS,
     "np.mean(lower) >= PAIRS and fall", "fall"),
    ("infinity_is_null", "ternary_jax/workdir/files.py", ANALYSIS,
     "return infinite if value == math.inf else None", "return None"),
    ("impossible_levels_are_possible", "ternary_jax/analysis/data.py", ANALYSIS,
     "if name in measured and measured[name].beyond(target)]", "if name not in measured]"),
    ("detector_flags_are_controls", "ternary_jax/grokking/history.py", ANALYSIS,
     '(name.startswith("control/") and name.count("/") == 1)', 'name.startswith("control/")'),
    ("the_same_metric_confirms_itself", "ternary_jax/grokking/history.py", ANALYSIS,
     "if not any(_same(values, x, within * one.scale) for _, x in kept):", "if True:"),
)
# fmt: on

MUTATIONS = tuple(Mutation(*row) for row in ROWS)
