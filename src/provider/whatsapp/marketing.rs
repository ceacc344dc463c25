//! Who has stopped the marketing messages of a business. Templates of utility and authentication are still for them.
//!
//! They press a button in the chat for it. WhatsApp refuses them marketing templates from then on, mostly later by a call-back
//! (131050), and tells it by the webhook `user_preferences`, as it does when they resume (developers.facebook.com/documentation/
//! business-messaging/whatsapp/webhooks/reference/user_preferences, 21 May 2026).

use crate::api::Content;
use crate::api::content::WhatsAppTemplateCategory;

/// What a contact who has stopped them is tagged with, for everybody to see and, where it is wrong, to take away.
pub const MARKETING_STOPPED_TAG: &str = "whatsapp-marketing-stopped";

/// Whether a message is for those too who have stopped marketing messages.
///
/// What they have said no to is marketing alone: to take it for an [opt-out](crate::delivery::outcome::PermanentScope::OptedOut)
/// would keep from them the order, the appointment and the code that they wait for. To go on asking WhatsApp with every campaign
/// would set their objection aside, which the law gives them against whoever advertises, and would count as sent what
/// never arrives. So everything passes them by but what its author declares to be no marketing; what nobody has declared,
/// a text as well, may be some.
pub fn is_for_those_who_stopped(content: &Content) -> bool {
    let template = content.whatsapp.as_ref().and_then(|own| own.template.as_ref());
    template.is_some_and(|template| match template.category {
        WhatsAppTemplateCategory::Marketing => false,
        WhatsAppTemplateCategory::Utility | WhatsAppTemplateCategory::Authentication => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tag::is_tag;

    #[test]
    fn only_what_is_declared_to_be_no_marketing_is_for_those_who_have_stopped_it() {
        for (content, expected) in [
            (r#"{"text": "20 % off"}"#, false),
            (r#"{"whatsapp": {"template": {"name": "sale", "language": "en"}}}"#, false),
            (r#"{"whatsapp": {"template": {"name": "sale", "language": "en", "category": "Marketing"}}}"#, false),
            (r#"{"whatsapp": {"template": {"name": "order", "language": "en", "category": "Utility"}}}"#, true),
            (r#"{"whatsapp": {"template": {"name": "code", "language": "en", "category": "Authentication"}}}"#, true),
        ] {
            let read: Content = serde_json::from_str(content).unwrap();
            assert_eq!(is_for_those_who_stopped(&read), expected, "{content}");
        }
        assert!(is_tag(MARKETING_STOPPED_TAG));
    }
}
