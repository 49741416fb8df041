//! Values in, view out, in many faces: terminal, markdown, HTML, CSV, JSON.
//!
//! Nothing here reads a file, a clock or the environment: the same input gives the same bytes.

pub(crate) mod cell_name;
pub(crate) mod compare;
pub(crate) mod csv;
pub(crate) mod decision;
pub(crate) mod export;
pub(crate) mod figure;
pub(crate) mod history;
pub(crate) mod html;
pub(crate) mod input;
pub(crate) mod json;
pub(crate) mod junit;
pub(crate) mod long_csv;
pub(crate) mod markdown;
pub(crate) mod number;
pub(crate) mod original;
mod packed_rows;
mod page;
pub(crate) mod python;
pub(crate) mod template;
pub(crate) mod template_variables;
pub(crate) mod terminal;
pub(crate) mod untrusted;
pub(crate) mod view;

#[cfg(test)]
mod tests;
