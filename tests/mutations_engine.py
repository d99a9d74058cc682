"""Mutations of the mathematics, of workdirs and configs, and of the engine: a part of `mutations_table`."""

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
FACTORS = (
    "tests/vae/test_control.py tests/vae/test_loss_factors.py "
    "-k 'multiply or products or homeostat_moves or curriculum_moves'"
)

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
)
# fmt: on
