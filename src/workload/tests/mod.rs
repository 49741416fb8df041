//! Whole schedules, from the rows of a data set to what is sent.

mod schedule;
