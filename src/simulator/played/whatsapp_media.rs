//! The files that WhatsApp takes, as its answer to a file of another type lists them (recorded in
//! fbsamples/whatsapp-api-examples#10 and MissaelAnda/laravel-whatsapp#4). Written down from there and not from the sender's table,
//! which would agree with itself. The sizes are of secondary pages.

const MEGABYTE: usize = 1024 * 1024;

/// Media types, in the order of the answer, with the type of message that takes them.
const TYPES: [(&str, &str); 19] = [
    ("audio/aac", "audio"),
    ("audio/mp4", "audio"),
    ("audio/mpeg", "audio"),
    ("audio/amr", "audio"),
    ("audio/ogg", "audio"),
    ("audio/opus", "audio"),
    ("application/vnd.ms-powerpoint", "document"),
    ("application/msword", "document"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "document"),
    ("application/vnd.openxmlformats-officedocument.presentationml.presentation", "document"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "document"),
    ("application/pdf", "document"),
    ("text/plain", "document"),
    ("application/vnd.ms-excel", "document"),
    ("image/jpeg", "image"),
    ("image/png", "image"),
    ("image/webp", "sticker"),
    ("video/mp4", "video"),
    ("video/3gpp", "video"),
];

/// The type of message that takes files of a media type; `None` for one that is not taken.
pub(super) fn message_type(media_type: &str) -> Option<&'static str> {
    TYPES.iter().find(|(known, _)| *known == media_type).map(|(_, message)| *message)
}

/// The largest file of a message of this type.
pub(super) fn max_bytes(message_type: &str) -> usize {
    match message_type {
        "document" => 100 * MEGABYTE,
        "audio" | "video" => 16 * MEGABYTE,
        "image" => 5 * MEGABYTE,
        _ => MEGABYTE / 2,
    }
}

/// The answer to a file of another type.
pub(super) fn not_taken() -> String {
    let known: Vec<&str> = TYPES.iter().map(|(media_type, _)| *media_type).collect();
    format!("Param file must be a file with one of the following types: {}.", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::whatsapp::media::all_kinds;

    #[test]
    fn what_the_sender_gives_is_taken() {
        for kind in all_kinds() {
            let message = message_type(kind.media_type).unwrap();
            assert_eq!(kind.max_bytes, max_bytes(message) as u64, "{}", kind.media_type);
        }
        assert_eq!(message_type("application/octet-stream"), None);
    }
}
