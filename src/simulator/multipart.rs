//! Pure: forms with files in them (`multipart/form-data`, RFC 7578), as far as providers read them.

/// The most fields that are read of a form; providers want three.
const MAX_FIELDS: usize = 16;

/// One field of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    pub name: &'a str,
    /// Of a file.
    pub file_name: Option<&'a str>,
    pub content_type: Option<&'a str>,
    pub content: &'a [u8],
}

/// The fields of a form; none where the body is no whole form.
pub fn fields<'a>(content_type: &str, body: &'a [u8]) -> Vec<Field<'a>> {
    read(content_type, body).unwrap_or_default()
}

fn read<'a>(content_type: &str, body: &'a [u8]) -> Option<Vec<Field<'a>>> {
    let boundary = content_type.strip_prefix("multipart/form-data")?.split_once("boundary=")?.1;
    let boundary = boundary.split(';').next()?.trim().trim_matches('"');
    let delimiter = format!("\r\n--{boundary}");
    let mut rest = body.strip_prefix(delimiter.trim_start().as_bytes())?;
    let mut fields = Vec::new();
    while !rest.starts_with(b"--") {
        if fields.len() == MAX_FIELDS {
            return None;
        }
        let begun = rest.strip_prefix(b"\r\n")?;
        let end = find(begun, delimiter.as_bytes())?;
        fields.push(field(&begun[..end])?);
        rest = &begun[end + delimiter.len()..];
    }
    Some(fields)
}

fn field(part: &[u8]) -> Option<Field<'_>> {
    let end = find(part, b"\r\n\r\n")?;
    let head = std::str::from_utf8(&part[..end]).ok()?;
    let header = |wanted: &str| {
        let mut lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
        lines.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    let disposition = header("content-disposition")?;
    let parameter = |name: &str| disposition.split_once(&format!("; {name}=\""))?.1.split('"').next();
    Some(Field {
        name: parameter("name")?,
        file_name: parameter("filename"),
        content_type: header("content-type"),
        content: &part[end + 4..],
    })
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "--b1\r\nContent-Disposition: form-data; name=\"messaging_product\"\r\n\r\nwhatsapp\r\n--b1\r\n\
                        Content-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\ncontent-type: image/png\r\n\r\n\
                        \r\n-- \r\n\r\n--b1--\r\n";

    #[test]
    fn the_fields_and_the_file_of_a_form_are_read() {
        for content_type in ["multipart/form-data; boundary=b1", "multipart/form-data; boundary=\"b1\""] {
            let fields = fields(content_type, BODY.as_bytes());
            let text = Field { name: "messaging_product", file_name: None, content_type: None, content: b"whatsapp" };
            let file = Field {
                name: "file",
                file_name: Some("a.png"),
                content_type: Some("image/png"),
                content: b"\r\n-- \r\n",
            };
            assert_eq!(fields, [text, file]);
        }
    }

    #[test]
    fn what_is_no_whole_form_has_no_fields() {
        let whole = "multipart/form-data; boundary=b1";
        for (content_type, body) in [
            (whole, &BODY[..BODY.len() - 6]),
            (whole, ""),
            ("multipart/form-data; boundary=b2", BODY),
            ("application/json", BODY),
        ] {
            assert_eq!(fields(content_type, body.as_bytes()), [], "{body:?}");
        }
        let many = "--b1\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n".repeat(MAX_FIELDS + 1);
        assert_eq!(fields(whole, format!("{many}--b1--\r\n").as_bytes()), []);
    }
}
