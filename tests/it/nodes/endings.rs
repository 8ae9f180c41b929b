//! What one node has ended is ended on all of them at the moment it has answered, and nothing in
//! flight brings it back.

use super::rounds::play;
use crate::support::{Backend, Nodes, Visitor};

super::on_every_backend! {
    a_logout_holds_everywhere_at_once
    a_revoked_session_is_dead_everywhere_at_once
    the_old_id_of_a_regenerated_session_is_dead_everywhere_at_once
    the_id_from_before_a_login_is_dead_everywhere_at_once
    revoke_others_holds_everywhere_at_once
    revoke_all_holds_everywhere_at_once
    revoke_everybody_holds_everywhere_at_once
    a_writer_in_flight_on_another_node_does_not_bring_it_back
    a_login_is_not_undone_by_a_request_in_flight_on_another_node
    a_logout_ends_the_session_whose_id_another_node_changes_meanwhile
    a_logout_and_a_change_of_id_at_once_never_leave_a_success_and_the_session
}

fn log_in(visitor: &mut Visitor<'_>) {
    visitor.text(0, "/login/ada");
}

/// A second session of ada's, which ends others.
fn other_device<'a>(nodes: &'a Nodes) -> Visitor<'a> {
    let mut visitor = nodes.visitor();
    log_in(&mut visitor);
    visitor
}

fn a_logout_holds_everywhere_at_once(backend: Backend) {
    let nodes = Nodes::patient(backend, 2);
    play(&nodes, 200, log_in, |visitor| {
        assert_eq!(visitor.get(0, "/logout").status, 204);
    });
}

fn a_revoked_session_is_dead_everywhere_at_once(backend: Backend) {
    let nodes = Nodes::patient(backend, 3);
    let other = other_device(&nodes);
    play(&nodes, 50, log_in, |visitor| {
        let handle = visitor.text(0, "/handle");
        assert_eq!(other.clone().text(0, &format!("/revoke/ada/{handle}")), "true");
    });
}

fn the_old_id_of_a_regenerated_session_is_dead_everywhere_at_once(backend: Backend) {
    let nodes = Nodes::patient(backend, 3);
    play(&nodes, 50, log_in, |visitor| {
        visitor.text(0, "/regenerate");
        // While the new one works on all of them.
        for node in 0..3 {
            assert_eq!(visitor.text(node, "/user"), "ada");
        }
    });
}

fn the_id_from_before_a_login_is_dead_everywhere_at_once(backend: Backend) {
    let nodes = Nodes::patient(backend, 3);
    play(&nodes, 50, log_in, |visitor| {
        visitor.text(0, "/login/grace");
        for node in 0..3 {
            assert_eq!(visitor.text(node, "/user"), "grace");
        }
    });
}

fn revoke_others_holds_everywhere_at_once(backend: Backend) {
    let nodes = Nodes::patient(backend, 3);
    let mut other = other_device(&nodes);
    play(&nodes, 30, log_in, |_visitor| {
        other.clone().text(0, "/revoke-others");
    });
    assert_eq!(other.text(1, "/user"), "ada", "who ended the others stays");
}

fn revoke_all_holds_everywhere_at_once(backend: Backend) {
    let nodes = Nodes::patient(backend, 3);
    // Somebody who is not ada ends ada's sessions, and keeps her own.
    let mut chief = nodes.visitor();
    chief.text(0, "/login/chief");
    play(&nodes, 30, log_in, |_visitor| {
        chief.clone().text(0, "/revoke-all/ada");
    });
    assert_eq!(chief.text(1, "/user"), "chief");
}

fn revoke_everybody_holds_everywhere_at_once(backend: Backend) {
    let nodes = Nodes::patient(backend, 3);
    let mut anonymous = nodes.visitor();
    anonymous.text(0, "/count");
    play(&nodes, 30, log_in, |_visitor| {
        nodes.visitor().text(0, "/revoke-everybody");
    });
    assert_eq!(anonymous.text(1, "/read"), "1", "anonymous sessions stay");
}

