//! Bounds on time and number: who is too slow is cut, who is one too many is told so, and the
//! others are served meanwhile.

mod crowds;
mod floods;
mod parking;
mod slowness;
