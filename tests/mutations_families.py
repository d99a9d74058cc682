"""Mutations of the model families, of grokking, of the analysis and of inference: a part of `mutations_table`."""

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
LOAD = "tests/inference/test_load.py -k 'is_not_finished or main_branch or is_not_there'"
EXPORT = (
    "tests/inference/test_export_command.py -k 'parameters or as_the_format or embedding_is or card or output or disk'"
)
QUERY = "tests/inference/test_query_command.py -k 'nine_digits or another_operation'"

# An entry is one line of name, file and tests, and one of the old and the new text.
# fmt: off
ROWS = (
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
    # --- inference
    ("an_unfinished_run_answers_from_its_best", "ternary_jax/inference/model.py", LOAD,
     'newest = at in NEWEST or (at == "best" and not finished)', "newest = at in NEWEST"),
    ("the_last_branch_is_the_main_one", "ternary_jax/inference/model.py", LOAD,
     'return parts[0] if parts else ""', 'return parts[-1] if parts else ""'),
    ("an_export_overwrites", "ternary_jax/inference/exporting.py", EXPORT,
     "if os.path.lexists(folder):", "if os.path.isfile(folder):"),
    ("a_failed_export_leaves_its_part", "ternary_jax/inference/exporting.py", EXPORT,
     "with suppress(OSError):\n            safe_files.remove(part)", "with suppress(OSError):\n            pass"),
    ("costly_metrics_are_not_exported", "ternary_jax/inference/exporting.py", EXPORT,
     "{**task.evaluate(params, context), **task.costly(params, context)}", "{**task.evaluate(params, context)}"),
    ("every_coordinate_is_the_first", "ternary_jax/inference/rows_file.py", EXPORT,
     "values[:, k] for k in", "values[:, 0] for k in"),
    ("the_header_is_not_padded", "ternary_jax/inference/tensors.py", EXPORT,
     'b" " * (-len(text) % 8)', 'b" " * (len(text) % 8)'),
    ("lower_is_called_better", "ternary_jax/inference/card.py", EXPORT,
     '"higher" if metric.better > 0 else "lower"', '"lower" if metric.better > 0 else "higher"'),
    ("any_failed_export_is_status_2", "ternary_jax/export.py", EXPORT,
     "1 if isinstance(e, RunError) else 2", "2"),
    ("the_other_operation_is_not_asked", "ternary_jax/query.py", QUERY,
     "model.describe(given.operation, given.other)", "model.describe(given.operation)"),
    ("a_minus_begins_a_flag", "ternary_jax/query.py", QUERY,
     "parser.parse_args(command_line.joined(argv, FLAGS))", "parser.parse_args(argv)"),
)
# fmt: on
