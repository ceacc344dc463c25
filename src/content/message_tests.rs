use std::collections::BTreeMap;

use super::*;
use crate::api::Content;
use crate::api::channel::ChannelProvider;
use crate::api::content::{
    Attachment, AttachmentType, SlackContent, TelegramButton, TelegramButtonRow, TelegramContent, TelegramParseMode,
    WhatsAppComponent, WhatsAppComponentType, WhatsAppContent, WhatsAppMedia, WhatsAppParameter, WhatsAppTemplate,
    WhatsAppTemplateCategory,
};

fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn button(text: &str, url: &str) -> TelegramButton {
    TelegramButton { text: text.into(), url: Some(url.into()), callback_data: None }
}

fn keyboard(buttons: Vec<TelegramButton>) -> TelegramContent {
    TelegramContent { inline_keyboard: vec![TelegramButtonRow { buttons }], ..TelegramContent::default() }
}

fn content(text: &str, telegram: TelegramContent) -> Content {
    Content { text: text.into(), telegram: Some(telegram), ..Content::default() }
}

#[test]
fn every_text_of_the_block_is_rendered_for_the_recipient() {
    let buttons = vec![button("Hi {{ name }}", "https://a.example/{{ code }}"), button("plain }", "https://b.example")];
    let template =
        MessageTemplate::compile(&content("{{ name }}!", keyboard(buttons)), ChannelProvider::Telegram).unwrap();
    let rendered = template.render(&vars(&[("name", "Ana"), ("code", "7")])).unwrap();
    let expected = vec![button("Hi Ana", "https://a.example/7"), button("plain }", "https://b.example")];
    let extras = Extras::Telegram(keyboard(expected));
    assert_eq!(rendered, Rendered { text: "Ana!".into(), extras, attachments: Vec::new(), parts: 1 });
    assert_eq!(rendered.preview(), "Ana!");
}

#[test]
fn what_a_recipient_lacks_is_named_over_all_texts() {
    let buttons = vec![button("{{ b }}", "https://a.example/{{ a }}")];
    let template = MessageTemplate::compile(&content("{{ c }}", keyboard(buttons)), ChannelProvider::Telegram).unwrap();
    let missing = RenderError::MissingVariables(["a", "b", "c"].map(str::to_owned).to_vec());
    assert_eq!(template.render(&vars(&[])), Err(missing));
}

#[test]
fn the_text_is_escaped_as_the_block_marks_it_up() {
    let html = TelegramContent { parse_mode: Some(TelegramParseMode::Html), ..TelegramContent::default() };
    let template = MessageTemplate::compile(&content("<b>{{ name }}</b>", html), ChannelProvider::Telegram).unwrap();
    assert_eq!(template.render(&vars(&[("name", "<i>")])).unwrap().text, "<b>&lt;i&gt;</b>");
}

#[test]
fn a_block_for_another_provider_is_refused_by_its_field() {
    let content = content("Hi", TelegramContent::default());
    let error = MessageTemplate::compile(&content, ChannelProvider::Messenger).unwrap_err();
    assert_eq!(error.field, "spec.content.telegram");
    assert!(error.problem.starts_with("the channel is one of messenger"), "{error}");
}

#[test]
fn a_bad_template_is_refused_by_its_place_in_the_block() {
    let content = content("Hi", keyboard(vec![button("x", "https://a.example/{{ a")]));
    let error = MessageTemplate::compile(&content, ChannelProvider::Telegram).unwrap_err();
    assert_eq!(error.field, "spec.content.telegram.inlineKeyboard[0].buttons[0].url");
    assert!(error.problem.starts_with("line 1, column"), "{error}");
}

