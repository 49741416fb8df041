//! Panics of a library over bytes that are damaged: they are caught, and nobody is told of a defect.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Does something with bytes that are not trusted; `None` where it panics.
pub(super) fn caught<T>(read: impl FnOnce() -> T) -> Option<T> {
    let before = IS_CAUGHT.replace(true);
    let done = catch_unwind(AssertUnwindSafe(read)).ok();
    IS_CAUGHT.set(before);
    done
}

/// Whether a panic of this thread would be caught: it is no defect, and whoever reads tells of it.
pub(crate) fn is_caught() -> bool {
    IS_CAUGHT.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_known_as_caught_while_it_is_one() {
        assert!(!is_caught());
        assert_eq!(caught(is_caught), Some(true));
        let nested = caught(|| (caught(|| panic!("its lengths are odd")), is_caught()));
        assert_eq!(nested, Some((None::<()>, true)));
        assert!(!is_caught());
    }
}
