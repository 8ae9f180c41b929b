//! SESSIONS.md sections 4 and 9: what others do wrong, and where it is proved that maypole does not.
//!
//! | failure of others | test |
//! |---|---|
//! | saved after the response; 302 without cookie on the first visit | `pipeline::the_request_after_a_redirect_reads_what_was_written_on_the_first_visit` |
//! | a reader undoes a writer | `a_reader_undoes_no_writer` |
//! | merge baseline reset at save | `a_reload_or_a_save_does_not_move_the_baseline_under_recorded_changes` |
//! | retries exhausted, write dropped | `failures::conflicts_are_retried_within_a_bound` |
//! | logout undone by a request in flight | `concurrency::a_destroyed_session_is_not_revived_by_a_writer_in_flight`, `pipeline::an_interleaved_logout_wins_over_a_writer` |
//! | touch revives, record without expiry | `time::a_touch_in_flight_does_not_revive_a_destroyed_session` |
//! | regenerate leaves or revives the old id, alias on login, old id's response deletes the new cookie | `change_of_id::requests_with_the_old_id_see_nothing_new_and_leave_the_new_cookie_alone` |
//! | cycle of id and 500 leaves neither session | `change_of_id::a_login_that_fails_later_leaves_the_old_session_usable`, `change_of_id::a_crash_between_the_steps_leaves_the_old_session_or_the_new` |
//! | several rotations at once, orphans | `change_of_id::rotations_at_once_give_every_response_the_same_new_id` |
//! | unknown id adopted | `life::an_unknown_id_is_not_adopted` |
//! | a flood of unknown ids fills the store; records for robots | `a_flood_of_unknown_ids_and_of_readers_stores_nothing`, `life::removing_from_nothing_makes_no_session` |
//! | `Set-Cookie` on every response, two in one | `pipeline::one_response_has_one_session_cookie_at_most_whatever_the_handler_did` |
//! | record above a limit stays old silently | `limits::two_writes_that_fit_alone_and_not_together_fail_the_second_commit` |
//! | no check at read, only collection | `an_expired_record_is_absent_though_nobody_swept` |
//! | a flash delivered twice | `concurrency::five_requests_take_one_flash` |
//! | first visit: ten requests | `concurrency::ten_first_requests_make_ten_sessions` |
//! | store down: valid cookies deleted | `pipeline::a_store_that_cannot_be_read_is_a_503_and_the_cookie_is_left_alone` |
//! | undecodable record is a 500 for ever | `failures::a_record_that_cannot_be_read_is_an_empty_session_and_never_an_error` |
//! | key with odd characters lost | `verbs::every_value_comes_back_in_the_next_request` |
//! | second save wipes | `a_second_and_a_third_save_lose_nothing` |
//! | writes after rotate go to the old id | `writes_after_a_rotation_go_to_the_new_id` |
//! | abort empties | `life::a_5xx_or_panic_discards_what_was_not_saved` |
//! | a child's write lost | `pipeline::what_children_write_is_all_there` |
//! | one visitor's session leaks to the next | `pipeline::many_visitors_at_once_never_see_each_other` |
//! | N increments, different keys, merge, remove and set, set of one key | `concurrency`, `serial`, `of_two_sets_of_one_key_one_is_there_whole` |
//! | a lock whose holder died blocks for ever; a late holder writes | `lock::a_dead_holder_delays_others_by_its_lease_and_its_late_commit_is_an_error`, `lock::the_late_commit_fails_also_while_the_next_holder_has_written_nothing`, `lock::waiting_is_bounded` |
//! | change of id and a store that fails or panics: neither session | `never_neither::one_fault_at_any_step_of_a_change_of_id_leaves_the_old_session_or_the_new` |
//! | a renewal sends the old id again after a rotation | `change_of_id::a_renewal_that_was_saved_before_a_rotation_takes_the_new_id_along` |
//! | flock on a file that is then renamed or unlinked | `stores/file/tests/torn::two_stores_on_one_directory_lose_no_increment_while_records_grow`, `testing/conformance/races::a_removed_record_stays_removed` |
//! | a lock's holder blocks everybody | `stores/file/tests/foreign::a_file_that_stays_locked_is_unavailable_in_bounded_time_and_others_are_not` |
//! | long poll and short requests wait on each other | `a_long_poll_keeps_nobody_waiting` |

use std::path::Path;

use super::Node;
use crate::session::events::Event;

#[test]
pub(super) fn a_reader_undoes_no_writer() {
    let node = Node::new();
    let (_, cookie) = node.request("", |session| session.set("list", vec![1]));
    let reader = node.open(&cookie);
    let mut list: Vec<u8> = reader.get("list").unwrap().unwrap();
    list.push(9); // only its own copy
    node.request(&cookie, |session| session.push("list", 2));
    node.commit(&reader);
    assert_eq!(node.get::<Vec<u8>>(&cookie, "list"), Some(vec![1, 2]));
}