#[test]
fn so_many_texts_may_name_variables_and_no_more() {
    let rows = |count: usize| TelegramContent {
        inline_keyboard: (0..count)
            .map(|_| TelegramButtonRow { buttons: vec![button("{{ a }}", "https://a.example")] })
            .collect(),
        ..TelegramContent::default()
    };
    let compile = |count| MessageTemplate::compile(&content("Hi", rows(count)), ChannelProvider::Telegram);
    assert!(compile(MAX_TEMPLATES).is_ok());
    assert_eq!(compile(MAX_TEMPLATES + 1).unwrap_err().field, "spec.content.telegram");
}

#[test]
fn slack_blocks_are_filled_in_and_call_nobody() {
    let blocks = "- type: section\n  text: {type: mrkdwn, text: \"*{{ team }}*\"}\n  accessory: {type: button, url: 'https://a.example/?q={{ team }}'}";
    let slack = SlackContent { blocks: Some(blocks.into()), ..SlackContent::default() };
    let content = Content { text: "{{ team }}".into(), slack: Some(slack), ..Content::default() };
    let template = MessageTemplate::compile(&content, ChannelProvider::Slack).unwrap();
    let rendered = template.render(&vars(&[("team", "<!channel>\"}]")])).unwrap();
    assert_eq!(rendered.text, "&lt;!channel&gt;\"}]");
    let Extras::Slack(extras) = rendered.extras else { panic!("another block") };
    let expected = serde_json::json!([{
        "type": "section",
        "text": {"type": "mrkdwn", "text": "*&lt;!channel&gt;\"}]*"},
        "accessory": {"type": "button", "url": "https://a.example/?q=<!channel>\"}]"},
    }]);
    assert_eq!(serde_json::Value::Array(extras.blocks), expected);
    let bare = Content { text: "{{ team }}".into(), ..Content::default() };
    let bare = MessageTemplate::compile(&bare, ChannelProvider::Slack).unwrap();
    assert_eq!(bare.render(&vars(&[("team", "<")])).unwrap().text, "&lt;", "with a block or without");
}

#[test]
fn blocks_that_are_none_are_refused_by_their_field() {
    let slack = SlackContent { blocks: Some("[".into()), ..SlackContent::default() };
    let content = Content { text: "Hi".into(), slack: Some(slack), ..Content::default() };
    let error = MessageTemplate::compile(&content, ChannelProvider::Slack).unwrap_err();
    assert_eq!(error.field, "spec.content.slack.blocks");
}

#[test]
fn links_of_attachments_are_filled_in_and_previewed_and_refused_by_their_place() {
    let picture = |url: &str| Attachment { kind: AttachmentType::Image, url: url.into() };
    let with = |url: &str| Content { text: "Hi".into(), attachments: vec![picture(url)], ..Content::default() };
    let compile = |url: &str| MessageTemplate::compile(&with(url), ChannelProvider::Messenger);
    let template = compile("https://a.example/{{ code }}.png").unwrap();
    assert_eq!(template.parts(), 2);
    let rendered = template.render(&vars(&[("code", "7")])).unwrap();
    assert_eq!(rendered.preview(), "Hi | Image https://a.example/7.png");
    assert_eq!(template.sample(&rendered), "Hi | Image https://a.example/{{ code }}.png", "nobody's own link is shown");
    assert_eq!(template.render(&vars(&[])), Err(RenderError::MissingVariables(vec!["code".into()])));
    assert_eq!(compile("https://a.example/{{ code").unwrap_err().field, "spec.content.attachments[0].url");
}

