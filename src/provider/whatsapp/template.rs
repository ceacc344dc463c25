//! An approved template with all that is filled in.
//!
//! The header's media and the parameters of text are from the pages on message templates (developers.facebook.com/
//! documentation/business-messaging/whatsapp/templates), currencies and dates from the template object of Meta's own SDK
//! (whatsapp.github.io/WhatsApp-Nodejs-SDK/api-reference/types/TemplateObject), the copied code from the page on coupon code
//! templates. Of a date the Cloud API shows the words alone. How the other buttons are filled in is recalled.

use serde::Serialize;

use crate::api::content::{
    WhatsAppButtonType, WhatsAppComponent, WhatsAppComponentType, WhatsAppCurrency, WhatsAppDocument, WhatsAppMedia,
    WhatsAppParameter, WhatsAppTemplate,
};
use crate::provider::{EncodeError, is_link, last_piece, not_a_link};

/// The longest code that a button copies, in characters (page on coupon code templates, 3 Dec 2025).
const MAX_COUPON_CODE: usize = 20;
/// The most digits of an amount before its point: its thousandths fit 64 bits with room to spare.
const MAX_WHOLE_DIGITS: usize = 12;
/// The digits of an amount behind its point: it is told in thousandths.
const DECIMALS: usize = 3;

/// A template as the API takes it.
#[derive(Serialize)]
pub(super) struct Template<'a> {
    name: &'a str,
    language: Language<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    components: Vec<Component<'a>>,
}

#[derive(Serialize)]
struct Language<'a> {
    code: &'a str,
}

#[derive(Serialize)]
struct Component<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<String>,
    parameters: Vec<Parameter<'a>>,
}

#[derive(Serialize)]
struct Parameter<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter_name: Option<&'a str>,
    #[serde(flatten)]
    filled: Filled<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Filled<'a> {
    Text { text: &'a str },
    Payload { payload: &'a str },
    Image { image: Link<'a> },
    Video { video: Link<'a> },
    Document { document: Link<'a> },
    Currency { currency: Currency<'a> },
    DateTime { date_time: DateTime<'a> },
    CouponCode { coupon_code: &'a str },
}

#[derive(Serialize)]
struct Link<'a> {
    link: &'a str,
    /// What a document is called in the chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<&'a str>,
}

#[derive(Serialize)]
struct Currency<'a> {
    fallback_value: &'a str,
    code: &'a str,
    amount_1000: u64,
}

#[derive(Serialize)]
struct DateTime<'a> {
    fallback_value: &'a str,
}

/// # Errors
/// [`EncodeError`] for what is empty after rendering, or is not of its kind.
pub(super) fn fill(template: &WhatsAppTemplate) -> Result<Template<'_>, EncodeError> {
    let components = template.components.iter().map(component).collect::<Result<_, _>>()?;
    Ok(Template { name: &template.name, language: Language { code: &template.language }, components })
}

fn component(component: &WhatsAppComponent) -> Result<Component<'_>, EncodeError> {
    let parameters = component.parameters.iter().map(parameter).collect::<Result<Vec<_>, _>>()?;
    let is_alone = |parameter: &Parameter<'_>| {
        matches!(parameter.filled, Filled::Image { .. } | Filled::Video { .. } | Filled::Document { .. })
    };
    if parameters.len() > 1 && component.kind == WhatsAppComponentType::Button {
        return Err(refused("a button of the template has more than one parameter"));
    }
    if parameters.len() > 1 && parameters.iter().any(is_alone) {
        return Err(refused("the header of the template has something beside its picture, film or document"));
    }
    Ok(Component {
        kind: match component.kind {
            WhatsAppComponentType::Header => "header",
            WhatsAppComponentType::Body => "body",
            WhatsAppComponentType::Button => "button",
        },
        sub_type: component.sub_type.map(|kind| match kind {
            WhatsAppButtonType::QuickReply => "quick_reply",
            WhatsAppButtonType::Url => "url",
            // In capitals on the page that documents it.
            WhatsAppButtonType::CopyCode => "COPY_CODE",
        }),
        index: component.index.map(|index| index.to_string()),
        parameters,
    })
}

fn refused(problem: &str) -> EncodeError {
    EncodeError::Request(problem.to_owned())
}

fn parameter(parameter: &WhatsAppParameter) -> Result<Parameter<'_>, EncodeError> {
    let WhatsAppParameter { name, text, payload, image, video, document, currency, date_time, coupon_code } = parameter;
    let filled = if let Some(text) = text {
        Filled::Text { text: said(text)? }
    } else if let Some(payload) = payload {
        Filled::Payload { payload: said(payload)? }
    } else if let Some(WhatsAppMedia { url }) = image {
        Filled::Image { image: link(url, None)? }
    } else if let Some(WhatsAppMedia { url }) = video {
        Filled::Video { video: link(url, None)? }
    } else if let Some(WhatsAppDocument { url, filename }) = document {
        Filled::Document { document: link(url, filename.as_deref().map(said).transpose()?.or(last_piece(url)))? }
    } else if let Some(currency) = currency {
        Filled::Currency { currency: money(currency)? }
    } else if let Some(date_time) = date_time {
        Filled::DateTime { date_time: DateTime { fallback_value: said(date_time)? } }
    } else {
        Filled::CouponCode { coupon_code: copied(coupon_code.as_deref().unwrap_or_default())? }
    };
    Ok(Parameter { parameter_name: name.as_deref(), filled })
}

fn said(text: &str) -> Result<&str, EncodeError> {
    match text.trim().is_empty() {
        true => Err(refused("a parameter of the template is empty after rendering")),
        false => Ok(text),
    }
}

fn link<'a>(url: &'a str, filename: Option<&'a str>) -> Result<Link<'a>, EncodeError> {
    match is_link(url) {
        true => Ok(Link { link: url, filename }),
        false => Err(not_a_link("the url in the header of the template")),
    }
}

fn money(currency: &WhatsAppCurrency) -> Result<Currency<'_>, EncodeError> {
    let amount_1000 = thousandths(currency.amount.trim()).ok_or_else(|| {
        refused(
            "the amount of a currency must be a decimal number such as 12.99 after rendering, with a point, at most 12 digits \
             before and 3 behind it",
        )
    })?;
    Ok(Currency { fallback_value: said(&currency.fallback)?, code: &currency.code, amount_1000 })
}

/// A decimal number in thousandths, digit by digit, so that no amount is off.
fn thousandths(amount: &str) -> Option<u64> {
    let (whole, fraction) = match amount.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return None,
        None => (amount, ""),
    };
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > MAX_WHOLE_DIGITS || fraction.len() > DECIMALS {
        return None;
    }
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    format!("{whole}{fraction:0<DECIMALS$}").parse().ok()
}

fn copied(code: &str) -> Result<&str, EncodeError> {
    let code = code.trim();
    let fits = (1..=MAX_COUPON_CODE).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match fits {
        true => Ok(code),
        false => Err(refused("the couponCode of the template must be 1 to 20 letters and digits after rendering")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_told_in_thousandths_and_never_off() {
        for (amount, expected) in
            [("12.99", 12_990), ("0.001", 1), ("7", 7_000), ("007.5", 7_500), ("999999999999.999", 999_999_999_999_999)]
        {
            assert_eq!(thousandths(amount), Some(expected), "{amount}");
        }
        for odd in ["", ".", "1.", ".5", "-1", "+1", "1,5", "1.2345", "1e3", "1 000", "1000000000000", "1.2.3", "Ana"] {
            assert_eq!(thousandths(odd), None, "{odd}");
        }
    }
}
