//! Colours of a terminal. Pure.

/// What a piece of text means.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ink {
    Bold,
    Dim,
    Green,
    Yellow,
    Red,
}

/// The text in its colour, where there are colours.
pub(super) fn paint(colour: bool, ink: Ink, text: &str) -> String {
    if !colour {
        return text.to_owned();
    }
    let code = match ink {
        Ink::Bold => 1,
        Ink::Dim => 2,
        Ink::Red => 31,
        Ink::Green => 32,
        Ink::Yellow => 33,
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}