#[test]
fn a_template_of_the_provider_is_previewed_by_what_is_filled_in() {
    let parameter = |text: &str| WhatsAppParameter { text: Some(text.into()), ..WhatsAppParameter::default() };
    let part = |kind, parameters| WhatsAppComponent { kind, sub_type: None, index: None, parameters };
    let image = Some(WhatsAppMedia { url: "https://a.example/{{ name }}.png".into() });
    let header = part(WhatsAppComponentType::Header, vec![WhatsAppParameter { image, ..WhatsAppParameter::default() }]);
    let body = part(WhatsAppComponentType::Body, vec![parameter("{{ name }}"), parameter("A7")]);
    let (name, language, components) = ("order".into(), "en".into(), vec![header, body]);
    let template = WhatsAppTemplate { name, language, category: WhatsAppTemplateCategory::Utility, components };
    let whatsapp = WhatsAppContent { template: Some(template), preview_url: false };
    let content = Content { whatsapp: Some(whatsapp), ..Content::default() };
    let template = MessageTemplate::compile(&content, ChannelProvider::WhatsApp).unwrap();
    let rendered = template.render(&vars(&[("name", "Ana")])).unwrap();
    assert_eq!(rendered.preview(), "https://a.example/Ana.png | Ana | A7");
    assert_eq!(template.sample(&rendered), "https://a.example/{{ name }}.png | Ana | A7", "nobody's own link is shown");
}

/// What a sample shows of this block without a text, for somebody whose variable is `canary`, and the same before it is filled in.
fn sample(provider: ChannelProvider, block: serde_json::Value) -> String {
    let content: Content = serde_json::from_value(serde_json::json!({ provider.member(): block })).unwrap();
    let template = MessageTemplate::compile(&content, provider).unwrap();
    template.sample(&template.render(&vars(&[("own", "canary"), ("name", "Ana")])).unwrap())
}

#[test]
fn no_providers_sample_shows_a_link_of_the_recipients_own_or_what_recipients_never_see() {
    let part = |kind: &str, parameter| serde_json::json!({"type": kind, "parameters": [parameter]});
    let button = |kind: &str, parameter| serde_json::json!({"type": "Button", "subType": kind, "index": 0, "parameters": [parameter]});
    let link = "https://a.example/{{ own }}";
    let components = serde_json::json!([
        part("Header", serde_json::json!({"document": {"url": link, "filename": "for {{ name }}"}})),
        part("Header", serde_json::json!({"image": {"url": link}})),
        part("Header", serde_json::json!({"video": {"url": link}})),
        part("Body", serde_json::json!({"text": "{{ name }}"})),
        button("URL", serde_json::json!({"text": "?t={{ own }}"})),
        button("QuickReply", serde_json::json!({"payload": "p {{ own }}"})),
    ]);
    let whatsapp = serde_json::json!({"template": {"name": "order", "language": "en", "components": components}});
    let messenger = serde_json::json!({
        "quickReplies": [{"title": "Yes {{ name }}", "payload": "p {{ own }}", "imageURL": link}],
        "template": {"name": "order", "language": "en", "parameters": [{"text": "{{ name }}"}], "buttonPayloads": ["p {{ own }}"]},
    });
    let telegram = serde_json::json!({"inlineKeyboard": [{"buttons": [
        {"text": "Open {{ name }}", "url": link}, {"text": "Stop", "callbackData": "stop {{ own }}"},
    ]}]});
    let blocks = "[{type: section, block_id: 'b {{ own }}', text: {type: mrkdwn, text: '*{{ name }}*'}, accessory: {type: image, \
                  image_url: 'https://a.example/{{ own }}', alt_text: a picture}}, {type: actions, elements: [{type: button, value: \
                  'v {{ own }}', url: 'https://a.example/{{ own }}'}]}]";
    let slack = serde_json::json!({ "blocks": blocks });
    for (provider, block, shown) in [
        (ChannelProvider::WhatsApp, whatsapp, [link, "for Ana", link, link, "Ana", "?t={{ own }}"].join(" | ")),
        (ChannelProvider::Messenger, messenger, ["Yes Ana", link, "Ana"].join(" | ")),
        (ChannelProvider::Telegram, telegram, ["Open Ana", link, "Stop"].join(" | ")),
        (ChannelProvider::Slack, slack, ["a picture", link, "*Ana*", link].join(" | ")),
    ] {
        assert_eq!(sample(provider, block), shown, "{}", provider.member());
    }
}
