//! What was asked, as written and layered; engine presets.
