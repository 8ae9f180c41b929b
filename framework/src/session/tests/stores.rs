//! The tests of whole requests, on every store: one list of tests, one line for each store.
//!
//! A test says `Node::new()` and does not know where its records are kept; the store is chosen for
//! the thread that runs it.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{ThreadId, current};

use super::memory::Records;
use crate::redis::Redis;
use crate::redis::tests::server::{Server, eventually};
use crate::runtime::sync::ShortLock;
use crate::session::stores::{
    FileStore, FileStoreOptions, RedisStore, RedisStoreOptions, TableOptions, TableStore,
    TieredOptions, TieredStore,
};
use crate::session::{Blocking, SessionStore};

type Make = fn(&Directory) -> Arc<dyn SessionStore>;

/// What the threads that run a test of the list make their stores with.
static CHOSEN: ShortLock<Vec<(ThreadId, Make)>> = ShortLock::new(Vec::new());

/// A store with what it needs; memory, if the running test named none.
pub(super) struct Kept {
    memory: Records,
    made: Option<(Arc<dyn SessionStore>, Directory)>,
}

impl Default for Kept {
    fn default() -> Self {
        let here = current().id();
        let chosen = CHOSEN.with(|chosen| chosen.iter().find(|it| it.0 == here).map(|it| it.1));
        let made = chosen.map(|make| {
            let directory = Directory::new();
            let store = make(&directory);
            (store, directory)
        });
        Self { memory: Records::default(), made }
    }
}

impl Kept {
    pub(super) fn store(&self) -> &dyn SessionStore {
        match &self.made {
            Some((store, _)) => &**store,
            None => &self.memory,
        }
    }
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kept")
    }
}

/// Removed at the end of its test, and the server, if it has one, ended.
struct Directory(PathBuf, ShortLock<Option<Server>>);

