//! Export files: one CSV or JSON Lines file per source object.
