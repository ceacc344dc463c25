//! The recipients written in a broadcast itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::place::{Place, Refusal, RowError, Spot};
use super::recipient::{ID, MAX_VARIABLES, Recipient, canonical_id, check_name, check_variable, too_many_variables};

/// The inline list as a source: pairs of id and variables, in order. `source_name` is the path of the list, such as
/// `spec.audience.recipients`; errors name the item by its index.
pub fn inline(
    source_name: &str,
    recipients: Vec<(String, BTreeMap<String, String>)>,
) -> impl Iterator<Item = Result<Recipient, RowError>> + Send + use<> {
    let source: Arc<str> = source_name.into();
    recipients.into_iter().enumerate().map(move |(index, (id, vars))| {
        let place = Place::item(source.clone(), index);
        match accept(&id, vars) {
            Ok((id, vars)) => Ok(Recipient { id, vars, place }),
            Err(refusal) => Err(refusal.at(place)),
        }
    })
}

fn accept(id: &str, mut vars: BTreeMap<String, String>) -> Result<(String, BTreeMap<String, String>), Refusal> {
    let id = canonical_id(id)
        .map_err(|error| Refusal::new(Spot::Field(ID.to_owned()), error.to_string(), error.remedy()))?
        .to_owned();
    vars.retain(|_, value| !value.is_empty());
    if vars.len() > MAX_VARIABLES {
        return Err(too_many_variables(vars.len()));
    }
    for (name, value) in &vars {
        check_name(name, Spot::Field("vars".to_owned()))?;
        check_variable(name, value)
            .map_err(|(problem, remedy)| Refusal::new(Spot::Field(format!("vars.{name}")), problem, remedy))?;
    }
    Ok((id, vars))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    fn one(id: &str, vars: &[(&str, &str)]) -> Result<Recipient, String> {
        let vars = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        inline("spec.audience.recipients", vec![(id.to_owned(), vars)])
            .next()
            .unwrap()
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_value_is_an_absent_variable_and_the_id_is_trimmed() {
        let recipient = one(" 24005550001 ", &[("first_name", ""), ("city", "Köln")]).unwrap();
        assert_eq!(recipient.id, "24005550001");
        assert_eq!(recipient.vars, BTreeMap::from([("city".to_owned(), "Köln".to_owned())]));
        assert_eq!(recipient.place.to_string(), "spec.audience.recipients[0]");
    }

    #[test]
    fn items_are_refused_by_index_and_field() {
        let names: Vec<String> = (0..=MAX_VARIABLES).map(|number| format!("v{number}")).collect();
        let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
        let long = "x".repeat(5_000);
        let cases: [(&str, Pairs<'_>, &str); 4] = [
            (
                " ",
                &[],
                "spec.audience.recipients[0], field id: the id is empty; give every row the recipient's id at the \
                 provider, or remove the row",
            ),
            (
                "1",
                &[("first name", "Ana")],
                "spec.audience.recipients[0], field vars: the name \"first name\" has other characters than letters, \
                 digits and _; rename it, for example to first_name",
            ),
            (
                "1",
                &[("note", &long)],
                "spec.audience.recipients[0], field vars.note: the value has 5000 characters, at most 4096 are taken; \
                 shorten it, and check that no quote is left open",
            ),
            (
                "1",
                &many,
                "spec.audience.recipients[0]: there are 33 variables beside id, at most 32 are taken; remove those \
                 the message does not use",
            ),
        ];
        for (id, vars, expected) in cases {
            assert_eq!(one(id, vars).unwrap_err(), expected);
        }
    }
}
