//! Lists on their way to becoming text: paid for before the text is made, whereas the engine makes it and then charges.

use minijinja::value::{Kwargs, StringInput, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, filters};

use super::filters::argument;

/// What a value takes in text beside its own characters: quotes, a comma, a blank.
const AROUND: usize = 4;
/// The characters of a text may each become six, as in `&quot;` and `\u0026`.
const ESCAPED: usize = 6;
/// One unit of work is counted for so many bytes.
const BYTES_A_UNIT: usize = 64;
/// The most blanks a level of JSON is indented by.
const MAX_INDENT: usize = 8;

type OfList = fn(&State<'_, '_>, Value, Kwargs) -> Result<Value, Error>;

pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("join", join);
    let read_whole: [(&str, OfList); 4] =
        [("max", filters::max), ("min", filters::min), ("sort", filters::sort), ("unique", filters::unique)];
    for (name, filter) in read_whole {
        environment.add_filter(name, move |state: &State<'_, '_>, list: Value, names: Kwargs| {
            weigh(state, &list)?;
            filter(state, list, names)
        });
    }
    environment.add_filter("tojson", tojson);
}

/// Ends the rendering if the text of a list would be more than the rest of its work may make, or if something in it is missing.
/// The list itself costs nothing of that work: its text will.
pub(super) fn afford(state: &State<'_, '_>, value: &Value) -> Result<(), Error> {
    if !is_list(value) && !value.is_undefined() {
        return Ok(());
    }
    let Some((_, units)) = state.fuel_levels() else { return Ok(()) };
    let mut room = usize::try_from(units).unwrap_or(usize::MAX).saturating_mul(BYTES_A_UNIT);
    spend(value, &mut room)
}

/// The same of a list whose texts are read to put them in order: what they hold is paid for.
fn weigh(state: &State<'_, '_>, list: &Value) -> Result<(), Error> {
    afford(state, list)?;
    let bytes: usize = match is_list(list) {
        true => list.try_iter()?.map(|item| item.as_str().map_or(0, str::len)).sum(),
        false => 0,
    };
    state.consume_fuel((bytes / BYTES_A_UNIT) as u64)
}

fn is_list(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::Iterable)
}

/// Takes what the value needs of the room, and stops where there is none. Every value needs some, so it ends.
fn spend(value: &Value, room: &mut usize) -> Result<(), Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let own = value.as_str().map_or(AROUND, |text| text.len().saturating_mul(ESCAPED) + AROUND);
    *room = room.checked_sub(own).ok_or_else(|| Error::from(ErrorKind::OutOfFuel))?;
    if !is_list(value) {
        return Ok(());
    }
    for item in value.try_iter()? {
        spend(&item, room)?;
        if value.kind() == ValueKind::Map {
            spend(&value.get_item(&item)?, room)?;
        }
    }
    Ok(())
}

fn join(
    state: &mut State<'_, '_>,
    list: &Value,
    joiner: Option<StringInput<'_>>,
    attribute: Option<&str>,
    names: Kwargs,
) -> Result<Value, Error> {
    afford(state, list)?;
    filters::join(state, list, joiner, attribute, names)
}

fn tojson(state: &State<'_, '_>, value: &Value, indent: Option<Value>, names: Kwargs) -> Result<Value, Error> {
    afford(state, value)?;
    let blanks = match &indent {
        Some(indent) => Some(indent.clone()),
        None => names.peek("indent").ok(),
    };
    if blanks.and_then(|blanks| blanks.as_i64()).is_some_and(|blanks| blanks > MAX_INDENT as i64) {
        return Err(argument(format_args!("JSON is indented by at most {MAX_INDENT}")));
    }
    filters::tojson(value, indent, names)
}
