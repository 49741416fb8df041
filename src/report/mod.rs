//! Values in, view out, in many faces: terminal, markdown, HTML, CSV, JSON.
//!
//! Nothing here reads a file, a clock or the environment: the same input gives the same bytes.

pub(crate) mod cell_name;
pub mod compare;
pub mod csv;
pub(crate) mod decision;
pub(crate) mod export;
pub mod figure;
pub(crate) mod history;
pub mod html;
pub mod input;
pub mod json;
pub mod junit;
pub mod long_csv;
pub mod markdown;
pub mod number;
pub mod original;
mod packed;
mod page;
pub(crate) mod python;
pub mod template;
pub mod template_variables;
pub mod terminal;
pub mod untrusted;
pub mod view;

#[cfg(test)]
mod tests;
