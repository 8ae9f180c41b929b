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
