//! What every ledger must do, whatever it is kept in. The cases are generic; a further backend is one more line at the
//! end of this file.

#![allow(clippy::unwrap_used)]

#[path = "ledger_contract/attachments.rs"]
mod attachments;
#[path = "ledger_contract/audiences.rs"]
mod audiences;
#[path = "ledger_contract/claims.rs"]
mod claims;
#[path = "ledger_contract/clocks.rs"]
mod clocks;
#[path = "ledger_contract/contact_speed.rs"]
mod contact_speed;
#[path = "ledger_contract/contacts.rs"]
mod contacts;
#[path = "ledger_contract/contacts_over_the_wire.rs"]
mod contacts_over_the_wire;
#[path = "ledger_contract/dead_senders.rs"]
mod dead_senders;
#[path = "ledger_contract/figures.rs"]
mod figures;
#[path = "ledger_contract/gates.rs"]
mod gates;
#[path = "ledger_contract/label_write_backs.rs"]
mod label_write_backs;
#[path = "ledger_contract/losses.rs"]
mod losses;
#[path = "ledger_contract/marketing.rs"]
mod marketing;
#[path = "ledger_contract/notifications.rs"]
mod notifications;
#[path = "ledger_contract/outcomes.rs"]
mod outcomes;
#[path = "ledger_contract/over_the_wire.rs"]
mod over_the_wire;
#[path = "ledger_contract/owners.rs"]
mod owners;
#[path = "ledger_contract/pacing.rs"]
mod pacing;
#[path = "ledger_contract/parts.rs"]
mod parts;
#[path = "ledger_contract/plans.rs"]
mod plans;
#[path = "ledger_contract/postgres_claims.rs"]
mod postgres_claims;
#[path = "ledger_contract/postgres_outages.rs"]
mod postgres_outages;
#[path = "ledger_contract/postgres_races.rs"]
mod postgres_races;
#[path = "support/postgres.rs"]
mod postgres_server;
#[path = "ledger_contract/postgres_statements.rs"]
mod postgres_statements;
#[path = "ledger_contract/quiet_hours.rs"]
mod quiet_hours;
#[path = "ledger_contract/rate_classes.rs"]
mod rate_classes;
#[path = "ledger_contract/receipts.rs"]
mod receipts;
#[path = "ledger_contract/repeats.rs"]
mod repeats;
#[path = "ledger_contract/reply_windows.rs"]
mod reply_windows;
#[path = "ledger_contract/results.rs"]
mod results;
#[path = "ledger_contract/results_over_the_wire.rs"]
mod results_over_the_wire;
#[path = "ledger_contract/sqlite_files.rs"]
mod sqlite_files;
#[path = "ledger_contract/sqlite_speed.rs"]
mod sqlite_speed;
#[path = "ledger_contract/suppression.rs"]
mod suppression;
#[path = "ledger_contract/unanswered.rs"]
mod unanswered;
#[path = "ledger_contract/upkeep.rs"]
mod upkeep;
#[path = "ledger_contract/wire_faults.rs"]
mod wire_faults;
#[path = "ledger_contract/wishes.rs"]
mod wishes;
#[path = "ledger_contract/world.rs"]
mod world;
#[path = "ledger_contract/write_backs.rs"]
mod write_backs;

macro_rules! cases {
    ($ledger:ty: $($room:ident { $($case:ident)* })*) => { $(
        mod $room {
            use crate::world::World;
            $(
                #[tokio::test]
                async fn $case() {
                    crate::$room::$case(&World::<$ledger>::new().await).await;
                }
            )*
        }
    )* };
}

