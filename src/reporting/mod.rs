//! Reports: what became of it all, counted from what is stored and never stored itself (R18–R24, R28).

pub mod follow_up_status;
pub mod lessons;
pub mod statistics;
