//! The chat, with two visitors in two real browsers, one of them in two tabs.

use crate::examples::chat;
use crate::support::{Chromium, PATIENCE, Tab, serve, wait_until};

/// Writes a text into a form and sends it.
fn submit(tab: &Tab<'_>, form: &str, text: &str) {
    tab.run(&format!(
        "const form = document.getElementById({form:?});
         form.elements.text.value = {text:?};
         form.requestSubmit();"
    ));
}

/// A tab of somebody who says their name at the door.
fn enter<'a>(chromium: &'a Chromium, url: &str, name: &str) -> Tab<'a> {
    let tab = chromium.open(url);
    submit(&tab, "door", name);
    wait_until("the room opens", PATIENCE, || tab.text("#me") == name);
    tab
}

#[test]
fn two_visitors_hear_each_other_in_all_their_tabs() {
    let (Some(adas), Some(bobs)) = (Chromium::start(), Chromium::start()) else { return };
    let server = serve("", chat::routes);
    let url = format!("http://{}/", server.addr());
    let ada = enter(&adas, &url, "ada");
    submit(&ada, "say", "anybody here?");
    ada.wait_for("#lines li:last-child", "ada anybody here?");
    let bob = enter(&bobs, &url, "bob");
    bob.wait_for("#lines li:last-child", "ada anybody here?");
    let bob_too = bobs.open(&url);
    bob_too.wait_for("#me", "bob");

    // What is said is text, to everybody.
    let evil = "<img src=x onerror='document.title = `taken`'><b>&amp;";
    submit(&bob, "say", evil);
    for tab in [&ada, &bob, &bob_too] {
        tab.wait_for("#lines li:last-child", &format!("bob {evil}"));
        let state = "return [document.images.length, document.title]";
        assert_eq!(tab.run(state), serde_json::json!([0, "maypole: chat"]));
    }
    assert_eq!(bob.run("return document.querySelector('#say input').value"), "");

    // A new name is in the other tab, too, before anything is said.
    submit(&bob_too, "rename", "Bob <Builder>");
    for tab in [&bob, &bob_too] {
        tab.wait_for("#me", "Bob <Builder>");
    }
    ada.wait_for("#lines li:last-child", "bob is now Bob <Builder>");
    submit(&bob, "say", "better");
    ada.wait_for("#lines li:last-child", "Bob <Builder> better");

    // Who leaves has left in all tabs, and nobody else has.
    bob.click("#leave");
    for tab in [&bob, &bob_too] {
        tab.wait_for("#door button", "Come in");
    }
    submit(&ada, "say", "alone again");
    ada.wait_for("#lines li:last-child", "ada alone again");
}

#[test]
fn tabs_show_the_last_lines_only() {
    let Some(chromium) = Chromium::start() else { return };
    let server = serve("", chat::routes);
    let url = format!("http://{}/", server.addr());
    let first = enter(&chromium, &url, "ada");
    first.run(
        "const form = document.getElementById('say');
         for (let number = 1; number <= 60; number++) {
             form.elements.text.value = number;
             form.requestSubmit();
         }",
    );
    first.wait_for("#lines li:last-child", "ada 60");
    let second = chromium.open(&url);
    second.wait_for("#lines li:last-child", "ada 60");
    for tab in [&first, &second] {
        tab.wait_for("#lines li:first-child", "ada 11");
    }
}
