//! What every store must do, one function for each rule. A backend passes all of them or is none.
//!
//! Rules speak through the port only, so that they hold for any backend.

mod feed;
mod inside;
mod library;
mod listing;
mod lists;
mod plays;
mod retention;
pub mod sample;
mod spans;
mod waits;
mod whole;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::LocalBoxFuture};

use super::Store;

/// A rule that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// One thing that a store must do.
pub struct Rule {
    pub name: &'static str,
    check: fn(Arc<dyn Store>) -> LocalBoxFuture<'static, ()>,
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! rules {
    ($($room:ident: $($name:ident),+;)+) => {
        &[$($(Rule {
            name: concat!(stringify!($room), "::", stringify!($name)),
            check: |store| $room::$name(store).boxed_local(),
        },)+)+]
    };
}

/// Every rule.
pub const RULES: &[Rule] = rules! {
    plays: every_field_comes_back, numbers_of_any_size_come_back, a_change_leaves_the_origin_alone,
        an_output_can_be_set_changed_and_taken_away, an_unknown_play_is_none, a_sid_is_taken_once,
        an_old_attempt_is_fenced, a_holder_raises_the_attempt, an_ended_play_takes_nothing_more,
        an_end_is_not_taken_back, a_record_of_another_play_is_refused,
        a_refused_batch_leaves_nothing, a_process_belongs_to_its_attempt, steps_are_kept_by_their_key,
        a_key_names_one_play, a_key_of_another_workflow_is_a_conflict;
    lists: a_list_is_newest_first,
        a_list_can_be_filtered, pages_hold_while_plays_are_made, a_page_ends_at_its_bytes,
        counts_follow_the_status, pending_plays_are_in_order, open_children_are_those_not_ended;
    listing: a_summary_is_the_record_without_what_is_long, lists_can_be_searched_and_filtered_together,
        changes_of_the_lists_are_in_order_and_bounded, followers_of_the_lists_hear_of_plays_and_workflows,
        questions_are_oldest_first;
    spans: every_field_comes_back, a_changed_span_keeps_its_place, pages_hold_while_spans_start,
        logs_are_with_their_span, early_logs_are_with_the_first_span,
        a_log_of_no_span_breaks_nothing, a_snapshot_has_everything;
    inside: an_outline_is_the_shape_of_all_spans, an_outline_is_brought_up_to_date,
        a_span_tells_how_much_it_has_logged, logs_are_read_both_ways, logs_are_filtered_by_stream_and_text,
        spans_are_found_by_what_they_hold;
    feed: commits_are_published_before_they_are_answered, a_listener_hears_its_play_only,
        a_slow_listener_is_told, a_queue_is_bounded_by_bytes, every_change_of_a_record_is_heard, what_was_refused_is_not_published,
        numbers_rise_in_the_order_of_the_feed, a_snapshot_and_what_follows_are_everything,
        changes_are_in_order_and_bounded, a_row_is_in_the_changes_once,
        concurrent_commits_get_numbers_of_their_own;
    library: every_field_comes_back, a_name_is_unique, an_update_keeps_the_origin,
        an_unknown_workflow_is_not_found, a_deleted_workflow_leaves_its_versions,
        versions_are_numbered_by_the_store, the_current_version_is_one_of_its_own,
        a_list_is_in_the_order_of_changes, a_list_can_be_filtered, nothing_is_missed_while_it_changes,
        versions_are_newest_first, the_index_has_every_workflow;
    retention: sizes_of_directories_are_remembered, ended_trees_are_oldest_first, a_tree_is_ended_when_all_of_it_is,
        a_forgotten_play_is_gone, what_is_not_over_is_not_forgotten, a_play_needs_its_parent,
        what_was_a_forgotten_plays_is_no_other_plays;
    waits: a_wait_is_settled_once, a_wait_for_a_child_is_found_by_it_and_comes_to_no_result, one_that_is_asked_again_keeps_its_token_and_its_time,
        a_refused_settlement_leaves_nothing, wakes_are_in_their_order, a_token_names_one_wait,
        signals_are_kept_in_their_order, what_has_ended_waits_for_nothing, what_is_kept_stays_kept;
    whole: foreign_cursors_are_refused, an_empty_page_is_empty, a_dropped_answer_stops_nothing,
        a_closed_store_says_so, what_was_queued_is_written_at_the_close;
};

/// Checks every rule, each on a store of its own, and panics with the names of those broken.
///
/// # Panics
/// Where a rule is broken.
pub async fn run(make: impl Fn() -> Arc<dyn Store>) {
    let mut broken = Vec::new();
    for rule in RULES {
        let store = make();
        let check = AssertUnwindSafe((rule.check)(store.clone())).catch_unwind();
        let checked = tokio::time::timeout(PATIENCE, check).await;
        if !matches!(checked, Ok(Ok(()))) {
            broken.push(rule.name);
        }
        let closed = tokio::time::timeout(PATIENCE, store.close()).await;
        assert_eq!(
            closed,
            Ok(Ok(())),
            "a store can be closed, here after {rule:?}"
        );
    }
    assert!(broken.is_empty(), "broken rules: {broken:#?}");
}
