//! The laptop's commands, and the plugin of kubectl.

pub mod kubectl;
