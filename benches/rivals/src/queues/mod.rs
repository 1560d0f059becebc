//! The queues, each used in the way its documentation shows to be its fastest.

pub(crate) mod bytes;
pub(crate) mod items;
pub(crate) mod lane;