macro_rules! contract {
    ($backend:ident, $ledger:ty) => {
        mod $backend {
            cases! { $ledger:
                audiences {
                    exactly_those_who_ended_so_come_with_their_variables_and_in_order
                    who_has_failed_and_got_it_all_the_same_is_among_those_it_was_sent_to
                    an_audience_longer_than_a_page_comes_whole
                    a_broadcast_that_has_not_ended_or_is_not_there_is_no_audience
                    a_broadcast_that_ended_without_a_plan_has_nobody_only_once_it_is_cancelled
                    of_several_broadcasts_of_a_name_the_one_begun_last_is_meant
                    a_planner_reads_only_what_its_own_audience_names
                }
                claims {
                    claims_are_exclusive
                    a_reply_says_which_part_of_the_slots_the_sender_may_count_on
                    one_exchange_takes_whom_to_try_again_from_every_batch
                    a_batch_of_a_lost_sender_is_the_last_that_is_claimed_and_gives_one
                    broadcasts_of_an_account_share_what_may_be_on_the_wire
                    a_lease_that_runs_out_gives_the_batch_to_another_and_is_counted
                    a_lease_is_renewed_by_every_exchange
                    a_lost_claim_takes_no_row_but_its_outcomes_are_recorded
                    a_new_process_gets_one_recipient_until_it_has_recorded_an_outcome
                    a_batch_taken_over_gives_one_recipient_until_an_outcome_is_recorded
                    silence_of_the_lost_holder_does_not_end_the_probation_of_its_batch
                    a_batch_without_anybody_to_take_is_handed_back_for_the_next_in_one_exchange
                    a_batch_in_backoff_is_handed_back_and_its_recipients_are_taken_when_due
                    an_unproven_sender_leaves_a_batch_that_has_nobody_to_take
                    what_was_not_begun_is_retaken_at_once_with_a_larger_attempt_and_costs_no_try
                    a_sender_that_leaves_hands_its_claim_back_and_is_heard_no_more
                    a_sender_that_wants_nobody_gets_nobody
                    a_request_with_too_many_outcomes_is_refused_whole
                    the_content_comes_with_recipients_to_who_has_none_or_that_of_another_plan
                }
                contacts {
                    whoever_is_sent_to_becomes_a_contact_with_tags_and_nobody_else
                    a_contact_keeps_the_variables_of_the_latest_plan
                    other_tags_under_a_used_key_are_refused
                    who_opts_out_is_skipped_in_every_broadcast_of_the_account_at_once
                    who_was_not_begun_and_has_opted_out_is_skipped
                    who_waits_to_be_resent_and_opts_out_is_unknown_and_stays_so
                    whoever_has_opted_out_is_planned_as_skipped
                    who_opts_out_while_a_plan_is_made_is_skipped_in_it
                    who_opts_in_again_is_messaged_by_what_is_planned_then
                    an_answer_that_means_opt_out_keeps_everybody_else_of_the_account_from_writing
                    who_was_given_up_is_not_sent_to_again_for_what_they_do_later
                    a_plan_without_variables_makes_known_ones_no_newer
                    nobody_is_skipped_as_opted_out_who_may_have_been_messaged_in_a_lost_time
                    an_import_says_what_is_new_and_a_second_one_changes_nothing
                    an_import_opts_people_out_and_nobody_in
                    rows_of_one_person_count_together_in_whatever_order_and_calls
                    what_was_exported_is_no_change_where_it_came_from
                    tags_come_and_go_by_hand
                    a_page_of_long_contacts_is_cut_by_their_bytes
                    what_is_out_of_bounds_is_refused_and_changes_nothing
                    a_contacts_source_gives_whom_it_asks_for
                    an_excluded_contacts_source_excludes_who_has_opted_out_too
                    a_tag_of_a_message_is_an_audience_at_once
                    contacts_longer_than_a_page_come_whole_and_nobody_twice
                }
                marketing {
                    who_has_stopped_marketing_is_left_out_of_all_but_what_is_declared_to_be_none
                    a_refusal_of_the_same_name_stops_no_marketing
                    who_resumes_marketing_is_messaged_again
                }
                reply_windows {
                    whose_window_has_closed_is_skipped_and_not_given_out
                    a_window_that_closes_before_the_slot_is_closed
                    who_writes_while_they_wait_is_messaged
                    who_is_imported_as_active_while_they_wait_is_messaged
                    of_twilio_the_window_is_that_of_its_channels_and_of_no_sms
                    a_repeat_gives_no_new_slot_to_who_is_barred_meanwhile
                    whose_window_has_closed_is_found_behind_many_broadcasts_where_it_is_quiet
                    a_contacts_activity_counts_where_a_row_says_less
                }
                repeats {
                    a_repeated_exchange_gives_the_same_rows_attempts_and_slots
                    a_repeat_gives_only_what_its_own_first_answer_gave
                    a_repeat_gives_new_slots_where_the_old_have_passed
                    repeats_never_put_two_messages_closer_than_the_rate_allows
                    a_repeat_after_the_gate_closed_releases_nobody
                    a_repeat_gives_nobody_who_was_settled_meanwhile
                    a_repeat_records_its_outcomes_once
                    a_call_that_is_given_up_at_any_moment_has_happened_wholly_or_not_at_all
                    a_number_below_the_last_answered_one_is_refused_and_changes_nothing
                }
                outcomes {
                    each_outcome_leads_where_the_table_says
                    how_it_ended_does_not_go_by_the_causes_that_are_shown
                    causes_are_counted_by_the_providers_code_and_a_late_answer_takes_its_own_away
                    a_provider_that_makes_codes_up_is_counted_by_reason_beyond_the_first_hundred
                    totals_count_everybody_of_all_broadcasts
                    an_outcome_told_twice_changes_nothing_the_second_time
                    an_outcome_of_an_older_attempt_changes_nothing
                    an_outcome_for_nobody_of_the_plan_changes_nothing
                    silence_becomes_unknown_after_deadline_and_grace_and_not_before
                    nothing_is_concluded_from_silence_within_one_lease_of_opening
                    a_late_definite_answer_resolves_unknown
                    unknown_holds_and_is_never_tried_again_by_itself
                    an_answer_is_recorded_whoever_brings_it
                    a_transient_failure_waits_and_the_fifth_ends_it
                    a_broadcast_says_how_often_and_how_late_it_tries_again
                    a_recipient_put_off_is_not_taken_before_its_time
                    what_costs_no_try_never_fails_anybody
                    a_broadcast_is_finished_when_nobody_is_open_and_only_then
                }
                parts {
                    each_part_is_an_attempt_of_its_own_and_the_last_one_sends_the_message
                    a_crash_between_parts_repeats_none
                    a_crash_with_a_part_on_the_wire_leaves_that_part_in_doubt_and_sends_none_after_it
                    only_the_part_that_nobody_knows_of_is_resent
                    a_late_outcome_of_an_earlier_part_changes_nothing
                    a_repeated_exchange_gives_the_same_part
                    a_failed_part_is_tried_by_itself_and_as_often_as_the_first
                    whoever_is_cancelled_between_parts_is_skipped_and_the_results_say_what_was_taken
                    a_picture_refused_for_everybody_holds_the_broadcast_though_every_text_is_taken
                    people_who_cannot_be_reached_do_not_hide_a_picture_that_is_refused
                    the_next_part_comes_before_whoever_is_later_also_across_the_end_of_a_batch
                    a_batch_is_kept_while_only_the_next_part_of_a_closed_window_waits
                }
                gates {
                    refused_credentials_stop_every_broadcast_of_the_account_until_lifted
                    a_sender_may_try_refused_credentials_again_with_one_recipient
                    a_brief_says_whether_only_refused_credentials_are_in_the_way
                    a_block_stops_only_its_broadcast
                    twenty_equal_refusals_of_the_message_in_a_row_stop_it_until_a_person_has_looked
                    an_error_that_is_the_messages_fault_after_two_tries_stops_it_too
                    cancelling_is_latched_and_skips_whoever_is_not_begun
                    a_cancel_changes_no_end_that_has_come_before_it
                    only_batches_that_a_cancel_has_cut_short_are_cancelled
                    the_rest_of_a_cancelled_broadcast_is_skipped_in_slices
                    upkeep_says_that_another_ended_broadcast_waits
                    after_its_end_a_broadcast_skips_whoever_is_not_begun
                    what_did_not_begin_in_time_is_missed_and_what_did_goes_on
                    nobody_is_given_a_slot_after_the_end
                    a_repeat_moves_nobody_past_the_end
                    a_suspended_broadcast_takes_nobody_until_it_is_resumed
                    an_older_generation_opens_no_gate
                    an_older_generation_changes_no_rate_of_the_account
                    an_older_wish_does_not_open_what_a_refused_newer_one_has_closed
                    nothing_is_declared_in_the_name_of_an_object_that_is_gone
                    nobody_is_no_owner_that_could_go
                    a_block_is_lifted_only_by_a_wish_of_after_it
                    nobody_is_taken_before_the_start
                    a_broadcast_without_a_plan_asks_for_one
                    a_finished_broadcast_declared_again_is_complete_with_nobody_to_take
                    a_key_is_reused_only_after_the_first_attempt
                    an_unknown_broadcast_is_an_error
                }
                notifications {
                    each_event_is_written_once_and_for_the_endpoints_that_want_it
                    an_event_is_there_exactly_where_what_causes_it_is
                    what_a_sender_has_taken_no_other_gets_before_its_lease_is_over
                    when_no_sender_lives_what_was_taken_is_due_at_once
                    what_is_not_taken_is_due_again_later_and_given_up_after_three_days
                    what_nobody_could_try_is_given_up_with_its_reason
                    senders_that_die_over_an_event_come_back_to_it_ever_later_and_not_for_ever
                    an_endpoint_may_ask_to_be_left_alone
                    what_waits_for_an_endpoint_that_is_away_waits_together
                    an_endpoint_that_is_gone_is_told_nothing_until_it_is_another
                    gone_of_an_older_url_ends_nothing
                    an_edited_endpoint_gets_what_waits_at_once_and_a_removed_one_nothing
                    what_happened_before_anybody_was_to_be_told_is_not_told
                    each_pause_and_each_hold_is_told_once
                    credentials_that_are_refused_again_and_again_are_told_once
                    a_standing_that_several_see_is_told_once
                    what_keeps_senders_from_working_is_told_with_their_report
                    every_end_is_told_with_its_reason
                    an_end_without_a_plan_is_told_once_however_often_senders_ask
                    a_reply_says_that_events_wait_and_nobody_is_at_them
                    events_are_due_in_time_after_the_clock_was_set_back
                    a_report_of_too_many_is_refused
                }
                label_write_backs {
                    labels_are_given_at_the_pace_of_the_account_whichever_broadcast_they_are_of
                    what_a_sender_asks_beside_giving_labels_is_of_the_accounts_pace_too
                    who_is_owed_nothing_waits_for_no_turn
                    nobody_is_labelled_while_the_account_is_held
                }
                wishes {
                    an_older_wish_undoes_no_newer_one_however_often_it_is_told
                    a_wish_that_is_told_without_a_time_counts_once_by_its_message
                    many_wishes_of_one_call_count_once_each_by_their_messages
                    wishes_are_forgotten_by_upkeep_in_slices_once_they_are_kept_no_longer
                }
                write_backs {
                    whoever_is_sent_is_owed_and_nobody_else
                    somebody_is_owed_exactly_where_their_outcome_is
                    whoever_a_call_back_resolves_is_owed_too
                    people_are_given_to_one_sender_at_a_time
                    when_no_sender_lives_people_are_due_at_once
                    many_people_come_page_by_page
                    who_is_refused_for_themselves_is_tried_later_and_holds_up_nobody
                    nobody_is_given_up_for_themselves_while_everybody_is_refused
                    a_few_who_are_refused_at_the_very_end_do_not_wait_as_if_the_target_took_nobody
                    many_who_were_refused_beside_others_are_refused_for_themselves_to_the_end
                    a_target_that_takes_nobody_any_more_gives_up_few_for_themselves_however_few_come_at_once
                    who_was_refused_by_the_old_statement_is_due_at_once_by_the_new_one
                    a_target_that_takes_nothing_is_tried_ever_more_slowly_and_given_up_after_three_days
                    each_target_is_owed_by_itself
                    what_is_done_after_a_failure_ends_the_waiting
                    what_the_old_statement_met_is_no_matter_of_an_edited_one
                    one_that_is_named_no_more_keeps_what_waits_until_it_is_named_again
                    who_was_sent_to_before_it_was_named_is_left_out
                    nobody_of_a_paused_or_released_broadcast_is_written_down
                    no_sender_is_started_for_ever_for_whom_nobody_could_write_down
                    what_waited_while_it_was_paused_or_released_is_written_after_however_long
                    a_target_that_was_given_up_is_tried_for_all_once_somebody_is_sent
                    people_are_due_in_time_after_the_clock_was_set_back
                    a_sender_that_looks_after_the_clock_was_set_back_is_not_told_of_the_old_time
                }
                quiet_hours {
                    nobody_is_taken_in_quiet_hours_and_everybody_after_them
                    a_group_of_slots_ends_before_quiet_hours
                    a_repeat_moves_nobody_into_quiet_hours
                    a_recipients_own_time_zone_wins
                    a_zone_that_nobody_knows_counts_as_none
                    a_plan_made_anew_numbers_its_zones_anew
                    quiet_hours_may_change_at_any_time
                    an_end_within_quiet_hours_skips_everybody
                    a_broadcast_in_quiet_hours_holds_up_nobody_of_its_account
                    who_is_put_off_into_quiet_hours_is_taken_after_them
                    a_start_within_quiet_hours_is_due_at_their_end
                    recipients_of_many_zones_are_taken_from_every_batch
                }
                losses {
                    a_sender_that_has_seen_more_than_the_ledger_holds_closes_the_gate
                    what_a_sender_has_seen_of_this_ledger_closes_nothing
                    an_owner_that_knows_more_than_the_ledger_holds_closes_the_gate
                    approved_everybody_who_is_not_settled_becomes_unknown_and_nobody_is_taken
                    who_was_unknown_before_the_loss_is_not_made_pending_by_an_outcome_of_that_time
                    a_journal_that_knows_more_than_the_ledger_holds_calls_nobody_never_begun
                    a_late_journal_calls_nobody_never_begun_after_an_approved_loss
                    a_late_journal_calls_nobody_never_begun_before_a_loss_is_approved
                    an_approval_of_before_the_loss_approves_nothing
                    everybody_of_a_plan_that_was_lost_is_at_risk
                    an_edit_of_the_lost_time_makes_nobody_pending
                    the_many_at_risk_become_unknown_in_slices
                    nobody_is_skipped_by_a_ledger_that_may_have_forgotten_a_message
                    a_loss_holds_up_no_upkeep_of_others
                    what_is_older_than_a_ledger_without_any_memory_of_it_is_held_until_approved
                    what_is_older_than_the_ledger_and_was_in_none_is_not_held
                    an_invented_revision_closes_a_broadcast_only_until_it_is_approved
                }
                plans {
                    a_recipient_counts_once_and_the_receipt_names_what_was_dropped
                    a_plan_takes_the_first_so_many_of_those_left
                    the_first_duplicate_of_a_plan_may_come_in_a_later_chunk
                    variables_come_back_as_they_were_planned
                    a_repeated_chunk_gives_its_receipt_and_adds_nobody
                    a_chunk_out_of_order_is_refused
                    a_new_epoch_deletes_the_old_rows_and_supersedes_the_old_ticket
                    an_edit_supersedes_the_planner_of_what_was_before
                    the_hash_of_a_plan_does_not_depend_on_its_chunks
                    sealing_twice_gives_the_same_plan
                    batches_are_cut_by_the_wish_and_there_are_at_most_500
                    an_empty_plan_is_complete_at_once
                    a_plan_may_be_made_anew_until_the_first_attempt
                    with_the_third_planner_that_dies_the_broadcast_has_failed_until_an_edit
                    an_edit_that_is_refused_leaves_the_end_that_planners_died_for
                    a_planner_that_seals_or_says_why_it_cannot_ends_the_row_of_dead_ones
                    who_was_out_of_reach_or_gave_the_plan_up_is_not_dead
                    planners_of_no_object_are_not_counted
                }
                suppression {
                    whoever_is_on_a_list_is_planned_as_skipped_and_the_next_plan_knows_nothing_of_it
                    a_plan_that_is_made_anew_goes_by_the_list_of_then
                    other_lists_of_the_channel_take_the_plan_back_until_somebody_was_attempted
                    a_sealed_plan_skips_whoever_is_on_a_list_and_pending_and_nobody_else
                    who_is_in_flight_when_a_list_names_them_is_left_to_that_attempt_and_gets_no_other
                    who_waits_to_be_resent_and_is_on_a_list_is_unknown_and_stays_so
                    a_list_is_judged_by_the_plan_it_was_read_for_and_in_chunks
                }
                dead_senders {
                    a_complete_journal_leaves_unknown_only_what_was_on_the_wire
                    an_incomplete_journal_is_believed_in_what_it_says_and_not_in_its_silence
                    a_journal_that_is_late_still_says_who_was_never_begun
                    a_late_journal_that_is_incomplete_takes_nobody_for_never_begun
                    who_was_told_to_be_unknown_after_the_deadline_was_begun
                    a_journal_may_name_several_attempts_of_one_recipient
                    the_order_of_a_journal_does_not_matter
                    a_dead_sender_is_heard_no_more
                    a_batch_of_a_dead_sender_is_on_probation
                    when_no_sender_lives_everybody_in_flight_is_unknown_and_every_claim_void
                    a_poisoned_message_costs_one_unknown_per_crash
                }
                clocks {
                    a_lease_ends_in_time_after_the_clock_was_set_back
                    a_deadline_comes_in_time_after_the_clock_was_set_back
                    a_backoff_ends_in_time_after_the_clock_was_set_back
                    slots_go_on_at_the_same_pace_after_the_clock_was_set_back
                    a_brake_lets_go_in_time_after_the_clock_was_set_back
                    a_rival_that_has_gone_holds_nobody_up_after_the_clock_was_set_back
                    a_repeat_after_the_clock_was_set_back_gives_slots_of_the_new_time
                }
                owners {
                    a_cancel_is_latched_for_what_its_owner_declared_and_for_nobody_else
                    a_brief_says_what_senders_work_by
                    a_trouble_stands_until_a_plan_is_sealed
                    a_trouble_stands_until_somebody_is_taken
                    a_trouble_of_an_older_wish_is_forgotten
                    a_trouble_of_an_overtaken_plan_is_not_heard
                    a_key_belongs_to_one_owner_until_it_is_released
                    a_released_broadcast_takes_nobody
                    one_planner_is_at_work_and_others_wait
                    a_planner_that_gives_up_keeps_nobody_waiting
                    a_snapshot_says_until_when_senders_live_and_when_somebody_is_due
                    an_account_says_its_rate_and_whether_its_credentials_work
                    a_slow_provider_is_known_as_long_as_senders_say_so
                    that_nothing_gets_through_is_told_of_whom_it_concerns_and_while_it_is_news
                    people_who_cannot_be_reached_do_not_make_a_provider_one_that_fails
                    a_dead_sender_is_settled_only_within_its_broadcast
                    a_ledger_serves_one_cluster_until_it_is_said_to_have_moved
                    a_rename_is_held_until_its_key_is_given
                    of_two_that_are_alike_the_later_is_held_and_only_while_the_other_may_be_sent
                    who_is_in_the_audience_decides_and_not_what_it_is_called
                    rows_order_or_variables_that_changed_do_not_make_a_list_another
                    of_a_long_list_a_sample_is_looked_up
                    who_did_not_get_the_first_message_may_be_sent_it_under_a_new_name
                    only_who_is_judged_otherwise_is_changed_and_its_revision_says_so
                    one_that_is_planned_first_is_held_once_the_earlier_one_turns_out_to_be_alike
                    what_differs_or_has_begun_is_not_suspected
                }
                pacing {
                    a_lone_broadcast_gets_every_slot_of_the_account_and_none_between
                    senders_and_broadcasts_of_an_account_share_its_rate
                    broadcasts_share_an_account_by_their_weights
                    an_urgent_broadcast_begins_at_once_beside_a_bulk_one_and_nobody_starves
                    a_change_of_the_weight_counts_from_the_next_exchange
                    a_broadcast_keeps_its_own_lower_rate
                    a_slow_broadcast_leaves_the_rest_of_the_rate_to_others
                    a_broadcast_that_waits_for_its_own_rate_holds_up_nobody
                    a_throttled_account_halves_its_rate_and_recovers
                    slots_that_another_broadcast_still_holds_are_not_given_again
                    slots_that_a_throttled_sender_gave_back_are_given_again_where_nobody_else_has_any
                    what_was_given_away_before_the_brake_does_not_brake_again
                    the_brake_is_the_accounts_and_not_the_broadcasts
                    a_change_of_the_rate_counts_from_the_next_exchange
                    an_account_slows_down_as_the_provider_says_that_its_limit_is_used
                    an_account_holds_where_its_limit_is_used_up
                }
                results {
                    exactly_those_who_are_asked_for_come_in_order_with_why
                    results_longer_than_a_page_come_whole_and_nobody_twice
                    few_among_many_are_found_by_short_looks
                    before_the_plan_is_sealed_there_are_no_results
                    an_unknown_broadcast_has_no_results
                }
                attachments {
                    what_was_uploaded_is_known_to_every_broadcast_of_the_account_and_to_no_other
                    what_is_gone_or_about_to_end_is_uploaded_anew
                    no_more_attachments_are_told_than_a_message_has
                    an_upload_is_one_senders_while_that_one_says_so_and_then_the_next_ones
                    an_upload_that_is_given_up_is_so_for_all_who_ask_within_a_while
                    a_clock_set_back_keeps_nobody_from_an_upload
                    an_upload_of_two_who_ask_at_once_is_one_senders
                }
                rate_classes {
                    audio_keeps_its_own_rate_and_texts_fill_the_slots_between
                    texts_get_the_slots_before_that_of_an_audio_of_another_batch
                    pictures_and_texts_know_no_such_rate
                    what_follows_the_last_film_waits_for_none
                    two_broadcasts_of_films_share_the_rate_by_weight
                    a_text_gets_the_slots_that_films_leave
                    a_repeated_exchange_moves_no_film_before_its_time
                }
                receipts {
                    a_call_back_resolves_whoever_is_unknown
                    a_call_back_before_the_senders_report_stands_over_it
                    a_call_back_before_the_senders_silence_stands_over_it
                    a_call_back_stands_over_a_refusal_that_would_try_again
                    a_call_back_after_a_refusal_that_would_try_again_stands_over_it
                    whoever_waits_to_be_resent_is_not_sent_to_again
                    a_call_back_of_a_part_lets_the_next_one_follow
                    call_backs_of_other_attempts_accounts_and_people_change_nothing
                    receipts_are_counted_once_whatever_order_they_come_in
                    a_message_that_did_not_arrive_is_told_and_stays_sent
                    without_a_correlation_a_message_is_found_by_its_id_and_its_recipient
                    who_has_failed_stays_so_and_what_arrived_all_the_same_is_shown
                    what_is_told_of_an_earlier_part_of_who_was_skipped_changes_nothing
                    a_receipt_that_comes_before_its_senders_report_is_counted_after_it
                    a_receipt_of_nothing_is_kept_for_a_while_and_not_longer
                    no_more_early_receipts_are_kept_than_there_may_be
                    everything_until_a_watermark_was_read
                    what_people_do_is_counted_and_changes_no_message
                    whoever_opts_out_by_a_call_back_is_skipped_and_known
                    more_events_than_a_slice_are_all_taken_in
                    more_events_than_a_call_may_hold_are_refused
                }
                figures {
                    what_happened_is_counted_when_its_request_was_due
                    a_status_tells_since_when_how_often_the_provider_was_asked_and_how_fast_it_was
                    the_answers_of_each_batch_are_counted_by_themselves
                    a_request_counts_once_however_often_it_is_told
                    who_was_not_asked_costs_nothing
                    a_lost_sender_is_counted_as_unknown_and_its_late_answer_as_what_it_was
                    a_long_broadcast_takes_no_more_room_than_a_short_one
                    an_unknown_broadcast_has_no_figures
                }
                unanswered {
                    a_lost_answer_is_followed_by_a_resend_after_deadline_and_grace
                    silence_is_followed_by_a_resend_too
                    resends_end_with_the_attempts_of_the_policy_and_the_last_stays_unknown
                    a_late_definite_answer_counts_until_the_resend_has_begun
                    a_finished_broadcast_goes_on_when_its_policy_becomes_resend
                    whoever_waits_to_be_resent_is_unknown_again_when_the_policy_becomes_hold
                    whoever_waits_to_be_resent_is_not_skipped_at_the_end_but_unknown
                }
            }
        }
    };
}

contract!(sqlite, herald::ledger::sqlite::SqliteLedger);
contract!(over_the_wire_api, crate::over_the_wire::OverTheWire);
contract!(postgres, herald::ledger::postgres::PostgresLedger);