#[test]
pub(super) fn a_reload_or_a_save_does_not_move_the_baseline_under_recorded_changes() {
    let node = Node::new();
    let (_, cookie) = node.request("", |session| {
        session.set("gone", 1)?;
        session.set("n", 1)
    });
    let session = node.open(&cookie);
    session.increment("n", 10).unwrap();
    node.request(&cookie, |session| {
        session.remove("gone")?;
        session.increment("n", 100)
    });
    session.reload().unwrap();
    assert_eq!(session.get("n").unwrap(), Some(111), "own change on top of theirs, once");
    session.save().unwrap();
    node.request(&cookie, |session| session.increment("n", 1000));
    session.set("other", 1).unwrap();
    session.save().unwrap();
    node.commit(&session);
    assert_eq!(node.get(&cookie, "n"), Some(1111));
    assert_eq!(node.get::<u8>(&cookie, "gone"), None, "what others removed stays removed");
}

#[test]
pub(super) fn a_flood_of_unknown_ids_and_of_readers_stores_nothing() {
    let node = Node::new();
    for n in 0..1000 {
        let cookie = format!("{n:A>42}A");
        node.request(&cookie, |session| session.get::<u8>("a"));
        node.request("", |session| session.get::<u8>("a"));
    }
    assert!(node.store.records().is_empty());
    assert_eq!(node.count(Event::Created), 0);
}

#[test]
pub(super) fn an_expired_record_is_absent_though_nobody_swept() {
    let node = Node::new();
    let cookie = node.visitor();
    let session = node.open(&cookie);
    session.set("a", 1).unwrap();
    node.pass(86_400);
    assert_eq!(node.store.records().len(), 1, "its bytes are still there");
    assert_eq!(node.get::<String>(&cookie, "who"), None);
    node.commit(&session);
    assert_eq!(node.get::<u8>(&cookie, "a"), None, "nor does a writer in flight revive it");
}

#[test]
pub(super) fn a_second_and_a_third_save_lose_nothing() {
    let node = Node::new();
    let session = node.open("");
    for n in 0..3 {
        session.set(&format!("k{n}"), n).unwrap();
        session.save().unwrap();
        session.save().unwrap();
    }
    let cookie = super::after("", &node.commit(&session));
    assert_eq!(node.request(&cookie, |session| session.keys()).0.len(), 3);
}

#[test]
pub(super) fn writes_after_a_rotation_go_to_the_new_id() {
    let node = Node::new();
    let cookie = node.visitor();
    let session = node.open(&cookie);
    session.rotate().unwrap();
    session.set("before", 1).unwrap();
    session.save().unwrap();
    session.set("after", 2).unwrap();
    let fresh = super::after(&cookie, &node.commit(&session));
    assert_ne!(fresh, cookie);
    node.pass(31);
    assert_eq!(node.get(&fresh, "before"), Some(1));
    assert_eq!(node.get(&fresh, "after"), Some(2));
    assert_eq!(node.get::<u8>(&cookie, "after"), None);
}

#[test]
pub(super) fn of_two_sets_of_one_key_one_is_there_whole() {
    let node = Node::new();
    let cookie = node.visitor();
    let (a, b) = (node.open(&cookie), node.open(&cookie));
    a.set("k", vec!["a"; 100]).unwrap();
    b.set("k", vec!["b"; 50]).unwrap();
    node.commit(&a);
    node.other().commit(&b);
    assert_eq!(node.get(&cookie, "k"), Some(vec!["b".to_owned(); 50]), "the last commit wins");
}

#[test]
pub(super) fn a_long_poll_keeps_nobody_waiting() {
    let node = Node::new();
    let cookie = node.visitor();
    let poll = node.open(&cookie);
    poll.increment("n", 1).unwrap();
    for _ in 0..20 {
        node.request(&cookie, |session| session.increment("n", 1));
    }
    assert_eq!(node.get(&cookie, "n"), Some(20));
    node.commit(&poll);
    assert_eq!(node.get(&cookie, "n"), Some(21));
}

/// Every test the table names is there. What it leaves out needs redis or a WebSocket.
#[test]
fn the_table_names_tests_that_exist() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/session/tests");
    let source = |file: &str| {
        let path = match file.contains('/') {
            true if file.starts_with("testing") => here.join("../..").join(file),
            true => here.join("..").join(file),
            false => here.join(file),
        };
        #[expect(clippy::disallowed_methods, reason = "a test waits on its own thread")]
        let text = std::fs::read_to_string(path.with_extension("rs")).unwrap();
        text
    };
    let table = include_str!("regressions.rs").lines().filter(|line| line.starts_with("//! |"));
    let mut named = 0;
    for name in table.flat_map(|line| line.split('`').skip(1).step_by(2)) {
        let (file, test) = name.split_once("::").unwrap_or(("regressions", name));
        let is_module = !test.contains('_');
        if name.starts_with(|first: char| first.is_lowercase()) && !is_module {
            assert!(source(file).contains(&format!("fn {test}")), "{name}");
            named += 1;
        }
    }
    assert!(named > 30, "{named}");
}
