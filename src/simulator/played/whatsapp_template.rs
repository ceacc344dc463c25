//! What WhatsApp looks at in a template that is sent: every parameter is of its kind, and stands where it may.

use serde_json::Value;

use super::is_link;

/// The longest code that a button copies.
const MAX_COUPON_CODE: usize = 20;

/// The template's name and what was filled in, as a text for the record; otherwise what is wrong with it.
pub(super) fn read(template: Option<&Value>) -> Result<String, &'static str> {
    let name = template.and_then(|template| template.get("name")).and_then(Value::as_str).unwrap_or_default();
    let language = template.and_then(|template| template.pointer("/language/code")).and_then(Value::as_str);
    if name.is_empty() || language.is_none_or(str::is_empty) {
        return Err("The parameters template['name'] and template['language']['code'] are required.");
    }
    let mut text = name.to_owned();
    for component in list(template.and_then(|template| template.get("components"))) {
        let parameters = list(component.get("parameters"));
        if parameters.is_empty() {
            return Err("A component of the template has no parameters.");
        }
        for parameter in parameters {
            text.push_str(" | ");
            text.push_str(&filled(component, parameter)?);
        }
    }
    Ok(text)
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// What was filled in for one variable.
fn filled(component: &Value, parameter: &Value) -> Result<String, &'static str> {
    let text = |pointer: &str| {
        let text = parameter.pointer(pointer).and_then(Value::as_str);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let place = component.get("type").and_then(Value::as_str).unwrap_or_default();
    let button = component.get("sub_type").and_then(Value::as_str).unwrap_or_default();
    match (parameter.get("type").and_then(Value::as_str).unwrap_or_default(), place, button) {
        ("text", "header" | "body", "") | ("text", "button", "url") => text("/text"),
        ("payload", "button", "quick_reply") => text("/payload"),
        (media @ ("image" | "video" | "document"), "header", "") => {
            text(&format!("/{media}/link")).filter(|link| is_link(link)).map(|link| format!("{media} {link}"))
        }
        ("currency", "header" | "body", "") => {
            let is_amount = parameter.pointer("/currency/amount_1000").is_some_and(Value::is_i64);
            text("/currency/fallback_value").filter(|_| is_amount && text("/currency/code").is_some())
        }
        ("date_time", "header" | "body", "") => text("/date_time/fallback_value"),
        ("coupon_code", "button", "COPY_CODE") => text("/coupon_code")
            .filter(|code| code.len() <= MAX_COUPON_CODE && code.bytes().all(|byte| byte.is_ascii_alphanumeric())),
        _ => None,
    }
    .ok_or("A parameter of the template is missing, of another kind, or not where it may stand.")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_part(part: Value) -> Result<String, &'static str> {
        read(Some(&json!({"name": "sale", "language": {"code": "en"}, "components": [part]})))
    }

    #[test]
    fn a_template_is_read_with_all_that_is_filled_in() {
        let header =
            json!({"type": "header", "parameters": [{"type": "image", "image": {"link": "https://a.example/1"}}]});
        assert_eq!(read_part(header).unwrap(), "sale | image https://a.example/1");
        let body = json!({"type": "body", "parameters": [
            {"type": "text", "text": "Ana"},
            {"type": "currency", "currency": {"fallback_value": "1 EUR", "code": "EUR", "amount_1000": 1_000}},
            {"type": "date_time", "date_time": {"fallback_value": "Monday"}},
        ]});
        assert_eq!(read_part(body).unwrap(), "sale | Ana | 1 EUR | Monday");
        let code = json!([{"type": "coupon_code", "coupon_code": "25OFF"}]);
        let button = json!({"type": "button", "sub_type": "COPY_CODE", "index": "0", "parameters": code});
        assert_eq!(read_part(button).unwrap(), "sale | 25OFF");
    }

    #[test]
    fn what_whatsapp_would_refuse_is_refused() {
        let image = json!([{"type": "image", "image": {"link": "https://a.example/1"}}]);
        let bad_link = json!([{"type": "image", "image": {"link": "a.example"}}]);
        let amount = json!({"fallback_value": "1 EUR", "code": "EUR", "amount_1000": "1000"});
        let payload = json!([{"type": "payload", "payload": "stop"}]);
        let code = json!([{"type": "coupon_code", "coupon_code": "25-OFF"}]);
        for part in [
            json!({"type": "body", "parameters": image}),
            json!({"type": "header", "parameters": bad_link}),
            json!({"type": "body", "parameters": [{"type": "currency", "currency": amount}]}),
            json!({"type": "body", "parameters": [{"type": "text"}]}),
            json!({"type": "body", "parameters": []}),
            json!({"type": "button", "sub_type": "url", "index": "0", "parameters": payload}),
            json!({"type": "button", "sub_type": "COPY_CODE", "index": "0", "parameters": code}),
        ] {
            assert!(read_part(part.clone()).is_err(), "{part}");
        }
        assert!(read(Some(&json!({"language": {"code": "en"}}))).is_err());
        assert!(read(None).is_err());
    }
}
