//! Run directory in, view out, in many faces: terminal, markdown, HTML, CSV, JSON.
