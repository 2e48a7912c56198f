//! The math extension.

use std::cmp::Ordering;

use super::{
    evaluate::{Evaluated, Run},
    functions::{arguments, whole},
    value::Val,
};

type Args<'a> = Vec<Val<'a>>;

pub(super) fn ceil<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    on_double(args, |x| Val::Double(x.ceil()))
}

pub(super) fn floor<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    on_double(args, |x| Val::Double(x.floor()))
}

/// Half away from zero.
pub(super) fn round<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    on_double(args, |x| Val::Double(x.round()))
}

pub(super) fn trunc<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    on_double(args, |x| Val::Double(x.trunc()))
}

pub(super) fn is_nan<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    on_double(args, |x| Val::Bool(x.is_nan()))
}

pub(super) fn is_inf<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    on_double(args, |x| Val::Bool(x.is_infinite()))
}

pub(super) fn is_finite<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    on_double(args, |x| Val::Bool(x.is_finite()))
}

pub(super) fn sqrt<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    let [number] = arguments(args)?;
    #[expect(clippy::cast_precision_loss, reason = "a root is a double")]
    match number {
        Val::Int(x) => Ok(Val::Double((x as f64).sqrt())),
        other => on_double(vec![other], |x| Val::Double(x.sqrt())),
    }
}

pub(super) fn abs<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    let [number] = arguments(args)?;
    match number {
        Val::Int(x) => x
            .checked_abs()
            .map(Val::Int)
            .ok_or_else(|| "a whole number goes beyond 64 bits".to_owned()),
        other => on_double(vec![other], |x| Val::Double(x.abs())),
    }
}

pub(super) fn sign<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    let [number] = arguments(args)?;
    match number {
        Val::Int(x) => Ok(Val::Int(x.signum())),
        other => on_double(vec![other], |x| Val::Double(if x == 0.0 { 0.0 } else { x.signum() })),
    }
}

pub(super) fn greatest<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    extreme(args, Ordering::Greater)
}

pub(super) fn least<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    extreme(args, Ordering::Less)
}

pub(super) fn bit_and<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    on_bits(args, |a, b| Ok(a & b))
}

pub(super) fn bit_or<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    on_bits(args, |a, b| Ok(a | b))
}

pub(super) fn bit_xor<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    on_bits(args, |a, b| Ok(a ^ b))
}

pub(super) fn bit_not<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    let [number] = arguments(args)?;
    whole(&number).map(|x| Val::Int(!x))
}

pub(super) fn shift_left<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    on_bits(args, |x, by| Ok(x.checked_shl(places(by)?).unwrap_or(0)))
}

/// Fills with zeros, as CEL has it.
pub(super) fn shift_right<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    on_bits(args, |x, by| {
        let shifted = x.cast_unsigned().checked_shr(places(by)?).unwrap_or(0);
        Ok(shifted.cast_signed())
    })
}

fn places(by: i64) -> Result<u32, String> {
    if by < 0 {
        return Err("the shift is not negative".to_owned());
    }
    Ok(u32::try_from(by).unwrap_or(u32::MAX))
}

fn on_bits(args: Args<'_>, of: fn(i64, i64) -> Result<i64, String>) -> Evaluated<'_> {
    let [a, b] = arguments(args)?;
    of(whole(&a)?, whole(&b)?).map(Val::Int)
}

fn on_double<'a>(args: Args<'a>, of: fn(f64) -> Val<'a>) -> Evaluated<'a> {
    let [number] = arguments(args)?;
    match number {
        Val::Double(x) => Ok(of(x)),
        other => Err(format!("takes double, not {}", other.type_name())),
    }
}

/// Of the arguments, which the parser made a list, or of the one list. A null among the arguments makes it null.
fn extreme(args: Args<'_>, wanted: Ordering) -> Evaluated<'_> {
    let [numbers] = arguments(args)?;
    let numbers = match numbers {
        Val::List(list) => list.into_vec(),
        single => vec![single],
    };
    if numbers.iter().any(Val::is_null) {
        return Ok(Val::Null);
    }
    let mut extreme: Option<Val<'_>> = None;
    for number in numbers {
        if !matches!(number, Val::Int(_) | Val::Double(_)) {
            return Err(format!("takes numbers, not {}", number.type_name()));
        }
        let beats = |best: &Val<'_>| number.compare(best) == Some(wanted);
        if extreme.as_ref().is_none_or(beats) {
            extreme = Some(number);
        }
    }
    extreme.ok_or_else(|| "the list is empty".to_owned())
}