fn a_writer_in_flight_on_another_node_does_not_bring_it_back(backend: Backend) {
    let nodes = Nodes::patient(backend, 2);
    for path in ["/logout", "/destroy"] {
        let mut visitor = nodes.visitor();
        log_in(&mut visitor);
        let before = visitor.clone();
        let mut writer = visitor.begin(1, "/slow/late");
        assert_eq!(visitor.get(0, path).status, 204);
        let late = writer.finish();
        assert_eq!(late.headers("set-cookie"), Vec::<&str>::new(), "{path}: {}", late.head);
        for node in 0..2 {
            assert_eq!(before.clone().text(node, "/get/late"), "none", "{path}, node {node}");
            assert_eq!(before.clone().text(node, "/user"), "nobody", "{path}, node {node}");
        }
    }
}

fn a_login_is_not_undone_by_a_request_in_flight_on_another_node(backend: Backend) {
    let nodes = Nodes::patient(backend, 2);
    let mut visitor = nodes.visitor();
    visitor.text(0, "/count");
    let before = visitor.clone();
    let mut writer = visitor.begin(1, "/slow/late");
    visitor.text(0, "/login/ada");
    let late = writer.finish();
    assert_eq!(late.headers("set-cookie"), Vec::<&str>::new(), "it would replace the new cookie");
    for node in 0..2 {
        assert_eq!(visitor.text(node, "/user"), "ada");
        assert_eq!(visitor.text(node, "/read"), "1", "the data came along");
        assert_eq!(visitor.text(node, "/get/late"), "none");
        assert_eq!(before.clone().text(node, "/user"), "nobody");
    }
}

fn a_logout_ends_the_session_whose_id_another_node_changes_meanwhile(backend: Backend) {
    let nodes = Nodes::patient(backend, 2);
    for path in ["/regenerate", "/rotate", "/login/grace"] {
        let mut visitor = nodes.visitor();
        log_in(&mut visitor);
        let before = visitor.clone();
        let mut leaver = visitor.begin(1, "/slow-logout");
        visitor.text(0, path);
        let answer = leaver.finish();
        assert_eq!(answer.status, 204, "{path}: {}", answer.head);
        let cookies = answer.headers("set-cookie");
        assert!(cookies.len() == 1 && cookies[0].contains("Max-Age=0"), "{path}: {}", answer.head);
        for node in [0, 1] {
            assert_eq!(visitor.clone().text(node, "/user"), "nobody", "{path}, node {node}");
            assert_eq!(before.clone().text(node, "/user"), "nobody", "{path}, node {node}");
        }
    }
}

fn a_logout_and_a_change_of_id_at_once_never_leave_a_success_and_the_session(backend: Backend) {
    let nodes = Nodes::patient(backend, 2);
    let (mut ended, mut refused) = (0, 0);
    for round in 0..60 {
        let path = ["/regenerate", "/rotate"][round % 2];
        let mut visitor = nodes.visitor();
        log_in(&mut visitor);
        let mut leaver = visitor.clone();
        // Connected before, so that both set out at once.
        leaver.text(1, "/user");
        visitor.text(0, "/user");
        let answer = std::thread::scope(|scope| {
            let leaving = scope.spawn(|| leaver.get(1, "/logout"));
            let changed = visitor.get(0, path);
            assert!(matches!(changed.status, 204 | 409), "{path}: {}", changed.head);
            leaving.join().expect("an answer")
        });
        let has_ended = match answer.status {
            204 => true,
            409 => false,
            other => panic!("{path}: {other}"),
        };
        *(if has_ended { &mut ended } else { &mut refused }) += 1;
        for node in [0, 1] {
            let user = visitor.clone().text(node, "/user");
            assert_eq!(user == "nobody", has_ended, "round {round}, {path}, node {node}: {user}");
        }
    }
    eprintln!("{ended} logouts ended the session, {refused} came with an id that had ended");
    assert!(ended > 0);
}
