//! The one date format HTTP still writes (RFC 9110, 5.6.7).

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;

/// 9999-12-31 23:59:59, the last second the format can write.
const LAST_SECOND: u64 = 253_402_300_799;

/// A date as a client may write it, in any of the three formats; `None` if it is none.
pub(crate) fn http_date(value: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` for seconds since 1970; later than year 9999 stays there.
pub(crate) fn imf_fixdate(unix_secs: u64) -> [u8; 29] {
    let time = UNIX_EPOCH + Duration::from_secs(unix_secs.min(LAST_SECOND));
    let mut text = [b' '; 29];
    // The format always fills exactly 29 bytes, so this cannot fail; the tests say so.
    let _ = write!(text.as_mut_slice(), "{}", HttpDate::from(time));
    text
}
