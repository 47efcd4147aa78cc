//! The driver from the outside, and what every paper must pass: records, resumption, messages, exit codes.

mod data;
mod driver;
mod endings;
mod messages;
mod papers;
mod resume;
