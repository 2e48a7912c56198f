//! The list extension.

use std::cmp::Ordering;

use super::{
    evaluate::{Evaluated, Run},
    functions::{list, whole},
    value::Val,
};

type Args<'a> = Vec<Val<'a>>;

pub(super) fn slice<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    let [source, start, end] = super::functions::arguments(args)?;
    let (mut list, start, end) = (list(source)?, whole(&start)?, whole(&end)?);
    let (Ok(start), Ok(end)) = (usize::try_from(start), usize::try_from(end)) else {
        return Err("places are not negative".to_owned());
    };
    if start > end || end > list.len() {
        return Err("the places are not within the list".to_owned());
    }
    list.truncate(end);
    Ok(Val::list(list.split_off(start)))
}

pub(super) fn flatten<'a>(_: &Run<'a>, mut args: Args<'a>) -> Evaluated<'a> {
    let levels = if args.len() > 1 { args.pop() } else { None };
    let levels = levels.map_or(Ok(1), |levels| whole(&levels))?;
    let mut flat = list(args.remove(0))?;
    if levels < 0 {
        return Err("the depth is not negative".to_owned());
    }
    for _ in 0..levels {
        if !flat.iter().any(|value| matches!(value, Val::List(_))) {
            break;
        }
        let inner = |value| match value {
            Val::List(list) => list.into_vec(),
            other => vec![other],
        };
        flat = flat.into_iter().flat_map(inner).collect();
    }
    Ok(Val::list(flat))
}

pub(super) fn distinct<'a>(run: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    let [source] = super::functions::arguments(args)?;
    let mut unique: Vec<Val<'a>> = Vec::new();
    for value in list(source)? {
        run.spend(unique.len())?;
        if !unique.iter().any(|known| known.equals(&value)) {
            unique.push(value);
        }
    }
    Ok(Val::list(unique))
}

/// Of a list, or of the characters of a text.
pub(super) fn reverse<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    let [source] = super::functions::arguments(args)?;
    if let Val::Text(text) = &source {
        return Ok(Val::text(text.chars().rev().collect::<String>()));
    }
    let mut list = list(source)?;
    list.reverse();
    Ok(Val::list(list))
}

pub(super) fn sort<'a>(_: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    let [source] = super::functions::arguments(args)?;
    let mut list = list(source)?;
    sort_by(&mut list, |value| value)?;
    Ok(Val::list(list))
}

/// Sorts by a key of each element; the keys are of one type that has an order.
pub(super) fn sort_by<'a, T>(elements: &mut [T], key: impl Fn(&T) -> &Val<'a>) -> Result<(), String> {
    if let Some(first) = elements.first() {
        let first = key(first);
        let ordered = |value: &Val<'a>| value.type_name() == first.type_name() && value.compare(value).is_some();
        if !elements.iter().all(|element| ordered(key(element))) {
            return Err(
                "what is sorted is of one type that has an order, and holds no null (compact removes them)".to_owned(),
            );
        }
    }
    elements.sort_by(|a, b| key(a).compare(key(b)).unwrap_or(Ordering::Equal));
    Ok(())
}

pub(super) fn range<'a>(run: &Run<'a>, args: Args<'a>) -> Evaluated<'a> {
    let [size] = super::functions::arguments(args)?;
    let size = whole(&size)?;
    run.spend(usize::try_from(size).map_err(|_| "the size is not negative")?)?;
    Ok(Val::list((0..size).map(Val::Int).collect()))
}
