//! Engines that live in this binary, behind the same HTTP door as any other.
