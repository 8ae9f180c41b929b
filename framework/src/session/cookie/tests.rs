//! The exact bytes of `Set-Cookie`.

use std::time::{Duration, SystemTime};

use super::{CookiePolicy, Lifetime, Presented, SameSite, SessionId};

const ID: [u8; 32] = [0; 32];

fn set(policy: &CookiePolicy, left: u64) -> String {
    set_for(policy, Lifetime::Configured, left)
}

fn set_for(policy: &CookiePolicy, lifetime: Lifetime, left: u64) -> String {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    policy.set(&SessionId::from_bytes(ID), lifetime, now + Duration::from_secs(left), now)
}

#[test]
fn the_default_cookie() {
    let value = "A".repeat(43);
    assert_eq!(
        set(&CookiePolicy::default(), 86_400),
        format!(
            "__Host-session={value}; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=86400; \
             Expires=Mon, 10 Sep 2001 01:46:40 GMT"
        )
    );
    assert_eq!(
        CookiePolicy::default().delete(),
        "__Host-session=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0; \
         Expires=Thu, 01 Jan 1970 00:00:00 GMT"
    );
}

#[test]
fn every_attribute_is_repeated_in_the_deletion() {
    let policy = CookiePolicy {
        name: "id".to_owned(),
        path: "/app".to_owned(),
        domain: Some("example.org".to_owned()),
        secure: true,
        http_only: false,
        same_site: SameSite::None,
        partitioned: true,
        ..CookiePolicy::default()
    };
    let (set, delete) = (set(&policy, 86_400), policy.delete());
    for attribute in
        ["; SameSite=None", "; Partitioned", "; Secure", "; Path=/app", "; Domain=example.org"]
    {
        assert!(set.contains(attribute), "{set}");
        assert!(delete.contains(attribute), "{delete}");
    }
    assert!(!set.contains("HttpOnly"));
}

#[test]
fn the_cookie_lives_no_longer_than_the_session_nor_than_400_days() {
    let policy = CookiePolicy { lifespan: Duration::from_secs(u64::MAX), ..Default::default() };
    assert!(set(&policy, 100).contains("Max-Age=100;"));
    assert!(set(&policy, u64::from(u32::MAX)).contains("Max-Age=34560000;"));
    let browser = CookiePolicy { lifespan: Duration::ZERO, ..Default::default() };
    assert!(!set(&browser, 100).contains("Max-Age") && !set(&browser, 100).contains("Expires"));
}

#[test]
fn a_session_with_a_lifetime_of_its_own_has_a_cookie_that_agrees() {
    let (day, week) = (CookiePolicy::default(), 7 * 86_400);
    let browser = CookiePolicy { lifespan: Duration::ZERO, ..Default::default() };
    assert!(set(&day, week).contains("Max-Age=86400;"));
    assert!(set_for(&day, Lifetime::Own, week).contains("Max-Age=604800;"));
    assert!(set_for(&day, Lifetime::Own, 60).contains("Max-Age=60;"));
    assert!(set_for(&day, Lifetime::Remembered, week).contains("Max-Age=604800;"));
    assert!(!set_for(&browser, Lifetime::Own, week).contains("Max-Age"));
    assert!(set_for(&browser, Lifetime::Remembered, week).contains("Max-Age=604800;"));
    assert!(set_for(&day, Lifetime::Remembered, 500 * 86_400).contains("Max-Age=34560000;"));
}

#[test]
fn only_values_of_the_right_length_are_kept() {
    let id = "A".repeat(43);
    let long = "A".repeat(44);
    let cookies = [("s", id.as_str()), ("other", &id), ("s", ""), ("s", &id), ("s", &long)];
    let presented = Presented::new(cookies, "s", 3);
    let (ids, malformed) = presented.parse();
    assert_eq!((ids.count(), malformed), (1, 1));
    assert!(presented.successor().is_none());
}

#[test]
fn a_successor_comes_under_its_own_name_and_the_first_counts() {
    let (id, next, later) = ("A".repeat(43), "B".repeat(42) + "A", "C".repeat(42) + "A");
    assert_eq!(CookiePolicy::default().successor().name, "__Host-session-next");
    let of = |cookies: &[(&str, &str)]| Presented::new(cookies.iter().copied(), "s", 1).successor();
    let parse = |text: &str| SessionId::parse(text.as_bytes());
    assert!(of(&[("s", &id), ("s-next", &next), ("s-next", &later)]) == parse(&next));
    assert!(of(&[("s-next", &next), ("s", &id)]) == parse(&next));
    for cookies in [
        [("s", id.as_str()), ("s-nextt", &next)],
        [("s", &id), ("xs-next", &next)],
        [("s", &id), ("s-next", "short")],
    ] {
        assert!(of(&cookies).is_none(), "{cookies:?}");
    }
}