impl Directory {
    fn new() -> Self {
        let name = format!("maypole-on-stores-{:016x}", getrandom::u64().unwrap());
        Self(std::env::temp_dir().join(name), ShortLock::default())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// A redis of the test's own.
fn redis_store(at: &Directory) -> RedisStore {
    let server = Server::start();
    let redis = Redis::open(&server.settings()).unwrap();
    at.1.with(|place| *place = Some(server));
    RedisStore::new(redis, RedisStoreOptions::default()).unwrap()
}

/// With its memory in use from the beginning.
fn tiered_store(at: &Directory) -> TieredStore {
    let store = TieredStore::new(redis_store(at), &TieredOptions::default()).unwrap();
    let limit = std::time::Duration::from_secs(20);
    eventually("memory is in use", limit, || store.trusts_memory());
    store
}

/// Runs a test of the list on the store that `make` makes.
fn on(make: Make, test: fn()) {
    let here = current().id();
    CHOSEN.with(|chosen| {
        // One that failed on this thread has left its own.
        chosen.retain(|it| it.0 != here);
        chosen.push((here, make));
    });
    test();
    CHOSEN.with(|chosen| chosen.retain(|it| it.0 != here));
}

/// Every store, one line each. A store whose outside world is missing panics here.
macro_rules! on_every_store {
    ($($module:ident { $($test:ident)* })*) => {
        on_store! { file, |at| Arc::new(Blocking::new(FileStore::open(FileStoreOptions::new(&at.0)).unwrap())),
            $($module { $($test)* })* }
        on_store! { redis, |at| Arc::new(redis_store(at)), $($module { $($test)* })* }
        on_store! { tiered, |at| Arc::new(tiered_store(at)), $($module { $($test)* })* }
        on_store! { table, |at| Arc::new(TableStore::open(TableOptions::new(&at.0)).unwrap()),
            $($module { $($test)* })* }

        /// A test that is not on the list is on memory only.
        #[test]
        fn the_list_is_whole() {
            $({
                let source = include_str!(concat!(stringify!($module), ".rs"));
                let listed: &[&str] = &[$(stringify!($test)),*];
                let missing = source
                    .lines()
                    .filter_map(|line| line.strip_prefix("pub(super) fn ")?.split_once("()"))
                    .filter(|(name, _)| !listed.contains(name));
                assert_eq!(missing.collect::<Vec<_>>(), [], "of {}.rs", stringify!($module));
                // The one that reads the sources is about no store.
                let hidden = source.matches("#[test]\nfn ").count();
                assert_eq!(hidden, usize::from(stringify!($module) == "regressions"));
            })*
        }
    };
}

macro_rules! on_store {
    ($store:ident, $make:expr, $($module:ident { $($test:ident)* })*) => {
        mod $store {
            use super::*;

            $(mod $module {
                use super::*;

                $(#[test]
                fn $test() {
                    on($make, crate::session::tests::$module::$test);
                })*
            })*
        }
    };
}

on_every_store! {
    change_of_id {
        login_gives_a_fresh_id_binds_the_user_and_keeps_the_data
        a_login_that_fails_later_leaves_the_old_session_usable
        a_change_of_id_that_surely_failed_leaves_no_pending_record
        a_change_of_id_in_doubt_keeps_its_pending_record
        requests_with_the_old_id_see_nothing_new_and_leave_the_new_cookie_alone
        what_another_node_wrote_meanwhile_comes_along
        a_crash_between_the_steps_leaves_the_old_session_or_the_new
        a_pending_record_whose_completion_failed_is_completed_by_the_next_reader
        lost_answers_at_any_step_of_a_login_do_not_lose_the_session
        a_refusal_after_a_lost_answer_does_not_lose_the_session
        two_logins_of_one_id_leave_one_session
        rotations_at_once_give_every_response_the_same_new_id
        a_rotated_id_works_for_the_grace_time_and_is_then_dead
        a_login_during_a_rotation_ends_the_rotated_id_too
        a_request_that_only_followed_or_saved_a_rotation_does_not_replace_a_newer_cookie
        a_renewal_that_was_saved_before_a_rotation_takes_the_new_id_along
        a_long_request_keeps_its_session_over_any_number_of_rotations_within_the_grace_time
        destroying_through_a_rotated_id_ends_the_session
    }
    concurrency {
        interleaved_increments_are_all_there
        a_thousand_increments_of_two_nodes_in_parallel_are_a_thousand
        writers_of_different_keys_and_leaves_do_not_undo_each_other
        a_destroyed_session_is_not_revived_by_a_writer_in_flight
        a_writer_finds_it_gone_after_the_tombstone_too
        destroy_wins_over_a_faster_writer
        five_requests_take_one_flash
        ten_first_requests_make_ten_sessions
        an_operation_that_no_longer_fits_fails_the_commit_and_stores_nothing
    }
    failures {
        a_swap_whose_answer_was_lost_is_not_applied_twice
        it_is_recognised_though_others_wrote_after_it
        a_store_that_stays_away_is_a_503_without_cookie
        what_the_store_refused_is_a_503_at_once_and_nobody_looks_again
        an_unknown_outcome_that_left_the_window_of_tokens_is_a_503_and_not_applied_again
        conflicts_are_retried_within_a_bound
        a_new_session_whose_answer_was_lost_is_found_again
        a_destroy_whose_answer_was_lost_still_deletes_the_cookie
        a_take_whose_answer_was_lost_gives_the_value_once
        a_record_that_cannot_be_read_is_an_empty_session_and_never_an_error
        one_value_that_cannot_be_read_harms_no_other
    }
    in_doubt {
        who_comes_by_a_successor_that_was_replaced_meanwhile_is_told_so
        whichever_way_it_went_the_visitor_finds_one_session_with_its_rights
        a_swap_that_comes_true_late_loses_nobody
        a_logout_ends_it_for_good_whichever_way_it_went
        neither_the_old_id_nor_its_lost_successor_opens_the_session_of_a_later_login
        all_sessions_of_the_user_are_revoked_with_it
        it_is_on_the_list_of_the_users_devices
        a_second_doubt_on_the_way_loses_nobody
        a_handler_that_goes_on_after_the_failure_cannot_make_a_third_id
        a_session_whose_store_is_back_in_time_waits_for_its_visitor
        nothing_is_sent_where_the_outcome_is_known_or_cookies_are_not_used
        what_was_given_out_for_a_change_that_never_came_is_taken_back
    }
    lock {
        get_and_set_under_the_lock_lose_nothing_within_and_across_nodes
        a_dead_holder_delays_others_by_its_lease_and_its_late_commit_is_an_error
        the_late_commit_fails_also_while_the_next_holder_has_written_nothing
        an_overdue_lock_that_nobody_took_is_still_good
        who_does_not_lock_is_merged
        waiting_is_bounded
        a_new_session_needs_no_lock_and_lost_answers_do_no_harm
        a_session_that_was_ended_before_the_lock_came_is_gone
        with_concurrency_lock_whole_requests_take_turns
        a_lock_record_comes_back_and_garbage_is_a_deserted_lock
    }
    logout {
        whatever_changed_the_id_meanwhile_a_logout_ends_the_session
        a_logout_follows_any_number_of_changes_of_id
        a_logout_ends_a_session_whose_change_of_id_is_not_completed_yet
        nor_can_a_slow_change_of_id_bring_it_back
        a_request_that_has_heard_of_the_new_id_can_end_it
        an_id_that_ended_before_ends_nobody
        an_id_that_ended_long_ago_is_just_unknown
        a_logout_that_cannot_know_what_became_of_the_id_is_no_success
        faults_on_the_way_leave_it_whole_or_ended_and_never_a_false_success
        after_the_logout_a_new_session_may_begin
        a_session_begun_after_the_end_of_a_renewed_id_is_one_like_any_other
        a_users_list_forgets_the_session_and_no_other
        who_was_not_told_of_the_end_keeps_the_cookie_and_is_told_when_it_holds
    }
    regressions {
        a_reader_undoes_no_writer
        a_reload_or_a_save_does_not_move_the_baseline_under_recorded_changes
        a_flood_of_unknown_ids_and_of_readers_stores_nothing
        an_expired_record_is_absent_though_nobody_swept
        a_second_and_a_third_save_lose_nothing
        writes_after_a_rotation_go_to_the_new_id
        of_two_sets_of_one_key_one_is_there_whole
        a_long_poll_keeps_nobody_waiting
    }
    time {
        a_touch_is_throttled_and_makes_no_new_version
        a_touch_in_flight_does_not_revive_a_destroyed_session
        writes_renew_the_cookie_no_more_often_than_touches
        an_idle_session_is_gone_and_a_used_one_is_not
        no_use_keeps_a_session_beyond_its_absolute_end
        login_does_not_move_the_absolute_end
        a_first_lifetime_holds_until_the_second_visit
        only_anonymous_sessions_seen_once_may_be_evicted
        a_stream_that_saves_late_does_not_make_its_session_evictable_again
        a_session_has_timeouts_of_its_own_until_another_user_logs_in
        shorter_timeouts_hold_at_once_and_senseless_ones_are_refused
        a_remembered_visitor_has_a_cookie_that_outlives_the_browser_window
    }
    user_limits {
        beyond_the_limit_the_oldest_login_ends
        beyond_the_limit_a_login_is_refused_and_the_session_is_as_before
        a_login_under_way_counts_and_one_that_failed_does_not
        a_refused_login_leaves_no_index_behind
        a_login_that_comes_as_another_is_refused_is_listed
        the_index_does_not_grow_with_changes_of_id
        logins_at_once_are_all_listed
    }
    users {
        a_bound_session_costs_two_more_lookups_and_an_anonymous_one_none
        your_devices_are_listed_with_all_that_is_known
        a_change_of_id_keeps_the_device_and_its_handle
        one_device_is_revoked_by_its_handle_and_only_by_its_user
        revoking_is_tried_again_until_the_end_holds_everywhere
        revoking_the_own_session_deletes_the_cookie
        a_revoked_session_is_found_though_it_changes_its_id_just_then
        a_session_that_changed_its_id_after_the_index_was_read_is_revoked_too
        all_sessions_of_a_user_end_in_one_step_and_nobody_elses
        revoking_all_is_right_though_the_index_is_lost
        a_revocation_outlives_every_session_it_ended
        revoking_everybody_leaves_anonymous_sessions
        revoking_all_of_the_own_user_deletes_the_cookie_and_allows_a_farewell
        revoking_the_others_keeps_the_one_that_asks
        the_one_that_asks_lives_also_when_nobody_knows_whether_the_others_ended_everywhere
        revoking_one_ends_it_though_nobody_knows_whether_others_ended_everywhere
        a_logout_of_who_was_revoked_is_answered_when_that_holds_everywhere
        a_password_change_that_fails_afterwards_leaves_the_session_usable
        login_and_revoking_the_others_in_one_request
        of_two_who_revoke_each_other_one_is_left_at_most
        a_login_that_began_before_the_revocation_is_void
        revocations_survive_lost_answers
        a_full_store_revokes_all_the_same
        no_session_slips_through_a_revocation_by_changing_its_id_meanwhile
        a_store_that_does_not_know_the_epochs_lets_nobody_in
        a_bound_user_without_login_keeps_the_id_and_has_no_recent_login
        a_login_is_recent_for_so_long
        a_long_or_odd_user_agent_is_cut_and_cleaned
    }
}
